"""What if a gateway's yes is heard only after the attempt was given up? Money goes back if the gateway still has it."""

from collections.abc import Callable
from typing import Any

import pytest

from checkout.kit.models import Alert
from checkout.kit.money import Money
from gateways import client
from gateways.client import Answer
from ledger import chart
from ledger.selectors import balance_of
from payments import selectors
from payments.models import Attempt, Payment
from payments.selfaudit import Scope, audit_books
from payments.services.record import record_answer
from payments.services.run import _call
from payments.statuses import NextAction, Status
from payments.tests.answers import INQUIRY, NOT_FOUND, WORKER, beyond_settle_window, claim, last, make_due, tell
from tests.simulation import Simulation


@pytest.fixture
def overtaken(
    created_payment: Callable[..., Payment], eur: Callable[[int], Money], simulation: Simulation
) -> Callable[..., tuple[Payment, Attempt, Answer]]:
    """`overtaken(capture_mode=…)`: a payment whose charge was just asked about in vain, when north approved it after
    all; and that answer, in the hands of somebody who sleeps."""

    def overtaken(**order: Any) -> tuple[Payment, Attempt, Answer]:
        payment = created_payment(eur(50_00), confirm=True, **order)
        claim()
        attempt = last(payment)
        call = _call(selectors.attempts_by_id([attempt.pk])[attempt.pk], NextAction.SEND)
        make_due(attempt, sent_ago_seconds=beyond_settle_window(attempt))
        tell(attempt, NOT_FOUND, INQUIRY)
        [answer] = client.call_all([call])
        return payment, attempt, answer

    return overtaken


@pytest.mark.parametrize("capture_mode", ["automatic", "manual"])
def test_a_yes_that_our_own_cancel_has_overtaken_gives_nothing_back(
    overtaken: Callable[..., tuple[Payment, Attempt, Answer]],
    carry_out: Callable[[], int],
    simulation: Simulation,
    capture_mode: str,
) -> None:
    payment, attempt, answer = overtaken(capture_mode=capture_mode)
    carry_out()  # canceled by reference, and charged elsewhere

    record_answer(answer=answer, actor=WORKER)
    carry_out()

    payment.refresh_from_db()
    [charge] = simulation.book("north", reference=attempt.reference)
    assert (charge["status"], charge["captured_minor"] - charge["refunded_minor"]) == ("canceled", 0)
    assert payment.status == (Status.CAPTURED if capture_mode == "automatic" else Status.AUTHORIZED)
    assert not attempt.reversals.exists()
    for account in (chart.suspense(attempt.gateway_id), chart.gateway_receivable(attempt.gateway_id)):
        assert balance_of(account, mode="test", currency="EUR").amount_minor == 0
    assert not Alert.objects.filter(kind="reversal_refused").exists()
    assert [finding.code for finding in audit_books(Scope()) if not finding.is_green] == []
    attempt.refresh_from_db()
    assert (attempt.status, attempt.next_action_at) == ("abandoned", None)
