"""End an API key."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from checkout.kit.actors import Actor
from merchants import selectors, services


class Command(BaseCommand):
    """`manage.py revoke_api_key sk_test_Ab12Cd34Ef56 --reason "leaked in a log"`"""

    help = "Revoke an API key; within a second it opens nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("key", help="its prefix, as list_merchants shows it, or its id, key_…")
        parser.add_argument("--reason", required=True, help="why, for the audit")

    def handle(self, *args: Any, **options: Any) -> None:
        key = selectors.api_key_named(options["key"].rstrip("…"))
        if key is None:
            # Not repeated: it may be a whole secret.
            raise CommandError("There is no API key with this prefix or id; `manage.py list_merchants` shows them.")
        if key.revoked_at is not None:
            raise CommandError(f"{key} was revoked already, on {key.revoked_at:%Y-%m-%d at %H:%M} UTC.")
        if not options["reason"].strip():
            raise CommandError("--reason must say why.")
        services.revoke_api_key(key=key, reason=options["reason"], actor=Actor.command("revoke_api_key"))
        self.stdout.write(f"{key} of {key.merchant} is revoked.")
