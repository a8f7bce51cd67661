"""Write the pages of `docs/` that are derived from the code: what may follow what."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from checkout.kit.statuses import StatusMachine, mermaid
from payments.statuses import ATTEMPT, PAYMENT, REFUND

STATUSES = Path("docs/statuses.md")
_INTRODUCTION = """\
# Statuses

What may follow what. Written by `manage.py write_docs` from the tables in `payments/statuses.py`; the same tables give
the CHECK constraints of the database, the buttons of the admin and the tests.
"""


class Command(BaseCommand):
    """`manage.py write_docs`"""

    help = "Write the pages of docs/ that are derived from the code."

    def handle(self, *args: Any, **options: Any) -> None:
        (settings.BASE_DIR / STATUSES).write_text(statuses_page())
        self.stdout.write(str(STATUSES))


def statuses_page() -> str:
    """The page of all status tables, as Markdown."""
    return "\n".join([_INTRODUCTION, *(_section(machine) for machine in (PAYMENT, ATTEMPT, REFUND))])


def _section(machine: StatusMachine) -> str:
    final = [status for status in machine.statuses if not any(before == status for before, _ in machine.table)]
    rows = [
        f"| `{before}` | {event.replace('_', ' ')} | `{after}` |" for (before, event), after in machine.table.items()
    ]
    return "\n".join(
        [
            f"## {machine.name.capitalize()}",
            "",
            f"Begins as {_words([machine.initial])}; nothing follows {_words(final)}.",
            "",
            "```mermaid",
            mermaid(machine),
            "```",
            "",
            "| from | event | to |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def _words(statuses: Iterable[str]) -> str:
    return ", ".join(f"`{status}`" for status in statuses)
