"""Does a request wait exactly as long as it must, holding nothing while it does?"""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection

from checkout.settings import policy
from payments import selectors, waiting
from payments.models import Attempt, Payment
from payments.statuses import AttemptStatus

pytestmark = pytest.mark.django_db(transaction=True)

Pay = Callable[..., Payment]


@pytest.fixture
def processing(created_payment: Pay, eur: Any) -> Payment:
    """A payment with an attempt in flight."""
    return created_payment(eur(50_00), confirm=True)


@pytest.fixture(autouse=True)
def _nobody_waits_on() -> Iterator[None]:
    yield
    assert waiting._waiter is None or waiting._waiter.count == 0


def settle(payment: Payment) -> None:
    Attempt.objects.filter(payment=payment).update(status=AttemptStatus.DECLINED, next_action_at=None)


def waited(payment: Payment, seconds: float) -> float:
    began = time.monotonic()
    waiting.until_settled(payment.pk, seconds)
    return time.monotonic() - began


def after(seconds: float, *actions: Callable[[], None]) -> threading.Thread:
    """Do something in another thread, as another process would."""

    def act() -> None:
        time.sleep(seconds)
        for action in actions:
            action()
        connection.close()

    thread = threading.Thread(target=act)
    thread.start()
    return thread


def test_it_ends_when_the_payment_is_settled(processing: Payment) -> None:
    thread = after(0.3, lambda: settle(processing), lambda: waiting.announce(processing.pk))

    assert 0.25 < waited(processing, 10) < 3

    thread.join()
    assert selectors.is_settled(processing.pk)


def test_without_any_news_it_looks_for_itself(processing: Payment) -> None:
    thread = after(0.3, lambda: settle(processing))

    assert 0.25 < waited(processing, 10) < 3
    thread.join()


def test_it_ends_in_time_if_nothing_happens_and_nothing_is_left_of_it(processing: Payment) -> None:
    assert 0.3 <= waited(processing, 0.3) < 1.5
    assert waiting._waiter is not None
    assert processing.pk not in waiting._waiter.waiting


def test_what_is_settled_is_not_waited_for(processing: Payment) -> None:
    settle(processing)

    assert waited(processing, 10) < 3


def test_who_waits_holds_no_connection(processing: Payment) -> None:
    connection.ensure_connection()
    held: list[bool] = []
    waiter = threading.Thread(
        target=lambda: (
            connection.ensure_connection(),
            after(0.1, lambda: None).join(),
            waiting.until_settled(processing.pk, 0.2),
            held.append(connection.connection is not None),
        )
    )
    waiter.start()
    waiter.join()

    assert held == [False]


def test_one_payments_outcome_wakes_all_who_wait_for_it_and_nobody_else(
    processing: Payment, created_payment: Pay, eur: Any
) -> None:
    other = created_payment(eur(50_00), confirm=True)
    seconds: dict[str, float] = {}

    def wait(name: str, payment: Payment) -> threading.Thread:
        thread = threading.Thread(target=lambda: seconds.update({name: waited(payment, 1.5)}))
        thread.start()
        return thread

    threads = [wait("one", processing), wait("two", processing), wait("other", other)]
    after(0.2, lambda: settle(processing)).join()
    for thread in threads:
        thread.join()

    assert seconds["one"] < 1.4
    assert seconds["two"] < 1.4
    assert seconds["other"] >= 1.5


def test_beyond_the_cap_nobody_waits(processing: Payment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "MAX_WAITING_REQUESTS", 2)
    waiting.until_settled(processing.pk, 0)
    assert waiting._waiter is not None
    waiters = [threading.Thread(target=lambda: waited(processing, 1.0)) for _ in range(2)]
    for waiter in waiters:
        waiter.start()
    while waiting._waiter.count < 2:
        time.sleep(0.01)

    assert waited(processing, 10) < 0.5

    for waiter in waiters:
        waiter.join()


def test_all_who_wait_are_looked_up_in_one_query(
    created_payment: Pay, eur: Any, django_assert_num_queries: Any
) -> None:
    payments = [created_payment(eur(50_00), confirm=True) for _ in range(4)]
    settle(payments[0])

    with django_assert_num_queries(1):
        assert selectors.settled_among(payment.pk for payment in payments) == {payments[0].pk}
