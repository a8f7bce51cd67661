"""Can exactly what was captured be given back, and never twice?"""

from collections.abc import Callable
from typing import Any

import pytest

from checkout.settings import policy
from ledger import chart
from ledger.errors import InsufficientBalance
from ledger.selectors import balance_of
from payments import selectors, services
from payments.errors import PaymentNotRefundable, RefundExceedsCaptured
from payments.models import Payment
from payments.statuses import RefundStatus, Status
from payments.tests.answers import HARD, UNKNOWN, claim, events, last, tell, trace

Pay = Callable[..., Payment]


def balance(kind: Any, payment: Payment) -> int:
    return balance_of(kind(payment.merchant_id), mode="test", currency="EUR").amount_minor


def test_all_that_is_left_is_given_back_by_default(
    captured_payment: Pay, carry_out: Callable[[], int], eur: Any, operator: Any
) -> None:
    payment = captured_payment(eur(50_00))

    refund = services.refund_payment(payment=payment, actor=operator, reason="returned")
    carry_out()

    refund.refresh_from_db()
    payment.refresh_from_db()
    assert (refund.status, refund.amount_minor, refund.reason) == (RefundStatus.SUCCEEDED, 50_00, "returned")
    assert (payment.status, payment.refunded_minor) == (Status.CAPTURED, 50_00)
    assert events(payment)[-2:] == ["refund.processing", "refund.succeeded"]
    assert balance(chart.refund_in_flight, payment) == 0


def test_parts_are_given_back_up_to_the_whole_and_no_further(
    captured_payment: Pay, carry_out: Callable[[], int], eur: Any, operator: Any
) -> None:
    payment = captured_payment(eur(50_00))
    for part in (20_00, 30_00):
        services.refund_payment(payment=payment, amount=eur(part), actor=operator)
        carry_out()
    payment.refresh_from_db()
    before = trace(payment)

    with pytest.raises(PaymentNotRefundable):
        services.refund_payment(payment=payment, actor=operator)
    with pytest.raises(RefundExceedsCaptured):
        services.refund_payment(payment=payment, amount=eur(1), actor=operator)

    assert (payment.refunded_minor, trace(payment)) == (50_00, before)


def test_beyond_what_was_captured_is_refused_and_leaves_no_trace(
    captured_payment: Pay, eur: Any, operator: Any
) -> None:
    payment = captured_payment(eur(50_00))
    before, available = trace(payment), balance(chart.merchant_available, payment)

    with pytest.raises(RefundExceedsCaptured) as refused:
        services.refund_payment(payment=payment, amount=eur(50_01), actor=operator)

    assert (refused.value.refundable, refused.value.http_status) == (eur(50_00), 422)
    assert (trace(payment), balance(chart.merchant_available, payment)) == (before, available)


def test_a_refund_under_way_counts_and_a_failed_one_counts_no_more(
    captured_payment: Pay, eur: Any, operator: Any
) -> None:
    payment = captured_payment(eur(50_00))
    services.refund_payment(payment=payment, amount=eur(30_00), actor=operator)
    claim()
    tell(last(payment), UNKNOWN)
    with pytest.raises(RefundExceedsCaptured) as refused:
        services.refund_payment(payment=payment, amount=eur(20_01), actor=operator)
    assert refused.value.refundable == eur(20_00)

    tell(last(payment), HARD)

    assert selectors.refundable(payment) == eur(50_00)


@pytest.mark.parametrize("status", [status for status in Status if status != Status.CAPTURED])
def test_where_nothing_was_captured_nothing_is_given_back(
    created_payment: Pay, eur: Any, operator: Any, status: str
) -> None:
    payment = created_payment(eur(50_00))
    Payment.objects.update(status=status)
    before = trace(payment)

    for amount in (None, eur(1)):
        with pytest.raises(PaymentNotRefundable):
            services.refund_payment(payment=payment, amount=amount, actor=operator)

    assert trace(payment) == before


def test_a_part_that_was_captured_is_all_that_can_be_given_back(
    authorized_payment: Pay, carry_out: Callable[[], int], eur: Any, operator: Any
) -> None:
    payment = authorized_payment(eur(50_00))
    services.capture_payment(payment=payment, amount=eur(20_00), actor=operator)
    carry_out()

    assert selectors.refundable(Payment.objects.get()) == eur(20_00)


def test_what_the_merchant_has_not_is_owed_to_us_or_refused_as_the_policy_says(
    captured_payment: Pay, eur: Any, operator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = captured_payment(eur(50_00))
    before = trace(payment)

    monkeypatch.setattr(policy, "REFUND_BEYOND_AVAILABLE", False)
    with pytest.raises(InsufficientBalance):  # our fee is missing from the fifty euros
        services.refund_payment(payment=payment, actor=operator)
    assert (trace(payment), balance(chart.merchant_available, payment)) == (before, 47_72)

    monkeypatch.setattr(policy, "REFUND_BEYOND_AVAILABLE", True)
    services.refund_payment(payment=payment, actor=operator)
    assert balance(chart.merchant_available, payment) == 0
    assert balance(chart.merchant_receivable, payment) == 2_28
