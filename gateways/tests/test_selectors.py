"""Is a payment routed in its own region, in its own mode, and at the same cost however many gateways there are?"""

from collections.abc import Callable
from typing import Any

import pytest

from checkout.kit.actors import Actor
from gateways.errors import NoRoute
from gateways.models import Gateway, Region
from gateways.selectors import route, route_or_refuse
from gateways.services import set_gateway_status, set_region

ACTOR = Actor.command("test")
QUESTION = {
    "country": "DE",
    "currency": "EUR",
    "mode": "test",
    "payment_method_type": "card",
    "amount_minor": 50_00,
}


@pytest.fixture
def place(make_gateway: Callable[..., Gateway]) -> Callable[..., Region]:
    """`place("europe", ["DE"], one={}, two={"mode": "live"})`: a region and its gateways, in this order."""

    def place(code: str, countries: list[str], **gateways: dict[str, Any]) -> Region:
        for name, fields in gateways.items():
            make_gateway(name, **fields)
        return set_region(
            code=code,
            name=code.title(),
            countries=countries,
            is_everywhere_else=not countries,
            priorities={name: number for number, name in enumerate(gateways, 1)},
            actor=ACTOR,
        )

    return place


def chosen(**question: Any) -> str | None:
    return route(**{**QUESTION, **question})[0].chosen


def test_the_region_that_names_the_country_decides(place: Callable[..., Region]) -> None:
    place("europe", ["DE", "FR"], north={})
    place("asia", ["JP"], east={})
    place("elsewhere", [], spare={})

    assert (chosen(country="FR"), chosen(country="JP"), chosen(country="BR")) == ("north", "east", "spare")
    assert route(**{**QUESTION, "country": "BR"})[0].question.region == "elsewhere"


def test_a_region_without_a_gateway_for_it_does_not_borrow_one(place: Callable[..., Region]) -> None:
    place("europe", ["DE"], north={"currencies": ["GBP"]})
    place("elsewhere", [], spare={})

    assert chosen() is None


def test_without_any_region_there_is_no_route(db: None) -> None:
    decision, gateway = route(**QUESTION)
    assert (decision.chosen, decision.considered, gateway) == (None, (), None)

    with pytest.raises(NoRoute) as refused:
        route_or_refuse(**QUESTION)
    assert (refused.value.code, refused.value.http_status) == ("no_route", 400)
    assert refused.value.message == "No gateway takes a payment in EUR from DE."


def test_test_and_live_never_meet(place: Callable[..., Region]) -> None:
    place("europe", ["DE"], north={"mode": "live"}, south={"mode": "test"})

    assert (chosen(mode="live"), chosen(mode="test")) == ("north", "south")
    set_gateway_status(gateway=Gateway.objects.get(code="south"), status="disabled", reason="", actor=ACTOR)
    assert chosen(mode="test") is None


def test_currency_method_and_what_was_tried_are_minded(place: Callable[..., Region]) -> None:
    place(
        "europe",
        ["DE"],
        dollars={"currencies": ["USD"]},
        wallets={"payment_method_types": ["wallet"]},
        first={},
        second={},
    )

    assert (chosen(), chosen(currency="USD"), chosen(tried=["first"])) == ("first", "dollars", "second")
    assert chosen(payment_method_type="wallet") == "wallets"


def test_an_unhealthy_gateway_is_passed_over_at_once(place: Callable[..., Region]) -> None:
    place("europe", ["DE"], north={}, south={})
    Gateway.objects.filter(code="north").update(health_status="unhealthy")

    assert chosen() == "south"


def test_one_query_however_many_gateways(place: Callable[..., Region], django_assert_num_queries: Any) -> None:
    place("europe", ["DE"], **{f"g{number}": {} for number in range(12)})

    with django_assert_num_queries(1):
        decision, gateway = route(**QUESTION)

    assert len(decision.considered) == 12
    assert gateway is not None
    stored = Gateway.objects.get(code="g0")
    assert (gateway.pk, gateway.code, gateway.adapter) == (stored.pk, "g0", stored.adapter)


def test_a_decision_remembers_the_configuration_it_was_made_under(place: Callable[..., Region]) -> None:
    place("europe", ["DE"], north={}, south={})
    version = route(**QUESTION)[0].configuration_version

    Gateway.objects.filter(code="north").update(health_status="unhealthy", name="New name", failure_count=7)
    assert route(**QUESTION)[0].configuration_version == version

    Gateway.objects.filter(code="north").update(currencies=["EUR"])
    assert route(**QUESTION)[0].configuration_version != version
