"""Does what is over end by itself, and what may not be kept go?"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from unittest.mock import MagicMock

import pytest
import time_machine
from structlog.testing import capture_logs

from checkout.kit import approvals, clock
from checkout.kit.models import Approval, User
from checkout.settings import policy
from payments import idempotency, services
from payments.models import CardSecret, IdempotencyKey, Payment
from payments.services import expire
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


def test_what_fails_keeps_nothing_else_from_its_turn_and_the_task_fails(
    created_payment: Pay, eur: Any, actor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = created_payment(eur(50_00)), created_payment(eur(50_00))
    waiting = [
        approvals.request(kind=f"door.{n}", obj=first, payload={}, reason="x", maker=User(pk=n), actor=actor)
        for n in (User.objects.create_user(f"maker {n}").pk for n in range(2))
    ]

    def broken(real: Callable[..., Any], which: str) -> Callable[..., Any]:
        def deed(**of: Any) -> Any:
            if next(iter(of.values())).public_id == which:
                raise ZeroDivisionError(which)
            return real(**of)

        return deed

    with later(policy.APPROVAL_EXPIRY_SECONDS):
        monkeypatch.setattr(expire, "expire_payment", broken(expire.expire_payment, first.public_id))
        monkeypatch.setattr(approvals, "expire", broken(approvals.expire, waiting[0].public_id))
        with capture_logs() as logged, pytest.raises(ExceptionGroup) as failed:
            services.expire_due(actor=actor)

    assert [str(error) for error in failed.value.exceptions] == [first.public_id, waiting[0].public_id]
    assert [line["object"] for line in logged if line["event"] == "expire_failed"] == [
        *(first.public_id, waiting[0].public_id)
    ]
    assert (status_of(first), status_of(second)) == (Status.CREATED, Status.EXPIRED)
    assert [Approval.objects.get(pk=each.pk).status for each in waiting] == ["requested", "expired"]
    assert not CardSecret.objects.exists()  # of the first as well: a verification value is forgotten whatever fails


def test_a_store_that_cannot_forget_keeps_no_payment_from_expiring(
    created_payment: Pay, eur: Any, actor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = created_payment(eur(50_00))
    monkeypatch.setattr(idempotency, "forget_old_keys", MagicMock(side_effect=OSError, __name__="forget_old_keys"))

    with later(policy.CREATED_EXPIRY_SECONDS), pytest.raises(ExceptionGroup):
        services.expire_due(actor=actor)

    assert status_of(payment) == Status.EXPIRED
