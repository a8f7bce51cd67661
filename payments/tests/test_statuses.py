"""Are the tables the only way, in the code and in the database?"""

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from checkout.kit.errors import InvalidTransition
from checkout.kit.statuses import StatusMachine, advance
from payments import services
from payments.models import Attempt, Payment, Refund
from payments.statuses import (
    ATTEMPT,
    IN_FLIGHT,
    LIVE,
    PAYMENT,
    REFUND,
    AttemptEvent,
    AttemptStatus,
    Event,
    RefundEvent,
    RefundStatus,
    Status,
)

MACHINES: list[tuple[StatusMachine, Any, Any]] = [
    (PAYMENT, Status, Event),
    (ATTEMPT, AttemptStatus, AttemptEvent),
    (REFUND, RefundStatus, RefundEvent),
]
ALL_PAIRS = [
    (machine, status, event)
    for machine, statuses, machine_events in MACHINES
    for status, event in product(statuses.values, machine_events.values)
]
NEVER_LEFT = {
    "payment": {Status.VOIDED, Status.CANCELED, Status.EXPIRED},
    "attempt": {AttemptStatus.SUCCEEDED, AttemptStatus.DECLINED, AttemptStatus.NOT_SENT, AttemptStatus.ABANDONED},
    "refund": {RefundStatus.SUCCEEDED, RefundStatus.FAILED, RefundStatus.REJECTED},
}


class Thing:
    def __init__(self, status: str) -> None:
        self.status = status


@pytest.mark.parametrize(
    ("machine", "status", "event"), ALL_PAIRS, ids=[f"{m.name}-{status}-{event}" for m, status, event in ALL_PAIRS]
)
def test_an_event_leads_where_the_table_says_or_is_refused_and_changes_nothing(
    machine: StatusMachine, status: str, event: str
) -> None:
    thing = Thing(status)
    if machine.allows(status, event):
        advance(thing, machine, event)
        assert thing.status == machine.table[status, event]
    else:
        with pytest.raises(InvalidTransition) as refused:
            advance(thing, machine, event)
        assert refused.value.code == "invalid_status"
        assert thing.status == status


@pytest.mark.parametrize(("machine", "statuses", "machine_events"), MACHINES, ids=[row[0].name for row in MACHINES])
def test_every_word_is_used_and_no_other(machine: StatusMachine, statuses: Any, machine_events: Any) -> None:
    assert set(machine.statuses) == set(statuses.values)
    assert set(machine.events) == set(machine_events.values)
    left = {status for status, _ in machine.table}
    assert set(machine.statuses) - left == {str(status) for status in NEVER_LEFT[machine.name]}


def test_what_is_certain_of_an_attempt_is_never_forgotten() -> None:
    for status in NEVER_LEFT["attempt"]:
        assert not any(ATTEMPT.allows(status, event) for event in AttemptEvent.values)
    for status in (AttemptStatus.PENDING, AttemptStatus.UNKNOWN):
        assert not ATTEMPT.allows(status, AttemptEvent.FALL_SHORT)
        assert not ATTEMPT.allows(status, AttemptEvent.SEND)


def test_what_may_still_charge_is_live() -> None:
    assert set(LIVE) - set(IN_FLIGHT) == {AttemptStatus.SUCCEEDED}
    assert {str(status) for status in IN_FLIGHT} == set(ATTEMPT.statuses) - set(NEVER_LEFT["attempt"])


@pytest.mark.parametrize("word", ["", "refunded", "Captured", "captured ", "created\n"])
@pytest.mark.parametrize("model", [Payment, Attempt, Refund])
def test_the_database_refuses_a_status_that_is_in_no_table(
    captured_payment: Callable[..., Payment], eur: Any, actor: Any, model: Any, word: str
) -> None:
    payment = captured_payment(eur(50_00))
    services.refund_payment(payment=payment, actor=actor, amount=eur(1_00))
    assert model.objects.exists()

    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE {model._meta.db_table} SET status = %s", [word])  # noqa: S608


@pytest.mark.parametrize(
    "change",
    [
        "authorized_minor = amount_minor + 1",
        "captured_minor = authorized_minor + 1",
        "refunded_minor = captured_minor + 1",
        "refunded_minor = -1",
        "amount_minor = -1, authorized_minor = -1, captured_minor = -1, refunded_minor = -1",
        "mode = 'real'",
    ],
)
def test_the_database_refuses_sums_that_cannot_be(
    captured_payment: Callable[..., Payment], eur: Any, change: str
) -> None:
    captured_payment(eur(50_00))

    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE payments_payment SET {change}")  # noqa: S608


def test_the_database_refuses_an_attempt_in_flight_that_nobody_will_look_at(
    created_payment: Callable[..., Payment], eur: Any
) -> None:
    created_payment(eur(50_00), confirm=True)

    with pytest.raises(IntegrityError), transaction.atomic():
        Attempt.objects.update(next_action_at=None)


@pytest.mark.parametrize("change", ["UPDATE {} SET detail = ''", "DELETE FROM {}", "TRUNCATE {}"])
@pytest.mark.parametrize("table", ["payments_evidence", "kit_auditentry"])
def test_what_was_written_down_stays(
    captured_payment: Callable[..., Payment], eur: Any, change: str, table: str
) -> None:
    captured_payment(eur(50_00))
    change = change.replace("detail", "reason") if table == "kit_auditentry" else change

    refused = pytest.raises(DatabaseError, match="(?i)append-only|cannot truncate")
    with refused, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(change.format(table))
