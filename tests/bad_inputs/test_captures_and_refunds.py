"""What if somebody wants to take or to give back what is not there, or not now? Rows R of the catalogue.

What is wrong with such a request by itself is among the rows; here it is what the payment does not allow.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection

from checkout.kit import clock
from checkout.kit.actors import Actor
from checkout.kit.money import Money
from checkout.settings import policy
from gateways.adapters.simulator_xml import SimulatorXml
from gateways.base import Capability
from gateways.models import Gateway
from gateways.services import set_gateway_status
from merchants.services import create_api_key, create_merchant
from payments import services
from payments.models import IdempotencyKey, Payment
from tests.bad_inputs.conftest import Complaints, counts, held, together
from tests.simulation import Simulation

Pay = Callable[..., Payment]
Euro = Callable[[int], Money]
AT_ONCE = 8


def capture(payment: Payment) -> str:
    """Where a payment is captured."""
    return f"/v1/payments/{payment.public_id}/capture"


def refunds(payment: Payment) -> str:
    """Where it is refunded."""
    return f"/v1/payments/{payment.public_id}/refunds"


def said(answer: Any) -> tuple[int, str]:
    """Status and code of a refusal, which is a problem document."""
    assert answer["Content-Type"] == "application/problem+json", answer.content
    return answer.status_code, answer.json()["code"]


@pytest.fixture
def nothing_happens(simulation: Simulation) -> Callable[..., None]:
    """`nothing_happens(deed, keys=1)`: the deed leaves so many keys with frozen refusals behind, and no other trace."""

    def nothing_happens(deed: Callable[[], object], *, keys: int) -> None:
        before, books = counts(), [simulation.book(code) for code in ("north", "south", "spare")]
        deed()
        assert counts() == before | {"IdempotencyKey": before["IdempotencyKey"] + keys}
        assert [simulation.book(code) for code in ("north", "south", "spare")] == books

    return nothing_happens


# R5: beyond what is left.


def test_r5_not_a_cent_beyond_what_is_left_is_taken(
    api: Any, authorized_payment: Pay, eur: Euro, nothing_happens: Callable[..., None]
) -> None:
    payment = authorized_payment(eur(50_00), country="US")  # spare, which takes in parts

    def ask(amount: int) -> None:
        assert said(api.post(capture(payment), {"amount": amount})) == (422, "capture_exceeds_authorized")

    nothing_happens(lambda: ask(50_01), keys=1)
    for amount in (20_00, 20_00):
        assert api.post(capture(payment), {"amount": amount}).status_code == 200
    nothing_happens(lambda: ask(10_01), keys=1)
    assert api.post(capture(payment), {"amount": 10_00}).json()["amount_captured"] == 50_00


def test_r5_not_a_cent_beyond_what_was_taken_is_given_back(
    api: Any, captured_payment: Pay, eur: Euro, nothing_happens: Callable[..., None]
) -> None:
    payment = captured_payment(eur(50_00))

    def ask(amount: int) -> None:
        assert said(api.post(refunds(payment), {"amount": amount})) == (422, "refund_exceeds_captured")

    nothing_happens(lambda: ask(50_01), keys=1)
    assert api.post(refunds(payment), {"amount": 20_00}).status_code == 201
    assert api.post(refunds(payment), {"amount": 20_00}, prefer="respond-async").status_code == 202  # still under way
    nothing_happens(lambda: ask(10_01), keys=1)
    assert api.post(refunds(payment), {"amount": 10_00}).status_code == 201


# R7, R13: in the wrong status.


@pytest.fixture
def payment_that_is(
    api: Any,
    actor: Actor,
    created_payment: Pay,
    authorized_payment: Pay,
    processed_payment: Pay,
    simulation: Simulation,
    eur: Euro,
) -> Callable[[str], Payment]:
    """`payment_that_is("voided")`: a payment of 50 euros that came to that status by the ordinary steps."""

    def canceled(payment: Payment) -> Payment:
        assert api.post(f"/v1/payments/{payment.public_id}/cancel", {}).status_code == 200
        return payment

    def expired(payment: Payment) -> Payment:
        with time_machine.travel(clock.now() + timedelta(seconds=policy.AUTHORIZATION_EXPIRY_SECONDS + 1)):
            services.expire_due(actor=actor)
            services.run_due(actor=actor)
        return payment

    def failed() -> Payment:
        for code in ("north", "south", "spare"):
            simulation.change(code, behaviour="down")
        return processed_payment(eur(50_00))

    def refunded(payment: Payment) -> Payment:
        assert api.post(refunds(payment), {}).status_code == 201
        return payment

    makers: dict[str, Callable[[], Payment]] = {
        "created": lambda: created_payment(eur(50_00)),
        "processing": lambda: created_payment(eur(50_00), confirm=True),
        "requires_action": lambda: processed_payment(eur(50_00), number="4000002500003155"),
        "authorized": lambda: authorized_payment(eur(50_00)),
        "captured": lambda: processed_payment(eur(50_00)),
        "refunded": lambda: refunded(processed_payment(eur(50_00))),
        "declined": lambda: processed_payment(eur(50_00), number="4000000000000002"),
        "failed": failed,
        "canceled": lambda: canceled(created_payment(eur(50_00))),
        "voided": lambda: canceled(authorized_payment(eur(50_00))),
        "expired": lambda: expired(authorized_payment(eur(50_00))),
    }

    def make(status: str) -> Payment:
        if status not in makers:
            pytest.skip("the platform has no disputes yet")
        payment = makers[status]()
        payment.refresh_from_db()
        assert payment.status == ("captured" if status == "refunded" else status)
        return payment

    return make


@pytest.mark.parametrize(
    "status",
    ["created", "processing", "requires_action", "authorized", "declined", "failed", "canceled", "voided", "expired"]
    + ["refunded", "disputed"],
)
def test_r7_what_was_not_captured_or_is_given_back_already_is_not_refunded(
    status: str, api: Any, payment_that_is: Callable[[str], Payment], nothing_happens: Callable[..., None]
) -> None:
    payment = payment_that_is(status)

    def ask() -> None:
        assert said(api.post(refunds(payment), {}, idempotency_key="r7")) == (409, "payment_not_refundable")

    nothing_happens(ask, keys=0)  # the status may change, so the key stays free


@pytest.mark.parametrize(
    "status",
    ["created", "processing", "requires_action", "declined", "failed", "canceled", "voided", "expired", "captured"],
)
@pytest.mark.parametrize("body", [{}, {"amount": 1}], ids=["all", "a cent"])
def test_r13_what_is_not_reserved_any_more_is_not_captured(
    status: str,
    body: dict[str, int],
    api: Any,
    payment_that_is: Callable[[str], Payment],
    nothing_happens: Callable[..., None],
) -> None:
    payment = payment_that_is(status)

    def ask() -> None:
        assert said(api.post(capture(payment), body, idempotency_key="r13")) == (409, "payment_not_capturable")

    nothing_happens(ask, keys=0)


def test_r13_what_is_over_is_not_captured_although_nobody_has_come_by_to_end_it(
    api: Any, authorized_payment: Pay, eur: Euro, nothing_happens: Callable[..., None]
) -> None:
    payment = authorized_payment(eur(50_00))

    def ask() -> None:
        with time_machine.travel(clock.now() + timedelta(seconds=policy.AUTHORIZATION_EXPIRY_SECONDS + 1)):
            assert said(api.post(capture(payment), {})) == (409, "payment_not_capturable")

    nothing_happens(ask, keys=0)
    assert api.post(capture(payment), {}).json()["status"] == "captured"  # in time it is


# R9, R11: again, and at the same time.


@pytest.mark.parametrize(
    ("body", "refusal"),
    [({}, (409, "payment_not_refundable")), ({"amount": 50_00}, (422, "refund_exceeds_captured"))],
    ids=["what is left", "the whole"],
)
def test_r9_of_many_full_refunds_at_once_under_keys_of_their_own_one_is_made(
    body: dict[str, int],
    refusal: tuple[int, str],
    transactional_db: None,
    api: Any,
    captured_payment: Pay,
    carry_out: Callable[[], int],
    eur: Euro,
    simulation: Simulation,
) -> None:
    payment = captured_payment(eur(50_00))

    answers = together(AT_ONCE, lambda: api.post(refunds(payment), body, prefer="respond-async"))

    assert sorted(answer.status_code for answer in answers) == [202] + [refusal[0]] * (AT_ONCE - 1)
    assert {said(answer) for answer in answers if answer.status_code != 202} == {refusal}
    carry_out()
    payment.refresh_from_db()
    charge = next(row for row in simulation.book("north") if row["reference"] == payment.attempts.first().reference)
    assert (payment.refunds.count(), payment.refunded_minor, charge["refunded_minor"]) == (1, 50_00, 50_00)


@pytest.mark.parametrize("verb", [capture, refunds], ids=["capture", "refund"])
def test_r11_the_same_key_with_another_amount_is_refused(
    verb: Callable[[Payment], str], api: Any, authorized_payment: Pay, eur: Euro, nothing_happens: Callable[..., None]
) -> None:
    payment = authorized_payment(eur(50_00), country="US")
    assert api.post(capture(payment), {"amount": 30_00}).status_code == 200
    assert api.post(verb(payment), {"amount": 10_00}, idempotency_key="r11").status_code in (200, 201)

    def ask() -> None:
        for body in ({"amount": 10_01}, {}):
            answer = api.post(verb(payment), body, idempotency_key="r11")
            assert said(answer) == (422, "idempotency_key_reused")

    nothing_happens(ask, keys=0)


# R15: somebody else's.


def test_r15_another_merchants_payment_is_not_there_to_be_refunded(
    api: Any, captured_payment: Pay, eur: Euro, actor: Actor, nothing_happens: Callable[..., None]
) -> None:
    payment = captured_payment(eur(50_00))
    stranger = create_merchant(name="Zed", country="DE", default_currency="EUR", actor=actor)
    api.secret = create_api_key(merchant=stranger, mode="test", actor=actor).secret

    def ask() -> None:
        for verb in (refunds, capture):
            assert said(api.post(verb(payment), {"amount": 1})) == (404, "not_found")

    nothing_happens(ask, keys=0)


# R25, R33: in parts.


def test_r25_a_part_is_refused_before_sending_where_the_gateway_takes_all_or_nothing(
    api: Any,
    authorized_payment: Pay,
    gateways: dict[str, Gateway],
    actor: Actor,
    eur: Euro,
    monkeypatch: pytest.MonkeyPatch,
    nothing_happens: Callable[..., None],
) -> None:
    set_gateway_status(gateway=gateways["north"], status="disabled", reason="R25", actor=actor)
    payment = authorized_payment(eur(50_00))  # at south, which speaks XML

    def ask() -> None:
        assert said(api.post(capture(payment), {"amount": 10_00})) == (400, "partial_capture_unsupported")

    with monkeypatch.context() as patch:
        patch.setattr(SimulatorXml, "capabilities", SimulatorXml.capabilities - {Capability.PARTIAL_CAPTURE})
        nothing_happens(ask, keys=1)
    assert api.post(capture(payment), {"amount": 30_00}).json()["amount_captured"] == 30_00
    nothing_happens(ask, keys=1)  # it takes a part, but once


def test_r33_without_an_amount_what_is_left_is_captured_and_no_more(
    api: Any, authorized_payment: Pay, eur: Euro, simulation: Simulation
) -> None:
    payment = authorized_payment(eur(50_00), country="US")
    assert api.post(capture(payment), {"amount": 20_00}).json()["amount_captured"] == 20_00

    rest = api.post(capture(payment), {})

    assert (rest.status_code, rest.json()["amount_captured"]) == (200, 50_00)
    assert [attempt.amount_minor for attempt in payment.attempts.filter(operation="capture").order_by("seq")] == [
        20_00,
        30_00,
    ]
    assert said(api.post(capture(payment), {})) == (409, "payment_not_capturable")


# R31: while somebody else holds the payment.


@pytest.mark.parametrize("verb", [capture, refunds], ids=["capture", "refund"])
def test_r31_while_the_payment_is_locked_nothing_is_done_and_trying_again_is_safe(
    verb: Callable[[Payment], str],
    transactional_db: None,
    api: Any,
    authorized_payment: Pay,
    captured_payment: Pay,
    eur: Euro,
    complaints: Complaints,
) -> None:
    payment = (authorized_payment if verb is capture else captured_payment)(eur(50_00))
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '1s'")  # as in a web process

    with held(payment), complaints.about("R31") as check:
        busy = api.post(verb(payment), {"amount": 10_00}, idempotency_key="r31")
        complaints.refused(busy, frozenset({409, 503}), frozenset({"unavailable"}), check)
        check(int(busy["Retry-After"]) > 0, "does not say when to come again")

    assert not IdempotencyKey.objects.filter(key="r31").exists()
    assert api.post(verb(payment), {"amount": 10_00}, idempotency_key="r31").status_code in (200, 201)
