"""Live through a month of payments, settlement files and statements with planted errors; say what was found."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from merchants.models import Merchant
from payments.month.run import Outcome, simulate


class Command(BaseCommand):
    """`manage.py simulate_month --days 30 --payments 100000 --seed 1`: exit code 0 only when everything holds."""

    help = "Simulate days of trade, settle, import, match and close them, and compare with what was planted."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--days", type=int, default=30)
        parser.add_argument("--payments", type=int, default=100_000, help="over all days")
        parser.add_argument("--seed", type=int, default=1, help="the same seed plants the same errors")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["days"] < 1 or options["payments"] < 1:
            raise CommandError("There must be a day and a payment at the least.")
        if Merchant.objects.exists():
            raise CommandError("This needs an empty database that nothing else works on: use `make month`.")
        outcome = simulate(
            days=options["days"], payments=options["payments"], seed=options["seed"], say=self.stdout.write
        )
        self._tell(outcome)
        if not outcome.holds:
            raise CommandError("The books do not tie out.")

    def _tell(self, outcome: Outcome) -> None:
        verdict = outcome.verdict
        self.stdout.write(f"\n{'planted error':<26}{'planted':>9}{'found':>9}")
        for kind in sorted(verdict.planted):
            self.stdout.write(f"{kind:<26}{verdict.planted[kind]:>9,}{verdict.found[kind]:>9,}")
        for heading, lines in (
            ("refused", outcome.refused),
            ("missed", verdict.missed),
            ("reported and not planted", verdict.false_reports),
            ("does not tie", outcome.differences),
        ):
            for line in lines[:20]:
                self.stdout.write(f"{heading}: {line}")
        self.stdout.write(
            f"\n{outcome.payment_count:,} payments, {outcome.refund_count:,} refunds, {outcome.file_count:,} files, "
            f"{outcome.line_count:,} lines; planted {verdict.planted.total():,}, found {verdict.found.total():,}, "
            f"falsely reported {len(verdict.false_reports):,}, explained {outcome.resolved_count:,}; "
            f"closed {outcome.closed_count:,} days, differences {len(outcome.differences):,}: "
            f"{'the books tie out' if outcome.holds else 'the books do NOT tie out'}"
        )
