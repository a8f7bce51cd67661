"""Show what the accounts hold, and whether it all ties to zero."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import prefetch_related_objects

from checkout.kit.modes import Mode
from checkout.kit.money import CURRENCY_DECIMALS, Money
from ledger import selectors


class Command(BaseCommand):
    """`manage.py trial_balance EUR --mode live`; fails if debits and credits differ."""

    help = "Show every account in one currency that is not at zero, and their sums."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("currency", choices=sorted(CURRENCY_DECIMALS), metavar="currency", help="ISO 4217")
        parser.add_argument("--mode", choices=Mode.values, default=Mode.LIVE, help="live unless told otherwise")

    def handle(self, *args: Any, **options: Any) -> None:
        currency = options["currency"]
        balances = [row for row in selectors.trial_balance(mode=options["mode"], currency=currency) if row.sum]
        prefetch_related_objects([balance.account for balance in balances], "merchant", "gateway")
        debits = Money(sum(balance.debit.amount_minor for balance in balances), currency)
        credits = Money(sum(balance.credit.amount_minor for balance in balances), currency)
        self.stdout.write(_line("account", "of", "debit", "credit"))
        for balance in balances:
            account = balance.account
            owner = str(account.merchant or account.gateway or "the platform")
            self.stdout.write(_line(account.kind, owner, _figure(balance.debit), _figure(balance.credit)))
        self.stdout.write(_line(f"sum in {currency}", "", str(debits.as_decimal()), str(credits.as_decimal())))
        if debits != credits:
            raise CommandError(f"The ledger does not balance: debits exceed credits by {debits - credits}.")


def _figure(money: Money) -> str:
    return str(money.as_decimal()) if money else ""


def _line(account: str, owner: str, debit: str, credit: str) -> str:
    return f"{account:<24}{owner[:23]:<24}{debit:>16}{credit:>16}".rstrip()
