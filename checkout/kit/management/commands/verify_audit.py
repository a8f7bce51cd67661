"""Was anything in the audit changed behind its back? A look that changes nothing."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from checkout.kit.audit_chain import Verdict, verify_audit


class Command(BaseCommand):
    """`manage.py verify_audit`: exit code 0 if everything is as it was, 1 if not."""

    help = "Hash again what was sealed of the audit, and say what differs."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", dest="as_json", help="print the verdict as JSON")
        parser.add_argument(
            "--seal",
            type=bytes.fromhex,
            metavar="HASH",
            help="the word that an earlier look ended with, kept elsewhere",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        verdict = verify_audit(known_seal=options["seal"])
        if options["as_json"]:
            self.stdout.write(json.dumps({**verdict.as_json(), "is_green": verdict.is_green}, indent=2))
        else:
            self._show(verdict)
        if not verdict.is_green:
            raise SystemExit(1)

    def _show(self, verdict: Verdict) -> None:
        result = self.style.SUCCESS("holds") if verdict.is_green else self.style.ERROR("fails")
        self.stdout.write(f"{'':5} {'seals':>10} {'entries':>14} {'not yet sealed':>16} {'broken':>8} {'seconds':>8}")
        self.stdout.write(
            f"{result} {verdict.seals:>10,} {verdict.entries:>14,} {verdict.waiting:>16,} {verdict.violations:>8,}"
            f" {verdict.seconds:>8.2f}"
        )
        for sample in verdict.samples:
            self.stdout.write(self.style.ERROR(f"{'':5} → {sample}"))
        if verdict.sealed_at:
            # Whoever rules the database could make all seals again; not this word, once it is kept elsewhere.
            self.stdout.write(f"Sealed at {verdict.sealed_at:%Y-%m-%d %H:%M:%S} UTC: {verdict.last_seal}")
        else:
            self.stdout.write("Nothing has been sealed yet.")
