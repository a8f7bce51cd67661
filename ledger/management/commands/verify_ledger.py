"""Was anything in the ledger changed behind its back? A look that changes nothing."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from ledger.models import LedgerSeal
from ledger.verification import Finding, verify_ledger


class Command(BaseCommand):
    """`manage.py verify_ledger`: exit code 0 if everything is as it was, 1 if not."""

    help = "Hash what was sealed again, add every sum up again, and say what differs."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", dest="as_json", help="print the findings as JSON")
        parser.add_argument(
            "--seal",
            type=bytes.fromhex,
            metavar="HASH",
            help="the word that an earlier look ended with, kept elsewhere",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        findings = verify_ledger(known_seal=options["seal"])
        last = LedgerSeal.objects.order_by("ends_at").last()
        if options["as_json"]:
            told = {
                "findings": [finding.as_json() for finding in findings],
                "sealed_until": last.ends_at.isoformat() if last else None,
                "last_seal": bytes(last.seal_hash).hex() if last else None,
            }
            self.stdout.write(json.dumps(told, indent=2))
        else:
            self._show(findings, last)
        if not all(finding.is_green for finding in findings):
            raise SystemExit(1)

    def _show(self, findings: list[Finding], last: LedgerSeal | None) -> None:
        self.stdout.write(f"{'':5} {'rule':<72} {'looked at':>12} {'broken':>8} {'seconds':>8}")
        for finding in findings:
            result = self.style.SUCCESS("holds") if finding.is_green else self.style.ERROR("fails")
            self.stdout.write(
                f"{result} {finding.name:<72} {finding.checked:>12,} {finding.violations:>8,} {finding.seconds:>8.2f}"
            )
            for sample in finding.samples:
                self.stdout.write(self.style.ERROR(f"{'':5} → {sample}"))
        if last:
            # Whoever rules the database could make all seals again; not this word, once it is kept elsewhere.
            self.stdout.write(f"Sealed until {last.ends_at:%Y-%m-%d %H:%M:%S} UTC: {bytes(last.seal_hash).hex()}")
        else:
            self.stdout.write("Nothing has been sealed yet.")
