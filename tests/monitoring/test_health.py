"""Whether we can take a payment, and what is slow meanwhile."""

from typing import Any

import pytest
from django.test import Client

from checkout.kit import clock, heartbeats
from checkout.kit.models import Heartbeat
from payments.models import Attempt


@pytest.fixture
def everybody_is_alive(db: None) -> None:
    for number, name in enumerate(heartbeats.KINDS):
        Heartbeat.objects.create(name=name, host="here", pid=number, beat_at=clock.now())


def ready(client: Client) -> dict[str, Any]:
    response = client.get("/health/ready")
    assert response.status_code == 200
    return response.json()


def test_a_platform_at_work_is_ready_and_nothing_is_degraded(client, everybody_is_alive) -> None:
    answer = ready(client)

    assert (answer["status"], answer["degraded"]) == ("ready", [])
    assert (answer["database"], answer["redis"], answer["oldest_due_seconds"]) == ("ok", "ok", 0)
    assert answer["heartbeats"].keys() == {"web", "worker", "sweeper", "beat"}
    assert all(0 <= age < 5 for age in answer["heartbeats"].values())


def test_a_process_that_has_fallen_silent_is_named_and_payments_are_still_taken(client, everybody_is_alive) -> None:
    Heartbeat.objects.filter(name="worker").update(beat_at=clock.seconds_from_now(-45))
    Heartbeat.objects.filter(name="sweeper").delete()

    answer = ready(client)

    assert answer["degraded"] == ["No worker has been heard of for 45 s.", "No sweeper has been heard of."]


def test_one_process_of_a_kind_is_enough(client, everybody_is_alive) -> None:
    Heartbeat.objects.create(name="worker", host="there", pid=9, beat_at=clock.seconds_from_now(-45))

    assert ready(client)["degraded"] == []


def test_work_that_waits_is_said(client, everybody_is_alive, created_payment, eur) -> None:
    created_payment(eur(20_00), confirm=True)
    Attempt.objects.update(next_action_at=clock.seconds_from_now(-12))

    answer = ready(client)

    assert answer["degraded"] == ["Attempts have been due for 12 s: outcomes come late."]
    assert 12 <= answer["oldest_due_seconds"] < 20


def test_redis_away_is_only_slower(client, everybody_is_alive, settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    answer = ready(client)

    assert answer["redis"] == "unreachable"
    assert answer["degraded"][0].startswith("Redis is unreachable")


def test_without_its_database_it_is_not_ready(client, db, monkeypatch) -> None:
    def refuse() -> None:
        raise OSError

    monkeypatch.setattr("payments.selectors.oldest_due_at", refuse)

    response = client.get("/health/ready")

    assert response.status_code == 503
    assert (response.json()["status"], response.json()["database"]) == ("not ready", "unreachable")


def test_it_is_alive_without_asking_anybody(client) -> None:
    assert client.get("/health/live").json() == {"status": "live"}
