"""Facts are filed once, cheaply and whole; requests are refused where the money is not there."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from checkout.kit.money import Money
from checkout.settings import policy
from ledger import chart, recipes, selectors
from ledger.errors import InsufficientBalance, LedgerConflict
from ledger.models import Account, JournalEntry, Posting
from ledger.services import record_entries, reserve_refund


def written() -> tuple[int, int]:
    return JournalEntry.objects.count(), Posting.objects.count()


@pytest.mark.django_db
def test_the_same_fact_told_twice_is_posted_once(ana, fact, record, balance, usd):
    told = [recipes.capture(amount=usd(100), **fact()), recipes.funds_released(amount=usd(100), **fact())]
    record(told)
    record([replace(draft, occurred_at=draft.occurred_at + timedelta(days=1)) for draft in told])

    assert written() == (2, 4)
    assert balance(chart.merchant_available(ana.pk)) == usd(100)


@pytest.mark.django_db
def test_the_same_fact_twice_in_one_telling_is_posted_once(ana, fact, record, balance, usd):
    record([recipes.funds_released(amount=usd(100), **fact())] * 2)
    assert written() == (1, 2)
    assert balance(chart.merchant_available(ana.pk)) == usd(100)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "other", [{"gateway_reference": "acme-2"}, {"payment_reference": "pay_2"}, {"mode": "live"}, {"merchant_id": None}]
)
def test_another_fact_under_the_same_name_is_refused_and_leaves_no_trace(fact, record, usd, other):
    draft = recipes.capture(amount=usd(100), **fact())
    record([draft])
    before = written()

    with pytest.raises(LedgerConflict):
        record([replace(draft, reference="att_2"), replace(draft, **other)])

    assert written() == before


@pytest.mark.django_db
def test_another_amount_under_the_same_name_is_refused(fact, record, usd):
    record([recipes.capture(amount=usd(100), **fact())])
    with pytest.raises(LedgerConflict):
        record([recipes.capture(amount=usd(101), **fact())])


@pytest.mark.django_db
def test_modes_and_currencies_never_meet(ana, fact, record, usd):
    record([recipes.funds_released(amount=usd(100), **fact())])
    record([recipes.funds_released(amount=Money(7, "EUR"), **fact("att_2"))])
    record([recipes.funds_released(amount=usd(9), **fact("att_3", mode="live"))])

    available = chart.merchant_available(ana.pk)
    assert selectors.balance_of(available, mode="test", currency="USD") == usd(100)
    assert selectors.balance_of(available, mode="test", currency="EUR") == Money(7, "EUR")
    assert selectors.balance_of(available, mode="live", currency="USD") == usd(9)


@pytest.mark.django_db
def test_a_negative_amount_cannot_turn_a_recipe_around(fact, usd):
    with pytest.raises(ValueError, match="negative"):
        recipes.capture(amount=usd(-1), **fact())
    with pytest.raises(ValueError, match="negative"):
        recipes.for_capture(
            amount=usd(10), gateway_fee=usd(0), platform_fee=usd(10), tax=usd(1), release=True, **fact()
        )


@pytest.mark.django_db
def test_a_refund_beyond_what_is_available_is_refused_and_leaves_no_trace(sold, fact, ana, balance, usd, monkeypatch):
    monkeypatch.setattr(policy, "REFUND_BEYOND_AVAILABLE", False)
    sold(50_00)
    before = written()

    with pytest.raises(InsufficientBalance) as refusal, transaction.atomic():
        reserve_refund(amount=usd(50_01), **fact("att_2"))

    assert (refusal.value.code, refusal.value.http_status) == ("insufficient_balance", 422)
    assert written() == before
    assert balance(chart.merchant_available(ana.pk)) == usd(50_00)
    assert balance(chart.refund_in_flight(ana.pk)) == usd(0)


@pytest.mark.django_db
def test_a_refund_of_exactly_what_is_available_is_taken(sold, fact, ana, balance, usd, monkeypatch):
    monkeypatch.setattr(policy, "REFUND_BEYOND_AVAILABLE", False)
    sold(50_00)
    reserve_refund(amount=usd(50_00), **fact("att_2"))
    assert balance(chart.merchant_available(ana.pk)) == usd(0)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("available", "from_available", "owed"), [(50_00, 50_00, 10_00), (0, 0, 60_00), (70_00, 60_00, 0)]
)
def test_what_a_refund_lacks_becomes_what_the_merchant_owes(
    sold, fact, ana, balance, usd, available, from_available, owed
):
    if available:
        sold(available)
    reserve_refund(amount=usd(60_00), **fact("att_2"))

    assert balance(chart.merchant_available(ana.pk)) == usd(available - from_available)
    assert balance(chart.merchant_receivable(ana.pk)) == usd(owed)
    assert balance(chart.refund_in_flight(ana.pk)) == usd(60_00)
    connection.check_constraints()


@pytest.mark.django_db(transaction=True)
def test_a_refusal_cannot_be_swallowed_and_committed(sold, fact, usd, monkeypatch):
    monkeypatch.setattr(policy, "REFUND_BEYOND_AVAILABLE", False)
    sold(50_00)
    before = written()
    with transaction.atomic(), pytest.raises(InsufficientBalance):
        reserve_refund(amount=usd(50_01), **fact("att_2"))
    assert written() == before


@pytest.mark.django_db(transaction=True)
def test_outside_a_transaction_nothing_is_written(fact, usd):
    with pytest.raises(transaction.TransactionManagementError):
        record_entries([recipes.capture(amount=usd(100), **fact())])
    assert written() == (0, 0)


@pytest.mark.django_db(transaction=True)
def test_an_account_opened_in_a_transaction_that_rolls_back_is_not_remembered(fact, record, usd, ana, balance):
    draft = recipes.funds_released(amount=usd(100), **fact())
    with transaction.atomic():
        record_entries([draft])
        record_entries([recipes.funds_released(amount=usd(1), **fact("att_2"))])
        transaction.set_rollback(True)
    assert not Account.objects.exists()

    record([draft])
    assert balance(chart.merchant_available(ana.pk)) == usd(100)


@pytest.mark.django_db(transaction=True)
def test_a_sale_is_two_statements_once_its_accounts_are_known(sold, django_assert_num_queries, fact, usd):
    sold(reference="att_1")
    drafts = recipes.for_capture(
        amount=usd(100_00), gateway_fee=usd(3_20), platform_fee=usd(3_50), tax=usd(70), release=True, **fact("att_2")
    )
    with transaction.atomic():
        record_entries(drafts)
    more = [replace(draft, reference=f"att_{number}") for number in range(3, 30) for draft in drafts]
    with transaction.atomic(), django_assert_num_queries(2):
        record_entries(more)


@pytest.mark.django_db(transaction=True)
def test_setting_a_refund_aside_is_three_statements(sold, django_assert_num_queries, fact, usd):
    sold()
    with transaction.atomic():
        reserve_refund(amount=usd(1), **fact("att_2"))
    with transaction.atomic(), django_assert_num_queries(3):
        reserve_refund(amount=usd(1), **fact("att_3"))


@pytest.mark.django_db(transaction=True)
def test_a_balance_can_be_had_as_of_an_instant(sold, ana, usd):
    sold(50_00, reference="att_1")
    instant = JournalEntry.objects.order_by("-created_at").values_list("created_at", flat=True).first()
    sold(25_00, reference="att_2")

    available = chart.merchant_available(ana.pk)
    assert selectors.balance_of(available, mode="test", currency="USD", at=instant) == usd(50_00)
    assert selectors.balance_of(available, mode="test", currency="USD") == usd(75_00)
    earlier = instant - timedelta(microseconds=1)
    assert selectors.trial_balance(mode="test", at=earlier) == []
    assert sum(row.debit.amount_minor for row in selectors.trial_balance(mode="test", at=instant)) == 50_00


@pytest.mark.django_db
def test_an_owner_that_does_not_fit_its_account_is_refused(ana, acme):
    for wrong in ({"merchant": ana}, {"gateway": acme, "merchant": ana}, {"gateway": acme, "holder": "card_1"}, {}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Account.objects.create(kind="gateway_receivable", mode="test", currency="USD", **wrong)
