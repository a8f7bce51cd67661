"""Does a payment reach the right gateway, and another one only when the first certainly did not charge?"""

from collections.abc import Callable

import pytest

from gateways.models import Gateway
from gateways.services import check_health, set_region
from tests.flows.conftest import ACTOR
from tests.flows.shop import DECLINED, PROCESSING_ERROR, Shop, until
from tests.simulation import Simulation


def test_a_payment_from_each_region_reaches_that_regions_first_healthy_gateway(
    open_shop: Callable[..., Shop], simulation: Simulation
) -> None:
    shops = [open_shop("json", "xml"), open_shop("xml", "json"), open_shop("json", "json")]
    Gateway.objects.filter(code=shops[2].codes[0]).update(health_status="unhealthy")
    set_region(
        code="everywhere-else",
        name="Everywhere else",
        is_everywhere_else=True,
        priorities={shops[1].codes[1]: 1},
        actor=ACTOR,
    )
    merchant = shops[0]
    for country, gateway in [
        (shops[0].merchant.country, shops[0].codes[0]),
        (shops[1].merchant.country, shops[1].codes[0]),
        (shops[2].merchant.country, shops[2].codes[1]),
        ("ZW", shops[1].codes[1]),
    ]:
        payment = merchant.pay(country=country).json()
        assert (payment["status"], payment["gateway"]) == ("captured", gateway)
        (attempt, *_) = merchant.get(f"/v1/payments/{payment['id']}/attempts")["data"]
        assert attempt["routing"]["chosen"] == gateway


@pytest.mark.parametrize("last", ["json", "xml"])
def test_a_gateway_that_is_down_is_passed_by(open_shop: Callable[..., Shop], simulation: Simulation, last: str) -> None:
    shop = open_shop("json", last)
    simulation.change(shop.codes[0], behaviour="down")
    payment = shop.pay().json()
    assert (payment["status"], payment["gateway"]) == ("captured", shop.codes[1])
    assert shop.attempts(payment["id"])[:2] == [
        ("first", "authorize", "not_sent"),
        ("second", "authorize", "succeeded"),
    ]


def test_with_all_gateways_down_it_fails_charges_nothing_and_may_be_confirmed_later(
    shop: Shop, simulation: Simulation
) -> None:
    for code in shop.codes:
        simulation.change(code, behaviour="down")
    answer = shop.pay()
    payment = answer.json()
    assert (answer.status_code, payment["status"], payment["decline_code"]) == (201, "failed", None)
    assert [status for _, _, status in shop.attempts(payment["id"])] == ["not_sent", "not_sent"]
    assert shop.charges(payment["id"]) == []

    simulation.calm()
    again = shop.post(f"/v1/payments/{payment['id']}/confirm", {"payment_method": shop.card()})
    assert again.json()["status"] == "captured"


def test_a_technical_decline_is_tried_elsewhere(shop: Shop, simulation: Simulation) -> None:
    simulation.change(shop.codes[1], profile="always_yes")
    payment = shop.pay(number=PROCESSING_ERROR).json()
    assert payment["status"] == "captured"
    assert shop.attempts(payment["id"]) == [("first", "authorize", "declined"), ("second", "authorize", "succeeded")]


def test_an_issuers_no_is_final(shop: Shop, simulation: Simulation) -> None:
    simulation.change(shop.codes[1], profile="always_yes")
    payment = shop.pay(number=DECLINED).json()
    assert payment["status"] == "declined"
    assert shop.attempts(payment["id"]) == [("first", "authorize", "declined")]


def test_a_gateway_down_is_left_out_after_three_failures_and_comes_back_after_two_good_checks(
    shop: Shop, simulation: Simulation
) -> None:
    first = Gateway.objects.get(code=shop.codes[0])
    simulation.change(first.code, behaviour="down")
    for _ in range(3):
        shop.pay()

    def is_healthy() -> bool:
        return Gateway.objects.get(pk=first.pk).is_healthy

    until(lambda: not is_healthy(), 5, "three failures did not count")
    payment = shop.pay().json()
    assert shop.attempts(payment["id"]) == [("second", "authorize", "succeeded")]
    (attempt,) = shop.get(f"/v1/payments/{payment['id']}/attempts")["data"]
    reasons = {row["gateway"]: row["reason"] for row in attempt["routing"]["considered"]}
    assert "unhealthy" in reasons[first.code]

    simulation.calm()
    healths = []
    for _ in range(2):
        check_health(gateways=[first])
        healths.append(is_healthy())
    assert healths == [False, True]
    assert shop.pay().json()["gateway"] == first.code
