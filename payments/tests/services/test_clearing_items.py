"""Does the ledger know what the gateway calls each movement, so that its file can be matched?"""

from collections.abc import Callable
from typing import Any

import pytest

from checkout.kit.actors import Actor
from ledger.models import ClearingItem
from payments import services
from payments.models import Payment
from payments.statuses import Operation

pytestmark = pytest.mark.django_db


def test_every_movement_at_the_gateway_is_expected_under_its_attempt(
    authorized_payment: Callable[..., Payment], carry_out: Callable[[], int], operator: Actor, eur: Any
) -> None:
    payment = authorized_payment(eur(50_00))
    services.capture_payment(payment=payment, actor=operator)
    carry_out()
    services.refund_payment(payment=payment, amount=eur(20_00), actor=operator)
    carry_out()

    attempts = {attempt.operation: attempt for attempt in payment.attempts.all()}
    expected = [
        ("charge", attempts[Operation.CAPTURE].reference, attempts[Operation.CAPTURE].gateway_reference, 50_00, 1_75),
        ("refund", attempts[Operation.REFUND].reference, attempts[Operation.REFUND].gateway_reference, -20_00, 0),
    ]
    items = ClearingItem.objects.order_by("entry_id")
    assert list(items.values_list("kind", "reference", "gateway_reference", "gross_minor", "fee_minor")) == expected
    assert all(gateway_reference for _, _, gateway_reference, *_ in expected)
