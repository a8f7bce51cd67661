"""Every process says that it is alive, cheaply, and is never disturbed by that."""

import threading

import pytest
import time_machine
from django.db import OperationalError

from checkout.kit import clock, heartbeats
from checkout.kit.models import Heartbeat
from checkout.settings import policy
from payments import sweeper, tasks


@pytest.fixture(autouse=True)
def _never_said_before() -> None:
    heartbeats._last.clear()


def test_a_process_has_one_row_which_it_writes_again_a_few_seconds_later(db) -> None:
    heartbeats.beat("worker", queue=1)
    heartbeats.beat("worker", queue=2)
    assert Heartbeat.objects.get().details == {"queue": 1}

    for key in heartbeats._last:
        heartbeats._last[key] -= policy.HEARTBEAT_SECONDS
    heartbeats.beat("worker", queue=3)

    row = Heartbeat.objects.get()
    assert (row.name, row.details) == ("worker", {"queue": 3})
    assert heartbeats.ages()["worker"] < 5
    assert heartbeats.ages()["sweeper"] is None


def test_a_database_that_is_away_disturbs_nobody(db, monkeypatch) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise OperationalError("away")

    monkeypatch.setattr(Heartbeat.objects, "bulk_create", refuse)

    heartbeats.beat("worker")

    assert heartbeats.ages()["worker"] is None


def test_the_dead_are_forgotten(db) -> None:
    Heartbeat.objects.create(name="worker", host="gone", pid=1, beat_at=clock.seconds_from_now(-4000))
    Heartbeat.objects.create(name="worker", host="here", pid=1, beat_at=clock.seconds_from_now(-100))

    assert heartbeats.forget_the_dead() == 1
    assert Heartbeat.objects.get().host == "here"


def test_beat_is_heard_by_whichever_worker_and_has_one_row(db) -> None:
    tasks.heartbeat()
    heartbeats._last.clear()
    tasks.heartbeat()

    row = Heartbeat.objects.get()
    assert (row.name, row.host, row.pid) == ("beat", "", 0)


def test_the_sweeper_says_so_after_each_look(db) -> None:
    sweeper._sweep_and_say_so()

    row = Heartbeat.objects.get()
    assert (row.name, row.details) == ("sweeper", {"due_for_seconds": 0.0})


def test_a_worker_that_is_ready_keeps_beating_from_one_thread(monkeypatch) -> None:
    started: list[str] = []
    monkeypatch.setattr(heartbeats, "_beat_for_ever", started.append)
    monkeypatch.setattr(heartbeats, "_kept", set())
    before = threading.active_count()

    tasks.say_that_the_worker_is_alive()
    tasks.say_that_the_worker_is_alive()

    assert started == ["worker"]
    assert threading.active_count() <= before + 1


def test_an_old_heartbeat_is_told_by_its_age(db) -> None:
    with time_machine.travel(clock.seconds_from_now(-45)):
        heartbeats.beat("worker")

    age = heartbeats.ages()["worker"]
    assert age is not None
    assert 45 <= age < 60
