"""Take on a merchant."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand

from checkout.kit.actors import Actor
from merchants import services
from merchants.management.words import refusal


class Command(BaseCommand):
    """`manage.py create_merchant "Ana's Books" PT EUR --fee-bps 320 --fee-fixed 30 --tax-bps 2300`"""

    help = "Take on a merchant and print its id."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("country", help="ISO 3166-1 alpha-2, in capital letters")
        parser.add_argument("currency", help="ISO 4217, in capital letters; the one it usually takes")
        parser.add_argument("--fee-bps", type=int, default=0, help="our fee, in basis points: 320 is 3.20 %%")
        parser.add_argument("--fee-fixed", type=int, default=0, help="added to that, in minor units of each payment")
        parser.add_argument("--tax-bps", type=int, default=0, help="tax on our fee, in basis points")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            merchant = services.create_merchant(
                name=options["name"],
                country=options["country"],
                default_currency=options["currency"],
                fee_bps=options["fee_bps"],
                fee_fixed_minor=options["fee_fixed"],
                tax_bps=options["tax_bps"],
                actor=Actor.command("create_merchant"),
            )
        except ValidationError as error:
            raise refusal(error) from None
        self.stdout.write(merchant.public_id)
