"""How are the ledger's sums brought up to date at once, or made again where `verify_ledger` found them wrong?"""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from ledger.services import summarize


class Command(BaseCommand):
    """`manage.py summarize_ledger`: what the hourly task does."""

    help = "Sum up what has been recorded, by account and day."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--afresh", action="store_true", help="forget all sums and make them again")

    def handle(self, *args: Any, **options: Any) -> None:
        until = summarize(afresh=options["afresh"])
        self.stdout.write(f"Summed up until {until:%Y-%m-%d %H:%M:%S} UTC." if until else "The ledger is empty.")
