"""How does somebody who has the machine bring a settlement file or a bank statement in?"""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from checkout.kit.actors import Actor
from checkout.kit.errors import Refusal
from checkout.kit.modes import Mode
from gateways.models import Gateway
from ledger import services
from ledger.models import SettlementFile
from ledger.statuses import FileStatus


class Command(BaseCommand):
    """`manage.py import_settlement FILE --gateway north`; fails if the file is refused."""

    help = "Import a settlement file of a gateway, or a bank statement, and match what it brings."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        whose = parser.add_mutually_exclusive_group(required=True)
        whose.add_argument("--gateway", help="the code of the gateway whose file it is")
        whose.add_argument("--bank", action="store_true", help="it is a statement of our bank account (camt.053)")
        parser.add_argument("--mode", choices=Mode.values, help="of a bank statement; live unless told otherwise")

    def handle(self, *args: Any, **options: Any) -> None:
        gateway = Gateway.objects.filter(code=options["gateway"]).first()
        if options["gateway"] and gateway is None:
            raise CommandError(f"There is no gateway {options['gateway']!r}.")
        usual = gateway.mode if gateway else Mode.LIVE.value
        actor = Actor.command("import_settlement")
        try:
            with options["file"].open("rb") as stream:
                file = services.receive_file(
                    stream=stream,
                    name=options["file"].name,
                    gateway=gateway,
                    mode=options["mode"] or usual,
                    source=SettlementFile.Source.COMMAND,
                    actor=actor,
                )
            file = services.import_to_end(file)
            if file.status == FileStatus.REFUSED:
                faults = [f"line {line} {column} {reason}" for line, column, reason in file.errors[:20]]
                raise CommandError("\n".join([f"Refused, with {file.error_count:,} errors:", *faults]))
            self.stdout.write(f"{file.public_id}: {file.line_count:,} lines, {file.first_on} to {file.last_on}")
            if gateway is None:
                self.stdout.write(str(services.reconcile_bank(mode=file.mode, actor=actor)))
            else:
                self.stdout.write(str(services.reconcile(gateway=gateway, mode=file.mode, actor=actor)))
        except OSError as error:
            raise CommandError(f"The file cannot be read: {error.strerror}.") from None
        except Refusal as refusal:
            raise CommandError(refusal.message) from None
