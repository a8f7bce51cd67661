"""Is what nobody came for found and carried out, with or without a doorbell?"""

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError

from checkout.kit import clock
from gateways.models import Gateway, Notice
from payments import sweeper
from payments.models import Attempt, Payment
from payments.statuses import AttemptStatus, NextAction, Status
from payments.sweeper import sweep, sweep_once
from payments.tests.answers import attempts, bring, claim, last, make_due, waits_for

Pay = Callable[..., Payment]


@pytest.fixture(autouse=True)
def rung(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that were rung for; nobody hears it."""
    names: list[str] = []
    monkeypatch.setattr(sweeper, "ring", lambda name: bool(names.append(name)))
    return names


def due_since(seconds: float) -> None:
    Attempt.objects.filter(next_action_at__isnull=False).update(next_action_at=clock.now() - timedelta(seconds=seconds))


def test_what_has_just_become_due_is_the_workers(created_payment: Pay, rung: list[str], eur: Any) -> None:
    payment = created_payment(eur(50_00), confirm=True)
    due_since(0.5)

    assert 0.4 < sweep_once() < 2

    assert rung == []
    assert attempts(payment) == [("north", "authorize", "created")]


def test_what_has_been_due_for_a_while_is_rung_for(created_payment: Pay, rung: list[str], eur: Any) -> None:
    payment = created_payment(eur(50_00), confirm=True)
    due_since(2)

    sweep_once()

    assert rung == ["payments.run_due"]
    assert attempts(payment) == [("north", "authorize", "created")]


def test_what_nobody_came_for_is_carried_out_here(created_payment: Pay, rung: list[str], eur: Any) -> None:
    payment = created_payment(eur(50_00), confirm=True)
    due_since(6)

    assert sweep_once() > 5

    payment.refresh_from_db()
    assert (payment.status, rung) == (Status.CAPTURED, [])
    assert last(payment).evidence.count() == 1
    assert sweep_once() == 0


def test_who_died_while_sending_is_found_when_the_lease_is_over(created_payment: Pay, eur: Any) -> None:
    payment = created_payment(eur(50_00), confirm=True)
    claim()
    assert sweep_once() == 0
    due_since(6)

    sweep_once()

    assert last(payment).status == AttemptStatus.UNKNOWN
    assert [evidence.source for evidence in last(payment).evidence.order_by("id")] == ["lease", "inquiry"]


def test_nothing_due_is_nothing_done(db: None, rung: list[str]) -> None:
    assert sweep_once() == 0
    assert rung == []


@pytest.mark.parametrize(
    ("age", "status", "rings"),
    [(0.5, "waiting", []), (2, "waiting", ["payments.apply_notices"]), (6, "applied", [])],
)
def test_notices_that_nobody_applied_are_rung_for_and_then_applied_here(
    created_payment: Pay,
    gateways: dict[str, Gateway],
    rung: list[str],
    eur: Any,
    age: float,
    status: str,
    rings: list[str],
) -> None:
    charge = bring(last(created_payment(eur(50_00), confirm=True)), "pending")
    Notice.objects.create(
        gateway=gateways["north"],
        notice_id="n_1",
        reference=charge.reference,
        outcome="succeeded",
        body="{}",
        received_at=clock.now() - timedelta(seconds=age),
    )

    sweep_once()

    assert (Notice.objects.get().status, rung) == (status, rings)
    charge.refresh_from_db()
    is_due = charge.next_action_at is not None and charge.next_action_at <= clock.now()
    assert (waits_for(charge), is_due) == (NextAction.ASK, status == "applied")


@pytest.mark.parametrize("error", [OperationalError("the database is away"), RuntimeError("a mistake of ours")])
def test_the_loop_outlives_whatever_goes_wrong(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    looks: list[int] = []

    def look() -> float:
        looks.append(1)
        if len(looks) < 3:
            raise error
        stop.set()
        return 0.0

    stop = threading.Event()
    monkeypatch.setattr(sweeper, "sweep_once", look)
    monkeypatch.setattr(sweeper, "close_old_connections", lambda: None)
    monkeypatch.setattr(sweeper.policy, "SWEEP_SECONDS", 0.01)
    monkeypatch.setattr(sweeper.connection, "close", lambda: None)
    loop = threading.Thread(target=sweep, args=[stop], daemon=True)
    loop.start()
    deadline = time.monotonic() + 5
    while not stop.is_set() and time.monotonic() < deadline:
        time.sleep(0.01)
    stop.set()
    loop.join(2)

    assert len(looks) == 3
    assert not loop.is_alive()


def test_a_due_inquiry_is_found_like_everything_else(created_payment: Pay, eur: Any) -> None:
    charge = bring(last(created_payment(eur(50_00), confirm=True)), "unknown")
    make_due(charge)
    due_since(6)

    sweep_once()

    assert charge.evidence.latest("id").source == "inquiry"
