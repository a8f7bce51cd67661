"""Does somebody on duty see what waits, the oldest first, why it waits, and how much of it there is?"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from checkout.kit import clock, ids
from checkout.kit.models import AuditEntry, User
from checkout.settings import policy
from payments.models import Attempt, Payment
from payments.statuses import AttemptStatus
from tests.desk import at_desk, badge_of, browser_of, fields_of, queries_of, text_of
from tests.simulation import Simulation

UNKNOWN = "/admin/payments/attempt/unknown/"
STUCK = "/admin/payments/payment/stuck/"
HOME = "/admin/"
Lose = Callable[..., Payment]


@contextmanager
def minutes_ago(minutes: int) -> Iterator[None]:
    """A while ago, by every clock."""
    then = clock.now() - timedelta(minutes=minutes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ids, "_last", 0)
        patch.setattr(clock, "now", lambda: then)
        patch.setattr(ids.time, "time_ns", lambda: int(then.timestamp() * 1e9))
        yield


@pytest.fixture
def lost(simulation: Simulation, created_payment: Any, carry_out: Callable[[], int], eur: Any) -> Lose:
    """`lost(minutes=20)`: a payment of which nobody knows the outcome, for so long."""

    def lose(minutes: int = 0, amount: int = 75_00) -> Payment:
        with minutes_ago(minutes):
            simulation.change("north", behaviour="charge_then_500")
            payment: Payment = created_payment(eur(amount), confirm=True)
            carry_out()
            simulation.calm()
        return payment

    return lose


def test_unknown_outcomes_are_told_with_what_was_heard_last_and_what_comes_next(lost: Lose) -> None:
    new, old = lost(), lost(minutes=90, amount=12_00)

    said = text_of(at_desk("Read-only").get(UNKNOWN))

    assert "Unknown outcomes" in said
    assert said.index(old.public_id) < said.index(new.public_id)
    for words in ("75.00 EUR", "12.00 EUR", "90 min", "North", "response at", "ask North at", "overdue by"):
        assert words in said, words


def test_they_are_found_by_age_and_leave_when_they_are_known(lost: Lose) -> None:
    new, old = lost(), lost(minutes=90)
    browser = at_desk("Operations")

    for age, both in (("quarter", False), ("hour", False), ("day", None)):
        said = text_of(browser.get(f"{UNKNOWN}?age={age}"))
        assert new.public_id not in said
        assert (old.public_id in said) is (both is not None), age
    Attempt.objects.filter(payment=old).update(status=AttemptStatus.ABANDONED, next_action_at=None)
    assert old.public_id not in text_of(browser.get(UNKNOWN))


def test_all_of_them_are_asked_about_at_once(lost: Lose) -> None:
    payments = [lost(minutes=20), lost(minutes=30)]
    Attempt.objects.update(next_action_at=clock.seconds_from_now(3600))
    browser = at_desk("Operations")
    keys = [str(key) for key in Attempt.objects.values_list("pk", flat=True)]

    shown = browser.post(UNKNOWN, {"action": "bulk-ask", "_selected_action": keys, "index": 0})
    answer = browser.post(
        f"{UNKNOWN}bulk-ask/", {**fields_of(shown.content.decode()), "reason": "the gateway says it is well"}
    )

    assert "2 done, 0 refused" in text_of(browser.get(answer["Location"]))
    assert "North is being asked." in text_of(browser.get(answer["Location"]))
    assert not Attempt.objects.filter(next_action_at__gt=clock.now()).exists()
    assert AuditEntry.objects.filter(verb="attempt.ask", actor="user:a Operations").count() == len(payments)


def test_one_that_is_being_canceled_is_left_out_in_words(lost: Lose) -> None:
    lost(minutes=20)
    Attempt.objects.update(next_action="cancel")
    browser = at_desk("Operations")
    [key] = Attempt.objects.values_list("pk", flat=True)

    shown = browser.post(UNKNOWN, {"action": "bulk-ask", "_selected_action": [str(key)], "index": 0})

    assert "Something else is done about it: next: make sure at North that it never charges" in text_of(shown)
    assert "There is nothing to be done here." in text_of(shown)


def test_stuck_payments_say_what_they_wait_for(
    lost: Lose, created_payment: Any, captured_payment: Any, eur: Any
) -> None:
    done = captured_payment(eur(5_00))
    with minutes_ago(90):
        forgotten = created_payment(eur(9_00))  # and the clean-up has not run
    new, old = lost(), lost(minutes=90)
    browser = at_desk("Read-only")

    said = text_of(browser.get(STUCK))

    assert old.public_id in said
    assert forgotten.public_id in said
    assert done.public_id not in said
    assert new.public_id not in said
    assert "authorize, next: ask North at" in said
    assert "being confirmed, until" in said
    assert "2 payments" in said
    assert "1 payment" in text_of(browser.get(f"{STUCK}?status__exact=created"))


def test_a_queue_takes_the_same_number_of_queries_however_long_it_is(lost: Lose) -> None:
    browser = at_desk("Operations")
    lost(minutes=20)
    for address in (UNKNOWN, STUCK):
        browser.get(address)
    before = [queries_of(lambda: browser.get(address)) for address in (UNKNOWN, STUCK)]  # noqa: B023

    for number in range(4):
        lost(minutes=20 + number)

    assert [queries_of(lambda: browser.get(address)) for address in (UNKNOWN, STUCK)] == before  # noqa: B023
    assert max(before) <= 16


def test_the_sidebar_counts_what_waits_in_one_query_and_stops_counting(
    lost: Lose, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = at_desk("Operations")
    browser.get(UNKNOWN)
    for _ in range(3):
        lost(minutes=20)

    html = browser.get(UNKNOWN).content.decode()
    assert badge_of(html, UNKNOWN) == badge_of(html, STUCK) == "3"
    assert badge_of(html, "/admin/gateways/notice/unmatched/") == ""
    monkeypatch.setattr(policy, "QUEUE_COUNT", 2)
    assert badge_of(browser.get(UNKNOWN).content.decode(), UNKNOWN) == "2+"


def test_whoever_may_not_see_a_queue_is_neither_led_nor_let_there(lost: Lose) -> None:
    lost(minutes=20)
    browser = browser_of(User.objects.create_user("nobody", is_staff=True))

    assert browser.get(UNKNOWN).status_code == 403
    assert browser.get(STUCK).status_code == 403
    assert UNKNOWN not in browser.get(HOME).content.decode()
