"""How are a gateway's open lines and items, or the bank's, matched at once?"""

from argparse import ArgumentParser
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from checkout.kit.actors import Actor
from checkout.kit.errors import Refusal
from checkout.kit.modes import Mode
from gateways.models import Gateway
from ledger import services


class Command(BaseCommand):
    """`manage.py reconcile north`, or `manage.py reconcile --bank --mode test`."""

    help = "Match what is open, and report what differs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("gateway", nargs="?", help="its code; all gateways and the bank unless told otherwise")
        parser.add_argument("--bank", action="store_true", help="the bank instead")
        parser.add_argument("--mode", choices=Mode.values, default=Mode.LIVE, help="of the bank; live")
        parser.add_argument("--until", type=date.fromisoformat, help="count ages to this day instead of today")

    def handle(self, *args: Any, **options: Any) -> None:
        actor = Actor.command("reconcile")
        try:
            if options["bank"]:
                done: Any = services.reconcile_bank(mode=options["mode"], actor=actor, until=options["until"])
                self.stdout.write(str(done))
            elif options["gateway"]:
                gateway = Gateway.objects.filter(code=options["gateway"]).first()
                if gateway is None:
                    raise CommandError(f"There is no gateway {options['gateway']!r}.")
                done = services.reconcile(gateway=gateway, mode=gateway.mode, actor=actor, until=options["until"])
                self.stdout.write(str(done))
            else:
                services.reconcile_all(actor=actor)
        except Refusal as refusal:
            raise CommandError(refusal.message) from None
