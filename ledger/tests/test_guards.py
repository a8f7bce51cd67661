"""What the database refuses by itself, whoever asks."""

from datetime import date

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError

from ledger.models import Account, JournalEntry, Posting


def entry(**fields) -> JournalEntry:
    defaults = {"kind": "capture", "reference": "att_9", "mode": "test", "body_hash": b"", "occurred_on": date.today()}
    return JournalEntry.objects.create(**(defaults | fields))


@pytest.fixture
def accounts(sold) -> list[Account]:
    """Two accounts in dollars, each already posted to."""
    sold()
    return list(Account.objects.filter(kind__in=["gateway_receivable", "merchant_pending"]).order_by("id"))


def post(journal_entry: JournalEntry, *legs: tuple[Account, int, str]) -> None:
    Posting.objects.bulk_create(
        Posting(
            entry=journal_entry,
            account=account,
            amount_minor=amount_minor,
            currency=currency,
            created_at=journal_entry.created_at,
        )
        for account, amount_minor, currency in legs
    )


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("amounts", [(), (100,), (100, -99), (100, 100)])
def test_an_entry_that_does_not_balance_cannot_be_committed(accounts, amounts):
    before = JournalEntry.objects.count()
    with pytest.raises(IntegrityError, match="does not balance"), transaction.atomic():
        post(entry(), *((account, amount, "USD") for account, amount in zip(accounts, amounts, strict=False)))
    assert JournalEntry.objects.count() == before


@pytest.mark.django_db(transaction=True)
def test_a_balance_across_currencies_is_none(accounts):
    euros = Account.objects.create(kind="bank", mode="test", currency="EUR")
    with pytest.raises(IntegrityError, match="does not balance"), transaction.atomic():
        post(entry(), (accounts[0], 100, "USD"), (euros, -100, "EUR"))


@pytest.mark.django_db(transaction=True)
def test_a_balanced_entry_is_committed(accounts):
    with transaction.atomic():
        post(entry(), (accounts[0], 100, "USD"), (accounts[1], -100, "USD"))
    assert Posting.objects.filter(entry__reference="att_9").count() == 2


@pytest.mark.django_db
def test_an_unbalanced_entry_is_seen_as_soon_as_constraints_are_checked(accounts):
    with transaction.atomic():
        post(entry(), (accounts[0], 100, "USD"))
        with pytest.raises(IntegrityError, match="does not balance"):
            connection.check_constraints()
        transaction.set_rollback(True)


@pytest.mark.django_db(transaction=True)
def test_even_a_balanced_pair_cannot_be_added_to_an_entry_later(accounts):
    old = JournalEntry.objects.get(kind="capture")
    with pytest.raises(IntegrityError, match="in the transaction of its entry"), transaction.atomic():
        post(old, (accounts[0], 5, "USD"), (accounts[1], -5, "USD"))
    assert old.postings.count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_posting_cannot_be_dated_otherwise_than_its_entry(accounts):
    with pytest.raises(IntegrityError, match="in the transaction of its entry"), transaction.atomic():
        Posting.objects.create(
            entry=entry(), account=accounts[0], amount_minor=1, currency="USD", created_at="2020-01-01T00:00Z"
        )


@pytest.mark.django_db
def test_a_posting_cannot_have_another_currency_than_its_account(accounts):
    with pytest.raises(IntegrityError, match="posting_currency_of_account"), transaction.atomic():
        post(entry(), (accounts[0], 100, "EUR"), (accounts[1], -100, "EUR"))


@pytest.mark.django_db
def test_a_posting_of_nothing_is_refused(accounts):
    with pytest.raises(IntegrityError, match="posting_amount_not_zero"), transaction.atomic():
        post(entry(), (accounts[0], 0, "USD"))


@pytest.mark.django_db
def test_a_name_is_for_one_entry(accounts):
    with pytest.raises(IntegrityError, match="journal_entry_once"), transaction.atomic():
        entry(reference="att_1")


@pytest.mark.django_db
@pytest.mark.parametrize("table", ["ledger_journalentry", "ledger_posting"])
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE {} SET created_at = now()",
        "UPDATE {} SET created_at = now() WHERE false",
        "DELETE FROM {}",
        "TRUNCATE {} CASCADE",
    ],
)
def test_what_is_written_cannot_be_changed_removed_or_truncated(accounts, table, change):
    connection.check_constraints()  # a pending check would refuse TRUNCATE before the guard does
    with pytest.raises(IntegrityError, match="is append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(change.format(table))
    assert Posting.objects.count() == 4


@pytest.mark.django_db(transaction=True)
def test_an_upsert_is_a_change_as_well(accounts):
    old = JournalEntry.objects.get(kind="capture")
    with pytest.raises(IntegrityError, match="UPDATE is refused"), transaction.atomic():
        JournalEntry.objects.bulk_create(
            [old], update_conflicts=True, unique_fields=["id"], update_fields=["reference"]
        )


@pytest.mark.django_db(transaction=True)
def test_an_owner_with_money_in_the_ledger_cannot_be_deleted(accounts, ana):
    with pytest.raises(ProtectedError):
        ana.delete()


@pytest.mark.django_db(transaction=True)
def test_the_flush_of_the_tests_sets_the_guard_aside_and_puts_it_back(accounts, sold):
    call_command("flush", interactive=False, verbosity=0, inhibit_post_migrate=True)
    assert not Posting.objects.exists()

    bank = [Account.objects.create(kind=kind, mode="test", currency="USD") for kind in ("bank", "rounding")]
    with transaction.atomic():
        post(entry(), (bank[0], 100, "USD"), (bank[1], -100, "USD"))
    with pytest.raises(IntegrityError, match="is append-only"), connection.cursor() as cursor:
        cursor.execute("TRUNCATE ledger_posting")
    assert Posting.objects.count() == 2
