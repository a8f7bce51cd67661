"""An accountant's examples, to the cent."""

import pytest
from django.db import connection

from ledger import chart, recipes, selectors
from ledger.chart import CHART, AccountKind, Keeping, Nature
from ledger.models import AccountBalance, JournalEntry
from ledger.services import reserve_refund

pytestmark = pytest.mark.django_db


@pytest.fixture
def sale(fact, record, usd):
    """100.00 captured; the gateway charges 3.20, we charge 3.50 and 0.70 tax; the rest is released."""
    record(
        recipes.for_capture(
            amount=usd(100_00),
            gateway_fee=usd(3_20),
            platform_fee=usd(3_50),
            tax=usd(70),
            release=True,
            gateway_reference="acme-1",
            **fact(),
        )
    )


def test_a_sale_that_is_settled_and_banked_leaves_every_clearing_account_at_zero(
    sale, ana, acme, fact, record, balance, usd
):
    about = {"mode": "test", "gateway_id": acme.pk, "reference": "batch-7"}
    record([recipes.settlement_announced(net=usd(96_80), **about), recipes.bank_credit(amount=usd(96_80), **about)])

    assert balance(chart.gateway_receivable(acme.pk)) == usd(0)
    assert balance(chart.gateway_in_transit(acme.pk)) == usd(0)
    assert balance(chart.merchant_pending(ana.pk)) == usd(0)
    assert balance(chart.bank()) == usd(96_80)
    assert balance(chart.gateway_fee(acme.pk)) == usd(3_20)
    assert balance(chart.merchant_available(ana.pk)) == usd(95_80)
    assert balance(chart.platform_fee()) == usd(3_50)
    assert balance(chart.tax_payable()) == usd(70)
    connection.check_constraints()


def test_an_unreleased_sale_stays_pending(ana, fact, record, balance, usd):
    record(
        recipes.for_capture(
            amount=usd(100_00), gateway_fee=usd(0), platform_fee=usd(3_50), tax=usd(70), release=False, **fact()
        )
    )
    assert balance(chart.merchant_pending(ana.pk)) == usd(95_80)
    assert balance(chart.merchant_available(ana.pk)) == usd(0)


def test_a_sale_without_fees_has_no_entries_of_nothing(sold):
    sold()
    assert sorted(JournalEntry.objects.values_list("kind", flat=True)) == ["capture", "funds_released"]


def test_a_refund_is_set_aside_and_then_given_back(sale, ana, acme, fact, record, balance, usd):
    reserve_refund(amount=usd(40_00), **fact("att_2"))
    assert balance(chart.merchant_available(ana.pk)) == usd(55_80)
    assert balance(chart.refund_in_flight(ana.pk)) == usd(40_00)

    record(recipes.for_refund_succeeded(amount=usd(40_00), **fact("att_2")))
    assert balance(chart.refund_in_flight(ana.pk)) == usd(0)
    assert balance(chart.gateway_receivable(acme.pk)) == usd(56_80)
    connection.check_constraints()


def test_a_refund_may_return_a_part_of_our_fee(sale, ana, fact, record, balance, usd):
    reserve_refund(amount=usd(40_00), **fact("att_2"))
    record(
        recipes.for_refund_succeeded(amount=usd(40_00), returned_fee=usd(1_40), returned_tax=usd(28), **fact("att_2"))
    )
    assert balance(chart.merchant_available(ana.pk)) == usd(57_48)
    assert balance(chart.platform_fee()) == usd(2_10)
    assert balance(chart.tax_payable()) == usd(42)
    connection.check_constraints()


def test_a_refund_that_fails_goes_back_to_where_it_came_from(sale, ana, fact, record, balance, usd):
    reserve_refund(amount=usd(100_00), **fact("att_2"))
    assert balance(chart.merchant_available(ana.pk)) == usd(0)
    assert balance(chart.merchant_receivable(ana.pk)) == usd(4_20)

    record(recipes.for_refund_failed(requested=selectors.refund_requested("att_2")))
    assert balance(chart.merchant_available(ana.pk)) == usd(95_80)
    assert balance(chart.merchant_receivable(ana.pk)) == usd(0)
    assert balance(chart.refund_in_flight(ana.pk)) == usd(0)
    connection.check_constraints()


def test_a_late_success_waits_in_suspense_until_it_is_reversed(acme, fact, record, balance, usd):
    record(recipes.for_late_success(amount=usd(100_00), **fact()))
    assert balance(chart.suspense(acme.pk)) == -usd(100_00)
    assert balance(chart.gateway_receivable(acme.pk)) == usd(100_00)

    record(recipes.for_late_success_reversed(amount=usd(100_00), **fact("att_2")))
    assert balance(chart.suspense(acme.pk)) == balance(chart.gateway_receivable(acme.pk)) == usd(0)
    connection.check_constraints()


def test_the_trial_balance_has_equal_sides_and_the_order_of_the_chart(sale, usd):
    rows = selectors.trial_balance(mode="test", currency="USD")

    assert sum(row.debit.amount_minor for row in rows) == sum(row.credit.amount_minor for row in rows) == 100_00
    assert [(row.account.kind, row.sum) for row in rows] == [
        ("gateway_receivable", usd(96_80)),
        ("merchant_pending", usd(0)),
        ("merchant_available", -usd(95_80)),
        ("tax_payable", -usd(70)),
        ("platform_fee", -usd(3_50)),
        ("gateway_fee", usd(3_20)),
    ]
    assert selectors.trial_balance(mode="live") == selectors.trial_balance(mode="test", currency="EUR") == []


def test_a_merchant_sees_what_it_is_owed_and_owes(sale, ana, fact, usd):
    reserve_refund(amount=usd(96_00), **fact("att_2"))
    rows = selectors.merchant_balances(merchant_id=ana.pk, mode="test")
    assert {row.account.kind: row.amount for row in rows} == {
        "merchant_receivable": usd(20),
        "merchant_pending": usd(0),
        "merchant_available": usd(0),
        "refund_in_flight": usd(96_00),
    }


def test_running_balances_are_the_sums_of_their_postings(sale, fact, record, usd):
    reserve_refund(amount=usd(120_00), **fact("att_2"))
    record(recipes.for_refund_succeeded(amount=usd(120_00), **fact("att_2")))

    rows = {row.account.pk: row.sum.amount_minor for row in selectors.trial_balance(mode="test")}
    running = dict(AccountBalance.objects.values_list("account_id", "balance_minor"))
    assert len(running) == 3
    assert running == {account_id: rows[account_id] for account_id in running}


def test_the_entries_of_a_payment_are_found_with_their_legs(sale, django_assert_num_queries, usd):
    with django_assert_num_queries(2):
        story = [
            (entry.kind, [(leg.account.kind, leg.amount_minor) for leg in entry.postings.all()])
            for entry in selectors.entries_of_payment("pay_1")
        ]
    assert story == [
        ("capture", [("gateway_receivable", 100_00), ("merchant_pending", -100_00)]),
        ("gateway_fee", [("gateway_fee", 3_20), ("gateway_receivable", -3_20)]),
        ("platform_fee", [("merchant_pending", 4_20), ("platform_fee", -3_50), ("tax_payable", -70)]),
        ("funds_released", [("merchant_pending", 95_80), ("merchant_available", -95_80)]),
    ]
    assert list(selectors.entries_of_payment("pay_2")) == []


def test_an_account_is_called_by_its_kind_and_owner(sale, acme):
    names = {str(row.account) for row in selectors.trial_balance(mode="test")}
    assert {f"gateway_receivable:{acme.public_id}", "platform_fee"} < names


def test_the_chart_has_a_row_for_every_kind_and_floors_only_what_we_owe():
    assert set(CHART) == set(AccountKind)
    floored = [row for row in CHART.values() if row.keeping is Keeping.FLOORED]
    assert floored
    assert all(row.nature is Nature.LIABILITY for row in floored)
