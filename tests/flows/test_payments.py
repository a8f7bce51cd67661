"""Does an ordinary payment go the way a merchant expects, and does the money follow it?"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from celery import Celery

from checkout.kit import clock
from checkout.kit.ids import parse_public_id
from payments.models import Payment
from tests.flows.conftest import Flows
from tests.flows.shop import DECLINED, Shop, until
from tests.simulation import Simulation


def test_one_step_is_captured_at_the_first_gateway_and_answered_201(shop: Shop) -> None:
    answer = shop.pay(50_00)
    payment = answer.json()
    assert (answer.status_code, payment["status"], payment["amount_captured"]) == (201, "captured", 50_00)
    assert shop.attempts(payment["id"]) == [("first", "authorize", "succeeded")]
    (charge,) = shop.charges(payment["id"])
    assert (charge["gateway"], charge["captured_minor"], charge["currency"]) == (shop.codes[0], 50_00, "EUR")


def test_two_steps_charge_nothing_until_the_confirmation(shop: Shop) -> None:
    created = shop.post("/v1/payments", {"amount": 12_34, "currency": "EUR"})
    assert (created.status_code, created.json()["status"]) == (201, "created")
    payment_id = created.json()["id"]
    assert shop.charges(payment_id) == []

    confirmed = shop.post(f"/v1/payments/{payment_id}/confirm", {"payment_method": shop.card()})
    assert (confirmed.status_code, confirmed.json()["status"]) == (200, "captured")
    assert [charge["captured_minor"] for charge in shop.charges(payment_id)] == [12_34]


def test_a_decline_is_a_payment_that_another_card_can_save(shop: Shop) -> None:
    answer = shop.pay(number=DECLINED)
    payment = answer.json()
    assert (answer.status_code, payment["status"], payment["decline_code"]) == (201, "declined", "do_not_honor")
    assert shop.attempts(payment["id"]) == [("first", "authorize", "declined")]

    again = shop.post(f"/v1/payments/{payment['id']}/confirm", {"payment_method": shop.card()}).json()
    assert (again["status"], again["decline_code"]) == ("captured", None)


def test_manual_capture_takes_what_was_reserved_and_a_refund_gives_it_all_back(shop: Shop) -> None:
    payment_id = shop.pay(80_00, capture="manual").json()["id"]
    shop.ends(payment_id, "authorized")
    (charge,) = shop.charges(payment_id)
    assert (charge["authorized_minor"], charge["captured_minor"]) == (80_00, 0)

    captured = shop.post(f"/v1/payments/{payment_id}/capture")
    assert (captured.status_code, captured.json()["status"]) == (200, "captured")

    refund = shop.post(f"/v1/payments/{payment_id}/refunds")
    assert (refund.status_code, refund.json()["status"], refund.json()["amount"]) == (201, "succeeded", 80_00)
    (charge,) = shop.charges(payment_id)
    assert (charge["captured_minor"], charge["refunded_minor"]) == (80_00, 80_00)
    assert shop.get(f"/v1/payments/{payment_id}")["amount_refunded"] == 80_00


def test_several_partial_captures_and_refunds_never_go_beyond_what_there_is(shop: Shop) -> None:
    payment_id = shop.pay(100_00, capture="manual").json()["id"]
    captures = f"/v1/payments/{payment_id}/capture"
    assert [shop.post(captures, {"amount": amount}).status_code for amount in (30_00, 20_00, 50_01)] == [200, 200, 422]
    refunds = f"/v1/payments/{payment_id}/refunds"
    assert [shop.post(refunds, {"amount": amount}).status_code for amount in (10_00, 40_00, 1)] == [201, 201, 422]
    (charge,) = shop.charges(payment_id)
    assert (charge["captured_minor"], charge["refunded_minor"]) == (50_00, 50_00)


def test_many_refunds_at_once_give_back_no_more_than_was_captured(shop: Shop) -> None:
    payment_id = shop.pay(50_00).json()["id"]
    with ThreadPoolExecutor(8) as threads:
        path = f"/v1/payments/{payment_id}/refunds"
        answers = list(threads.map(lambda _: shop.post(path, {"amount": 20_00}), range(8)))
    assert sorted(answer.status_code for answer in answers)[:2] == [201, 201]
    assert {answer.status_code for answer in answers} <= {201, 409, 422, 503}
    payment = shop.ends(payment_id, "captured")
    assert payment["amount_refunded"] == 20_00 * sum(answer.status_code == 201 for answer in answers) == 40_00


def test_a_gateway_that_cannot_sell_in_one_call_authorizes_and_then_captures(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop("xml")
    payment = shop.pay(19_99).json()
    assert (payment["status"], payment["amount_captured"]) == ("captured", 19_99)
    assert shop.attempts(payment["id"]) == [("first", "authorize", "succeeded"), ("first", "capture", "succeeded")]
    refund = shop.post(f"/v1/payments/{payment['id']}/refunds", {"amount": 9_99})
    assert refund.json()["status"] == "succeeded"


def test_a_repeated_request_gets_the_same_bytes_and_charges_once(shop: Shop) -> None:
    first = shop.pay(key="order-1")
    again = shop.pay(key="order-1")
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert (first.headers.get("Idempotent-Replayed"), again.headers["Idempotent-Replayed"]) == (None, "true")
    assert len(shop.get("/v1/payments")["data"]) == len(shop.charges(first.json()["id"])) == 1


def test_many_of_the_same_request_at_once_make_one_payment(shop: Shop, simulation: Simulation) -> None:
    simulation.change(shop.codes[0], latency_ms=300)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: shop.pay(key="order-2"), range(8)))
    made = [answer for answer in answers if answer.status_code == 201]
    assert len(made) >= 1
    assert len({answer.content for answer in made}) == 1
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len(shop.get("/v1/payments")["data"]) == len(shop.charges(made[0].json()["id"])) == 1


def test_what_nobody_confirms_or_captures_in_time_expires_and_is_released(shop: Shop, flows: Flows) -> None:
    created = shop.post("/v1/payments", {"amount": 5_00, "currency": "EUR"}).json()["id"]
    authorized = shop.pay(5_00, capture="manual").json()["id"]
    keys = [parse_public_id(Payment.PUBLIC_PREFIX, payment_id) for payment_id in (created, authorized)]
    Payment.objects.filter(pk__in=keys).update(expires_at=clock.seconds_from_now(-1))

    Celery(broker=flows.redis_url).send_task("payments.expire", queue="reports")
    for payment_id in (created, authorized):
        path = f"/v1/payments/{payment_id}"
        until(lambda path=path: shop.get(path)["status"] == "expired", 10, f"{path} did not expire")
    (charge,) = shop.charges(authorized)
    assert charge["voided"]
    late = shop.post(f"/v1/payments/{created}/confirm", {"payment_method": shop.card()})
    assert (late.status_code, late.json()["code"]) == (409, "payment_not_confirmable")
