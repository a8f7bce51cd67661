"""Is a refusal told in the same words to everybody who asked for the same thing at once?"""

from collections.abc import Callable
from typing import Any

import pytest

from checkout.kit.money import Money
from payments import idempotency
from payments.idempotency import Claim
from payments.models import Attempt, IdempotencyKey, Payment


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], list[Any]]:
    """`meanwhile(ask)`: before the next refusal is kept, somebody else asks; returns what they were told."""

    def meanwhile(ask: Callable[[], Any]) -> list[Any]:
        told: list[Any] = []
        earlier = idempotency.earlier

        def look(claim: Claim) -> IdempotencyKey | None:
            monkeypatch.setattr(idempotency, "earlier", earlier)
            found = earlier(claim)
            told.append(ask())
            return found

        monkeypatch.setattr(idempotency, "earlier", look)
        return told

    return meanwhile


def test_two_that_are_refused_at_once_are_told_the_same(
    api: Any, authorized_payment: Callable[..., Payment], eur: Callable[[int], Money], meanwhile: Any
) -> None:
    path = f"/v1/payments/{authorized_payment(eur(50_00)).public_id}/capture"
    too_much = {"amount": 50_01}
    told = meanwhile(lambda: api.post(path, too_much, idempotency_key="once"))

    answer = api.post(path, too_much, idempotency_key="once")

    [first] = told
    assert first.status_code == 422
    assert (answer.status_code, answer.content) == (422, first.content)
    assert (first.has_header("Idempotent-Replayed"), answer["Idempotent-Replayed"]) == (False, "true")
    assert IdempotencyKey.objects.get(key="once").body == first.content.decode()


def test_one_that_is_refused_while_the_same_succeeds_is_told_of_the_success(
    api: Any, processed_payment: Callable[..., Payment], eur: Callable[[int], Money], meanwhile: Any
) -> None:
    payment = processed_payment(eur(50_00), capture_mode="manual")
    path = f"/v1/payments/{payment.public_id}/capture"
    Payment.objects.filter(pk=payment.pk).update(authorized_minor=40_00)

    def ask_when_it_fits() -> Any:
        Payment.objects.filter(pk=payment.pk).update(authorized_minor=50_00)
        return api.post(path, {"amount": 50_00}, idempotency_key="once")

    told = meanwhile(ask_when_it_fits)
    answer = api.post(path, {"amount": 50_00}, idempotency_key="once")

    [first] = told
    assert (first.status_code, first.json()["status"]) == (200, "captured")
    assert (answer.status_code, answer.content) == (200, first.content)
    assert Attempt.objects.filter(payment=payment, operation="capture").count() == 1
