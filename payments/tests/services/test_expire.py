"""Does what is over end by itself, and what may not be kept go?"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import time_machine

from checkout.kit import clock
from checkout.settings import policy
from payments import services
from payments.models import CardSecret, IdempotencyKey, Payment
from payments.statuses import Status
from payments.tests.answers import UNKNOWN, attempts, bring, claim, events, last, tell

Pay = Callable[..., Payment]


@contextmanager
def later(seconds: float) -> Iterator[None]:
    with time_machine.travel(clock.now() + timedelta(seconds=seconds)):
        yield


def status_of(payment: Payment) -> str:
    return Payment.objects.get(pk=payment.pk).status


def test_what_nobody_confirms_expires_after_ten_minutes_with_its_verification_value(
    created_payment: Pay, eur: Any, actor: Any
) -> None:
    payment = created_payment(eur(50_00))

    with later(policy.CREATED_EXPIRY_SECONDS - 1):
        assert services.expire_due(actor=actor) == 0
    assert status_of(payment) == Status.CREATED

    with later(policy.CREATED_EXPIRY_SECONDS):
        assert services.expire_due(actor=actor) == 1
        assert services.expire_due(actor=actor) == 0

    assert (status_of(payment), events(payment)[-1]) == (Status.EXPIRED, "payment.expired")
    assert not CardSecret.objects.exists()


def test_an_authorization_that_nobody_captures_is_released_and_expires_when_that_has_succeeded(
    authorized_payment: Pay, carry_out: Callable[[], int], eur: Any, actor: Any
) -> None:
    payment = authorized_payment(eur(50_00))

    with later(policy.AUTHORIZATION_EXPIRY_SECONDS):
        services.expire_due(actor=actor)
        assert (status_of(payment), attempts(payment)[-1]) == (Status.AUTHORIZED, ("north", "void", "created"))
        assert services.expire_due(actor=actor) == 0
        carry_out()

    assert (status_of(payment), attempts(payment)[-1]) == (Status.EXPIRED, ("north", "void", "succeeded"))


def test_what_is_in_flight_never_expires(created_payment: Pay, authorized_payment: Pay, eur: Any, actor: Any) -> None:
    unknown = bring(last(created_payment(eur(50_00), confirm=True)), "unknown").payment
    capturing = authorized_payment(eur(50_00))
    services.capture_payment(payment=capturing, actor=actor)
    claim()
    tell(last(capturing), UNKNOWN)

    with later(policy.AUTHORIZATION_EXPIRY_SECONDS + 1):
        services.expire_due(actor=actor)

    assert (status_of(unknown), status_of(capturing)) == (Status.PROCESSING, Status.AUTHORIZED)
    assert len(attempts(capturing)) == 2


def test_captured_money_never_expires(captured_payment: Pay, eur: Any, actor: Any) -> None:
    payment = captured_payment(eur(50_00))

    with later(10 * policy.AUTHORIZATION_EXPIRY_SECONDS):
        assert services.expire_due(actor=actor) == 0

    assert status_of(payment) == Status.CAPTURED


def test_a_verification_value_goes_after_a_quarter_of_an_hour_whatever_its_payment_waits_for(
    created_payment: Pay, eur: Any, actor: Any
) -> None:
    bring(last(created_payment(eur(50_00), confirm=True)), "unknown")

    with later(policy.CVV_LIFETIME_SECONDS - 1):
        services.expire_due(actor=actor)
        assert CardSecret.objects.exists()
    with later(policy.CVV_LIFETIME_SECONDS):
        services.expire_due(actor=actor)

    assert policy.CVV_LIFETIME_SECONDS <= 900
    assert not CardSecret.objects.exists()


def test_idempotency_keys_live_for_thirty_days(api: Any, actor: Any) -> None:
    api.pay()

    with later(policy.IDEMPOTENCY_KEY_DAYS * 86_400 - 60):
        services.expire_due(actor=actor)
        assert IdempotencyKey.objects.exists()
    with later(policy.IDEMPOTENCY_KEY_DAYS * 86_400 + 60):
        services.expire_due(actor=actor)

    assert not IdempotencyKey.objects.exists()
