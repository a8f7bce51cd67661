"""Is what one person asks for decided by another, while it is fresh, exactly as it was asked, and once?"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import time_machine
from django.db import IntegrityError, connection, transaction

from checkout.kit import approvals, clock
from checkout.kit.actors import Actor
from checkout.kit.approvals import AlreadyRequested, ApprovalChanged, ApprovalNotOpen, MakerCannotCheck, hash_of
from checkout.kit.errors import Refusal
from checkout.kit.models import Approval, AuditEntry, User
from checkout.settings import policy

pytestmark = pytest.mark.django_db

KIND = "door.open"
PAYLOAD = {"door": "front", "minutes": 5}
Status = Approval.Status


@pytest.fixture
def maker() -> User:
    """Whoever asks; somebody who may do everything, which is no help here."""
    return User.objects.create_user("olivia", is_superuser=True)


@pytest.fixture
def checker() -> User:
    """Somebody else."""
    return User.objects.create_user("oscar")


@pytest.fixture
def ask(maker: User) -> Callable[..., Approval]:
    """`ask()` asks for a door to be opened; anything about it may be otherwise."""

    def ask(**changes: Any) -> Approval:
        words = {"kind": KIND, "obj": maker, "payload": PAYLOAD, "reason": "a parcel", "evidence": "the bell rang"}
        return approvals.request(**{**words, "maker": maker, "actor": Actor.user("olivia"), **changes})

    return ask


def decide(verb: str, approval: Approval, checker: User) -> Approval:
    if verb == "approve":
        return approvals.approve(approval=approval, checker=checker)
    actor = Actor.user(checker.username)
    return approvals.reject(approval=approval, checker=checker, reason="not today", actor=actor)


def test_what_was_asked_for_is_kept_with_its_reason_its_end_and_who_asked(
    ask: Callable[..., Approval], maker: User
) -> None:
    ask()

    approval = Approval.objects.get()
    assert (approval.status, approval.maker, approval.checker, approval.decided_at) == (
        Status.REQUESTED,
        maker,
        None,
        None,
    )
    assert (approval.kind, approval.object_id, approval.payload) == (KIND, "user:olivia", PAYLOAD)
    assert (approval.reason, approval.evidence) == ("a parcel", "the bell rang")
    lasting = approval.expires_at - clock.now()
    assert policy.APPROVAL_EXPIRY_SECONDS - 60 < lasting.total_seconds() <= policy.APPROVAL_EXPIRY_SECONDS
    entry = AuditEntry.objects.get(verb="door.open.request")
    assert (entry.actor, entry.object_id, entry.reason, entry.after) == (
        "user:olivia",
        "user:olivia",
        "a parcel",
        PAYLOAD,
    )


def test_the_same_is_asked_for_once_at_a_time_whatever_the_details(ask: Callable[..., Approval], checker: User) -> None:
    first = ask()

    with pytest.raises(AlreadyRequested):
        ask(payload={"door": "back"}, maker=checker)

    assert Approval.objects.get() == first
    ask(kind="door.close")
    ask(obj=checker)
    assert Approval.objects.count() == 3


def test_after_its_time_the_same_may_be_asked_for_again(ask: Callable[..., Approval]) -> None:
    first = ask()

    with time_machine.travel(first.expires_at):
        second = ask()

    first.refresh_from_db()
    assert (first.status, second.status) == (Status.EXPIRED, Status.REQUESTED)


def test_after_a_decision_the_same_may_be_asked_for_again(ask: Callable[..., Approval], checker: User) -> None:
    for verb in ("approve", "reject"):
        decide(verb, ask(), checker)

    assert ask().status == Status.REQUESTED


def test_somebody_else_agrees(ask: Callable[..., Approval], checker: User) -> None:
    approvals.approve(approval=ask(), checker=checker)

    approval = Approval.objects.get()
    assert (approval.status, approval.checker) == (Status.APPROVED, checker)
    assert approval.decided_at is not None


def test_nobody_agrees_to_what_they_asked_for_not_even_a_superuser(ask: Callable[..., Approval], maker: User) -> None:
    approval = ask()

    with pytest.raises(MakerCannotCheck):
        approvals.approve(approval=approval, checker=maker)

    approval.refresh_from_db()
    assert (approval.status, approval.checker) == (Status.REQUESTED, None)


def test_the_database_itself_refuses_a_checker_who_is_the_maker(ask: Callable[..., Approval], maker: User) -> None:
    ask()

    with pytest.raises(IntegrityError, match="approval_maker_is_not_checker"), transaction.atomic():
        Approval.objects.update(status=Status.APPROVED, checker=maker)


@pytest.mark.parametrize(
    "change",
    [
        {"payload": {"door": "front", "minutes": 50}},
        {"payload": {"door": "front"}},
        {"kind": "door.remove"},
        {"object_id": "user:oscar"},
    ],
    ids=str,
)
def test_what_is_no_longer_what_was_asked_for_is_not_agreed_to(
    ask: Callable[..., Approval], checker: User, change: dict[str, Any]
) -> None:
    approval = ask()
    Approval.objects.update(**change)

    with pytest.raises(ApprovalChanged):
        approvals.approve(approval=approval, checker=checker)

    approval.refresh_from_db()
    assert (approval.status, approval.checker) == (Status.REQUESTED, None)
    assert decide("reject", approval, checker).status == Status.REJECTED


def test_the_order_in_which_things_are_named_does_not_matter() -> None:
    assert hash_of(KIND, "user:olivia", PAYLOAD) == hash_of(KIND, "user:olivia", dict(reversed(PAYLOAD.items())))


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_after_its_time_nothing_is_decided(ask: Callable[..., Approval], checker: User, verb: str) -> None:
    approval = ask()

    with time_machine.travel(approval.expires_at), pytest.raises(ApprovalNotOpen, match="is expired"):
        decide(verb, approval, checker)

    approval.refresh_from_db()
    assert (approval.status, approval.decided_at) == (Status.REQUESTED, None)


@pytest.mark.parametrize("second", ["approve", "reject"])
@pytest.mark.parametrize("first", ["approve", "reject"])
def test_a_decision_is_final(ask: Callable[..., Approval], maker: User, checker: User, first: str, second: str) -> None:
    approval = ask()
    decided = decide(first, approval, checker)
    third = User.objects.create_user("otto")

    with pytest.raises(ApprovalNotOpen, match=f"is {decided.status}"):
        decide(second, approval, third)

    approval.refresh_from_db()
    assert (approval.status, approval.checker) == (decided.status, checker)


@pytest.mark.parametrize(("who", "word"), [("maker", "withdraw"), ("checker", "reject")])
def test_others_say_no_and_the_maker_withdraws_and_it_is_written_down(
    ask: Callable[..., Approval], maker: User, checker: User, who: str, word: str
) -> None:
    user = {"maker": maker, "checker": checker}[who]

    approval = decide("reject", ask(), user)

    expected = {"maker": Status.WITHDRAWN, "checker": Status.REJECTED}[who]
    assert (approval.status, approval.checker, approval.answer) == (expected, user, "not today")
    entry = AuditEntry.objects.get(verb=f"door.open.{word}")
    assert (entry.actor, entry.object_id, entry.reason) == (f"user:{user.username}", approval.public_id, "not today")


def test_what_nobody_decided_is_closed_once_when_its_time_is_over(ask: Callable[..., Approval]) -> None:
    approval, task = ask(), Actor.task("expire")
    assert not approvals.expire(approval=approval, actor=task)

    with time_machine.travel(approval.expires_at):
        assert [approvals.expire(approval=row, actor=task) for row in [*approvals.overdue(), approval]] == [True, False]

    approval.refresh_from_db()
    assert (approval.status, approval.checker) == (Status.EXPIRED, None)
    assert AuditEntry.objects.filter(verb="door.open.expire", actor="task:expire").count() == 1


def test_what_whoever_agrees_has_to_say_is_kept_without_card_numbers(
    ask: Callable[..., Approval], checker: User
) -> None:
    approval = ask()
    approval.answer = "seen with 4242 4242 4242 4242"

    agreed = approvals.approve(approval=approval, checker=checker)

    assert "seen" in agreed.answer
    assert "4242 4242" not in agreed.answer


@pytest.mark.django_db(transaction=True)
def test_of_many_who_agree_at_the_same_moment_one_carries_it_out(ask: Callable[..., Approval]) -> None:
    approval = ask()
    checkers = [User.objects.create_user(f"checker {number}") for number in range(4)]
    start = threading.Barrier(len(checkers))
    carried_out: list[User] = []
    refusals: list[Refusal] = []

    def agree(checker: User) -> None:
        start.wait(10)
        try:
            with transaction.atomic():
                approvals.approve(approval=approval, checker=checker)
                carried_out.append(checker)
        except Refusal as refusal:
            refusals.append(refusal)
        finally:
            connection.close()

    threads = [threading.Thread(target=agree, args=[checker]) for checker in checkers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    approval.refresh_from_db()
    assert carried_out == [approval.checker]
    assert [refusal.code for refusal in refusals] == ["approval_not_open"] * 3


def is_held_up(pid: int) -> bool:
    """Whether a connection waits for another one's transaction to end."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT cardinality(pg_blocking_pids(%s)) > 0", [pid])
        return bool(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("has_an_earlier_one_expired", [False, True])
def test_of_two_who_ask_for_the_same_at_once_the_second_is_told_and_may_go_on(
    ask: Callable[..., Approval], maker: User, checker: User, has_an_earlier_one_expired: bool
) -> None:
    if has_an_earlier_one_expired:
        ask()
        Approval.objects.update(expires_at=clock.now())
    pids: list[int] = []

    def second() -> str:
        try:
            with transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_backend_pid()")
                    pids.append(cursor.fetchone()[0])
                try:
                    ask(maker=checker)
                except AlreadyRequested:
                    User.objects.filter(pk=checker.pk).update(first_name="went on")
                    return "refused"
                return "heard"
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            first = ask()
            running = pool.submit(second)
            until = time.monotonic() + 20
            while not (pids and is_held_up(pids[0])) and not running.done():
                assert time.monotonic() < until
                time.sleep(0.01)
        end = running.result(20)

    assert end == "refused"
    assert Approval.objects.get(status=Status.REQUESTED) == first
    checker.refresh_from_db()
    assert checker.first_name == "went on"


@pytest.mark.django_db(transaction=True)
def test_of_many_who_ask_for_the_same_at_the_same_moment_one_is_heard(ask: Callable[..., Approval]) -> None:
    start = threading.Barrier(4)

    def one(number: int) -> str:
        start.wait(10)
        try:
            ask(reason=f"parcel {number}")
        except AlreadyRequested:
            return "refused"
        finally:
            connection.close()
        return "heard"

    with ThreadPoolExecutor(4) as pool:
        ends = list(pool.map(one, range(4)))

    assert sorted(ends) == ["heard", "refused", "refused", "refused"]
    assert Approval.objects.get().status == Status.REQUESTED
