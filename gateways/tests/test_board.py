"""Does the board say how each gateway does, in plain words, at the same cost however much happened?"""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from checkout.kit import clock
from checkout.kit.actors import Actor
from gateways import services
from gateways.admin.board import CALLS_PER_HOUR, figures_today, hours_of, standing_of
from gateways.models import Gateway, GatewayCall, HealthCheck
from gateways.plain import said
from gateways.tests.conftest import answer
from tests.desk import at_desk, queries_of, text_of
from tests.simulation import Simulation

LIST = "/admin/gateways/gateway/"
ACTOR = Actor.command("test")


def call(gateway: Gateway, outcome: str = "succeeded", minutes_ago: float = 1, **facts: Any) -> GatewayCall:
    """One charge sent to a gateway, unless it is said to be something else."""
    values = {"operation": "authorize", "reference": "att_x", "duration_ms": 40, "http_status": 201, **facts}
    return GatewayCall.objects.create(
        gateway=gateway, outcome=outcome, started_at=clock.now() - timedelta(minutes=minutes_ago), **values
    )


@pytest.fixture(autouse=True)
def _noon(time_machine: Any) -> None:
    """Far from midnight, so that what was a while ago was today."""
    time_machine.move_to(clock.now().replace(hour=12, minute=30, second=0, microsecond=0), tick=False)


def row(code: str) -> Any:
    return figures_today()[Gateway.objects.get(code=code).pk]


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"error": "Timeout", "duration_ms": 9_000, "http_status": None}, "timed out after 9.0 s"),
        ({"error": "ClientConnectorError", "http_status": None}, "refused the connection"),
        ({"error": "ClientConnectorDNSError", "http_status": None}, "has a name that cannot be found"),
        ({"error": "ServerDisconnectedError", "http_status": None}, "closed the connection before an answer"),
        ({"error": "SomethingNew", "http_status": None}, "could not be reached (SomethingNew)"),
        ({"http_status": 401}, "refused the credentials (401)"),
        ({"http_status": 429}, "asked us to slow down (429)"),
        ({"http_status": 503}, "failed with an error of its own (503)"),
        ({"http_status": 200, "detail": "not healthy"}, "says that it is not well"),
        ({"outcome": "succeeded"}, "answered in 40 ms"),
        ({"outcome": "declined"}, "declined, in 40 ms"),
        (
            {"outcome": "not_sent", "http_status": None, "detail": "there is no card to charge"},
            "there is no card to charge",
        ),
    ],
)
def test_what_came_of_a_call_is_said_in_plain_words(facts: dict[str, Any], sentence: str) -> None:
    assert said(**{"outcome": "unknown", "http_status": 200, "error": "", "duration_ms": 40, **facts}) == sentence


def test_every_transport_error_that_can_happen_has_words_of_its_own() -> None:
    raised = (
        *(aiohttp.ClientConnectorError, aiohttp.ClientConnectorDNSError, aiohttp.ClientConnectorSSLError),
        *(aiohttp.ClientConnectorCertificateError, aiohttp.ConnectionTimeoutError, aiohttp.ServerDisconnectedError),
        *(aiohttp.ClientOSError, aiohttp.ClientPayloadError, aiohttp.InvalidURL),
    )
    for kind in raised:
        words = said(outcome="unknown", http_status=None, error=kind.__name__, duration_ms=5)
        assert "could not be reached" not in words, kind.__name__


def test_figures_are_of_todays_charges_and_calls(make_gateway: Callable[..., Gateway]) -> None:
    north, south = make_gateway("north"), make_gateway("south")
    for duration_ms in (10, 20, 30):
        call(north, duration_ms=duration_ms)
    call(north, "declined", duration_ms=1_000)
    call(north, "succeeded", operation="capture", duration_ms=20)
    call(north, "declined", minutes_ago=24 * 60)  # yesterday
    call(south)

    figures = row("north")
    assert (figures.success, figures.share, figures.calls) == ("75.0 %", "80.0 %", "5")
    assert (figures.latency, figures.p95) == ("20 ms", "806 ms")
    assert row("south").share == "20.0 %"


def test_shares_are_of_the_same_mode(make_gateway: Callable[..., Gateway]) -> None:
    call(make_gateway("north"))
    call(make_gateway("alps", mode="live"))

    assert (row("north").share, row("alps").share) == ("100.0 %", "100.0 %")


def test_the_last_error_is_the_newest_of_calls_and_checks(acme: Gateway) -> None:
    assert row("acme").trouble is None
    call(acme, "unknown", 30, error="Timeout", http_status=None, duration_ms=9_000)
    call(acme)
    assert (row("acme").trouble.said, row("acme").trouble.ago) == ("timed out after 9.0 s", "30 min ago")

    services.note_check(answer=answer(acme, "refused", verb="health"))

    assert row("acme").trouble.said == "refused the connection"
    call(acme, "declined", 0)
    call(acme, "unknown", 0, operation="fetch", http_status=404)  # it was asked, and does not know: no error of its own
    assert row("acme").trouble.said == "refused the connection"


def test_the_standing_says_what_keeps_new_payments_away(acme: Gateway) -> None:
    def standing() -> str:
        gateway = Gateway.objects.get()
        return standing_of(gateway, figures_today()[gateway.pk])

    assert standing() == "enabled"
    now = clock.now()
    times = {"starts_at": now, "ends_at": now + timedelta(hours=1)}
    services.plan_maintenance(gateway=acme, **times, reason="new certificates", actor=ACTOR)
    assert standing() == "maintenance"
    services.set_gateway_status(gateway=acme, status="draining", reason="x", actor=ACTOR)
    assert standing() == "draining"
    services.stop_gateway(gateway=acme, reason="1 capture is missing.", actor=ACTOR)
    assert standing() == "stopped"


def test_the_chart_counts_every_call_of_an_hour_and_draws_latency(acme: Gateway) -> None:
    assert hours_of(acme) == {}
    call(acme)
    call(acme)
    call(acme, "declined", minutes_ago=60, duration_ms=90)
    call(acme, operation="capture")

    charts = hours_of(acme)

    sets = {found["label"]: found["data"] for found in json.loads(charts["calls"])["datasets"]}
    assert (sets["succeeded"][-1], sets["declined"][-2]) == (3, 1)
    assert (sum(sets["succeeded"]), sum(sets["declined"]), sum(sets["neither"])) == (3, 1, 0)
    lines = {found["label"]: found["data"] for found in json.loads(charts["latency"])["datasets"]}
    assert (lines["p50"][-1], lines["p95"][-2], lines["p50"][0]) == (40.0, 90.0, None)


def test_a_busy_hour_is_drawn_from_its_newest_calls(acme: Gateway) -> None:
    started_at = clock.now() - timedelta(minutes=5)
    facts = {"gateway": acme, "operation": "authorize", "reference": "a", "duration_ms": 1, "http_status": 201}
    GatewayCall.objects.bulk_create(
        GatewayCall(**facts, outcome="declined" if number % 4 == 0 else "succeeded", started_at=started_at)
        for number in range(2 * CALLS_PER_HOUR)
    )

    sets = {found["label"]: found["data"][-1] for found in json.loads(hours_of(acme)["calls"])["datasets"]}

    assert sum(sets.values()) == 2 * CALLS_PER_HOUR
    assert sets["declined"] == pytest.approx(CALLS_PER_HOUR / 2, rel=0.2)


def test_the_board_shows_all_of_it(
    gateways: dict[str, Gateway], regions: Any, processed_payment: Any, eur: Any, simulation: Simulation
) -> None:
    north = gateways["north"]
    processed_payment(eur(50_00))
    services.check_health()
    call(north, "unknown", 3, error="Timeout", http_status=None, duration_ms=9_000)
    now = clock.now()
    times = {"starts_at": now + timedelta(hours=3), "ends_at": now + timedelta(hours=4)}
    services.plan_maintenance(gateway=gateways["south"], **times, reason="new certificates", actor=ACTOR)

    said = text_of(at_desk("Read-only").get(LIST))

    assert "North test enabled healthy 100.0 % 100.0 %" in said
    assert "timed out after 9.0 s, 3 min ago" in said
    assert f"maintenance from {times['starts_at']:%H:%M:%S}" in said


def test_the_board_links_what_nobody_knows(
    gateways: dict[str, Gateway], processed_payment: Any, eur: Any, simulation: Simulation, regions: Any
) -> None:
    simulation.change("north", behaviour="bad_gateway")
    processed_payment(eur(50_00))

    html = at_desk("Read-only").get(LIST).content.decode()

    north = gateways["north"]
    assert f"/admin/payments/attempt/?status__exact=unknown&amp;gateway__id__exact={north.pk}" in html


def test_the_board_and_a_gateways_page_take_as_many_queries_however_much_there_is(
    gateways: dict[str, Gateway], regions: Any
) -> None:
    browser = at_desk("administrator")
    north = gateways["north"]
    pages = [LIST, f"{LIST}{north.public_id}/change/"]
    for address in pages:
        browser.get(address)
    before = [queries_of(lambda: browser.get(address)) for address in pages]  # noqa: B023
    now = clock.now()
    for number in range(3):
        for gateway in gateways.values():
            call(gateway, "unknown", number, error="Timeout", http_status=None)
            HealthCheck.objects.create(
                gateway=gateway, checked_at=now, is_good=False, duration_ms=1, health_status="healthy"
            )
            times = {"starts_at": now, "ends_at": now + timedelta(hours=1 + number)}
            services.plan_maintenance(gateway=gateway, **times, reason="x", actor=ACTOR)

    assert [queries_of(lambda: browser.get(address)) for address in pages] == before  # noqa: B023
    assert max(before) <= 25, before
