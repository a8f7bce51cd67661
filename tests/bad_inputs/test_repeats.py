"""What happens when a request comes again? The same key is the same request, whatever has become of it meanwhile."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine

from checkout.kit import clock
from checkout.kit.money import Money
from checkout.settings import policy
from gateways.models import Gateway
from gateways.services import set_gateway_status
from payments import selectors, services
from payments.models import IdempotencyKey, Payment
from tests.bad_inputs.calls import GOOD_BODIES
from tests.bad_inputs.conftest import Complaints, counts

CREATE = "/v1/payments"
WRITES = sorted(GOOD_BODIES)


@pytest.fixture
def payment_for(
    created_payment: Callable[..., Payment],
    authorized_payment: Callable[..., Payment],
    captured_payment: Callable[..., Payment],
    eur: Callable[[int], Money],
) -> Callable[[str], str]:
    """The outside name of a payment that a verb can be done to."""
    makers = {"capture": authorized_payment, "refunds": captured_payment}
    return lambda template: makers.get(template.rsplit("/", 1)[1], created_payment)(eur(50_00)).public_id


@pytest.mark.parametrize("template", WRITES)
def test_the_same_again_is_answered_the_same_and_does_nothing(
    template: str, api: Any, payment_for: Callable[[str], str]
) -> None:
    path, body = template.format(payment=payment_for(template)), GOOD_BODIES[template]
    first = api.post(path, body, idempotency_key="once")
    before = counts()

    for key in ("once", '"once"'):
        again = api.post(path, dict(reversed(body.items())), idempotency_key=key)
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again["Idempotent-Replayed"] == "true"

    assert first.status_code in (200, 201), first.content
    assert "Idempotent-Replayed" not in first
    assert counts() == before


@pytest.mark.parametrize("template", WRITES)
def test_the_same_key_with_another_body_or_address_is_refused(
    template: str, api: Any, payment_for: Callable[[str], str]
) -> None:
    path, body = template.format(payment=payment_for(template)), GOOD_BODIES[template]
    assert api.post(path, body, idempotency_key="once").status_code in (200, 201)
    before = counts()
    other = {**body, "amount": 99} if "amount" in body else {"payment_method": None} if not body else {}

    answers = [api.post(CREATE, {"amount": 7, "currency": "EUR"}, idempotency_key="once")]
    if other != {"payment_method": None}:
        answers.append(api.post(path, other, idempotency_key="once"))

    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused"), answer.content
    assert counts() == before


def test_a_payment_is_replayed_although_no_gateway_would_take_it_any_more(
    api: Any, gateways: dict[str, Gateway], actor: Any
) -> None:
    body = GOOD_BODIES[CREATE]
    first = api.post(CREATE, body, idempotency_key="once")
    for gateway in gateways.values():
        set_gateway_status(gateway=gateway, status="disabled", reason="test", actor=actor)
    assert api.post(CREATE, body).json()["code"] == "no_route"

    again = api.post(CREATE, body, idempotency_key="once")

    assert (again.status_code, again.content) == (201, first.content)


def test_while_the_first_is_being_answered_the_same_is_told_to_come_again(
    api: Any, created_payment: Callable[..., Payment], eur: Callable[[int], Money], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/v1/payments/{created_payment(eur(5000)).public_id}/confirm"
    answers = []

    def wait(payment_id: Any, seconds: float) -> None:
        answers.append(api.post(path, {}, idempotency_key="once"))

    monkeypatch.setattr("payments.waiting.until_settled", wait)
    first = api.post(path, {}, idempotency_key="once")

    assert first.status_code == 202
    [meanwhile] = answers
    assert (meanwhile.status_code, meanwhile.json()["code"]) == (409, "idempotency_key_in_flight")
    assert int(meanwhile["Retry-After"]) > 0


def test_after_a_202_the_same_learns_how_it_ended(api: Any, carry_out: Callable[[], int]) -> None:
    body = GOOD_BODIES[CREATE]
    first = api.post(CREATE, body, idempotency_key="once", prefer="respond-async")
    still = api.post(CREATE, body, idempotency_key="once", prefer="respond-async")
    carry_out()
    last = api.post(CREATE, body, idempotency_key="once", prefer="respond-async")

    assert [answer.status_code for answer in (first, still, last)] == [202, 202, 201]
    assert first.json()["id"] == still.json()["id"] == last.json()["id"]
    assert (first.json()["status"], last.json()["status"]) == ("processing", "captured")
    assert still["Idempotent-Replayed"] == last["Idempotent-Replayed"] == "true"
    assert Payment.objects.count() == 1


def test_one_who_never_answered_is_taken_over_from_after_a_while(
    api: Any, created_payment: Callable[..., Payment], eur: Callable[[int], Money], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/v1/payments/{created_payment(eur(5000)).public_id}/confirm"

    def die(payment_id: Any, seconds: float) -> None:
        raise ConnectionResetError

    with monkeypatch.context() as patch:
        patch.setattr("payments.waiting.until_settled", die)
        assert api.post(path, {}, idempotency_key="once").status_code == 500
    with time_machine.travel(clock.now() + timedelta(seconds=policy.ANSWERING_SECONDS + 1)):
        again = api.post(path, {}, idempotency_key="once")

    assert (again.status_code, again.json()["status"]) == (200, "captured")
    assert Payment.objects.get().attempts.count() == 1


def test_what_is_kept_for_ever_is_never_older_than_the_end(
    api: Any, carry_out: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    is_settled = selectors.is_settled

    def is_settled_by_a_quick_worker(payment_id: Any) -> bool:
        carry_out()
        return is_settled(payment_id)

    monkeypatch.setattr("payments.selectors.is_settled", is_settled_by_a_quick_worker)
    answer = api.post(CREATE, GOOD_BODIES[CREATE], idempotency_key="once", prefer="respond-async")

    assert (answer.status_code, answer.json()["status"]) == (201, "captured")


def test_a_refusal_that_may_pass_is_not_kept_under_its_key(
    api: Any, gateways: dict[str, Gateway], actor: Any, complaints: Complaints
) -> None:
    body = GOOD_BODIES[CREATE] | {"currency": "XPF", "country": "US"}
    set_gateway_status(gateway=gateways["spare"], status="disabled", reason="P25", actor=actor)
    before = counts()

    refused = api.post(CREATE, body, idempotency_key="once")

    assert (refused.status_code, refused.json()["code"]) == (400, "no_route")
    assert counts() == before
    set_gateway_status(gateway=gateways["spare"], status="enabled", reason="P25", actor=actor)
    assert api.post(CREATE, body, idempotency_key="once").status_code == 201


def test_a_refusal_of_our_own_is_kept_under_its_key_and_leaves_nothing_else(api: Any, complaints: Complaints) -> None:
    code = "payment_method_required"
    body = {name: value for name, value in GOOD_BODIES[CREATE].items() if name != "payment_method"}
    before = counts()

    answers = [api.post(CREATE, body, idempotency_key="once") for _ in range(2)]

    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (400, code)
        assert answer["Content-Type"] == "application/problem+json"
    assert answers[0].content == answers[1].content
    assert counts() == before | {"IdempotencyKey": before["IdempotencyKey"] + 1}


@pytest.mark.parametrize("status", ["canceled", "captured", "expired", "processing"])
def test_a_payment_whose_time_is_over_is_not_confirmed_and_the_key_stays_free(
    status: str,
    api: Any,
    actor: Any,
    created_payment: Callable[..., Payment],
    processed_payment: Callable[..., Payment],
    eur: Callable[[int], Money],
) -> None:
    if status == "captured":
        payment = processed_payment(eur(5000))
    else:
        payment = created_payment(eur(5000), confirm=status == "processing")
    if status == "canceled":
        services.cancel_payment(payment=payment, actor=actor)
    moment = clock.now() + timedelta(seconds=policy.CREATED_EXPIRY_SECONDS + 1 if status == "expired" else 0)
    before = counts()

    with time_machine.travel(moment):
        answer = api.post(
            f"/v1/payments/{payment.public_id}/confirm", {}, idempotency_key="once", prefer="respond-async"
        )

    assert (answer.status_code, answer.json()["code"]) == (409, "payment_not_confirmable")
    assert counts() == before
    assert not IdempotencyKey.objects.filter(key="once").exists()


def test_a_captured_payment_is_not_canceled_and_one_under_way_is_canceled_when_it_is_known(
    api: Any,
    captured_payment: Callable[..., Payment],
    created_payment: Callable[..., Payment],
    eur: Callable[[int], Money],
) -> None:
    captured = captured_payment(eur(5000)).public_id
    refused = api.post(f"/v1/payments/{captured}/cancel", {})
    assert (refused.status_code, refused.json()["code"]) == (409, "payment_not_cancelable")

    processing = created_payment(eur(5000), confirm=True).public_id
    accepted = api.post(f"/v1/payments/{processing}/cancel", {}, prefer="respond-async")
    assert (accepted.status_code, accepted.json()["cancel_requested"]) == (202, True)
