"""Is every unknown outcome found out, and nobody charged twice on the way?"""

from collections.abc import Callable

import pytest

from checkout.kit.models import Alert
from tests.flows.shop import Shop, until
from tests.simulation import Simulation


@pytest.mark.parametrize("behaviour", ["charge_then_500", "charge_then_timeout", "reset"])
@pytest.mark.parametrize("dialect", ["json", "xml"])
def test_a_charge_whose_answer_is_lost_is_asked_about_and_taken_once(
    open_shop: Callable[..., Shop], simulation: Simulation, behaviour: str, dialect: str
) -> None:
    shop = open_shop(dialect, "json", call_timeout_seconds=1)
    simulation.change(shop.codes[0], behaviour=behaviour)
    payment_id = shop.pay_soon()
    until(lambda: ("response", "unknown") in shop.evidence(payment_id), 10, "nothing unknown happened")
    simulation.calm()

    shop.ends(payment_id, "captured")
    assert shop.evidence(payment_id)[:2] == [("response", "unknown"), ("inquiry", "succeeded")]
    assert shop.attempts(payment_id)[0] == ("first", "authorize", "succeeded")
    assert [charge["gateway"] for charge in shop.charges(payment_id)] == [shop.codes[0]]


@pytest.mark.parametrize("dialect", ["json", "xml"])
def test_a_charge_that_never_arrived_is_made_sure_of_and_then_tried_elsewhere(
    open_shop: Callable[..., Shop], simulation: Simulation, dialect: str
) -> None:
    shop = open_shop(dialect, "json")
    simulation.change(shop.codes[0], behaviour="error_before_charging")
    payment_id = shop.pay_soon()
    payment = shop.ends(payment_id, "captured")
    assert payment["gateway"] == shop.codes[1]
    assert shop.attempts(payment_id) == [("first", "authorize", "abandoned"), ("second", "authorize", "succeeded")]
    assert ("cancel", "succeeded") in shop.evidence(payment_id)
    assert [row["kind"] for row in simulation.book(shop.codes[0])] == ["tombstone"]


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


@pytest.mark.parametrize("operation", ["capture", "refund"])
def test_a_capture_or_refund_whose_answer_is_lost_happens_once(
    shop: Shop, simulation: Simulation, operation: str
) -> None:
    payment_id = shop.pay(40_00, capture="manual" if operation == "capture" else "automatic").json()["id"]
    simulation.change(shop.codes[0], behaviour="charge_then_500")
    path = {"capture": "capture", "refund": "refunds"}[operation]
    answer = shop.post(f"/v1/payments/{payment_id}/{path}", {"amount": 15_00}, prefer="respond-async")
    assert answer.status_code == 202
    shop.ends(payment_id, "captured")
    (charge,) = shop.charges(payment_id)
    assert charge[f"{operation}ed_minor".replace("captureed", "captured")] == 15_00


@pytest.mark.parametrize("operation", ["capture", "refund"])
def test_a_capture_or_refund_that_never_arrived_is_sent_again_under_its_own_name(
    shop: Shop, simulation: Simulation, operation: str
) -> None:
    payment_id = shop.pay(40_00, capture="manual" if operation == "capture" else "automatic").json()["id"]
    simulation.change(shop.codes[0], behaviour="error_before_charging")
    path = {"capture": "capture", "refund": "refunds"}[operation]
    shop.post(f"/v1/payments/{payment_id}/{path}", {"amount": 15_00}, prefer="respond-async")
    until(lambda: ("response", "unknown") in shop.evidence(payment_id), 10, "nothing unknown happened")
    simulation.calm()
    shop.ends(payment_id, "captured")
    done = [row for row in simulation.book(shop.codes[0]) if row["kind"] == operation]
    assert [(row["status"], row["amount_minor"]) for row in done] == [("approved", 15_00)]
    assert [attempt[1:] for attempt in shop.attempts(payment_id)] == [
        ("authorize", "succeeded"),
        (operation, "succeeded"),
    ]
