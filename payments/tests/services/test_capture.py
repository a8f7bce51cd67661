"""Can exactly what is reserved be taken, once?"""

from collections.abc import Callable
from typing import Any

import pytest

from gateways.errors import GatewayStopped
from gateways.services import stop_gateway
from payments import selectors, services
from payments.errors import CaptureExceedsAuthorized, PartialCaptureUnsupported, PaymentNotCapturable
from payments.models import Payment
from payments.statuses import Status
from payments.tests.answers import UNKNOWN, attempts, claim, events, last, tell, trace
from tests.simulation import Simulation

Pay = Callable[..., Payment]


def test_all_that_is_left_is_taken_by_default(
    authorized_payment: Pay, carry_out: Callable[[], int], eur: Any, operator: Any
) -> None:
    payment = authorized_payment(eur(50_00))

    services.capture_payment(payment=payment, actor=operator)
    assert selectors.capturable(payment) == eur(0)  # money in flight counts
    carry_out()

    payment.refresh_from_db()
    assert (payment.status, payment.captured_minor, payment.expires_at) == (Status.CAPTURED, 50_00, None)
    assert last(payment).actor == "user:olivia"
    assert events(payment)[-1] == "payment.captured"


def test_parts_are_taken_one_after_the_other_up_to_the_whole(
    authorized_payment: Pay, carry_out: Callable[[], int], eur: Any, operator: Any
) -> None:
    payment = authorized_payment(eur(50_00))

    for part, left in ((20_00, 30_00), (29_99, 1), (1, 0)):
        services.capture_payment(payment=payment, amount=eur(part), actor=operator)
        carry_out()
        payment.refresh_from_db()
        assert selectors.capturable(payment) == eur(left)

    assert payment.captured_minor == 50_00
    with pytest.raises(PaymentNotCapturable):
        services.capture_payment(payment=payment, actor=operator)


def test_beyond_authorized_amount_is_refused_and_leaves_no_trace(
    authorized_payment: Pay, eur: Any, operator: Any
) -> None:
    payment = authorized_payment(eur(50_00))
    before = trace(payment)

    with pytest.raises(CaptureExceedsAuthorized) as refused:
        services.capture_payment(payment=payment, amount=eur(50_01), actor=operator)

    assert (refused.value.capturable, refused.value.http_status) == (eur(50_00), 422)
    assert trace(payment) == before


def test_what_is_in_flight_cannot_be_taken_again(authorized_payment: Pay, eur: Any, operator: Any) -> None:
    payment = authorized_payment(eur(50_00))
    services.capture_payment(payment=payment, amount=eur(30_00), actor=operator)
    claim()
    tell(last(payment), UNKNOWN)
    before = trace(payment)

    with pytest.raises(CaptureExceedsAuthorized) as refused:
        services.capture_payment(payment=payment, amount=eur(20_01), actor=operator)

    assert refused.value.capturable == eur(20_00)
    assert trace(payment) == before


@pytest.mark.parametrize("status", [status for status in Status if status not in (Status.AUTHORIZED, Status.CAPTURED)])
def test_where_nothing_is_reserved_nothing_is_taken(created_payment: Pay, eur: Any, operator: Any, status: str) -> None:
    payment = created_payment(eur(50_00))
    Payment.objects.update(status=status)
    before = trace(payment)

    with pytest.raises(PaymentNotCapturable) as refused:
        services.capture_payment(payment=payment, amount=eur(1), actor=operator)

    assert (refused.value.capturable, refused.value.http_status) == (eur(0), 409)
    assert trace(payment) == before


def test_a_void_in_flight_forbids_it(authorized_payment: Pay, eur: Any, operator: Any) -> None:
    payment = authorized_payment(eur(50_00))
    services.cancel_payment(payment=payment, actor=operator)
    before = trace(payment)

    with pytest.raises(PaymentNotCapturable):
        services.capture_payment(payment=payment, actor=operator)

    assert trace(payment) == before


def test_a_gateway_that_captures_once_is_not_asked_for_the_rest(
    authorized_payment: Pay, carry_out: Callable[[], int], simulation: Simulation, eur: Any, operator: Any
) -> None:
    simulation.change("north", behaviour="down")
    payment = authorized_payment(eur(50_00))
    assert attempts(payment) == [("north", "authorize", "not_sent"), ("south", "authorize", "succeeded")]
    services.capture_payment(payment=payment, amount=eur(20_00), actor=operator)
    carry_out()
    payment.refresh_from_db()
    before = trace(payment)

    with pytest.raises(PartialCaptureUnsupported):
        services.capture_payment(payment=payment, actor=operator)

    assert (trace(payment), payment.captured_minor) == (before, 20_00)


def test_another_currency_is_not_compared(authorized_payment: Pay, eur: Any, usd: Any, operator: Any) -> None:
    payment = authorized_payment(eur(50_00))
    before = trace(payment)

    with pytest.raises(ValueError, match="USD"):
        services.capture_payment(payment=payment, amount=usd(1_00), actor=operator)

    assert trace(payment) == before


def test_at_a_gateway_stopped_by_the_audit_nothing_new_is_begun_but_a_void_is(
    authorized_payment: Pay, captured_payment: Pay, eur: Any, operator: Any
) -> None:
    reserved, taken = authorized_payment(eur(50_00)), captured_payment(eur(20_00))
    stop_gateway(gateway=reserved.gateway, reason="its book says otherwise", actor=operator)
    before = trace(reserved), trace(taken)

    with pytest.raises(GatewayStopped):
        services.capture_payment(payment=reserved, actor=operator)
    with pytest.raises(GatewayStopped):
        services.refund_payment(payment=taken, actor=operator)
    assert (trace(reserved), trace(taken)) == before

    services.cancel_payment(payment=reserved, actor=operator)
    assert last(reserved).operation == "void"
