"""Is every unknown outcome found out, and nobody charged twice on the way?"""

from collections.abc import Callable

import pytest

from checkout.kit.models import Alert
from tests.flows.shop import Shop, until
from tests.simulation import Simulation


@pytest.mark.parametrize("dialect", ["json", "xml"])
def test_a_charge_whose_answer_is_lost_is_asked_about_and_taken_once(
    open_shop: Callable[..., Shop], simulation: Simulation, dialect: str
) -> None:
    payments = []
    for behaviour in ("charge_then_500", "charge_then_timeout", "charge_then_garbage", "reset"):
        shop = open_shop(dialect, "json", call_timeout_seconds=1)
        simulation.change(shop.codes[0], behaviour=behaviour)
        payments.append((shop, shop.pay_soon()))
    for shop, payment_id in payments:
        until(lambda told=shop.evidence, of=payment_id: told(of), 10, "nothing was learned")
    simulation.calm()

    for shop, payment_id in payments:
        shop.ends(payment_id, "captured")
        assert shop.evidence(payment_id)[:2] == [("response", "unknown"), ("inquiry", "succeeded")]
        assert shop.attempts(payment_id)[0] == ("first", "authorize", "succeeded")
        assert [charge["gateway"] for charge in shop.charges(payment_id)] == [shop.codes[0]]


def test_a_charge_that_never_arrived_is_made_sure_of_and_then_tried_elsewhere(
    open_shop: Callable[..., Shop], simulation: Simulation
) -> None:
    payments = []
    for behaviour in ("error_before_charging", "reset_before_charging"):
        for dialect in ("json", "xml"):
            shop = open_shop(dialect, "json")
            simulation.change(shop.codes[0], behaviour=behaviour)
            payments.append((shop, shop.pay_soon()))
    for shop, payment_id in payments:
        payment = shop.ends(payment_id, "captured")
        assert payment["gateway"] == shop.codes[1]
        assert shop.attempts(payment_id) == [("first", "authorize", "abandoned"), ("second", "authorize", "succeeded")]
        assert ("cancel", "succeeded") in shop.evidence(payment_id)
        assert [row["kind"] for row in simulation.book(shop.codes[0])] == ["tombstone"]


def test_behind_a_broken_proxy_that_loses_half_of_the_requests_each_payment_is_taken_once(
    shop: Shop, simulation: Simulation
) -> None:
    simulation.change(shop.codes[0], behaviour="bad_gateway")
    for payment_id in [shop.pay_soon() for _ in range(8)]:
        shop.ends(payment_id, "captured", within=30)
        assert [charge["status"] for charge in shop.charges(payment_id)].count("approved") == 1


def test_before_the_settle_window_is_over_not_found_proves_nothing(
    open_shop: Callable[..., Shop], simulation: Simulation
) -> None:
    shop = open_shop("json", "json", settle_window_seconds=600)
    simulation.change(shop.codes[0], behaviour="error_before_charging")
    payment_id = shop.pay_soon()
    until(lambda: ("inquiry", "unknown") in shop.evidence(payment_id), 10, "nobody asked")
    assert shop.attempts(payment_id) == [("first", "authorize", "unknown")]
    assert shop.get(f"/v1/payments/{payment_id}")["status"] == "processing"


def test_a_gateway_that_cannot_make_sure_leaves_it_to_a_person(
    open_shop: Callable[..., Shop], simulation: Simulation
) -> None:
    shop = open_shop("json", "json", supports_cancel_by_reference=False)
    simulation.change(shop.codes[0], behaviour="error_before_charging")
    payment_id = shop.pay_soon()
    attempt = shop.rows(payment_id).get()
    alerts = Alert.objects.filter(kind="unknown_outcome", object_id=attempt.public_id)
    until(alerts.exists, 15, "nobody was alerted")
    assert shop.attempts(payment_id) == [("first", "authorize", "unknown")]
    assert shop.charges(payment_id) == []


@pytest.mark.parametrize("behaviour", ["charge_then_500", "error_before_charging"])
def test_captures_and_refunds_happen_once_whether_the_request_or_its_answer_was_lost(
    shop: Shop, simulation: Simulation, behaviour: str
) -> None:
    captured, refunded = shop.pay(40_00, capture="manual").json()["id"], shop.pay(40_00).json()["id"]
    simulation.change(shop.codes[0], behaviour=behaviour)
    for path in (f"/v1/payments/{captured}/capture", f"/v1/payments/{refunded}/refunds"):
        assert shop.post(path, {"amount": 15_00}, prefer="respond-async").status_code == 202
    for payment_id in (captured, refunded):
        until(lambda of=payment_id: ("response", "unknown") in shop.evidence(of), 10, "nothing unknown happened")
    simulation.calm()

    assert shop.ends(captured, "captured")["amount_captured"] == 15_00
    assert shop.ends(refunded, "captured")["amount_refunded"] == 15_00
    done = {row["kind"]: row for row in simulation.book(shop.codes[0]) if row["kind"] != "charge"}
    assert {kind: (row["status"], row["amount_minor"]) for kind, row in done.items()} == {
        "capture": ("approved", 15_00),
        "refund": ("approved", 15_00),
    }
    for payment_id, operation in ((captured, "capture"), (refunded, "refund")):
        steps = [(name, status) for _, name, status in shop.attempts(payment_id)]
        assert steps == [("authorize", "succeeded"), (operation, "succeeded")]
