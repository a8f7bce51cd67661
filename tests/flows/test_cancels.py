"""Does a canceled payment hold no money, whatever it was doing when the merchant changed its mind?"""

from collections.abc import Callable

from tests.flows.shop import Shop, until
from tests.simulation import Simulation


def test_what_was_never_confirmed_ends_at_once(shop: Shop) -> None:
    payment_id = shop.post("/v1/payments", {"amount": 5_00, "currency": "EUR"}).json()["id"]
    answer = shop.post(f"/v1/payments/{payment_id}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "canceled")


def test_what_is_authorized_is_voided_at_the_gateway(open_shop: Callable[..., Shop]) -> None:
    for dialect in ("json", "xml"):
        shop = open_shop(dialect)
        payment_id = shop.pay(capture="manual").json()["id"]
        answer = shop.post(f"/v1/payments/{payment_id}/cancel")
        assert (answer.status_code, answer.json()["status"]) == (200, "voided")
        (charge,) = shop.charges(payment_id)
        assert charge["voided"]


def test_an_authorization_that_succeeds_after_the_cancel_is_voided(shop: Shop, simulation: Simulation) -> None:
    simulation.change(shop.codes[0], behaviour="slow", slow_seconds=1)
    payment_id = shop.pay_soon(capture="manual")
    until(lambda: shop.arrived(payment_id), 10, "the gateway was never asked")
    answer = shop.post(f"/v1/payments/{payment_id}/cancel", prefer="respond-async")
    assert (answer.status_code, answer.json()["cancel_requested"]) == (202, True)
    shop.ends(payment_id, "voided")


def test_a_sale_that_succeeds_after_the_cancel_is_given_back(shop: Shop, simulation: Simulation) -> None:
    simulation.change(shop.codes[0], behaviour="slow", slow_seconds=1)
    payment_id = shop.pay_soon(30_00)
    until(lambda: shop.arrived(payment_id), 10, "the gateway was never asked")
    assert shop.post(f"/v1/payments/{payment_id}/cancel", prefer="respond-async").status_code == 202
    payment = shop.ends(payment_id, "captured")
    assert payment["amount_refunded"] == 30_00
    (charge,) = shop.charges(payment_id)
    assert charge["refunded_minor"] == 30_00


def test_after_a_cancel_a_gateway_that_is_down_is_not_replaced(shop: Shop, simulation: Simulation) -> None:
    simulation.change(shop.codes[0], behaviour="error_before_charging")
    payment_id = shop.pay_soon()
    until(lambda: ("response", "unknown") in shop.evidence(payment_id), 10, "nothing unknown happened")
    shop.post(f"/v1/payments/{payment_id}/cancel", prefer="respond-async")
    shop.ends(payment_id, "failed", "canceled")
    assert [place for place, _, _ in shop.attempts(payment_id)] == ["first"]
    assert shop.charges(payment_id) == []
