"""Let somebody in again who lost their phone and codes, when no administrator is left who could."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from checkout.kit.access.codes import remove_second_factor
from checkout.kit.access.lockout import unlock
from checkout.kit.actors import Actor
from checkout.kit.models import User


class Command(BaseCommand):
    """`manage.py reset_second_factor ana --reason "lost the phone"`: their password is asked for, then a new app."""

    help = "Forget somebody's authenticator app and recovery codes, and unlock them. Audited."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--reason", required=True, help="why, for the audit")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["username"]).first()
        if user is None:
            raise CommandError("Nobody here has this name.")
        about: dict[str, Any] = {"user": user, "reason": options["reason"], "actor": Actor.command(_NAME)}
        remove_second_factor(**about)
        unlock(**about)
        self.stdout.write(f"{user} logs in with the password alone and then sets up a new app.")


_NAME = "reset_second_factor"
