"""Is what nobody knows found out by whoever is asked, and settled by hand only by two people who agree?"""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection

from checkout.kit import clock
from checkout.kit.actors import Actor
from checkout.kit.approvals import AlreadyRequested, ApprovalChanged, ApprovalNotOpen, MakerCannotCheck
from checkout.kit.errors import Refusal
from checkout.kit.models import Approval, AuditEntry, User
from checkout.settings import policy
from gateways.models import Gateway
from ledger.models import JournalEntry
from payments import services
from payments.errors import AttemptNotUnknown, CannotCancelByReference, GatewayReferenceTaken
from payments.models import Attempt, Evidence, Payment
from payments.selfaudit import Scope, audit_books
from payments.services.resolve import SETTLE_BY_HAND, hasten_after_recovery
from payments.statuses import AttemptStatus, NextAction, RefundStatus, Status
from payments.tests.answers import (
    INQUIRY,
    UNKNOWN,
    approved,
    attempts,
    bring,
    events,
    last,
    tell,
    trace,
    waits_for,
)

Pay = Callable[..., Payment]
Listening = Callable[[], AbstractContextManager[list[str]]]
FAR = timedelta(hours=1)


@pytest.fixture
def attempt(created_payment: Pay, eur: Any) -> Callable[..., Attempt]:
    """`attempt("unknown")`: a charge of 50 euros at north that got that far, and is looked at again in an hour."""

    def attempt(status: str, **order: Any) -> Attempt:
        made = bring(last(created_payment(eur(50_00), confirm=True, **order)), status)
        return put_off(made) if made.next_action_at else made

    return attempt


@pytest.fixture
def maker() -> User:
    """Whoever found something in a gateway's books; somebody who may do everything."""
    return User.objects.create_user("olivia", is_superuser=True)


@pytest.fixture
def checker() -> User:
    """Whoever looks at the same books again."""
    return User.objects.create_user("oscar", is_superuser=True)


@pytest.fixture
def ask_for(maker: User) -> Callable[..., Approval]:
    """`ask_for(attempt, outcome="declined")`: ask a second person to settle it so."""

    def ask_for(attempt: Attempt, **changes: Any) -> Approval:
        words = {"outcome": "succeeded", "gateway_reference": "ch_book", "reason": "they called", "evidence": "line 7"}
        return services.request_settlement_by_hand(
            attempt=attempt, maker=maker, actor=Actor.user("olivia"), **{**words, **changes}
        )

    return ask_for


def agree(approval: Approval, checker: User) -> Attempt:
    return services.approve_settlement_by_hand(approval=approval, checker=checker, actor=Actor.user(checker.username))


def refused(attempt: Attempt, refusal: type[Refusal], approval: Approval, checker: User) -> None:
    """Whoever agrees now is refused, and nothing is left behind."""
    before, status = (trace(attempt.payment), attempt.evidence.count()), again(attempt).status
    with pytest.raises(refusal):
        agree(approval, checker)
    assert ((trace(attempt.payment), attempt.evidence.count()), again(attempt).status) == (before, status)


def put_off(attempt: Attempt, **changes: Any) -> Attempt:
    """Nobody is to look at it for an hour."""
    Attempt.objects.filter(pk=attempt.pk).update(**{"next_action_at": clock.now() + FAR, **changes})
    return again(attempt)


def again(attempt: Attempt) -> Attempt:
    """The attempt as it is now."""
    return Attempt.objects.select_related("gateway", "payment").get(pk=attempt.pk)


def is_due(attempt: Attempt) -> bool:
    at = again(attempt).next_action_at
    return at is not None and at <= clock.now()


# Asking now.


@pytest.mark.parametrize("status", ["unknown", "pending"])
def test_what_is_open_is_asked_about_at_once(
    attempt: Callable[..., Attempt], operator: Actor, listening: Listening, status: str
) -> None:
    charge = attempt(status)

    with listening() as rung:
        services.ask_now(attempt=charge, actor=operator, reason="a customer called")

    assert is_due(charge)
    assert (again(charge).status, waits_for(again(charge)), rung) == (status, NextAction.ASK, ["payments.run_due"])
    entry = AuditEntry.objects.get(verb="attempt.ask")
    assert (entry.actor, entry.object_id, entry.reason) == ("user:olivia", charge.public_id, "a customer called")


@pytest.mark.parametrize("status", ["created", "sent", "succeeded", "declined", "not_sent", "abandoned"])
def test_what_somebody_is_at_or_what_is_over_is_left_alone(
    attempt: Callable[..., Attempt], listening: Listening, status: str
) -> None:
    charge = attempt(status)

    with listening() as rung:
        services.ask_now(attempt=charge)

    assert (again(charge).next_action, again(charge).next_action_at) == (charge.next_action, charge.next_action_at)
    assert (again(charge).status, rung) == (status, [])


@pytest.mark.parametrize("action", ["cancel", "replay"])
def test_what_waits_to_be_canceled_or_sent_again_is_not_asked_about_instead(
    attempt: Callable[..., Attempt], action: str
) -> None:
    charge = put_off(attempt("unknown"), next_action=action)

    services.ask_now(attempt=charge)

    assert (waits_for(again(charge)), is_due(charge)) == (action, False)


def test_only_what_a_person_asks_is_in_the_audit(attempt: Callable[..., Attempt]) -> None:
    services.ask_now(attempt=attempt("unknown"))

    assert not AuditEntry.objects.filter(verb="attempt.ask").exists()


# Making sure that it never charges.


def test_what_is_made_sure_of_never_charges_and_the_payment_goes_on_without_it(
    attempt: Callable[..., Attempt],
    carry_out: Callable[[], int],
    simulation: Any,
    operator: Actor,
    listening: Listening,
) -> None:
    charge = attempt("unknown")

    with listening() as rung:
        services.cancel_by_reference(attempt=charge, actor=operator, reason="too old")
    assert (waits_for(again(charge)), is_due(charge), rung) == (NextAction.CANCEL, True, ["payments.run_due"])
    carry_out()

    [row] = simulation.book("north", reference=charge.reference)
    assert row["kind"] == "tombstone"
    payment = again(charge).payment
    assert attempts(payment)[:2] == [("north", "authorize", "abandoned"), ("south", "authorize", "succeeded")]
    assert payment.status == Status.CAPTURED
    entry = AuditEntry.objects.get(verb="attempt.cancel_by_reference")
    assert (entry.actor, entry.object_id, entry.reason) == ("user:olivia", charge.public_id, "too old")


@pytest.mark.parametrize("status", [status for status in AttemptStatus.values if status != "unknown"])
def test_only_what_is_unknown_is_made_sure_of(attempt: Callable[..., Attempt], operator: Actor, status: str) -> None:
    charge = attempt(status)
    before = trace(charge.payment)

    with pytest.raises(AttemptNotUnknown):
        services.cancel_by_reference(attempt=charge, actor=operator, reason="too old")

    assert (again(charge).next_action, trace(charge.payment)) == (charge.next_action, before)


def test_a_gateway_that_cannot_make_sure_is_not_asked_to(attempt: Callable[..., Attempt], operator: Actor) -> None:
    charge = attempt("unknown")
    Gateway.objects.update(supports_cancel_by_reference=False)

    with pytest.raises(CannotCancelByReference, match="North"):
        services.cancel_by_reference(attempt=charge, actor=operator, reason="too old")

    assert waits_for(again(charge)) == NextAction.ASK


def test_only_a_charge_is_made_sure_of(authorized_payment: Pay, operator: Actor, eur: Any) -> None:
    payment = services.capture_payment(payment=authorized_payment(eur(50_00)), actor=operator)
    capture = bring(last(payment), "unknown")

    with pytest.raises(CannotCancelByReference):
        services.cancel_by_reference(attempt=capture, actor=operator, reason="too old")

    assert waits_for(again(capture)) == NextAction.ASK


# Settling by hand: asking for it.


def test_asking_for_a_settlement_changes_nothing_yet(
    attempt: Callable[..., Attempt], ask_for: Callable[..., Approval]
) -> None:
    charge = attempt("unknown")
    before = trace(charge.payment)

    approval = ask_for(charge)

    assert (approval.kind, approval.object_id) == (SETTLE_BY_HAND, charge.public_id)
    assert approval.payload == {
        "outcome": "succeeded",
        "gateway_reference": "ch_book",
        "amount": 50_00,
        "currency": "EUR",
    }
    assert (again(charge).status, trace(charge.payment)) == ("unknown", before)
    with pytest.raises(AlreadyRequested):
        ask_for(charge, outcome="declined")


@pytest.mark.parametrize("status", [status for status in AttemptStatus.values if status != "unknown"])
def test_only_what_is_unknown_may_be_asked_to_be_settled(
    attempt: Callable[..., Attempt], ask_for: Callable[..., Approval], status: str
) -> None:
    with pytest.raises(AttemptNotUnknown):
        ask_for(attempt(status))

    assert not Approval.objects.exists()


# Settling by hand: agreeing.


def test_two_people_settle_a_charge_that_succeeded(
    attempt: Callable[..., Attempt], ask_for: Callable[..., Approval], checker: User
) -> None:
    charge = attempt("unknown")

    agree(ask_for(charge), checker)

    settled = again(charge)
    payment = settled.payment
    assert (settled.status, settled.gateway_reference, waits_for(settled)) == ("succeeded", "ch_book", None)
    assert (payment.status, payment.captured_minor) == (Status.CAPTURED, 50_00)
    assert events(payment)[-2:] == ["payment.authorized", "payment.captured"]
    assert JournalEntry.objects.filter(kind="capture").count() == 1
    evidence = settled.evidence.latest("id")
    assert (evidence.source, evidence.outcome) == (Evidence.Source.OPERATOR, "succeeded")
    entry = AuditEntry.objects.get(verb=SETTLE_BY_HAND)
    assert (entry.actor, entry.reason, entry.before) == ("user:oscar", "they called", {"status": "unknown"})
    assert (entry.after["outcome"], entry.after["amount"], entry.after["evidence"]) == ("succeeded", 50_00, "line 7")
    assert entry.after["approval"] == Approval.objects.get(status="approved", checker=checker).public_id


def test_what_follows_from_a_settlement_has_its_reason_too(
    attempt: Callable[..., Attempt], ask_for: Callable[..., Approval], checker: User
) -> None:
    charge = attempt("unknown")

    agree(ask_for(charge), checker)

    entries = AuditEntry.objects.filter(object_id=charge.payment.public_id, actor="user:oscar")
    assert [(entry.verb, entry.reason) for entry in entries.order_by("id")] == [
        ("payment.authorize", "they called"),
        ("payment.capture", "they called"),
    ]
    assert [finding.samples for finding in audit_books(Scope()) if finding.code == "I16"] == [[]]


def test_two_people_settle_a_charge_that_never_happened_and_no_other_gateway_is_tried(
    attempt: Callable[..., Attempt], ask_for: Callable[..., Approval], checker: User
) -> None:
    charge = attempt("unknown")

    agree(ask_for(charge, outcome="declined", gateway_reference=""), checker)

    payment = again(charge).payment
    assert attempts(payment) == [("north", "authorize", "declined")]
    assert (payment.status, payment.decline_code) == (Status.DECLINED, "generic_decline")
    assert not JournalEntry.objects.exists()


@pytest.mark.parametrize(
    ("outcome", "status", "refunded"), [("succeeded", "succeeded", 20_00), ("declined", "failed", 0)]
)
def test_two_people_settle_a_refund(
    captured_payment: Pay,
    ask_for: Callable[..., Approval],
    checker: User,
    operator: Actor,
    eur: Any,
    outcome: str,
    status: str,
    refunded: int,
) -> None:
    payment = captured_payment(eur(50_00))
    refund = services.refund_payment(payment=payment, amount=eur(20_00), actor=operator)
    unknown = bring(last(payment), "unknown")

    agree(ask_for(unknown, outcome=outcome, gateway_reference="rf_book"), checker)

    refund.refresh_from_db()
    payment.refresh_from_db()
    assert (refund.status, payment.refunded_minor) == (RefundStatus(status), refunded)
    assert events(payment)[-1] == f"refund.{status}"


def test_nobody_settles_what_they_asked_for_themselves_not_even_a_superuser(
    attempt: Callable[..., Attempt], ask_for: Callable[..., Approval], maker: User
) -> None:
    charge = attempt("unknown")
    approval = ask_for(charge)
    refused(charge, MakerCannotCheck, approval, maker)


def test_what_was_changed_after_it_was_asked_for_is_not_carried_out(
    attempt: Callable[..., Attempt], ask_for: Callable[..., Approval], checker: User
) -> None:
    charge = attempt("unknown")
    approval = ask_for(charge, outcome="declined")
    Approval.objects.update(payload={**approval.payload, "outcome": "succeeded"})

    refused(charge, ApprovalChanged, approval, checker)


def test_a_request_cannot_be_turned_to_another_attempt(
    attempt: Callable[..., Attempt], ask_for: Callable[..., Approval], checker: User
) -> None:
    approval = ask_for(attempt("unknown"))
    other = attempt("unknown")
    Approval.objects.update(object_id=other.public_id)
    approval.refresh_from_db()

    refused(other, ApprovalChanged, approval, checker)


def test_what_is_another_operation_at_the_gateway_is_neither_asked_for_nor_agreed_to(
    attempt: Callable[..., Attempt], ask_for: Callable[..., Approval], checker: User
) -> None:
    charge, other = attempt("unknown"), attempt("unknown")
    approval = ask_for(charge, gateway_reference="ch_theirs")
    Attempt.objects.filter(pk=other.pk).update(gateway_reference="ch_theirs")

    refused(charge, GatewayReferenceTaken, approval, checker)
    with pytest.raises(GatewayReferenceTaken):
        ask_for(attempt("unknown"), gateway_reference="ch_theirs")


def test_after_a_day_it_must_be_asked_for_again(
    attempt: Callable[..., Attempt], ask_for: Callable[..., Approval], checker: User
) -> None:
    charge = attempt("unknown")
    approval = ask_for(charge)

    with time_machine.travel(clock.now() + timedelta(seconds=policy.APPROVAL_EXPIRY_SECONDS + 1)):
        refused(charge, ApprovalNotOpen, approval, checker)
        agree(ask_for(charge), checker)

    assert again(charge).status == "succeeded"


def test_what_became_known_meanwhile_is_not_settled_over_it(
    attempt: Callable[..., Attempt], ask_for: Callable[..., Approval], checker: User
) -> None:
    charge = attempt("unknown")
    approval = ask_for(charge, outcome="declined")
    tell(charge, approved(charge), INQUIRY)

    refused(charge, AttemptNotUnknown, approval, checker)

    assert again(charge).payment.status == Status.CAPTURED
    approval.refresh_from_db()
    assert approval.status == Approval.Status.REQUESTED


def test_what_was_settled_is_not_settled_again(
    attempt: Callable[..., Attempt], ask_for: Callable[..., Approval], checker: User
) -> None:
    charge = attempt("unknown")
    approval = ask_for(charge)
    agree(approval, checker)

    refused(charge, AttemptNotUnknown, approval, checker)


def test_what_the_gateway_says_afterwards_changes_nothing(
    attempt: Callable[..., Attempt], ask_for: Callable[..., Approval], checker: User
) -> None:
    charge = attempt("unknown")
    agree(ask_for(charge), checker)
    before = trace(charge.payment)

    for result in (UNKNOWN, approved(charge, gateway_reference="ch_book")):
        tell(charge, result, INQUIRY)

    assert (again(charge).status, again(charge).payment.captured_minor) == ("succeeded", 50_00)
    assert trace(charge.payment) == before


@pytest.mark.django_db(transaction=True)
def test_of_many_who_agree_at_the_same_moment_one_settles_it(
    attempt: Callable[..., Attempt], ask_for: Callable[..., Approval]
) -> None:
    charge = attempt("unknown")
    approval = ask_for(charge)
    checkers = [User.objects.create_user(f"checker {number}") for number in range(4)]
    start = threading.Barrier(len(checkers))
    settled: list[Attempt] = []
    refusals: list[Refusal] = []

    def settle(checker: User) -> None:
        start.wait(10)
        try:
            settled.append(agree(approval, checker))
        except Refusal as refusal:
            refusals.append(refusal)
        finally:
            connection.close()

    threads = [threading.Thread(target=settle, args=[checker]) for checker in checkers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert (len(settled), [refusal.code for refusal in refusals]) == (1, ["attempt_not_unknown"] * 3)
    assert again(charge).payment.captured_minor == 50_00
    assert JournalEntry.objects.filter(kind="capture").count() == 1
    assert charge.evidence.filter(source=Evidence.Source.OPERATOR).count() == 1


# When a gateway has recovered.


def recover(code: str = "north", *, ago_seconds: float = 0, health: str = "healthy") -> None:
    changed_at = clock.now() - timedelta(seconds=ago_seconds)
    Gateway.objects.filter(code=code).update(health_status=health, health_changed_at=changed_at)


def test_after_a_recovery_all_that_is_open_there_is_asked_about_within_seconds_and_not_all_at_once(
    attempt: Callable[..., Attempt],
) -> None:
    charges = [attempt(status) for status in ("unknown", "pending") * 4]
    recover()

    assert hasten_after_recovery() == len(charges)

    now = clock.now()
    waits = [(charge.next_action_at - now).total_seconds() for charge in map(again, charges) if charge.next_action_at]
    assert len(waits) == len(charges)
    assert max(waits) <= policy.RECOVERY_SECONDS / 6
    assert len({round(wait, 2) for wait in waits}) > len(charges) / 2
    assert {waits_for(again(charge)) for charge in charges} == {NextAction.ASK}
    assert hasten_after_recovery() == 0


def test_what_was_hastened_is_asked_about_and_ends(
    attempt: Callable[..., Attempt], carry_out: Callable[[], int]
) -> None:
    charge = attempt("unknown")
    Attempt.objects.filter(pk=charge.pk).update(sent_at=clock.now() - FAR)
    recover()

    hasten_after_recovery()
    with time_machine.travel(clock.now() + timedelta(seconds=policy.RECOVERY_SECONDS / 6)):
        assert carry_out() > 0

    assert again(charge).status == AttemptStatus.ABANDONED
    assert again(charge).payment.status == Status.CAPTURED


@pytest.mark.parametrize(
    "how", [{"code": "south"}, {"ago_seconds": policy.RECOVERY_SECONDS}, {"health": "unhealthy"}], ids=str
)
def test_another_gateway_an_old_recovery_or_a_failure_hastens_nothing(
    attempt: Callable[..., Attempt], how: dict[str, Any]
) -> None:
    charge = attempt("unknown")
    recover(**how)

    assert hasten_after_recovery() == 0

    assert again(charge).next_action_at == charge.next_action_at


def test_what_is_over_under_way_soon_due_or_waits_for_something_else_is_not_hastened(
    attempt: Callable[..., Attempt],
) -> None:
    left_alone = [
        attempt("sent"),
        attempt("succeeded"),
        put_off(attempt("unknown"), next_action="cancel"),
        put_off(attempt("unknown"), next_action_at=clock.now() + timedelta(seconds=5)),
    ]
    recover()

    assert hasten_after_recovery() == 0

    assert [again(charge).next_action_at for charge in left_alone] == [charge.next_action_at for charge in left_alone]
