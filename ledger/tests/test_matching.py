"""Every planted difference gets its name, and nothing else is reported."""

from collections import Counter

import pytest
from django.db import IntegrityError, connection, transaction

from checkout.settings import policy
from gateways.models import ObservedFee
from ledger import chart
from ledger.models import ClearingItem, Discrepancy, JournalEntry, Match, SettlementLine
from ledger.reconciliation.refusals import ReconciliationUnderWay
from ledger.selectors import balance_of
from ledger.services.discrepancies import carry, match_by_hand, resolve
from ledger.tests.settling import ACTOR, Settling, day, line, payout

pytestmark = pytest.mark.django_db


@pytest.fixture
def settling(acme, ana) -> Settling:
    acme.currencies = ["USD", "EUR"]
    acme.save()
    return Settling(acme, ana)


def ways() -> Counter[str]:
    return Counter(Match.objects.values_list("how", flat=True))


# What agrees.


def test_what_agrees_in_everything_is_matched_and_nothing_is_reported(settling):
    item = settling.charge("a")
    settling.given_back("b", 40_00)
    settling.settle(line("charge", "ch_a", "att_a", 100_00, 3_20), line("refund", "re_b", "att_b", -40_00))

    assert settling.told() == {}
    assert ways() == {"exact": 2}
    item.refresh_from_db()
    assert item.match.lines.get().gateway_reference == "ch_a"
    assert item.match.difference_minor == 0
    assert settling.control() == 0
    assert balance_of(chart.gateway_receivable(settling.gateway.pk), mode="test", currency="USD").amount_minor == 0


@pytest.mark.parametrize(
    ("names", "how"),
    [(("ch_a", ""), "exact"), (("ch_other", "att_a"), "exact"), (("", "att_a"), "our_reference")],
)
def test_either_reference_is_enough(settling, names, how):
    settling.charge("a")
    settling.settle(line("charge", *names, 100_00, 3_20))
    assert (settling.told(), ways()) == ({}, {how: 1})


def test_the_second_of_two_that_are_alike_is_paired_with_the_second(settling):
    first, second = settling.given_up("a", theirs="same"), settling.given_up("b", theirs="same")
    settling.settle(line(theirs="same"), line(theirs="same"))
    assert settling.told() == {}
    lines = [match.lines.get().line_number for match in Match.objects.order_by("pk")]
    items = [match.items.get() for match in Match.objects.order_by("pk")]
    assert (lines, items) == ([2, 3], [first, second])


@pytest.mark.parametrize(("gross", "fee", "difference"), [(1, 0, 1), (-1, 0, -1), (0, 1, -1), (1, 1, 0)])
def test_what_is_off_by_rounding_is_matched_and_posted(settling, gross, fee, difference):
    settling.charge("a")
    settling.settle(line("charge", "ch_a", "", 100_00 + gross, 3_20 + fee))
    assert (settling.told(), ways()) == ({}, {"rounding": 1})
    assert Match.objects.get().difference_minor == difference
    assert balance_of(chart.rounding(), mode="test", currency="USD").amount_minor == -difference
    assert settling.control() == 0


def test_what_is_off_by_more_than_rounding_is_not_rounding(settling):
    settling.charge("a")
    settling.settle(line("charge", "ch_a", "", 100_01, 3_19))
    assert settling.told() == {"amount_differs": 1}


def test_one_item_settled_in_parts_and_several_settled_as_one_are_matched(settling):
    settling.charge("parts")
    settling.given_up("one", 30_00, theirs="joined")
    settling.given_up("two", 70_00, theirs="joined")
    settling.settle(
        line("charge", "ch_parts", "", 60_00, 2_00),
        line("charge", "ch_parts", "", 40_00, 1_20),
        line("charge", "joined", "", 100_00),
    )
    assert (settling.told(), ways()) == ({}, {"split": 2})
    assert sorted((m.lines.count(), m.items.count()) for m in Match.objects.all()) == [(1, 2), (2, 1)]
    assert settling.control() == 0


def test_a_line_without_names_is_matched_by_amount_and_day_if_nothing_else_could_be_meant(settling):
    settling.charge("a", 123_45, ago=3)
    settling.charge("b", 99_99, ago=6)
    settling.settle(
        line("charge", "", "", 123_45, 3_20, ago=1),
        line("charge", "", "", 99_99, 3_20, ago=3),  # three days later: not the same movement
    )
    assert ways() == {"amount_and_date": 1}
    assert settling.told() == {"missing_in_ledger": 1, "missing_at_gateway": 1}


def test_a_name_that_contradicts_is_never_overruled_by_an_amount(settling):
    settling.charge("a", ago=5)
    settling.settle(line("charge", "ch_z", "", 100_00, 3_20, ago=5), line("charge", "", "att_y", 100_00, 3_20, ago=5))
    assert ways() == {}
    assert settling.told() == {"missing_in_ledger": 2, "missing_at_gateway": 1}


def test_a_line_of_another_gateway_or_mode_is_never_taken(settling, ana):
    other = type(settling.gateway).objects.create(
        code="other",
        name="Other",
        adapter="acme",
        mode="test",
        data_format="json",
        base_url="http://127.0.0.1:1",
        currencies=["USD"],
    )
    settling.charge("a", ago=5)
    Settling(other, ana).settle(line("charge", "ch_a", "", 100_00, 3_20))
    assert (settling.told(), ways()) == ({"missing_in_ledger": 1}, {})


# What differs.


def test_a_fee_that_differs(settling):
    item = settling.charge("a")
    settling.settle(line("charge", "ch_a", "att_a", 100_00, 3_31))
    told = settling.the("fee_differs")
    assert (told.item, told.line.line_number) == (item, 2)
    assert (told.ours_minor, told.theirs_minor, told.difference_minor) == (3_20, 3_31, -11)
    assert settling.told() == {"fee_differs": 1}


def test_an_amount_that_differs(settling):
    settling.charge("a")
    settling.settle(line("charge", "ch_a", "att_a", 90_00, 3_20))
    told = settling.the("amount_differs")
    assert (told.ours_minor, told.theirs_minor, told.difference_minor) == (100_00, 90_00, -10_00)
    assert told.item is not None
    assert told.line is not None
    assert settling.told() == {"amount_differs": 1}


def test_a_currency_that_differs(settling):
    settling.charge("a")
    settling.settle(line("charge", "ch_a", "att_a", 92_00, 2_94, currency="EUR"))
    told = settling.the("currency_differs")
    assert (told.currency, told.ours_minor, told.theirs_minor) == ("USD", 100_00, 92_00)
    assert told.difference_minor == -96_80
    assert settling.told() == {"currency_differs": 1}


def test_what_only_the_gateway_knows(settling):
    settling.charge("a")
    settling.settle(
        line("charge", "ch_a", "att_a", 100_00, 3_20),
        line("charge", "ch_b", "", 50_00, 1_75),
        line("chargeback", "cb_a", "att_a", -100_00, 15_00),
        line("adjustment", "ad_1", "", -7_00),
    )
    assert settling.told() == {"missing_in_ledger": 3}
    assert sorted(Discrepancy.objects.values_list("difference_minor", flat=True)) == [-115_00, -7_00, 48_25]


def test_what_the_gateway_should_know_is_timing_at_first_and_missing_afterwards(settling):
    settling.charge("young", ago=policy.TIMING_DAYS)
    settling.charge("old", ago=policy.TIMING_DAYS + 1)
    settling.charge("today", ago=0)  # of a day that no file covers yet
    settling.settle(line("fee", "fe_1", "", -25))
    assert settling.told() == {"timing": 1, "missing_at_gateway": 1}
    young = settling.the("timing")
    assert (young.item.reference, young.difference_minor) == ("att_young", -96_80)

    done = settling.settle(until=day(-1))
    assert settling.told() == {"missing_at_gateway": 2}
    assert (done.changes.opened, done.changes.changed) == (0, 1)
    young.refresh_from_db()
    assert young.kind == "missing_at_gateway"


def test_what_the_gateway_says_twice(settling):
    settling.charge("a")
    settling.settle(line("charge", "ch_a", "att_a", 100_00, 3_20), line("charge", "ch_a", "att_a", 100_00, 3_20))
    told = settling.the("duplicate_at_gateway")
    assert (told.line.line_number, told.item, told.difference_minor) == (3, None, 96_80)
    assert settling.told() == {"duplicate_at_gateway": 1}


def test_what_the_gateway_says_again_in_a_later_file(settling):
    settling.charge("a")
    settling.settle(line("charge", "ch_a", "att_a", 100_00, 3_20))
    settling.settle(line("charge", "ch_a", "", 100_00, 3_20, batch="batch-2"))
    settling.settle(line("charge", "", "att_a", 100_00, 3_20, batch="batch-3"))
    assert settling.told() == {"duplicate_at_gateway": 2}


def test_of_two_lines_that_we_do_not_know_the_second_is_a_duplicate(settling):
    settling.settle(line(theirs="ch_z"), line(theirs="ch_z"))
    assert settling.told() == {"missing_in_ledger": 1, "duplicate_at_gateway": 1}


def test_what_we_wrote_down_twice(settling):
    settling.given_up("a", theirs="ch_a", ago=5)
    settling.given_up("b", theirs="ch_a", ago=5)
    settling.settle(line(theirs="ch_a", ago=5))
    told = settling.the("duplicate_in_ledger")
    assert (told.item.reference, told.line, told.difference_minor) == ("att_b", None, -100_00)
    assert settling.told() == {"duplicate_in_ledger": 1}


def test_a_refund_that_did_not_last(settling):
    settling.given_back("a", 40_00)
    settling.settle(line("refund", "re_a", "att_a", -40_00), line("refund_reversed", "re_a", "", 40_00))
    told = settling.the("status_differs")
    assert (told.line.kind, told.difference_minor) == ("refund_reversed", 40_00)
    assert settling.told() == {"status_differs": 1}


def test_a_word_that_nobody_has_told_us_the_meaning_of(settling):
    settling.charge("a", ago=0)
    settling.settle(line("novelty", "nv_1", "att_a", -1_50))
    assert settling.the("unmapped_type").line.raw_type == "novelty"
    assert settling.told() == {"unmapped_type": 1}


def test_what_could_be_either_is_ambiguous_on_both_sides(settling):
    settling.charge("a", 20_00, 0)
    settling.charge("b", 20_00, 0)
    settling.settle(line("charge", "", "", 20_00), line("charge", "", "", 20_00))
    assert (settling.told(), ways()) == ({"ambiguous": 4}, {})
    assert Discrepancy.objects.filter(line__isnull=False).first().detail == "2 of ours could be it"


def test_where_only_one_of_two_can_be_meant_the_items_are_late_not_ambiguous(settling):
    settling.charge("a", 20_00, 0)
    settling.charge("b", 20_00, 0)
    settling.settle(line("charge", "", "", 20_00))
    assert settling.told() == {"ambiguous": 1, "timing": 2}


def test_a_payout_that_is_not_the_sum_of_its_lines(settling):
    settling.charge("a")
    settling.settle(line("charge", "ch_a", "att_a", 100_00, 3_20), payout(95_00))
    told = settling.the("batch_total_differs")
    assert (told.ours_minor, told.theirs_minor, told.difference_minor) == (96_80, 95_00, -1_80)
    assert settling.told() == {"batch_total_differs": 1}


def test_fees_reserves_and_payouts_are_no_exceptions(settling):
    settling.settle(
        line("fee", "fe_1", "", -25),
        line("fee", "fe_2", "", 10),
        line("reserve_held", "rs_1", "", -50_00),
        line("reserve_released", "rs_0", "", 20_00),
        payout(-30_15),
    )
    assert settling.told() == {}
    gateway = settling.gateway.pk
    figures = {
        kind.__name__: balance_of(kind(gateway), mode="test", currency="USD").amount_minor
        for kind in (chart.gateway_fee, chart.gateway_reserve, chart.gateway_receivable, chart.gateway_in_transit)
    }
    assert figures == {
        "gateway_fee": 15,
        "gateway_reserve": 30_00,
        "gateway_receivable": 0,
        "gateway_in_transit": -30_15,
    }
    assert settling.control() == 0


# What comes later, and again.


def test_running_it_again_changes_nothing(settling):
    settling.charge("a")
    settling.charge("b", 20_00, 0)
    settling.charge("c", 20_00, 0)
    settling.charge("old", ago=9)
    settling.settle(
        line("charge", "ch_a", "att_a", 90_00, 3_20),
        line("charge", "", "", 20_00),
        line("charge", "ch_z", "", 5_00),
        line("charge", "ch_z", "", 5_00),
        line("novelty", "nv_1", "", 1_00),
    )
    before = list(Discrepancy.objects.order_by("pk").values())
    done = settling.settle()
    assert not done.changed_anything
    assert list(Discrepancy.objects.order_by("pk").values()) == before


def test_a_late_line_clears_what_was_missing_by_itself(settling):
    settling.charge("a", ago=9)
    settling.settle(line("fee", "fe_1", "", -25))
    told = settling.the("missing_at_gateway")

    settling.settle(line("charge", "ch_a", "att_a", 100_00, 3_20, batch="batch-2"))
    told.refresh_from_db()
    assert (told.status, told.ended_by, told.end_reason) == ("cleared", "command:test", "explained by what came later")
    assert told.ended_at is not None
    assert settling.told() == {}
    assert settling.control() == 0


def test_a_late_entry_clears_what_only_the_gateway_knew(settling):
    settling.settle(line("charge", "ch_a", "att_a", 100_00, 3_20))
    assert settling.told() == {"missing_in_ledger": 1}
    settling.charge("a")
    settling.settle()
    assert (settling.told(), ways()) == ({}, {"exact": 1})


def test_a_line_that_comes_and_differs_replaces_what_was_missing(settling):
    settling.charge("a", ago=9)
    settling.settle(line("fee", "fe_1", "", -25))
    settling.settle(line("charge", "ch_a", "att_a", 90_00, 3_20, batch="batch-2"))
    assert settling.told() == {"amount_differs": 1}
    assert Discrepancy.objects.get(kind="missing_at_gateway").status == "cleared"


def test_whoever_carries_a_difference_keeps_it_while_it_ages(settling, django_user_model):
    owner = django_user_model.objects.create(username="olivia")
    settling.charge("a", ago=2)
    settling.settle(line("fee", "fe_1", "", -25))
    Discrepancy.objects.update(status="carried", owner=owner)
    settling.settle(until=day(-3))
    told = Discrepancy.objects.get()
    assert (told.kind, told.status, told.owner) == ("missing_at_gateway", "carried", owner)


def test_only_lines_of_imported_files_count(settling):
    settling.charge("a")
    waiting = settling.receive(line("charge", "ch_a", "att_a", 100_00, 3_20))
    SettlementLine.objects.create(
        file=waiting,
        line_number=2,
        gateway=settling.gateway,
        mode="test",
        kind="charge",
        raw_type="charge",
        gateway_reference="ch_a",
        currency="USD",
        gross_minor=100_00,
        fee_minor=3_20,
        net_minor=96_80,
        occurred_on=day(1),
        batch_reference="batch-1",
    )
    assert not settling.settle().changed_anything
    assert settling.told() == {}
    assert settling.control() == 0


def test_what_is_matched_cannot_be_matched_otherwise(settling):
    settling.charge("a")
    settling.settle(line("charge", "ch_a", "att_a", 100_00, 3_20))
    for rows in (SettlementLine.objects.exclude(match=None), ClearingItem.objects.exclude(match=None)):
        with pytest.raises(IntegrityError, match="stays as it is"), transaction.atomic():
            rows.update(match=None)
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        Match.objects.update(difference_minor=5)


def test_the_fees_that_settlement_reveals_are_remembered_by_day(settling):
    settling.charge("a")
    settling.charge("b", 50_00, 2_00)
    settling.settle(line("charge", "ch_a", "", 100_00, 3_20), line("charge", "ch_b", "", 50_00, 2_00))
    seen = ObservedFee.objects.get()
    assert (seen.currency, seen.charge_count, seen.gross_minor, seen.fee_minor) == ("USD", 2, 150_00, 5_20)
    assert seen.effective_bps == 347


def test_the_items_that_the_index_finds_are_those_that_entries_have():
    (index,) = [index for index in JournalEntry._meta.indexes if index.name == "entry_by_gateway_reference"]
    kinds = next(child[1] for child in index.condition.children if isinstance(child, tuple))
    assert set(kinds) == set(ClearingItem.KINDS)


@pytest.mark.django_db(transaction=True)
def test_one_at_a_time_reconciles_a_gateway(settling, monkeypatch):
    from concurrent.futures import ThreadPoolExecutor

    from ledger.reconciliation import locks

    monkeypatch.setattr(locks, "_WAIT_SECONDS", 0.2)
    settling.charge("a")

    def reconcile_elsewhere() -> object:
        try:
            return settling.settle()
        except ReconciliationUnderWay as refusal:
            return refusal
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            locks.lock_whole_gateway(settling.gateway.pk, "test")
            assert isinstance(pool.submit(reconcile_elsewhere).result(), ReconciliationUnderWay)
        assert not isinstance(pool.submit(reconcile_elsewhere).result(), ReconciliationUnderWay)


def test_a_line_that_comes_after_its_item_was_given_up_is_no_second_one(settling):
    settling.charge("a", ago=9)
    settling.settle(line("fee", "fe", "", -1, ago=1))
    resolve(discrepancy=settling.the("missing_at_gateway"), resolution="write_off", reason="", actor=ACTOR)
    settling.settle(line("charge", "ch_a", "att_a", 100_00, 3_20, batch="late"))
    assert settling.told() == {"missing_in_ledger": 1}
    settling.settle(line("charge", "ch_a", "att_a", 100_00, 3_20, batch="again"))
    assert settling.told() == {"missing_in_ledger": 1, "duplicate_at_gateway": 1}


def test_a_line_that_names_what_was_matched_by_hand_is_a_second_one(settling):
    item = settling.charge("a", ago=9)
    settling.settle(line("charge", "typo", "", 100_00, 3_20))
    theirs = settling.the("missing_in_ledger").line
    match_by_hand(line=theirs, item=item, reason="", actor=ACTOR)
    settling.settle(line("charge", "ch_a", "att_a", 100_00, 3_20, batch="again"))
    assert settling.told() == {"duplicate_at_gateway": 1}


def test_ages_counted_to_an_earlier_day_end_nothing_that_was_told(settling, django_user_model):
    settling.charge("a", ago=9)
    settling.settle(line("fee", "fe", "", -1, ago=1))
    told = settling.the("missing_at_gateway")
    carry(discrepancy=told, owner=django_user_model.objects.create(username="olivia"), reason="", actor=ACTOR)
    settling.settle(until=day(20))
    settling.settle()
    told.refresh_from_db()
    assert (told.kind, told.status, told.owner.username) == ("missing_at_gateway", "carried", "olivia")
    assert Discrepancy.objects.count() == 1


def test_a_currency_of_which_files_are_silent_is_waited_for_a_week_and_no_longer(settling):
    settling.charge("a", ago=9)
    settling.charge("b", ago=8)
    settling.settle(line("fee", "fe", "", -1, currency="EUR", ago=3))
    assert settling.told() == {}
    settling.settle(line("fee", "fe2", "", -1, currency="EUR", ago=2, batch="next"))
    assert [told.item.reference for told in Discrepancy.objects.all()] == ["att_a"]
    settling.settle(line("fee", "fe3", "", -1, currency="USD", ago=3, batch="dollars"))
    assert settling.told() == {"missing_at_gateway": 2}


def test_a_fee_that_was_explained_is_observed_as_well(settling):
    settling.charge("a")
    settling.charge("b")
    settling.settle(line("charge", "ch_a", "", 100_00, 3_20), line("charge", "ch_b", "", 100_00, 9_00))
    resolve(discrepancy=settling.the("fee_differs"), resolution="fee_true_up", reason="", actor=ACTOR)
    settling.settle()
    seen = ObservedFee.objects.get()
    assert (seen.charge_count, seen.gross_minor, seen.fee_minor) == (2, 200_00, 12_20)


def test_a_name_too_long_to_be_ours_is_a_name_all_the_same(settling):
    settling.charge("a", 123_45, 3_20)
    settling.settle(line("charge", "", "order-of-another-shop-" + "x" * 60, 123_45, 3_20))
    assert ways() == {}
    assert settling.told() == {"missing_in_ledger": 1, "timing": 1}
