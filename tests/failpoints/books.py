"""Is it all true, whatever happened? Payments against the gateways' own books, and all that the self-audit examines."""

import json
from pathlib import Path
from typing import Any

from checkout.kit.models import AuditEntry
from ledger.selectors import trial_balance
from payments import selectors
from payments.models import Payment
from payments.selfaudit import Scope, audit_books, read_book
from payments.statuses import Status
from tests.simulation import Simulation

Row = dict[str, Any]


class Books:
    """The books of all simulated gateways, from a moment on: whatever is in them must be ours."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._codes = [gateway["code"] for gateway in simulation.gateways()]
        self._begun = {code: len(simulation.book(code)) for code in self._codes}

    def read(self) -> dict[str, list[Row]]:
        """By gateway, what happened there since."""
        return {code: self._simulation.book(code)[self._begun[code] :] for code in self._codes}


def check(payment: Payment, simulation: Simulation) -> None:
    """What must be true of a payment whatever happened, by the gateways' own books."""
    check_payment(payment, [row for gateway in simulation.gateways() for row in simulation.book(gateway["code"])])
    check_ledger()


def check_payment(payment: Payment, rows: list[Row]) -> None:
    """One live charge at the most, of the amounts that the payment names, and nothing in flight."""
    payment.refresh_from_db()
    references = {attempt.reference for attempt in payment.attempts.only("id")}
    charges = [row for row in rows if row["kind"] == "charge" and row["reference"] in references]
    is_refunded = payment.captured_minor > 0 and payment.refunded_minor == payment.captured_minor
    live = [
        row
        for row in charges
        if row["status"] == "approved"
        and not row["voided"]
        and (is_refunded or row["refunded_minor"] < (row["captured_minor"] or 1))
    ]
    told = [(row["reference"], row["status"], row["captured_minor"], row["refunded_minor"]) for row in charges]
    assert len(live) <= 1, f"charged twice: {told}"
    if payment.status in (Status.AUTHORIZED, Status.CAPTURED):
        assert len(live) == 1, f"{payment.status} here, not there: {told}"
    else:
        assert not live, f"{payment.status} here, charged there: {told}"
    captured = sum(row["captured_minor"] for row in live)
    refunded = sum(row["refunded_minor"] for row in live)
    assert (payment.captured_minor, payment.refunded_minor) == (captured, refunded), told
    left = list(selectors.in_flight(payment).values("operation", "status", "next_action", "action_url", "asked_count"))
    assert not left, f"{payment.status}, still in flight: {left}"


def check_ledger() -> None:
    """The ledger balances, and nothing is left in suspense."""
    balances = trial_balance(mode="test", currency="EUR")
    assert sum(balance.sum.amount_minor for balance in balances) == 0
    assert not any(balance.sum for balance in balances if balance.account.kind == "suspense")


def check_invariants(books: dict[str, list[Row]], folder: Path) -> None:
    """I1 to I16 hold, says the platform's own self-audit with the gateways' books in its hands; and no money that it
    moved itself is told of as a change that nobody accounted for.
    """
    path = folder / "books.json"
    path.write_text(json.dumps(books))
    operations, gateways = read_book(path)
    findings = audit_books(Scope(book=operations, book_gateways=gateways))
    assert {finding.code: finding.samples for finding in findings if not finding.is_green} == {}
    unaccounted = AuditEntry.objects.filter(told_by_database=True, verb__startswith="payments_")
    assert list(unaccounted.values_list("verb", "object_id", "before", "after")) == []
