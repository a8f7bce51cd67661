"""What a monitoring system is told: the page parses, says what is there, and is not for everybody."""

import json
from collections.abc import Iterator

import pytest
from django.db import OperationalError, connection
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from checkout import metrics
from checkout.figures import FIGURES
from checkout.kit import clock
from gateways.services import stop_gateway
from payments import services
from payments.models import Attempt
from payments.statuses import AttemptStatus


@pytest.fixture(autouse=True)
def _nothing_cached() -> Iterator[None]:
    metrics.FIGURES.forget()
    yield
    metrics.FIGURES.forget()


def scrape(client: Client, **about: str) -> dict[str, list[Sample]]:
    response = client.get("/metrics", **about)
    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/plain; version=")
    families = text_string_to_metric_families(response.content.decode())
    return {family.name: family.samples for family in families}


def value(samples: list[Sample], **labels: str) -> float:
    (found,) = [sample.value for sample in samples if sample.labels == labels]
    return found


def test_the_page_parses_and_tells_every_figure(client, db) -> None:
    page = scrape(client)

    assert {figure.name for figure in FIGURES} <= page.keys()
    assert value(page["checkout_database_up"]) == 1
    assert value(page["checkout_heartbeat_age_seconds"], process="worker") == float("inf")
    assert value(page["checkout_self_audit_age_seconds"]) == float("inf")


def test_payments_attempts_and_calls_are_counted(client, captured_payment, created_payment, eur) -> None:
    captured_payment(eur(50_00))
    created_payment(eur(20_00), confirm=True)

    page = scrape(client)

    assert value(page["checkout_payments_day"], status="captured") == 1
    assert value(page["checkout_payments_in_flight"], status="processing") == 1
    assert value(page["checkout_attempts_hour"], gateway="north", operation="authorize", status="succeeded") == 1
    assert value(page["checkout_attempts_day"], gateway="north", operation="authorize", status="created") == 1
    assert 0 <= value(page["checkout_gateway_call_seconds"], gateway="north", quantile="0.99") < 9
    assert value(page["checkout_due_attempts"]) == 1


def test_an_unknown_outcome_is_counted_with_its_age(client, captured_payment, eur) -> None:
    captured_payment(eur(50_00))
    Attempt.objects.update(
        status=AttemptStatus.UNKNOWN,
        sent_at=clock.seconds_from_now(-1000),
        next_action_at=clock.seconds_from_now(-100),
    )

    page = scrape(client)

    assert value(page["checkout_unknown_outcomes"], gateway="north") == 1
    assert value(page["checkout_unknown_outcomes"], gateway="south") == 0
    assert value(page["checkout_unknown_oldest_seconds"], gateway="north") >= 1000
    assert value(page["checkout_due_oldest_seconds"]) >= 100


def test_the_self_audit_and_stopped_gateways_are_told(client, captured_payment, eur, gateways, actor) -> None:
    captured_payment(eur(50_00))
    services.self_audit(actor=actor)
    page = scrape(client)
    assert value(page["checkout_self_audit_green"]) == 1
    assert value(page["checkout_gateway_stopped"], gateway="north") == 0
    assert page["checkout_self_audit_violations"] == []

    with connection.cursor() as cursor:
        cursor.execute("UPDATE payments_payment SET captured_minor = 1")
    services.self_audit(actor=actor)
    stop_gateway(gateway=gateways["south"], reason="A drill.", actor=actor)
    metrics.FIGURES.forget()
    page = scrape(client)

    assert value(page["checkout_self_audit_green"]) == 0
    assert value(page["checkout_self_audit_violations"], invariant="I4") == 1
    assert value(page["checkout_gateway_stopped"], gateway="south") == 1
    assert value(page["checkout_gateway_healthy"], gateway="south") == 1
    assert value(page["checkout_alerts_open"], severity="critical") == 3


def test_requests_are_timed_by_the_template_of_their_route(client, api) -> None:
    payment = api.pay(25_00).json()
    api.get(f"/v1/payments/{payment['id']}")
    api.get("/v1/payments/pay_0000000000000000000000")

    samples = scrape(client)["checkout_request_seconds"]

    counted = {
        (sample.labels["method"], sample.labels["route"], sample.labels["http_status"])
        for sample in samples
        if sample.name.endswith("_count")
    }
    route = next(route for _, route, _ in counted if route.startswith("v1/payments/") and route.endswith(":public_id>"))
    assert {("POST", "v1/payments", "201"), ("GET", route, "200"), ("GET", route, "404")} <= counted
    assert payment["id"] not in json.dumps([sample.labels for sample in samples])


def test_figures_are_kept_for_seconds_so_that_a_scrape_costs_little(client, db, django_assert_num_queries) -> None:
    with django_assert_num_queries(len(FIGURES)):
        scrape(client)
    with django_assert_num_queries(0):
        scrape(client)


def test_a_database_that_is_away_is_said_and_nothing_fails(client, db, monkeypatch) -> None:
    def refuse(*args: object) -> None:
        raise OperationalError("away")

    monkeypatch.setattr(metrics.FIGURES, "_read", refuse)

    page = scrape(client)

    assert value(page["checkout_database_up"]) == 0
    assert "checkout_due_attempts" not in page


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.1.2.3", "172.18.0.5", "192.168.1.9", "fd00::7"])
def test_whoever_is_near_may_scrape(client, db, address) -> None:
    assert client.get("/metrics", REMOTE_ADDR=address).status_code == 200


@pytest.mark.parametrize(
    "about",
    [
        {"REMOTE_ADDR": "93.184.216.34"},
        {"REMOTE_ADDR": "2606:2800:220:1::"},
        {"REMOTE_ADDR": ""},
        {"REMOTE_ADDR": "10.1.2.3", "HTTP_X_FORWARDED_FOR": "93.184.216.34"},
        {"REMOTE_ADDR": "10.1.2.3", "HTTP_FORWARDED": "for=10.0.0.1"},
        {"REMOTE_ADDR": "93.184.216.34", "HTTP_AUTHORIZATION": "Bearer wrong"},
        {"REMOTE_ADDR": "93.184.216.34", "HTTP_AUTHORIZATION": "Bearer "},
    ],
    ids=str,
)
@pytest.mark.parametrize("token", ["", "let-me-in"])
def test_whoever_is_far_may_not(client, settings, about, token) -> None:
    settings.METRICS_TOKEN = token

    response = client.get("/metrics", **about)

    assert response.status_code == 403
    assert b"checkout_" not in response.content


def test_the_token_lets_in_from_anywhere(client, db, settings) -> None:
    settings.METRICS_TOKEN = "let-me-in"

    about = {"REMOTE_ADDR": "93.184.216.34", "HTTP_X_FORWARDED_FOR": "93.184.216.34"}

    assert scrape(client, **about, HTTP_AUTHORIZATION="Bearer let-me-in")


def test_the_page_cannot_be_posted_to(client, db) -> None:
    assert client.post("/metrics").status_code == 405
