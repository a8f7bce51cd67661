"""Make an API key."""

from argparse import ArgumentParser, ArgumentTypeError
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from checkout.kit import clock
from checkout.kit.actors import Actor
from checkout.kit.modes import Mode
from merchants import selectors, services
from merchants.management.words import refusal
from merchants.models import Scope


class Command(BaseCommand):
    """`manage.py create_api_key mer_… --mode test --scope payments:read --expires 2027-01-31`"""

    help = "Make an API key for a merchant and print its secret, which is shown this once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("merchant", help="its id, mer_…")
        parser.add_argument("--mode", choices=Mode.values, default=Mode.TEST, help="test unless told otherwise")
        parser.add_argument("--name", default="", help="what it is for")
        parser.add_argument(
            "--scope",
            action="append",
            choices=Scope.values,
            help="what it may be used for; may be given several times, everything if left out",
        )
        parser.add_argument(
            "--expires", type=_moment, help="when it ends, ISO 8601, UTC unless it names a zone; never if left out"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        merchant = selectors.merchant_by_public_id(options["merchant"])
        if merchant is None:
            raise CommandError("There is no merchant with this id; `manage.py list_merchants` shows them.")
        if options["expires"] is not None and options["expires"] <= clock.now():
            raise CommandError("A key that has expired already opens nothing: --expires must lie ahead.")
        try:
            new = services.create_api_key(
                merchant=merchant,
                mode=options["mode"],
                name=options["name"],
                scopes=options["scope"],
                expires_at=options["expires"],
                actor=Actor.command("create_api_key"),
            )
        except ValidationError as error:
            raise refusal(error) from None
        self.stdout.write(new.secret)
        self.stderr.write("This is the only time that the secret is shown: keep it now. Only its hash is stored.")


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError("must be a date or time such as 2027-01-31 or 2027-01-31T12:00:00+01:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
