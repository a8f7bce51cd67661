"""What people do about differences is posted exactly, closes both sides, and is theirs by name."""

import pytest
from django.db import IntegrityError, connection, transaction

from checkout.kit.approvals import AlreadyRequested, ApprovalChanged, MakerCannotCheck
from checkout.kit.models import AuditEntry
from checkout.kit.money import Money
from checkout.settings import policy
from ledger import chart
from ledger.errors import InsufficientBalance
from ledger.models import Discrepancy, DiscrepancyNote, JournalEntry, Match, SettlementLine
from ledger.reconciliation.refusals import (
    DiscrepancyEnded,
    LineCannotBeMatched,
    ResolutionNotPossible,
    SecondPersonNeeded,
    TooManyAtOnce,
)
from ledger.reconciliation.selectors import open_discrepancies, refunds_to_adopt
from ledger.selectors import balance_of
from ledger.services import (
    APPROVED,
    REJECTED,
    approve_resolution,
    reject_resolution,
    request_resolution,
    reserve_refund,
)
from ledger.services.discrepancies import (
    carry,
    comment,
    match_by_hand,
    preview,
    preview_many,
    resolve,
    resolve_many,
    suggest,
)
from ledger.tests.settling import ACTOR, Settling, line, payout

pytestmark = pytest.mark.django_db

Resolution = Discrepancy.Resolution


@pytest.fixture
def settling(acme, ana) -> Settling:
    acme.currencies = ["USD", "EUR"]
    acme.save()
    return Settling(acme, ana)


@pytest.fixture
def olivia(django_user_model):
    return django_user_model.objects.create(username="olivia")


@pytest.fixture
def peter(django_user_model):
    return django_user_model.objects.create(username="peter")


def stands(settling: Settling, kind, currency: str = "USD") -> int:
    """What stands on an account of the gateway or of the platform."""
    try:
        key = kind(settling.gateway.pk)
    except TypeError:
        key = kind()
    return balance_of(key, mode="test", currency=currency).amount_minor


def act(discrepancy: Discrepancy, resolution: str, **more) -> Discrepancy:
    return resolve(discrepancy=discrepancy, resolution=resolution, reason="because", actor=ACTOR, **more)


# One difference, one posting.


def test_a_fee_is_trued_up(settling):
    settling.charge("a")
    settling.settle(line("charge", "ch_a", "att_a", 100_00, 3_31), payout(96_69))
    told = settling.the("fee_differs")
    assert suggest(told) == Resolution.FEE_TRUE_UP

    done = act(told, Resolution.FEE_TRUE_UP)
    assert (done.status, done.resolution, done.ended_by, done.end_reason) == (
        "resolved", "fee_true_up", "command:test", "because",
    )  # fmt: skip
    assert (done.entry.kind, done.entry.reference, done.entry.payment_reference) == (
        "fee_trued_up", told.public_id, "pay_att_a",
    )  # fmt: skip
    assert (stands(settling, chart.gateway_fee), stands(settling, chart.gateway_receivable)) == (3_31, 0)
    assert settling.told() == {}
    assert not settling.settle().changed_anything
    assert settling.control() == 0
    match = Match.objects.get()
    assert (match.how, match.difference_minor, match.lines.count(), match.items.count()) == ("by_hand", -11, 1, 1)
    assert AuditEntry.objects.get(verb="discrepancy.resolve").after["resolution"] == "fee_true_up"


def test_a_small_amount_is_written_off(settling):
    settling.charge("a")
    settling.settle(line("charge", "ch_a", "att_a", 99_63, 3_20))
    told = settling.the("amount_differs")
    assert suggest(told) == Resolution.WRITE_OFF
    act(told, Resolution.WRITE_OFF)
    assert (stands(settling, chart.write_off), stands(settling, chart.gateway_receivable)) == (37, 0)
    assert settling.control() == 0


def test_what_nobody_knows_waits_in_suspense(settling):
    settling.settle(line("charge", "ch_z", "", 50_00, 1_00))
    told = settling.the("missing_in_ledger")
    assert suggest(told) == Resolution.PARK_IN_SUSPENSE
    act(told, Resolution.PARK_IN_SUSPENSE)
    assert (stands(settling, chart.suspense), stands(settling, chart.gateway_receivable)) == (-49_00, 0)
    assert settling.told() == {}


def test_what_was_parked_and_comes_again_is_a_duplicate(settling):
    settling.settle(line("charge", "ch_z", "", 50_00))
    act(settling.the("missing_in_ledger"), Resolution.PARK_IN_SUSPENSE)
    settling.settle(line("charge", "ch_z", "", 50_00, batch="batch-2"))
    assert settling.told() == {"duplicate_at_gateway": 1}


def test_another_currency_is_parked_on_both_sides(settling):
    settling.charge("a", 50_00, 0)
    settling.settle(line("charge", "ch_a", "att_a", 46_00, 0, currency="EUR"))
    act(settling.the("currency_differs"), Resolution.PARK_IN_SUSPENSE)
    for currency, suspense in (("USD", 50_00), ("EUR", -46_00)):
        assert stands(settling, chart.suspense, currency) == suspense
        assert stands(settling, chart.gateway_receivable, currency) == 0
        assert settling.control(currency) == 0
    assert settling.told() == {}


def test_what_we_wrote_down_twice_is_reversed_with_all_that_belongs_to_it(settling, ana):
    settling.charge("a", ago=9)
    settling.settle(line("fee", "fe_1", "", -25))
    told = settling.the("missing_at_gateway")
    assert suggest(told) is None
    act(told, Resolution.REVERSE_OURS, has_second_person=True)
    assert JournalEntry.objects.filter(kind="reversal").count() == 3  # capture, fee, release: there was no fee of ours
    assert balance_of(chart.merchant_available(ana.pk), mode="test", currency="USD").amount_minor == 0
    assert (stands(settling, chart.gateway_receivable), settling.control(), settling.told()) == (0, 0, {})


def test_what_the_merchant_has_spent_cannot_be_reversed(settling, ana, record, fact):
    settling.charge("a", ago=9)
    settling.settle(line("fee", "fe_1", "", -25))
    with transaction.atomic():
        reserve_refund(
            merchant_id=ana.pk, gateway_id=settling.gateway.pk, mode="test", reference="rfd_1", payment_reference="",
            amount=Money(50_00, "USD"),
        )  # fmt: skip
    with pytest.raises(InsufficientBalance), transaction.atomic():
        act(settling.the("missing_at_gateway"), Resolution.REVERSE_OURS, has_second_person=True)
    assert settling.told() == {"missing_at_gateway": 1}


def test_a_chargeback_is_held_from_the_merchant_with_its_fee_and_given_back_when_it_is_won(settling, ana):
    settling.charge("a")
    settling.settle(line("charge", "ch_a", "att_a", 100_00, 3_20), line("chargeback", "cb_a", "att_a", -100_00, 15_00))
    told = settling.the("missing_in_ledger")
    assert suggest(told) == Resolution.CHARGEBACK
    done = act(told, Resolution.CHARGEBACK)
    assert (done.entry.kind, done.entry.merchant_id, done.entry.payment_reference) == (
        "chargeback_opened", ana.pk, "pay_att_a",
    )  # fmt: skip
    assert (stands(settling, chart.dispute_receivable), stands(settling, chart.dispute_fee)) == (100_00, 15_00)
    assert balance_of(chart.merchant_dispute_hold(ana.pk), mode="test", currency="USD").amount_minor == 100_00
    assert (settling.control(), settling.told(), stands(settling, chart.gateway_receivable)) == (0, {}, 0)

    settling.settle(line("chargeback_reversed", "cb_a", "att_a", 100_00, batch="batch-2"))
    act(settling.the("missing_in_ledger"), Resolution.CHARGEBACK)
    assert stands(settling, chart.dispute_receivable) == 0
    assert balance_of(chart.merchant_dispute_hold(ana.pk), mode="test", currency="USD").amount_minor == 0
    assert (settling.control(), settling.told(), stands(settling, chart.gateway_receivable)) == (0, {}, 0)


def test_a_fee_that_the_gateway_gives_back_with_a_won_dispute_is_posted(settling):
    settling.charge("a")
    settling.settle(line("charge", "ch_a", "att_a", 100_00, 3_20), line("chargeback", "cb_a", "att_a", -100_00))
    act(settling.the("missing_in_ledger"), Resolution.CHARGEBACK)
    settling.settle(line("chargeback_reversed", "cb_a", "att_a", 100_00, -15_00, batch="batch-2"))
    act(settling.the("missing_in_ledger"), Resolution.CHARGEBACK)
    assert stands(settling, chart.gateway_fee) == 3_20 - 15_00
    assert settling.control() == 0


@pytest.mark.parametrize("names", [("cb_z", "att_z"), ("cb_z", "")])
def test_a_chargeback_of_a_charge_that_is_not_ours_is_no_chargeback(settling, names):
    settling.settle(line("chargeback", *names, -100_00))
    with pytest.raises(ResolutionNotPossible, match="names no charge"):
        act(settling.the("missing_in_ledger"), Resolution.CHARGEBACK)


@pytest.mark.parametrize(("kind", "fee"), [("chargeback", 15_00), ("chargeback_reversed", -15_00)])
def test_a_line_of_a_dispute_that_is_only_its_fee_is_booked_as_a_fee(settling, kind, fee):
    settling.charge("a")
    settling.settle(line("charge", "ch_a", "att_a", 100_00, 3_20), line(kind, "cb_a", "att_a", 0, fee))
    told = settling.the("missing_in_ledger")
    assert suggest(told) == Resolution.FEE_TRUE_UP
    with pytest.raises(ResolutionNotPossible, match="only a fee"):
        act(told, Resolution.CHARGEBACK)
    act(told, Resolution.FEE_TRUE_UP)
    connection.check_constraints()
    assert stands(settling, chart.gateway_fee) == 3_20 + fee
    assert (settling.control(), settling.told(), stands(settling, chart.gateway_receivable)) == (0, {}, 0)


def test_a_dispute_that_was_never_opened_cannot_be_won(settling):
    settling.charge("a")
    settling.settle(line("charge", "ch_a", "att_a", 100_00, 3_20), line("chargeback_reversed", "cb_a", "att_a", 100_00))
    with pytest.raises(ResolutionNotPossible, match="no dispute"):
        act(settling.the("missing_in_ledger"), Resolution.CHARGEBACK)


@pytest.mark.parametrize("resolution", [Resolution.WRITE_OFF, Resolution.PARK_IN_SUSPENSE])
def test_what_a_payout_lacks_is_taken_out_of_transit(settling, resolution):
    settling.charge("a")
    settling.settle(line("charge", "ch_a", "att_a", 100_00, 3_20), payout(95_00))
    act(settling.the("batch_total_differs"), resolution)
    account = chart.write_off if resolution == Resolution.WRITE_OFF else chart.suspense
    assert (stands(settling, chart.gateway_in_transit), stands(settling, account)) == (95_00, 1_80)
    assert (stands(settling, chart.gateway_receivable), settling.control(), settling.told()) == (0, 0, {})
    assert not settling.settle().changed_anything


@pytest.mark.parametrize(
    ("resolution", "why"),
    [
        (Resolution.NO_ENTRY, "has to be posted"),
        (Resolution.MATCH_BY_HAND, "which line and which item"),
        (Resolution.ADOPT_REFUND, "with the payment"),
        (Resolution.CHARGEBACK, "no chargeback"),
        (Resolution.REVERSE_OURS, "does not know at all"),
        (Resolution.FEE_TRUE_UP, "no fee"),
    ],
)
def test_what_does_not_explain_a_difference_is_refused(settling, resolution, why):
    settling.charge("a")
    settling.settle(line("charge", "ch_a", "att_a", 99_00, 3_20))
    with pytest.raises(ResolutionNotPossible, match=why):
        act(settling.the("amount_differs"), resolution)
    assert settling.told() == {"amount_differs": 1}


def test_what_has_ended_cannot_be_resolved_again(settling):
    settling.settle(line("charge", "ch_z", "", 50_00))
    told = settling.the("missing_in_ledger")
    act(told, Resolution.PARK_IN_SUSPENSE)
    with pytest.raises(DiscrepancyEnded):
        act(told, Resolution.PARK_IN_SUSPENSE)


# Seen before it is done.


def test_a_preview_shows_what_would_be_posted_and_leaves_no_trace(settling):
    settling.charge("a")
    settling.settle(line("charge", "ch_a", "att_a", 99_63, 3_20))
    told = settling.the("amount_differs")
    before = JournalEntry.objects.count(), Match.objects.count(), AuditEntry.objects.count()
    seen = preview(discrepancy=told, resolution=Resolution.WRITE_OFF)

    (draft,) = seen.drafts
    assert (draft.kind, sorted(leg.amount.amount_minor for leg in draft.postings)) == ("written_off", [-37, 37])
    assert {balance.account.kind: balance.sum.amount_minor for balance in seen.balances} == {
        "write_off": 37,
        "gateway_receivable": 0,
    }
    assert (JournalEntry.objects.count(), Match.objects.count(), AuditEntry.objects.count()) == before
    assert settling.told() == {"amount_differs": 1}
    act(told, Resolution.WRITE_OFF)


def test_a_preview_of_a_chargeback_shows_whom_it_hits(settling, ana):
    settling.charge("a")
    settling.settle(line("charge", "ch_a", "att_a", 100_00, 3_20), line("chargeback", "cb_a", "att_a", -100_00, 15_00))
    seen = preview(discrepancy=settling.the("missing_in_ledger"), resolution=Resolution.CHARGEBACK)
    assert [draft.kind for draft in seen.drafts] == ["chargeback_opened", "chargeback_fee"]
    after = {balance.account.kind: balance.sum.amount_minor for balance in seen.balances}
    assert (after["merchant_dispute_hold"], after["merchant_receivable"]) == (-100_00, 15_00)


# Many at once.


def test_many_are_resolved_alike_after_a_look_at_the_total(settling):
    for name in "abc":
        settling.charge(name)
    settling.settle(*[line("charge", f"ch_{name}", "", 100_00, 3_31) for name in "abc"])
    wanted = Discrepancy.objects.filter(kind="fee_differs")
    (total,) = preview_many(discrepancies=wanted, resolution=Resolution.FEE_TRUE_UP)
    assert (total.currency, total.count, total.difference_minor, total.value_minor) == ("USD", 3, -33, 33)

    done = resolve_many(discrepancies=wanted, resolution=Resolution.FEE_TRUE_UP, reason="new prices", actor=ACTOR)
    assert len(done) == 3
    assert settling.told() == {}
    assert (stands(settling, chart.gateway_fee), settling.control()) == (3 * 3_31, 0)
    assert AuditEntry.objects.filter(verb="discrepancy.resolve", reason="new prices").count() == 3


def test_many_are_resolved_together_or_not_at_all(settling):
    settling.charge("a")
    settling.settle(line("charge", "ch_a", "", 100_00, 3_31), line("charge", "ch_z", "", 5_00))
    with pytest.raises(ResolutionNotPossible), transaction.atomic():
        resolve_many(discrepancies=Discrepancy.objects.all(), resolution=Resolution.FEE_TRUE_UP, reason="", actor=ACTOR)
    assert settling.told() == {"fee_differs": 1, "missing_in_ledger": 1}
    assert settling.control() == 0


def test_the_limit_of_one_person_holds_for_the_sum(settling):
    settling.settle(line("charge", "ch_y", "", 60_00), line("refund", "ch_z", "", -60_00))
    about = {"resolution": Resolution.PARK_IN_SUSPENSE, "reason": "", "actor": ACTOR}
    with pytest.raises(SecondPersonNeeded):
        resolve_many(discrepancies=Discrepancy.objects.all(), **about)
    assert len(resolve_many(discrepancies=Discrepancy.objects.filter(difference_minor__gt=0), **about)) == 1


def test_too_many_at_once_are_refused(settling, monkeypatch):
    monkeypatch.setattr(policy, "RESOLUTION_COUNT", 1)
    settling.settle(line("charge", "ch_y", "", 1_00), line("charge", "ch_z", "", 1_00))
    with pytest.raises(TooManyAtOnce):
        preview_many(discrepancies=Discrepancy.objects.all(), resolution=Resolution.WRITE_OFF)


@pytest.mark.parametrize("resolution", [Resolution.REVERSE_OURS, Resolution.CHARGEBACK, Resolution.ADOPT_REFUND])
def test_what_concerns_a_merchant_is_looked_at_one_by_one(settling, resolution):
    settling.settle(line("charge", "ch_z", "", 1_00))
    with pytest.raises(ResolutionNotPossible):
        resolve_many(discrepancies=Discrepancy.objects.all(), resolution=resolution, reason="", actor=ACTOR)


# Two people.


def test_above_the_limit_a_second_person_is_needed(settling, olivia, peter):
    settling.settle(line("charge", "ch_z", "", 100_01))
    told = settling.the("missing_in_ledger")
    with pytest.raises(SecondPersonNeeded):
        act(told, Resolution.PARK_IN_SUSPENSE)

    approval = request_resolution(
        discrepancies=[told], resolution=Resolution.PARK_IN_SUSPENSE, reason="theirs", maker=olivia, actor=ACTOR
    )
    told.refresh_from_db()
    assert told.status == "requested"
    assert approval.payload["totals"] == [{"currency": "USD", "count": 1, "difference": 100_01, "value": 100_01}]
    with pytest.raises(AlreadyRequested):
        request_resolution(
            discrepancies=[told], resolution=Resolution.PARK_IN_SUSPENSE, reason="", maker=olivia, actor=ACTOR
        )
    with pytest.raises(MakerCannotCheck):
        approve_resolution(approval=approval, checker=olivia, actor=ACTOR)
    assert APPROVED[approval.kind] is approve_resolution

    (done,) = approve_resolution(approval=approval, checker=peter, actor=ACTOR)
    assert (done.status, done.end_reason, stands(settling, chart.suspense)) == ("resolved", "theirs", -100_01)


def test_what_is_rejected_is_open_again_and_may_be_asked_for_anew(settling, olivia, peter):
    settling.settle(line("charge", "ch_z", "", 100_01))
    told = settling.the("missing_in_ledger")
    about = {"discrepancies": [told], "resolution": Resolution.PARK_IN_SUSPENSE, "maker": olivia, "actor": ACTOR}
    approval = request_resolution(reason="", **about)
    assert REJECTED[approval.kind] is reject_resolution
    reject_resolution(approval=approval, checker=peter, reason="no", actor=ACTOR)
    told.refresh_from_db()
    assert told.status == "open"
    request_resolution(reason="", **about)


def test_a_request_that_nobody_decided_in_time_may_be_made_again(settling, olivia):
    settling.settle(line("charge", "ch_z", "", 100_01))
    about = {"resolution": Resolution.PARK_IN_SUSPENSE, "maker": olivia, "actor": ACTOR, "reason": ""}
    approval = request_resolution(discrepancies=[settling.the("missing_in_ledger")], **about)
    type(approval).objects.update(expires_at=approval.created_at)
    request_resolution(discrepancies=list(Discrepancy.objects.all()), **about)
    assert Discrepancy.objects.get().status == "requested"


def test_what_has_changed_since_it_was_asked_for_is_not_agreed_to(settling, olivia, peter):
    settling.charge("a", 200_00, 0)
    settling.settle(line("charge", "ch_a", "", 50_00))
    told = settling.the("amount_differs")
    approval = request_resolution(
        discrepancies=[told], resolution=Resolution.WRITE_OFF, reason="", maker=olivia, actor=ACTOR
    )
    Discrepancy.objects.update(difference_minor=-1)
    with pytest.raises(ApprovalChanged):
        approve_resolution(approval=approval, checker=peter, actor=ACTOR)


def test_a_late_line_clears_what_was_asked_for_and_nothing_is_left_to_agree_to(settling, olivia, peter):
    settling.charge("a", 200_00, 0, ago=9)
    settling.settle(line("fee", "fe_1", "", -25))
    told = settling.the("missing_at_gateway")
    approval = request_resolution(
        discrepancies=[told], resolution=Resolution.WRITE_OFF, reason="", maker=olivia, actor=ACTOR
    )
    settling.settle(line("charge", "ch_a", "att_a", 200_00, batch="batch-2"))
    with pytest.raises(DiscrepancyEnded):
        approve_resolution(approval=approval, checker=peter, actor=ACTOR)
    assert stands(settling, chart.write_off) == 0


# By hand, by name, in words.


def test_a_line_and_an_item_are_matched_by_hand(settling):
    item = settling.charge("a", ago=9)
    settling.settle(line("charge", "typo", "", 100_00, 3_50))
    assert settling.told() == {"missing_in_ledger": 1, "missing_at_gateway": 1}
    match = match_by_hand(line=settling.the("missing_in_ledger").line, item=item, reason="a typo", actor=ACTOR)

    assert (match.how, match.difference_minor) == ("by_hand", -30)
    assert set(Discrepancy.objects.values_list("status", "resolution")) == {("resolved", "match_by_hand")}
    assert (stands(settling, chart.gateway_fee), settling.told(), settling.control()) == (3_50, {}, 0)


def test_what_is_matched_by_hand_and_differs_beyond_the_limit_needs_a_second_person(settling):
    item = settling.charge("a", 300_00, 0)
    settling.settle(line("charge", "typo", "", 100_00))
    told = settling.the("missing_in_ledger")
    with pytest.raises(SecondPersonNeeded):
        match_by_hand(line=told.line, item=item, reason="", actor=ACTOR)
    match_by_hand(line=told.line, item=item, reason="", actor=ACTOR, has_second_person=True)
    assert (stands(settling, chart.write_off), settling.control()) == (200_00, 0)


def test_what_is_matched_cannot_be_matched_by_hand(settling):
    item = settling.charge("a")
    settling.settle(line("charge", "ch_a", "att_a", 100_00, 3_20), line("charge", "ch_z", "", 1_00), payout(97_80))
    told = settling.the("missing_in_ledger")
    with pytest.raises(LineCannotBeMatched, match="already"):
        match_by_hand(line=told.line, item=item, reason="", actor=ACTOR)
    fresh = settling.charge("b")
    paid = told.line.file.lines.get(kind="payout")
    with pytest.raises(LineCannotBeMatched, match="payout"):
        match_by_hand(line=paid, item=fresh, reason="", actor=ACTOR)


def test_a_difference_is_carried_by_name_but_not_what_nobody_understands(settling, olivia, peter):
    settling.settle(line("charge", "ch_z", "", 1_00), line("novelty", "nv_1", "", 1_00))
    told = carry(discrepancy=settling.the("missing_in_ledger"), owner=olivia, reason="asked them", actor=ACTOR)
    assert (told.status, told.owner) == ("carried", olivia)
    assert carry(discrepancy=told, owner=peter, reason="on leave", actor=ACTOR).owner == peter
    with pytest.raises(ResolutionNotPossible):
        carry(discrepancy=settling.the("unmapped_type"), owner=olivia, reason="", actor=ACTOR)
    act(told, Resolution.PARK_IN_SUSPENSE)


def test_what_was_said_stays(settling):
    settling.settle(line("charge", "ch_z", "", 1_00))
    comment(discrepancy=settling.the("missing_in_ledger"), text="They will look into it.", actor=ACTOR)
    note = DiscrepancyNote.objects.get()
    assert (note.author, note.text) == ("command:test", "They will look into it.")
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        DiscrepancyNote.objects.update(text="Never mind.")
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        note.delete()


def test_what_is_open_is_told_by_kind_and_gateway_with_its_value_and_age(settling):
    settling.charge("a", 30_00, 0, ago=9)
    settling.charge("b", 20_00, 0, ago=7)
    settling.settle(line("refund", "re_z", "", -5_00), line("fee", "fe_1", "", -25))
    first, second = open_discrepancies(mode="test")
    assert (first.gateway, first.kind, first.count, first.value_minor) == (
        settling.gateway, "missing_at_gateway", 2, 50_00,
    )  # fmt: skip
    assert first.oldest_on < second.oldest_on
    assert (second.kind, second.value_minor) == ("missing_in_ledger", 5_00)
    assert open_discrepancies(mode="live") == []
    assert [told.line.gateway_reference for told in refunds_to_adopt()] == ["re_z"]


@pytest.mark.parametrize(
    ("kind", "gross"), [("chargeback_reversed", 1_000_00), ("refund", -1_000_00), ("payout", 1_000_00)]
)
def test_what_is_of_another_kind_is_not_matched_by_hand(settling, kind, gross):
    item = settling.charge("a", 1_000_00, 0, ago=9)
    settling.settle(line(kind, "x", "", gross))
    theirs = SettlementLine.objects.get()
    with pytest.raises(LineCannotBeMatched, match=f"their {kind.replace('_', ' ')} is not our charge"):
        match_by_hand(line=theirs, item=item, reason="", actor=ACTOR, has_second_person=True)
