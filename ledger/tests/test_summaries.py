"""What has been summed up, and the rest, is always the whole: at any instant, on any day, whoever writes meanwhile."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from threading import Event, Thread
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import Sum

from checkout.settings import policy
from ledger import chart, recipes, selectors
from ledger.models import Account, AccountDay, AccountSnapshot, JournalEntry, Posting, SummaryCutoff
from ledger.services import periods, record_entries, reserve_refund, summarize

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "RECORD_LAG_SECONDS", 0)


def midnight(days_ago: int) -> datetime:
    return datetime.combine(datetime.now(UTC).date(), datetime.min.time(), UTC) - timedelta(days=days_ago)


def naive_balances(at: datetime | None = None) -> dict[int, int]:
    rows = Posting.objects.all() if at is None else Posting.objects.filter(created_at__lte=at)
    return {pk: int(total) for pk, total in rows.values_list("account").annotate(Sum("amount_minor")).order_by()}


def known_balances(at: datetime | None = None) -> dict[int, int]:
    return {row.account.pk: row.sum.amount_minor for row in selectors.trial_balance(mode="test", at=at)}


def naive_movements() -> dict[tuple[int, date, str], tuple[int, int, int]]:
    moved: dict[tuple[int, date, str], tuple[int, int, int]] = {}
    for leg in Posting.objects.select_related("entry"):
        key = (leg.account_id, leg.entry.occurred_on, leg.entry.kind)
        debit, credit, count = moved.get(key, (0, 0, 0))
        moved[key] = (debit + max(leg.amount_minor, 0), credit + max(-leg.amount_minor, 0), count + 1)
    return moved


def known_movements(**when: Any) -> dict[tuple[int, date, str], tuple[int, int, int]]:
    return {
        (row.account_id, row.on, row.kind): (row.debit_minor, row.credit_minor, row.posting_count)
        for row in selectors.movements(Account.objects.all(), **when)
    }


@pytest.fixture
def story(sold: Callable[..., None], backdate: Callable[..., None], fact, record, usd) -> Callable[[], None]:
    """Sales over four days of the record, one of them at midnight, a refund, and a day on which nothing happens."""

    def tell() -> None:
        for number, days, hours in ((1, 4, 1), (2, 4, 2), (3, 3, 0), (4, 1, 4), (5, 0, 0)):
            sold(number * 10_00, reference=f"att_{number}")
            backdate(f"att_{number}", midnight(days) + timedelta(hours=hours))
        with transaction.atomic():
            reserve_refund(amount=usd(5_00), **fact("rfd_1"))
        record(recipes.for_refund_succeeded(amount=usd(5_00), **fact("rfd_1")))

    return tell


def test_sums_are_the_same_before_and_after_they_are_rolled_up(story) -> None:
    story()
    before = (known_balances(), known_movements())
    assert before == (naive_balances(), naive_movements())

    summarize()

    assert (known_balances(), known_movements()) == before
    assert AccountDay.objects.aggregate(Sum("posting_count"))["posting_count__sum"] == Posting.objects.count()


def test_every_midnight_that_was_passed_has_its_snapshots(story, ana) -> None:
    story()
    summarize()
    available = Account.objects.get(kind="merchant_available")
    taken = AccountSnapshot.objects.filter(account=available).order_by("at").values_list("at", "balance_minor")
    assert list(taken) == [(midnight(3), -30_00), (midnight(2), -60_00), (midnight(0), -100_00)]


def test_a_balance_as_of_any_instant_needs_no_snapshot_of_its_own(story) -> None:
    story()
    instants = [midnight(days) + timedelta(hours=hours) for days in range(6) for hours in (0, 1, 2, 3, 12)]
    instants += [instant - timedelta(microseconds=1) for instant in instants]
    expected = {instant: naive_balances(instant) for instant in instants}
    summarize()
    assert {instant: known_balances(instant) for instant in instants} == expected


def test_summing_up_goes_on_where_it_stopped(story, sold, fact, record, usd) -> None:
    story()
    until = summarize()
    assert until == SummaryCutoff.objects.get().at
    AccountDay.objects.update(debit_minor=0, credit_minor=0, posting_count=0)  # if it began again, this would be undone
    sold(7_00, reference="att_9")
    later = summarize()

    assert until is not None
    assert later > until
    assert sum(day.posting_count for day in AccountDay.objects.all()) == 4


def test_it_can_be_done_afresh(story) -> None:
    story()
    summarize()
    AccountDay.objects.update(debit_minor=1)
    AccountSnapshot.objects.update(balance_minor=1)
    summarize(afresh=True)
    assert (known_balances(), known_movements()) == (naive_balances(), naive_movements())
    assert AccountSnapshot.objects.exists()


def test_an_empty_ledger_has_nothing_to_sum_up(db) -> None:
    assert summarize() is None
    assert selectors.movements([]) == []


def test_what_began_before_and_ends_later_is_not_forgotten(sold, fact, usd, ana) -> None:
    """A posting has the time at which its transaction began, and may appear long after it."""
    sold(10_00, reference="att_1")
    is_open, go_on = Event(), Event()

    def slow() -> None:
        with transaction.atomic():
            record_entries(recipes.for_late_success(amount=usd(3_00), **fact("att_2")))
            is_open.set()
            go_on.wait(10)
        connection.close()

    writer = Thread(target=slow)
    writer.start()
    assert is_open.wait(10)
    sold(20_00, reference="att_3")
    until = summarize()
    go_on.set()
    writer.join(10)

    late = JournalEntry.objects.get(kind="late_success")
    assert until is not None
    assert until <= late.created_at
    assert (known_balances(), known_movements()) == (naive_balances(), naive_movements())
    summarize()
    assert (known_balances(), known_movements()) == (naive_balances(), naive_movements())
    assert AccountDay.objects.filter(kind="late_success").count() == 2


def test_what_somebody_else_is_summing_up_is_left_to_them(story) -> None:
    story()
    is_at_it, go_on = Event(), Event()

    def other() -> None:
        with transaction.atomic():
            assert periods._is_ours(periods._SUMMARIES)
            is_at_it.set()
            go_on.wait(10)
        connection.close()

    worker = Thread(target=other)
    worker.start()
    assert is_at_it.wait(10)
    assert summarize() is None
    go_on.set()
    worker.join(10)
    summarize()
    assert (known_balances(), known_movements()) == (naive_balances(), naive_movements())


def test_movements_are_of_the_days_and_accounts_that_were_asked_for(sold, record, fact, usd, ana) -> None:
    for number, days in enumerate((3, 2, 1), start=1):
        at = midnight(days) + timedelta(hours=12)
        record([recipes.funds_released(amount=usd(number * 100), occurred_at=at, **fact(f"att_{number}"))])
        if number == 2:
            summarize()
    available = Account.objects.filter(kind="merchant_available")
    first, last = midnight(2).date(), midnight(1).date()

    assert [(row.on, row.kind, row.sum_minor) for row in selectors.movements(available, first=first, last=last)] == [
        (first, "funds_released", -200),
        (last, "funds_released", -300),
    ]
    assert [row.sum_minor for row in selectors.movements(available, last=first)] == [-100, -200]
    pending = Account.objects.get(kind="merchant_pending")
    assert selectors.balances_at_end_of(first, [*available, pending]) == {
        available[0].pk: -usd(300),
        pending.pk: usd(300),
    }
    assert selectors.balances_at_end_of(midnight(9).date(), available) == {available[0].pk: usd(0)}
    assert [row.sum_minor for row in selectors.movements(available, first=last)] == [-300]


def test_a_late_fact_moves_the_day_that_it_is_of(record, fact, usd) -> None:
    record([recipes.funds_released(amount=usd(100), occurred_at=midnight(3), **fact("att_1"))])
    summarize()
    record([recipes.funds_released(amount=usd(50), occurred_at=midnight(3), **fact("att_2"))])
    available = Account.objects.filter(kind="merchant_available")
    for _ in range(2):
        assert [(row.on, row.credit_minor) for row in selectors.movements(available)] == [(midnight(3).date(), 150)]
        summarize()


def test_the_merchant_and_the_platform_each_have_their_view(sold, fact, record, ana, usd) -> None:
    sold(10_00)
    instant = JournalEntry.objects.latest("created_at").created_at
    record([recipes.bank_fee(fee=usd(1_50), mode="test", reference="bank_1")])

    ours = {row.account.kind: row.amount for row in selectors.platform_balances(mode="test", currency="USD")}
    assert ours == {"bank": -usd(1_50), "gateway_receivable": usd(10_00), "bank_fee": usd(1_50)}
    assert [row.account.kind for row in selectors.platform_balances(mode="test", at=instant)] == ["gateway_receivable"]
    theirs = {row.account.kind: row.amount for row in selectors.merchant_balances(merchant_id=ana.pk, mode="test")}
    assert theirs == {"merchant_pending": usd(0), "merchant_available": usd(10_00)}
    before = instant - timedelta(microseconds=1)
    assert selectors.merchant_balances(merchant_id=ana.pk, mode="test", at=before) == []


@pytest.mark.parametrize("at", [None, midnight(-1)])
def test_every_reading_is_one_statement(story, ana, django_assert_num_queries, at) -> None:
    story()
    summarize()
    with django_assert_num_queries(1):
        selectors.trial_balance(mode="test", at=at)
    with django_assert_num_queries(1):
        selectors.merchant_balances(merchant_id=ana.pk, mode="test", at=at)
    with django_assert_num_queries(1):
        selectors.balance_of(chart.merchant_available(ana.pk), mode="test", currency="USD", at=at)
    accounts = list(Account.objects.all())
    with django_assert_num_queries(1):
        selectors.movements(accounts)
