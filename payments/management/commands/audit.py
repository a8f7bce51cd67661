"""Do the books hold, now? A look that changes nothing; the hourly task is what keeps results and acts upon them."""

import argparse
import json
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from gateways.models import Gateway
from payments.selfaudit import BookRefused, Finding, Scope, audit_books, read_book


class Command(BaseCommand):
    """`manage.py audit`: exit code 0 if every invariant holds, 1 if not."""

    help = "Examine the invariants I1 to I16 and say which hold."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", dest="as_json", help="print the findings as JSON")
        parser.add_argument("--since", type=_moment, help="only what was touched from then on (ISO 8601)")
        parser.add_argument("--gateway", help="only the payments of this gateway, by code")
        parser.add_argument(
            "--book-file",
            type=Path,
            help="compare with the gateways' own books: what GET /book/{code} of the simulator tells, by code",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        gateway = None
        if options["gateway"]:
            gateway = Gateway.objects.filter(code=options["gateway"]).first()
            if gateway is None:
                raise CommandError("There is no gateway with this code.", returncode=2)
        try:
            book, book_gateways = read_book(options["book_file"]) if options["book_file"] else ([], ())
        except BookRefused as refusal:
            raise CommandError(str(refusal), returncode=2) from None
        findings = audit_books(
            Scope(
                since=options["since"],
                gateway=gateway,
                texts_since=options["since"],
                book=book,
                book_gateways=book_gateways,
            )
        )
        if options["as_json"]:
            self.stdout.write(json.dumps([finding.as_json() for finding in findings], indent=2))
        else:
            self._show(findings)
        if not all(finding.is_green for finding in findings):
            raise SystemExit(1)

    def _show(self, findings: list[Finding]) -> None:
        self.stdout.write(f"{'':4} {'':5} {'invariant':<66} {'looked at':>10} {'broken':>8} {'seconds':>8}")
        for finding in findings:
            result = self.style.SUCCESS("holds") if finding.is_green else self.style.ERROR("fails")
            self.stdout.write(
                f"{finding.code:4} {result} {finding.name:<66} {finding.checked:>10,} {finding.violations:>8,}"
                f" {finding.seconds:>8.2f}"
            )
            self.stdout.write(f"{'':10} {finding.covers}")
            for name, problem in finding.samples:
                self.stdout.write(self.style.ERROR(f"{'':10} → {name} {problem}"))


def _moment(text: str) -> datetime:
    """A date or a moment, in UTC where it does not say otherwise."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a date nor a moment (ISO 8601).") from None
    return moment if timezone.is_aware(moment) else timezone.make_aware(moment)
