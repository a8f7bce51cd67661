"""How are the days of a gateway closed, and what did they come to?"""

from argparse import ArgumentParser
from datetime import date, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from checkout.kit import clock
from checkout.kit.actors import Actor
from checkout.kit.errors import Refusal
from checkout.kit.money import CURRENCY_DECIMALS, Money
from gateways.models import Gateway
from ledger import services
from ledger.models import ClosedDay
from ledger.reconciliation.statements import first_open_day

_FIGURES = ("opening", "movement", "matched", "closing", "file", "exceptions")


class Command(BaseCommand):
    """`manage.py close_day north EUR`: every day until yesterday, in order, up to the first that cannot be closed."""

    help = "Close the days of a gateway in a currency, and print their statements."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("gateway", help="its code")
        parser.add_argument("currency", choices=sorted(CURRENCY_DECIMALS), metavar="currency", help="ISO 4217")
        parser.add_argument("--until", type=date.fromisoformat, help="the last day to close; yesterday")

    def handle(self, *args: Any, **options: Any) -> None:
        gateway, currency = Gateway.objects.filter(code=options["gateway"]).first(), options["currency"]
        if gateway is None:
            raise CommandError(f"There is no gateway {options['gateway']!r}.")
        until = options["until"] or clock.now().date() - timedelta(days=1)
        self.stdout.write(f"{'day':10}" + "".join(f"{name:>16}" for name in _FIGURES))
        while (on := first_open_day(gateway, gateway.mode, currency, until=until)) is not None:
            try:
                day = services.close_day(
                    gateway=gateway, mode=gateway.mode, currency=currency, on=on, actor=Actor.command("close_day")
                )
            except Refusal as refusal:
                raise CommandError(f"{on} stays open. {refusal.message}") from None
            self.stdout.write(f"{on}" + "".join(f"{self._figure(day, name):>16}" for name in _FIGURES))

    def _figure(self, day: ClosedDay, name: str) -> str:
        return str(Money(getattr(day, f"{name}_minor"), day.currency).as_decimal())
