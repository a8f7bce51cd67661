"""Is everything that was intended carried out once, whoever dies on the way? The gateways are real, over HTTP."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from checkout.kit import clock
from checkout.kit.actors import Actor
from checkout.settings import policy
from gateways.models import Gateway, GatewayCall
from gateways.outcomes import GatewayResult
from payments import services
from payments.models import Attempt, CardSecret, Evidence, Payment
from payments.services import run
from payments.services.run import claim_due
from payments.statuses import AttemptStatus, NextAction, Status
from payments.tests.answers import (
    approved,
    attempts,
    beyond_settle_window,
    bring,
    charges,
    claim,
    last,
    make_due,
    tell,
    waits_for,
)
from tests.simulation import Simulation

Pay = Callable[..., Payment]
CODES = ("north", "south", "spare")


def in_the_books(simulation: Simulation, attempt: Attempt) -> list[tuple[str, str, int]]:
    """Kind, status and captured sum of all that any gateway has under an attempt's reference."""
    rows = [row for code in CODES for row in simulation.book(code) if row["reference"] == attempt.reference]
    return [(row["kind"], row["status"], row["captured_minor"]) for row in rows]


def sources(attempt: Attempt) -> list[tuple[str, str]]:
    """Where what we know of an attempt came from, and what it was."""
    return list(attempt.evidence.order_by("id").values_list("source", "outcome"))


def test_what_is_due_is_carried_out_until_nothing_is(
    created_payment: Pay, carry_out: Callable[[], int], simulation: Simulation, eur: Any
) -> None:
    payments = [created_payment(eur(50_00), confirm=True) for _ in range(5)]

    assert carry_out() == 5
    assert carry_out() == 0

    for payment in payments:
        payment.refresh_from_db()
        assert payment.status == Status.CAPTURED
        assert in_the_books(simulation, payment.attempts.get()) == [("charge", "approved", 50_00)]
    assert set(GatewayCall.objects.values_list("operation", "outcome", "http_status")) == {
        ("authorize", "succeeded", 201)
    }


def test_a_gateway_that_is_down_is_passed_and_has_charged_nothing(
    processed_payment: Pay, simulation: Simulation, eur: Any
) -> None:
    simulation.change("north", behaviour="down")

    payment = processed_payment(eur(50_00))

    assert payment.status == Status.CAPTURED
    assert charges(payment) == [("north", "not_sent"), ("south", "succeeded")]
    first = payment.attempts.order_by("seq")[0]
    assert in_the_books(simulation, first) == []
    assert Gateway.objects.get(code="north").failure_count == 1


def test_another_gateway_is_not_asked_while_the_first_may_have_charged(
    processed_payment: Pay, carry_out: Callable[[], int], simulation: Simulation, eur: Any
) -> None:
    simulation.change("north", behaviour="charge_then_500")
    payment = processed_payment(eur(50_00))
    assert (payment.status, charges(payment)) == (Status.PROCESSING, [("north", "unknown")])
    assert in_the_books(simulation, last(payment)) == [("charge", "approved", 50_00)]

    make_due(last(payment))
    carry_out()

    payment.refresh_from_db()
    assert (payment.status, charges(payment)) == (Status.CAPTURED, [("north", "succeeded")])
    assert sources(last(payment)) == [("response", "unknown"), ("inquiry", "succeeded")]


def test_what_never_arrived_is_canceled_there_and_charged_elsewhere_once(
    processed_payment: Pay, carry_out: Callable[[], int], simulation: Simulation, eur: Any
) -> None:
    simulation.change("north", behaviour="error_before_charging")
    payment = processed_payment(eur(50_00))
    first = last(payment)
    make_due(first, sent_ago_seconds=beyond_settle_window(first))

    carry_out()

    payment.refresh_from_db()
    assert payment.status == Status.CAPTURED
    assert charges(payment) == [("north", "abandoned"), ("south", "succeeded")]
    assert sources(first) == [("response", "unknown"), ("inquiry", "unknown"), ("cancel", "succeeded")]
    assert not any(status == "approved" for _, status, _ in in_the_books(simulation, first))


def test_within_the_settle_window_not_found_is_waited_out(
    processed_payment: Pay, carry_out: Callable[[], int], simulation: Simulation, eur: Any
) -> None:
    simulation.change("north", behaviour="error_before_charging")
    payment = processed_payment(eur(50_00))
    make_due(last(payment))

    carry_out()

    charge = last(payment)
    assert (charge.status, waits_for(charge), charges(payment)) == (
        AttemptStatus.UNKNOWN,
        NextAction.ASK,
        [("north", "unknown")],
    )
    assert charge.next_action_at is not None
    assert charge.sent_at is not None
    assert charge.next_action_at <= charge.sent_at + timedelta(seconds=charge.gateway.settle_window_seconds)


@pytest.mark.parametrize("verb", ["capture", "refund"])
@pytest.mark.parametrize("behaviour", ["error_before_charging", "charge_then_500", "reset"])
def test_a_capture_or_refund_without_an_answer_is_found_or_repeated_and_happens_once(
    authorized_payment: Pay,
    captured_payment: Pay,
    carry_out: Callable[[], int],
    simulation: Simulation,
    eur: Any,
    actor: Any,
    verb: str,
    behaviour: str,
) -> None:
    payment = {"capture": authorized_payment, "refund": captured_payment}[verb](eur(50_00))
    simulation.change("north", behaviour=behaviour)
    if verb == "capture":
        services.capture_payment(payment=payment, actor=actor)
    else:
        services.refund_payment(payment=payment, actor=actor)
    carry_out()
    follower = last(payment)
    assert follower.status == AttemptStatus.UNKNOWN
    simulation.change("north", behaviour="healthy")
    make_due(follower, sent_ago_seconds=beyond_settle_window(follower))

    carry_out()

    payment.refresh_from_db()
    follower = last(payment)
    assert (follower.operation, follower.status) == (verb, AttemptStatus.SUCCEEDED)
    assert (payment.captured_minor, payment.refunded_minor) == (50_00, 50_00 if verb == "refund" else 0)
    assert len(in_the_books(simulation, follower)) == 1
    assert follower.seq == 2  # under its one reference, however often it was sent
    was_repeated = behaviour == "error_before_charging"
    assert [source for source, _ in sources(follower)] == ["response", "inquiry", *["response"] * was_repeated]


# Whoever dies on the way.


def test_whoever_claims_and_dies_leaves_an_unknown_outcome_that_is_asked_about_and_never_sent_again(
    created_payment: Pay, carry_out: Callable[[], int], simulation: Simulation, eur: Any
) -> None:
    payment = created_payment(eur(50_00), confirm=True)
    assert list(claim().values()) == [NextAction.SEND]
    charge = last(payment)
    assert charge.status == AttemptStatus.SENT
    assert charge.next_action_at is not None
    lease = (charge.next_action_at - clock.now()).total_seconds()
    assert policy.CALL_TIMEOUT_SECONDS < lease <= policy.LEASE_SECONDS
    assert carry_out() == 0  # while the lease holds, it is somebody's

    make_due(charge)
    carry_out()

    charge = last(payment)
    assert (charge.status, charges(payment)) == (AttemptStatus.UNKNOWN, [("north", "unknown")])
    assert sources(charge) == [("lease", "unknown"), ("inquiry", "unknown")]
    assert in_the_books(simulation, charge) == []


def test_an_answer_that_comes_after_the_lease_was_lost_is_kept_and_counts(
    created_payment: Pay, carry_out: Callable[[], int], simulation: Simulation, eur: Any
) -> None:
    payment = created_payment(eur(50_00), confirm=True)
    claim()
    make_due(last(payment))
    claim()
    charge = last(payment)
    assert (charge.status, sources(charge)) == (AttemptStatus.UNKNOWN, [("lease", "unknown")])

    assert tell(charge, approved(charge)).status == AttemptStatus.SUCCEEDED
    assert sources(charge)[-1] == ("response", "succeeded")


@pytest.mark.django_db(transaction=True)
def test_while_an_answer_is_recorded_nobody_claims_its_attempt(
    created_payment: Pay, monkeypatch: Any, eur: Any
) -> None:
    charge = bring(last(created_payment(eur(50_00), confirm=True)), "unknown")
    make_due(charge)
    recording, release = threading.Event(), threading.Event()

    def pause(attempt: Attempt, result: GatewayResult, source: str) -> GatewayResult:
        recording.set()
        release.wait(5)
        return result

    def hear() -> None:
        tell(charge, approved(charge))
        connection.close()

    monkeypatch.setattr("payments.services.record._believed", pause)
    recorder = threading.Thread(target=hear)
    recorder.start()
    try:
        assert recording.wait(5)
        assert claim() == {}
    finally:
        release.set()
        recorder.join()
    assert charges(charge.payment) == [("north", "succeeded")]


def test_whoever_was_held_up_until_the_lease_is_nearly_over_sends_nothing(
    created_payment: Pay, carry_out: Callable[[], int], simulation: Simulation, monkeypatch: Any, eur: Any
) -> None:
    payment = created_payment(eur(50_00), confirm=True)
    monkeypatch.setattr(policy, "LEASE_SECONDS", policy.CALL_TIMEOUT_SECONDS)

    carry_out()

    first = payment.attempts.earliest("seq")
    assert (first.status, sources(first)) == (AttemptStatus.NOT_SENT, [("response", "not_sent")])
    assert in_the_books(simulation, first) == []


@pytest.mark.django_db(transaction=True)
def test_two_workers_never_claim_the_same(created_payment: Pay, eur: Any) -> None:
    for _ in range(12):
        created_payment(eur(50_00), confirm=True)
    claimed: list[Any] = []
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        while rows := claim_due(limit=2, busy=[]):
            claimed.extend(rows)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(claimed) == len(set(claimed)) == 12
    assert not Attempt.objects.exclude(status=AttemptStatus.SENT).exists()


@pytest.mark.django_db(transaction=True)
def test_a_claim_passes_over_what_another_holds_and_waits_for_nobody(created_payment: Pay, eur: Any) -> None:
    held, free = (created_payment(eur(50_00), confirm=True) for _ in range(2))
    holding, release = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Attempt.objects.select_for_update().get(payment=held)
            holding.set()
            release.wait(5)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    holding.wait(5)
    try:
        assert list(claim()) == [free.attempts.get().pk]
    finally:
        release.set()
        holder.join()


def test_a_gateway_that_is_busy_is_left_alone_and_the_limit_kept(
    created_payment: Pay, gateways: dict[str, Gateway], eur: Any
) -> None:
    for _ in range(3):
        created_payment(eur(50_00), confirm=True)
    elsewhere = created_payment(eur(50_00), confirm=True, country="BR")

    assert list(claim_due(limit=50, busy=[gateways["north"].pk])) == [elsewhere.attempts.get().pk]
    assert len(claim_due(limit=2, busy=[])) == 2


# A card is never sent without its verification value.


@pytest.mark.parametrize("how", ["gone", "expired"])
def test_without_its_verification_value_a_card_is_sent_nowhere(
    created_payment: Pay,
    carry_out: Callable[[], int],
    simulation: Simulation,
    monkeypatch: Any,
    eur: Any,
    how: str,
) -> None:
    monkeypatch.setattr(policy, "CLAIM_AGAIN_SECONDS", 5.0)
    payment = created_payment(eur(50_00), confirm=True)
    if how == "gone":
        CardSecret.objects.all().delete()
    else:
        CardSecret.objects.update(expires_at=clock.now())
    calls = {row["code"]: row["counters"]["calls"] for row in simulation.gateways()}

    began = time.monotonic()
    carry_out()

    assert time.monotonic() - began < 5  # nobody waits for answers to what was not sent
    payment.refresh_from_db()
    assert payment.status == Status.FAILED
    assert {status for _, status in charges(payment)} == {"not_sent"}
    assert {row["code"]: row["counters"]["calls"] for row in simulation.gateways()} == calls
    assert {evidence.detail for evidence in Evidence.objects.all()} == {"the card's verification value is gone"}


def test_nothing_secret_is_kept_of_a_conversation(processed_payment: Pay, eur: Any) -> None:
    processed_payment(eur(50_00))

    with connection.cursor() as cursor:
        for table in ("gateways_gatewaycall", "payments_evidence", "payments_attempt", "merchants_webhookevent"):
            cursor.execute(f"SELECT count(*) FROM {table} t WHERE t::text ~ %s", ["4242424242424242|key-of-north"])  # noqa: S608
            assert cursor.fetchone() == (0,), table


def test_one_that_cannot_be_recorded_stops_nobody_else(
    created_payment: Pay, carry_out: Callable[[], int], simulation: Simulation, eur: Any, monkeypatch: Any
) -> None:
    bad, good = (created_payment(eur(50_00), confirm=True) for _ in range(2))
    record = run.record_answer

    def stumble(*, answer: Any, actor: Actor) -> None:
        if answer.call.tag[0] == bad.pk:
            raise RuntimeError("a mistake of ours")
        record(answer=answer, actor=actor)

    with monkeypatch.context() as patch:
        patch.setattr(run, "record_answer", stumble)
        carry_out()

    good.refresh_from_db()
    assert (good.status, attempts(bad)) == (Status.CAPTURED, [("north", "authorize", "sent")])
    make_due(last(bad))  # its lease is over: somebody asks
    carry_out()
    bad.refresh_from_db()
    assert bad.status == Status.CAPTURED
    assert in_the_books(simulation, last(bad)) == [("charge", "approved", 50_00)]
