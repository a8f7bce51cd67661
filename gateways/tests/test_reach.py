"""Does a preview claim exactly what routing then does, for every country, mode and currency?"""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from checkout.kit.actors import Actor
from checkout.kit.countries import COUNTRIES
from gateways import selectors
from gateways.models import Gateway, Region
from gateways.reach import NOBODY, Area, Network, Site, compare, count_countries
from gateways.regions import RegionPlan
from gateways.routing import RoutingQuestion, decide
from gateways.services import create_gateway, set_region
from gateways.services.regions import preview

ACTOR = Actor.command("test")
CURRENCIES = ("EUR", "USD")
CODES = ("g0", "g1", "g2", "g3")
SOME = ("DE", "FR", "JP", "BR", "US")

places = st.dictionaries(st.sampled_from(CODES), st.integers(1, 3), max_size=4)
sites = st.fixed_dictionaries(
    {
        code: st.builds(
            Site,
            mode=st.sampled_from(["test", "live"]),
            status=st.sampled_from(["enabled", "enabled", "draining", "disabled"]),
            health_status=st.sampled_from(["healthy", "unhealthy"]),
            currencies=st.frozensets(st.sampled_from(CURRENCIES), min_size=1),
            methods=st.just(frozenset({"card"})),
            stopped_reason=st.sampled_from(["", "", "1 capture is missing."]),
            maintenance_until=st.sampled_from(["", "", "2026-03-05 14:00"]),
        )
        for code in CODES
    }
)
splits = st.lists(st.sampled_from(["a", "b", "none"]), min_size=len(SOME), max_size=len(SOME))


def areas(split: list[str], a: dict[str, int], b: dict[str, int], elsewhere: dict[str, int] | None) -> dict[str, Area]:
    """Two regions that share out some countries, and perhaps the one for all others."""
    homes = {code: frozenset(c for c, home in zip(SOME, split, strict=True) if home == code) for code in ("a", "b")}
    found = {"a": Area(homes["a"], False, a), "b": Area(homes["b"], False, b)}
    return found if elsewhere is None else {**found, "elsewhere": Area(frozenset(), True, elsewhere)}


def first(network: Network, country: str, mode: str, currency: str) -> str:
    """Worked out the plain way: the region that names the country, else the one for all others."""
    named = [code for code, area in network.areas.items() if country in area.countries]
    home = [*named, *(code for code, area in network.areas.items() if area.is_everywhere_else)][:1]
    if not home:
        return NOBODY
    candidates = [
        network.sites[code].candidate(code, priority, currency, "card")
        for code, priority in network.areas[home[0]].priorities.items()
    ]
    return decide(RoutingQuestion(home[0], country, currency, mode, "card", 1), candidates).chosen or NOBODY


def claims(effects: Any, network: Network) -> dict[tuple[str, str, str], tuple[str, str]]:
    """By country, mode and currency, what a preview says of it."""
    taken = {
        mode: {currency for site in network.sites.values() if site.mode == mode for currency in site.currencies}
        for mode in ("test", "live")
    }
    found = {}
    for effect in effects:
        for country in effect.countries:
            for currency in effect.currencies or taken[effect.mode]:
                assert (country, effect.mode, currency) not in found
                found[country, effect.mode, currency] = (effect.now, effect.then)
    return found


@given(sites, splits, splits, places, places, places, st.none() | places, st.none() | places)
@settings(max_examples=150, deadline=None)
def test_whatever_changes_the_preview_says_so_and_nothing_else(
    known: Any, split: Any, other: Any, a: Any, b: Any, b_then: Any, elsewhere: Any, elsewhere_then: Any
) -> None:
    before = Network(areas(split, a, b, elsewhere), known)
    after = Network(areas(other, a, b_then, elsewhere_then), known)

    seen = compare(before, after)

    said = claims(seen.changed, before)
    missing = claims(seen.missing, before)
    for country in (*SOME, "AQ"):
        for mode in ("test", "live"):
            for currency in {c for site in known.values() if site.mode == mode for c in site.currencies}:
                now, then = first(before, country, mode, currency), first(after, country, mode, currency)
                assert said.get((country, mode, currency), (now, now)) == (now, then)
                assert ((country, mode, currency) in said) is (now != then)
                assert ((country, mode, currency) in missing) is (now == then == NOBODY)


@pytest.fixture
def made(db: None) -> None:
    """Gateways of both modes and of different currencies, in two regions and everywhere else."""
    for code, mode, currencies in (
        ("north", "test", ["EUR", "USD"]),
        ("south", "test", ["EUR"]),
        ("alps", "live", ["EUR"]),
        ("dunes", "live", ["EUR", "USD"]),
    ):
        create_gateway(
            code=code,
            name=code.title(),
            adapter="simulator_json",
            mode=mode,
            data_format="json",
            base_url="http://127.0.0.1:9",
            credentials={},
            currencies=currencies,
            payment_method_types=["card"],
            actor=ACTOR,
        )
    set_region(code="europe", name="E", countries=["DE", "FR"], priorities={"north": 1, "alps": 1}, actor=ACTOR)
    set_region(code="asia", name="A", countries=["JP"], priorities={"south": 1, "dunes": 2}, actor=ACTOR)
    set_region(code="rest", name="R", is_everywhere_else=True, priorities={"south": 1, "alps": 2}, actor=ACTOR)


def routed() -> dict[tuple[str, str, str], str]:
    """Where payments from every country go first, as `route` decides it."""
    return {
        (country, mode, currency): selectors.route(
            country=country, currency=currency, mode=mode, payment_method_type="card", amount_minor=1
        )[0].chosen
        or NOBODY
        for country in COUNTRIES
        for mode in ("test", "live")
        for currency in CURRENCIES
    }


plans = st.builds(
    RegionPlan,
    name=st.just("E"),
    countries=st.lists(st.sampled_from(["DE", "FR", "BR", "US"]), unique=True).map(lambda c: tuple(sorted(c))),
    is_everywhere_else=st.just(False),
    priorities=st.dictionaries(st.sampled_from(["north", "south", "alps", "dunes"]), st.integers(1, 3)),
)


@given(plan=plans, ill=st.sampled_from(["", "north", "dunes"]), off=st.sampled_from(["", "south", "alps"]))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_preview_of_a_region_is_what_route_decides_before_and_after_saving(
    made: None, plan: RegionPlan, ill: str, off: str
) -> None:
    Gateway.objects.update(health_status="healthy", status="enabled")
    Gateway.objects.filter(code=ill).update(health_status="unhealthy")
    Gateway.objects.filter(code=off).update(status="draining")
    europe = Region.objects.get(code="europe")
    now = routed()

    seen = preview(europe, plan)
    network = selectors.network()
    set_region(code="europe", **vars(plan), actor=ACTOR)

    then, said = routed(), claims(seen.changed, network)
    for asked, chosen in now.items():
        assert said.get(asked, (chosen, chosen)) == (chosen, then[asked]), asked
    assert set(said) == {asked for asked in now if now[asked] != then[asked]}


def test_what_is_lost_is_told_apart_and_each_country_counted_once(made: None) -> None:
    seen = preview(Region.objects.get(code="asia"), RegionPlan("A", ("JP",), False, {"south": 1}))

    assert [(e.mode, e.now, e.then, e.countries) for e in seen.lost] == [("live", "dunes", NOBODY, ("JP",))]
    assert count_countries(seen.lost) == 1
    assert seen.is_live
    assert seen.moved == []


def test_a_preview_takes_four_queries_however_many_countries(made: None, django_assert_num_queries: Any) -> None:
    europe = Region.objects.get(code="europe")

    with django_assert_num_queries(4):
        preview(europe, RegionPlan("E", tuple(sorted(COUNTRIES - {"JP"})), False, {"dunes": 1}))
