"""Do the books hold? Sixteen invariants, each one question to the database; and where a gateway's own book is at hand,
to that as well.

This only looks. What follows from a red result is `payments.services.self_audit`.
"""

from payments.selfaudit import card_data, history, money
from payments.selfaudit.book import BookRefused, read_book
from payments.selfaudit.running import Finding, Invariant, Scope, examine

INVARIANTS: tuple[Invariant, ...] = tuple(
    sorted(
        [*money.INVARIANTS, *history.INVARIANTS, *card_data.INVARIANTS], key=lambda invariant: int(invariant.code[1:])
    )
)


def audit_books(scope: Scope) -> list[Finding]:
    """What each invariant has to say, in order, of one moment. A few dozen queries, however many the payments."""
    return examine(INVARIANTS, scope)


__all__ = ["INVARIANTS", "BookRefused", "Finding", "Invariant", "Scope", "audit_books", "read_book"]
