"""A closed day stays as it was: what is told of it later goes to the next open day, and never gets lost."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from threading import Event, Thread
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from checkout.kit.money import Money
from checkout.settings import policy
from gateways.models import Gateway
from ledger import recipes
from ledger.errors import DayNotOver
from ledger.models import ClearingItem, ClosedDay, JournalEntry, Posting
from ledger.services import lock_days, record_entries


def days_ago(count: int) -> date:
    return datetime.now(UTC).date() - timedelta(days=count)


@pytest.fixture
def close(acme) -> Callable[..., ClosedDay]:
    def close(on: date, currency: str = "USD", mode: str = "test", **more: Any) -> ClosedDay:
        sums = ("opening_minor", "movement_minor", "matched_minor", "closing_minor", "file_minor", "exceptions_minor")
        return ClosedDay.objects.create(
            gateway=acme, mode=mode, currency=currency, on=on, closed_by="test", **dict.fromkeys(sums, 0), **more
        )

    return close


@pytest.fixture
def south(db) -> Gateway:
    return Gateway.objects.create(
        code="south",
        name="South",
        adapter="south",
        mode="test",
        data_format="json",
        base_url="http://127.0.0.1:1",
        currencies=["USD"],
    )


@pytest.fixture
def tell(fact, record, usd) -> Callable[..., date]:
    """Post a capture of some day; the accounting day it went to."""

    def tell(on: date, reference: str = "att_1", amount: Money | None = None, **more: Any) -> date:
        at = datetime(on.year, on.month, on.day, 12, tzinfo=UTC)
        record([recipes.capture(amount=amount or usd(100), occurred_at=at, **fact(reference, **more))])
        return JournalEntry.objects.get(kind="capture", reference=reference).occurred_on

    return tell


@pytest.mark.django_db
def test_an_open_day_keeps_its_facts(tell):
    assert tell(days_ago(3)) == days_ago(3)


@pytest.mark.django_db
def test_what_is_told_of_a_closed_day_goes_to_the_next_open_one(close, tell):
    close(days_ago(3))
    close(days_ago(2))

    assert tell(days_ago(3)) == days_ago(1)
    assert ClearingItem.objects.get().occurred_on == days_ago(1)


@pytest.mark.django_db
def test_what_is_told_of_a_day_on_which_nothing_moved_stays_out_of_what_later_closed_days_began_with(close, tell):
    close(days_ago(2))
    assert tell(days_ago(4)) == days_ago(1)


@pytest.mark.django_db
def test_with_every_day_closed_it_is_today(close, tell):
    for count in (1, 2, 3):
        close(days_ago(count))
    assert tell(days_ago(3)) == days_ago(0)


@pytest.mark.django_db
def test_the_same_fact_of_a_day_closed_since_is_still_the_same(close, tell):
    tell(days_ago(3))
    close(days_ago(3))
    assert tell(days_ago(3)) == days_ago(3)
    assert Posting.objects.count() == 2


@pytest.mark.django_db
def test_a_day_that_was_opened_again_takes_facts(close, tell):
    close(days_ago(3), reopened_at=datetime.now(UTC))
    assert tell(days_ago(3)) == days_ago(3)


@pytest.mark.django_db
def test_other_currencies_modes_and_gateways_are_not_concerned(close, tell, south):
    close(days_ago(3))
    assert tell(days_ago(3), "att_1", Money(100, "EUR")) == days_ago(3)
    assert tell(days_ago(3), "att_2", mode="live") == days_ago(3)
    assert tell(days_ago(3), "att_3", gateway_id=south.pk) == days_ago(3)
    assert tell(days_ago(3), "att_4") == days_ago(2)


@pytest.mark.django_db
def test_an_entry_in_two_currencies_goes_where_both_are_open(close, fact, record, usd):
    close(days_ago(3), "USD")
    close(days_ago(2), "EUR")
    at = datetime.now(UTC) - timedelta(days=3)
    dollars = recipes.capture(amount=usd(1), occurred_at=at, **fact())
    euros = recipes.capture(amount=Money(1, "EUR"), **fact())
    record([replace(dollars, postings=dollars.postings + euros.postings)])
    assert JournalEntry.objects.get().occurred_on == days_ago(1)


@pytest.mark.django_db
def test_what_no_gateway_has_a_part_in_keeps_its_day(close, record, usd):
    close(days_ago(3))
    at = datetime.now(UTC) - timedelta(days=3)
    record([recipes.bank_fee(fee=usd(1_50), mode="test", reference="bank_1", occurred_at=at)])
    assert JournalEntry.objects.get().occurred_on == days_ago(3)


@pytest.mark.django_db(transaction=True)
def test_moving_to_an_open_day_is_no_further_statement(close, tell, fact, usd, django_assert_num_queries):
    tell(days_ago(3), "att_1")
    close(days_ago(3))
    at = datetime.now(UTC) - timedelta(days=3)
    drafts = [recipes.capture(amount=usd(100), occurred_at=at, **fact("att_2"))]
    with transaction.atomic(), django_assert_num_queries(1):
        record_entries(drafts)
    assert JournalEntry.objects.get(reference="att_2").occurred_on == days_ago(2)


@pytest.mark.django_db(transaction=True)
def test_the_database_refuses_an_entry_in_a_closed_day_whoever_writes_it(close, tell, acme):
    tell(days_ago(1))
    accounts = list(Posting.objects.order_by("id").values_list("account_id", flat=True))
    close(days_ago(3))

    def write(on: date, reference: str) -> None:
        with transaction.atomic():
            entry = JournalEntry.objects.create(
                kind="capture", reference=reference, mode="test", gateway=acme, body_hash=b"", occurred_on=on
            )
            Posting.objects.bulk_create(
                Posting(
                    entry=entry, account_id=account, currency="USD", amount_minor=amount, created_at=entry.created_at
                )
                for account, amount in zip(accounts, (5, -5), strict=True)
            )

    write(days_ago(2), "att_2")
    with pytest.raises(IntegrityError, match="accounting day of this entry is closed"):
        write(days_ago(3), "att_3")
    assert sorted(JournalEntry.objects.values_list("reference", flat=True)) == ["att_1", "att_2"]


class Elsewhere:
    """Another connection, in a thread of its own, that stops half-way until it is told to go on."""

    def __init__(self, work: Callable[["Elsewhere"], None]) -> None:
        self.is_there, self.go_on = Event(), Event()
        self.error: BaseException | None = None
        self._thread = Thread(target=self._run, args=[work])
        self._thread.start()
        assert self.is_there.wait(10)

    def _run(self, work: Callable[["Elsewhere"], None]) -> None:
        try:
            work(self)
        except BaseException as error:
            self.error = error
        finally:
            self.is_there.set()
            connection.close()

    def pause(self) -> None:
        """Called by the work: half-way."""
        self.is_there.set()
        assert self.go_on.wait(10)

    def finish(self) -> None:
        """Called by the test: let it end."""
        self.go_on.set()
        self._thread.join(10)
        assert not self._thread.is_alive()
        if self.error:
            raise self.error


@pytest.fixture
def elsewhere() -> Iterator[Callable[..., Elsewhere]]:
    started: list[Elsewhere] = []

    def start(work: Callable[[Elsewhere], None]) -> Elsewhere:
        started.append(Elsewhere(work))
        return started[-1]

    yield start
    for other in started:
        other.go_on.set()


@pytest.mark.django_db(transaction=True)
def test_a_fact_told_while_its_day_is_being_closed_goes_to_today_and_does_not_wait(elsewhere, close, tell, acme):
    tell(days_ago(3), "att_1")

    def closing(other: Elsewhere) -> None:
        with transaction.atomic():
            lock_days(gateway_id=acme.pk, mode="test", currency="USD", until=days_ago(3))
            other.pause()
            close(days_ago(3))

    other = elsewhere(closing)
    assert tell(days_ago(3), "att_2") == days_ago(0)
    other.finish()
    assert tell(days_ago(3), "att_3") == days_ago(2)


@pytest.mark.django_db(transaction=True)
def test_closing_waits_for_whoever_is_writing_into_the_past(elsewhere, fact, usd, acme, tell):
    tell(days_ago(3), "att_1")
    at = datetime.now(UTC) - timedelta(days=3)

    def writing(other: Elsewhere) -> None:
        with transaction.atomic():
            record_entries([recipes.capture(amount=usd(100), occurred_at=at, **fact("att_2"))])
            other.pause()

    def closing(other: Elsewhere) -> None:
        other.is_there.set()
        with transaction.atomic():
            lock_days(gateway_id=acme.pk, mode="test", currency="USD", until=days_ago(3))
            seen.append(JournalEntry.objects.filter(occurred_on=days_ago(3)).count())

    seen: list[int] = []
    writer = elsewhere(writing)
    closer = elsewhere(closing)
    closer._thread.join(0.3)
    assert seen == []
    writer.finish()
    closer.finish()
    assert seen == [2]


@pytest.mark.django_db(transaction=True)
def test_a_day_is_not_over_while_something_that_began_on_it_runs(elsewhere, acme):
    def running(other: Elsewhere) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            other.pause()

    other = elsewhere(running)
    with pytest.raises(DayNotOver), transaction.atomic():
        lock_days(gateway_id=acme.pk, mode="test", currency="USD", until=days_ago(0))
    other.finish()


@pytest.mark.django_db(transaction=True)
def test_the_present_day_cannot_be_locked(acme, monkeypatch):
    monkeypatch.setattr(policy, "RECORD_LAG_SECONDS", 0)
    with pytest.raises(DayNotOver), transaction.atomic():
        lock_days(gateway_id=acme.pk, mode="test", currency="USD", until=days_ago(0))
    with transaction.atomic():
        lock_days(gateway_id=acme.pk, mode="test", currency="USD", until=days_ago(1))
