"""Write a report, to the terminal or into a file."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from checkout.settings import policy
from ledger.reports import REPORTS
from ledger.reports.formats import FORMATS
from ledger.reports.running import Run, running
from ledger.reports.scope import ScopeRefused, read_scope

_WORDS = {
    "from": "the first accounting day, as 2026-11-01; this month unless told otherwise",
    "to": "the last one; today unless told otherwise",
    "at": "an instant, as 2026-11-30T18:00; now unless told otherwise",
    "period": "instead of days: today, yesterday, last_7_days, this_month or last_month",
    "mode": "live or test; live if there is anything live",
    "currency": "ISO 4217; all unless told otherwise",
    "merchant": "mer_…",
    "gateway": "its code, or gtw_…",
}


class Command(BaseCommand):
    """`manage.py report fees --period last_month --format xlsx --out fees.xlsx`; fails if the report does not tie."""

    help = "Write a report. Fails, after writing it, if it does not tie to the books."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", choices=list(REPORTS), metavar="name", help=", ".join(REPORTS))
        for word, help_text in _WORDS.items():
            parser.add_argument(f"--{word}", default="", help=help_text)
        parser.add_argument("--format", choices=list(FORMATS), default="table")
        parser.add_argument("--out", type=Path, help="the file to write; the terminal unless told otherwise")

    def handle(self, *args: Any, **options: Any) -> None:
        report = REPORTS[options["name"]]
        try:
            scope = read_scope({word: options[word] for word in _WORDS}, report.asks)
        except ScopeRefused as refused:
            raise CommandError(str(refused)) from None
        with running(report, scope, seconds=policy.REPORT_SECONDS) as run:
            self._write(run, options["format"], options["out"])
        if not run.ties:
            broken = ", ".join(str(control) for control in run.controls if not control.ties)
            raise CommandError(f"The report does not tie to the books: {broken}")

    def _write(self, run: Run, name: str, path: Path | None) -> None:
        """Into the file, or past Django's own wrapper of the output, which knows nothing of bytes."""
        if path is not None:
            with path.open("wb") as file:
                FORMATS[name].write(run, file)
            return
        FORMATS[name].write(run, sys.stdout.buffer)
        sys.stdout.buffer.flush()
