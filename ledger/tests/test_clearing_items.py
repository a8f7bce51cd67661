"""What a gateway is expected to settle is written with the entry that says so, and adds up to it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from ledger import chart, recipes
from ledger.models import ClearingItem, JournalEntry
from ledger.services import reserve_refund

pytestmark = pytest.mark.django_db


def items() -> list[tuple[Any, ...]]:
    rows = ClearingItem.objects.order_by("occurred_on", "entry_id")
    return list(rows.values_list("kind", "reference", "gateway_reference", "currency", "gross_minor", "fee_minor"))


def test_a_charge_expects_its_amount_less_the_fee_that_was_told_with_it(fact, record, acme, usd):
    record(
        recipes.for_capture(
            amount=usd(100_00),
            gateway_fee=usd(3_20),
            platform_fee=usd(3_50),
            tax=usd(70),
            release=True,
            gateway_reference="ch_1",
            **fact(),
        )
    )
    assert items() == [("charge", "att_1", "ch_1", "USD", 100_00, 3_20)]
    item = ClearingItem.objects.get()
    assert item.entry == JournalEntry.objects.get(kind="capture")
    assert (item.gateway, item.mode, item.match, item.occurred_on) == (acme, "test", None, item.entry.occurred_on)


def test_a_refund_is_known_at_the_gateway_by_its_attempt(sold, fact, record, usd):
    sold(reference="att_1")
    reserve_refund(amount=usd(40_00), **fact("rfd_1"))
    about = fact("rfd_1", clearing_reference="att_2", gateway_reference="re_1")
    record(recipes.for_refund_succeeded(amount=usd(40_00), returned_fee=usd(1_40), **about))

    assert items() == [("charge", "att_1", "", "USD", 100_00, 0), ("refund", "att_2", "re_1", "USD", -40_00, 0)]


def test_what_came_late_and_was_given_back_is_expected_as_well(fact, record, usd):
    record(recipes.for_late_success(amount=usd(100_00), **fact("att_1")))
    record(recipes.for_late_success_reversed(amount=usd(100_00), **fact("att_2")))
    assert [(kind, gross) for kind, _, _, _, gross, _ in items()] == [("charge", 100_00), ("refund", -100_00)]


def test_value_that_is_bought_by_card_is_a_charge(fact, record, usd):
    record(
        [
            recipes.wallet_topped_up(amount=usd(20_00), holder="cus_1", **fact("att_1")),
            recipes.gateway_fee_charged(fee=usd(88), **fact("att_1")),
            recipes.gift_card_issued(amount=usd(50_00), holder="card_1", **fact("att_2")),
        ]
    )
    assert sorted((gross, fee) for *_, gross, fee in items()) == [(20_00, 88), (50_00, 0)]


def test_the_same_fact_told_again_is_expected_once(sold):
    sold()
    sold()
    assert len(items()) == 1


def test_each_fee_belongs_to_the_charge_of_its_own_reference(fact, record, usd):
    drafts = []
    for number, fee in ((1, 3_20), (2, 0), (3, 1_75)):
        drafts += recipes.for_capture(
            amount=usd(100_00),
            gateway_fee=usd(fee),
            platform_fee=usd(0),
            tax=usd(0),
            release=False,
            **fact(f"att_{number}"),
        )
    record(drafts)
    assert {reference: fee for _, reference, *_, fee in items()} == {"att_1": 3_20, "att_2": 0, "att_3": 1_75}


def test_what_is_not_settled_line_by_line_expects_nothing(fact, record, acme, usd):
    about = {"mode": "test", "gateway_id": acme.pk, "reference": "stb_1"}
    record(
        [
            recipes.settlement_announced(net=usd(96_80), **about),
            recipes.bank_credit(amount=usd(96_80), **about),
            recipes.gateway_fee_line(fee=usd(9_90), **about),
            recipes.written_off(difference=usd(37), **about),
        ]
    )
    assert items() == []


def test_items_have_the_day_of_their_entry(fact, record, usd):
    yesterday = datetime.now(UTC) - timedelta(days=1)
    record([recipes.capture(amount=usd(100_00), occurred_at=yesterday, **fact())])
    assert ClearingItem.objects.get().occurred_on == yesterday.date()


def test_entries_that_were_there_before_get_their_items(sold, fact, record, usd):
    """The migration's own statement, after what it does was undone."""
    from importlib import import_module

    migration = import_module("ledger.migrations.0005_closed_days_and_seals")
    record(
        recipes.for_capture(
            amount=usd(100_00),
            gateway_fee=usd(3_20),
            platform_fee=usd(3_50),
            tax=usd(70),
            release=True,
            gateway_reference="ch_1",
            **fact(),
        )
    )
    reserve_refund(amount=usd(40_00), **fact("rfd_1"))
    record(recipes.for_refund_succeeded(amount=usd(40_00), **fact("rfd_1")))
    record(recipes.for_late_success(amount=usd(7_00), **fact("att_3")))
    before = list(ClearingItem.objects.order_by("entry_id").values())
    assert len(before) == 3
    ClearingItem.objects.all().delete()

    with connection.cursor() as cursor:
        cursor.execute(migration.CLEARING_ITEMS)

    assert list(ClearingItem.objects.order_by("entry_id").values()) == before


def test_what_items_expect_is_what_their_entries_moved_on_the_receivable(sold, fact, record, balance, acme, usd):
    sold(reference="att_1")
    reserve_refund(amount=usd(40_00), **fact("rfd_1"))
    record(recipes.for_refund_succeeded(amount=usd(40_00), **fact("rfd_1")))
    assert sum(gross - fee for *_, gross, fee in items()) == balance(chart.gateway_receivable(acme.pk)).amount_minor
