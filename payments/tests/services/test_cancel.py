"""Does a payment end as early as it can, and never while money may be on its way?"""

from collections.abc import Callable
from typing import Any

import pytest

from checkout.kit.models import AuditEntry
from payments import services
from payments.errors import PaymentNotCancelable
from payments.models import CardSecret, Payment
from payments.statuses import Status
from payments.tests.answers import PENDING, attempts, bring, claim, events, last, tell, trace

Pay = Callable[..., Payment]


def test_before_anything_was_sent_it_is_over_at_once_and_the_verification_value_gone(
    created_payment: Pay, eur: Any, operator: Any
) -> None:
    payment = services.cancel_payment(payment=created_payment(eur(50_00)), actor=operator, reason="mistaken")

    assert (payment.status, payment.attempts.count(), CardSecret.objects.count()) == (Status.CANCELED, 0, 0)
    assert events(payment) == ["payment.created", "payment.canceled"]
    entry = AuditEntry.objects.get(verb="payment.cancel")
    assert (entry.actor, entry.reason, entry.address) == ("user:olivia", "mistaken", "192.0.2.7")


def test_an_authorization_is_released_at_its_gateway_first(
    authorized_payment: Pay, carry_out: Callable[[], int], eur: Any, operator: Any
) -> None:
    payment = services.cancel_payment(payment=authorized_payment(eur(50_00)), actor=operator)
    assert (payment.status, attempts(payment)[-1]) == (Status.AUTHORIZED, ("north", "void", "created"))

    carry_out()

    payment.refresh_from_db()
    assert (payment.status, events(payment)[-1]) == (Status.VOIDED, "payment.voided")


def test_while_it_is_processing_it_is_remembered_until_the_outcome_is_known(
    created_payment: Pay, carry_out: Callable[[], int], eur: Any, operator: Any
) -> None:
    payment = created_payment(eur(50_00), confirm=True, capture_mode="manual")

    payment = services.cancel_payment(payment=payment, actor=operator)
    again = services.cancel_payment(payment=payment, actor=operator)

    assert (payment.status, again.cancel_requested_at) == (Status.PROCESSING, payment.cancel_requested_at)
    carry_out()
    payment.refresh_from_db()
    assert (payment.status, payment.captured_minor) == (Status.VOIDED, 0)


def test_a_sale_that_was_canceled_too_late_is_given_back(
    created_payment: Pay, carry_out: Callable[[], int], eur: Any, operator: Any
) -> None:
    payment = created_payment(eur(50_00), confirm=True)
    services.cancel_payment(payment=payment, actor=operator)

    carry_out()

    payment.refresh_from_db()
    assert (payment.status, payment.captured_minor, payment.refunded_minor) == (Status.CAPTURED, 50_00, 50_00)
    assert payment.refunds.get().reason == "canceled while processing"


@pytest.mark.parametrize("status", [Status.CAPTURED, Status.VOIDED, Status.CANCELED, Status.EXPIRED])
def test_what_is_over_cannot_be_canceled_and_nothing_is_left_behind(
    created_payment: Pay, eur: Any, operator: Any, status: str
) -> None:
    payment = created_payment(eur(50_00))
    Payment.objects.update(status=status)
    before = trace(payment)

    with pytest.raises(PaymentNotCancelable):
        services.cancel_payment(payment=payment, actor=operator)

    payment.refresh_from_db()
    assert (trace(payment), payment.status, payment.cancel_requested_at) == (before, status, None)


@pytest.mark.parametrize("verb", ["capture", "void"])
def test_something_in_flight_forbids_it(authorized_payment: Pay, eur: Any, operator: Any, verb: str) -> None:
    payment = authorized_payment(eur(50_00))
    {"capture": services.capture_payment, "void": services.cancel_payment}[verb](payment=payment, actor=operator)
    claim()
    tell(last(payment), PENDING)
    before = trace(payment)

    with pytest.raises(PaymentNotCancelable):
        services.cancel_payment(payment=payment, actor=operator)

    assert trace(payment) == before


def test_an_unknown_outcome_is_not_ended_by_wishing(created_payment: Pay, eur: Any, operator: Any) -> None:
    charge = bring(last(created_payment(eur(50_00), confirm=True)), "unknown")

    payment = services.cancel_payment(payment=charge.payment, actor=operator)

    assert (payment.status, attempts(payment)) == (Status.PROCESSING, [("north", "authorize", "unknown")])
