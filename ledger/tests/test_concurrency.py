"""Many at once: nothing is lost, nothing is doubled, nobody waits in a circle."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connection, transaction

from checkout.settings import policy
from ledger import chart, recipes, selectors
from ledger.errors import InsufficientBalance
from ledger.models import AccountBalance, JournalEntry
from ledger.services import forget_accounts, record_entries, reserve_refund

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    """Do the work in that many threads that start together; their results, or what they raised."""
    start = Barrier(count)

    def one(number: int) -> Any:
        try:
            start.wait(timeout=10)
            return work(number)
        except Exception as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def test_ten_threads_posting_to_one_merchant_end_at_exactly_the_sum(fact, ana, balance, usd):
    def post(thread: int) -> None:
        for number in range(10):
            with transaction.atomic():
                record_entries(
                    recipes.for_capture(
                        amount=usd(100_00),
                        gateway_fee=usd(3_20),
                        platform_fee=usd(3_50),
                        tax=usd(70),
                        release=True,
                        **fact(f"att_{thread}_{number}"),
                    )
                )

    assert at_once(10, post) == [None] * 10
    assert balance(chart.merchant_available(ana.pk)) == usd(100 * 95_80)
    (row,) = [row for row in selectors.trial_balance(mode="test") if row.account.kind == "merchant_available"]
    assert row.amount == usd(100 * 95_80)


def test_of_two_refunds_that_together_exceed_what_is_available_exactly_one_wins(
    sold, fact, ana, balance, usd, monkeypatch
):
    monkeypatch.setattr(policy, "REFUND_BEYOND_AVAILABLE", False)
    sold(100_00)

    def refund(thread: int) -> None:
        with transaction.atomic():
            reserve_refund(amount=usd(60_00), **fact(f"att_refund_{thread}"))

    results = at_once(2, refund)
    assert sorted(map(type, results), key=str) == sorted([type(None), InsufficientBalance], key=str)
    assert balance(chart.merchant_available(ana.pk)) == usd(40_00)
    assert balance(chart.refund_in_flight(ana.pk)) == usd(60_00)
    assert JournalEntry.objects.filter(kind="refund_requested").count() == 1


def test_refunds_at_once_never_take_more_than_is_available_and_the_rest_is_owed(sold, fact, ana, balance, usd):
    sold(100_00)

    def refund(thread: int) -> None:
        with transaction.atomic():
            reserve_refund(amount=usd(30_00), **fact(f"att_refund_{thread}"))
        if thread % 2:
            with transaction.atomic():
                record_entries(recipes.for_refund_failed(requested=selectors.refund_requested(f"att_refund_{thread}")))

    assert at_once(8, refund) == [None] * 8
    available, owed = balance(chart.merchant_available(ana.pk)), balance(chart.merchant_receivable(ana.pk))
    assert balance(chart.refund_in_flight(ana.pk)) == usd(120_00)
    assert available - owed == -usd(20_00)
    assert available >= usd(0)
    assert owed >= usd(0)


def test_the_same_fact_from_many_sides_at_once_is_posted_once(fact, ana, balance, usd):
    def post(thread: int) -> None:
        with transaction.atomic():
            record_entries([recipes.funds_released(amount=usd(100), **fact())])

    assert at_once(6, post) == [None] * 6
    assert balance(chart.merchant_available(ana.pk)) == usd(100)
    assert JournalEntry.objects.count() == 1


def test_accounts_opened_by_many_at_once_are_opened_once(fact, usd):
    def post(thread: int) -> None:
        forget_accounts()
        with transaction.atomic():
            record_entries(
                recipes.for_capture(
                    amount=usd(10),
                    gateway_fee=usd(1),
                    platform_fee=usd(2),
                    tax=usd(1),
                    release=True,
                    **fact(f"att_{thread}"),
                )
            )

    assert at_once(6, post) == [None] * 6
    assert AccountBalance.objects.get().balance_minor == -42
