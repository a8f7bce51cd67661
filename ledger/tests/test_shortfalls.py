"""What lacks for a fact becomes what the merchant owes; what was taken goes back to where it came from."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction

from ledger import chart, recipes
from ledger.errors import ChargebackNotOpened, LedgerConflict
from ledger.models import JournalEntry
from ledger.services import adopt_refund, record_chargeback, record_chargeback_won

pytestmark = pytest.mark.django_db


@pytest.fixture
def tell() -> Callable[..., None]:
    def tell(verb: Callable[..., None], **fact: Any) -> None:
        with transaction.atomic():
            verb(**fact)
        connection.check_constraints()

    return tell


@pytest.fixture
def owed(ana, balance) -> Callable[[], tuple[int, int, int]]:
    """What Ana has available, owes us, and has held for disputes, in cents."""
    kinds = (chart.merchant_available, chart.merchant_receivable, chart.merchant_dispute_hold)
    return lambda: tuple(balance(kind(ana.pk)).amount_minor for kind in kinds)


@pytest.mark.parametrize(("available", "expected"), [(150_00, (50_00, 0, 100_00)), (30_00, (0, 70_00, 100_00))])
def test_a_chargeback_takes_what_is_there_and_the_rest_is_owed(sold, fact, tell, owed, usd, available, expected):
    sold(available)
    tell(record_chargeback, amount=usd(100_00), **fact("dis_1"))
    assert owed() == expected


def test_a_recharged_fee_comes_after_the_amount(sold, fact, tell, owed, balance, acme, usd):
    sold(110_00)
    tell(record_chargeback, amount=usd(100_00), fee=usd(15_00), recharged=usd(15_00), **fact("dis_1"))

    assert owed() == (0, 5_00, 100_00)
    assert balance(chart.dispute_fee()) == balance(chart.dispute_fee_recovery()) == usd(15_00)
    assert balance(chart.gateway_receivable(acme.pk)) == -usd(5_00)


def test_a_fee_that_is_not_recharged_is_ours(sold, fact, tell, owed, balance, usd):
    sold(110_00)
    tell(record_chargeback, amount=usd(100_00), fee=usd(15_00), **fact("dis_1"))

    assert owed() == (10_00, 0, 100_00)
    assert (balance(chart.dispute_fee()), balance(chart.dispute_fee_recovery())) == (usd(15_00), usd(0))


def test_a_chargeback_told_again_is_the_same_one_whatever_is_available_by_then(sold, fact, tell, owed, usd):
    sold(30_00)
    told = fact("dis_1") | {"amount": usd(100_00), "fee": usd(15_00), "recharged": usd(15_00)}
    tell(record_chargeback, **told)
    sold(500_00, reference="att_2")
    tell(record_chargeback, **told)

    assert owed() == (500_00, 85_00, 100_00)
    assert JournalEntry.objects.filter(kind__startswith="chargeback").count() == 2


@pytest.mark.parametrize("amount_minor", [100_01, 99_99, 10_00])
def test_another_chargeback_under_the_same_name_is_refused(sold, fact, tell, usd, amount_minor):
    sold(30_00)
    tell(record_chargeback, amount=usd(100_00), **fact("dis_1"))
    with pytest.raises(LedgerConflict):
        tell(record_chargeback, amount=usd(amount_minor), **fact("dis_1"))


def test_a_dispute_that_is_won_gives_back_to_where_it_took_from(sold, fact, tell, owed, balance, acme, usd):
    sold(30_00)
    tell(record_chargeback, amount=usd(100_00), **fact("dis_1"))
    tell(record_chargeback_won, amount=usd(100_00), **fact("dis_1"))

    assert owed() == (30_00, 0, 0)
    assert balance(chart.dispute_receivable(acme.pk)) == usd(0)
    assert balance(chart.gateway_receivable(acme.pk)) == usd(30_00)


def test_a_dispute_that_was_never_opened_cannot_be_won(fact, tell, usd):
    with pytest.raises(ChargebackNotOpened):
        tell(record_chargeback_won, amount=usd(100_00), **fact("dis_1"))


def test_a_dispute_that_is_lost_leaves_the_debt(sold, fact, record, tell, owed, balance, acme, usd):
    sold(30_00)
    tell(record_chargeback, amount=usd(100_00), **fact("dis_1"))
    record([recipes.chargeback_lost(amount=usd(100_00), **fact("dis_1"))])

    assert owed() == (0, 70_00, 0)
    assert balance(chart.dispute_receivable(acme.pk)) == usd(0)
    assert balance(chart.gateway_receivable(acme.pk)) == -usd(70_00)


@pytest.mark.parametrize(
    ("available", "expected"), [(50_00, (10_00, 0, 0)), (30_00, (0, 10_00, 0)), (0, (0, 40_00, 0))]
)
def test_a_refund_made_without_us_is_taken_from_what_is_there(sold, fact, tell, owed, usd, available, expected):
    if available:
        sold(available)
    tell(adopt_refund, amount=usd(40_00), **fact("stl_7"))
    tell(adopt_refund, amount=usd(40_00), **fact("stl_7"))
    assert owed() == expected
    assert JournalEntry.objects.filter(kind="refund_adopted").count() == 1
