"""A day is closed when it ties out, in its order, and by nobody's leave but two people's opened again."""

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from checkout.kit import clock
from checkout.kit.approvals import MakerCannotCheck
from checkout.kit.models import AuditEntry
from checkout.settings import policy
from ledger.errors import DayNotOver
from ledger.models import ClosedDay, Discrepancy, JournalEntry, LedgerSeal, SettlementFile
from ledger.reconciliation.refusals import (
    DayAlreadyClosed,
    DayNotClosed,
    DoesNotTieOut,
    EarlierDayOpen,
    FileMissing,
    FileNotReconciled,
    NotCompared,
    UnmappedLines,
    UnresolvedDiscrepancies,
)
from ledger.reconciliation.statements import days_not_closed, first_open_day, statement
from ledger.services import APPROVED, approve_reopen, close_day, request_reopen, seal, summarize
from ledger.services.closing import what_hinders
from ledger.services.discrepancies import carry, match_by_hand, resolve
from ledger.tests.settling import ACTOR, Settling, day, line, payout
from ledger.verification import verify_ledger

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _what_was_recorded_a_moment_ago_is_complete(monkeypatch):
    monkeypatch.setattr(policy, "RECORD_LAG_SECONDS", 0)


@pytest.fixture
def settling(acme, ana) -> Settling:
    return Settling(acme, ana)


def close(settling: Settling, ago: int) -> ClosedDay:
    """Close a day; what hindered it was told beforehand."""
    about = {"gateway": settling.gateway, "mode": "test", "currency": "USD", "on": day(ago)}
    hindered = what_hinders(statement(**about))
    if not hindered:
        return close_day(**about, actor=ACTOR)
    with pytest.raises(type(hindered[0])) as refused:
        close_day(**about, actor=ACTOR)
    assert refused.value.message == hindered[0].message
    raise refused.value


def figures(settling: Settling, ago: int) -> tuple[int, ...]:
    """Opening, movement, matched, closing; file, exceptions."""
    found = statement(gateway=settling.gateway, mode="test", currency="USD", on=day(ago))
    assert found.ties
    return (
        found.opening_minor, found.movement_minor, found.matched_minor, found.closing_minor,
        found.file_minor, found.exceptions_minor,
    )  # fmt: skip


def test_two_days_tie_out_to_the_minor_unit_and_are_closed(settling):
    settling.charge("a", ago=3)
    settling.charge("b", 50_00, 1_75, ago=2)
    settling.settle(line("charge", "ch_a", "att_a", 100_00, 3_20, ago=3), payout(96_80, ago=2))
    settling.settle(
        line("charge", "ch_b", "att_b", 50_00, 1_75, ago=2, batch="batch-2"), payout(48_25, ago=1, batch="batch-2")
    )
    assert figures(settling, 3) == (0, 96_80, 0, 96_80, 0, 0)
    assert figures(settling, 2) == (96_80, 48_25, 96_80, 48_25, 96_80, 0)
    assert figures(settling, 1) == (48_25, 0, 48_25, 0, 48_25, 0)

    closed = [close(settling, ago) for ago in (3, 2, 1)]
    assert [(row.opening_minor, row.matched_minor, row.closing_minor) for row in closed] == [
        (0, 0, 96_80), (96_80, 96_80, 48_25), (48_25, 48_25, 0),
    ]  # fmt: skip
    assert closed[0].closed_by == "command:test"
    assert AuditEntry.objects.filter(verb="day.close").count() == 3
    assert days_not_closed(mode="test") == []


def test_lines_that_nobody_explained_are_the_exceptions_of_their_file(settling):
    settling.charge("a", ago=2)
    settling.settle(
        line("charge", "ch_a", "att_a", 100_00, 3_20, ago=2),
        line("charge", "ch_z", "", 50_00, ago=2),
        line("fee", "fe_1", "", -25, ago=2),
        payout(146_55, ago=1),
    )
    # The file moved the receivable by 146.55, of which 50.00 nobody knows; the fee was posted as it came.
    assert figures(settling, 2) == (0, 96_55, 0, 96_55, 0, 0)
    assert figures(settling, 1) == (96_55, -50_00, 96_55, -50_00, 146_55, 50_00)
    resolve(discrepancy=settling.the("missing_in_ledger"), resolution="park_in_suspense", reason="", actor=ACTOR)
    assert figures(settling, 1) == (96_55, 0, 146_55, -50_00, 146_55, 0)


def test_what_was_told_wrongly_of_a_payout_is_no_part_of_the_file(settling):
    settling.charge("a", ago=1)
    settling.settle(line("charge", "ch_a", "att_a", 100_00, 3_20, ago=1), payout(95_00, ago=0))
    resolve(discrepancy=settling.the("batch_total_differs"), resolution="park_in_suspense", reason="", actor=ACTOR)
    assert figures(settling, 0) == (96_80, 0, 96_80, 0, 96_80, 0)


def test_a_day_that_is_not_over_stays_open(settling):
    with pytest.raises(DayNotOver):
        close(settling, 0)


def test_days_are_closed_in_their_order_and_once(settling):
    settling.charge("a", ago=3)
    settling.charge("b", ago=2)
    settling.settle(line("charge", "ch_a", "", 100_00, 3_20, ago=3), line("charge", "ch_b", "", 100_00, 3_20, ago=2))
    with pytest.raises(EarlierDayOpen) as refused:
        close(settling, 2)
    assert refused.value.day == day(3)
    (waiting,) = days_not_closed(mode="test")
    assert (waiting.gateway, waiting.currency, waiting.first, waiting.count) == (settling.gateway, "USD", day(3), 2)
    close(settling, 3)
    with pytest.raises(DayAlreadyClosed):
        close(settling, 3)
    close(settling, 2)
    assert first_open_day(settling.gateway, "test", "USD", until=day(1)) is None


def test_a_day_with_money_needs_a_file_that_covers_it(settling):
    settling.charge("a", ago=3)
    with pytest.raises(FileMissing):
        close(settling, 3)
    settling.settle(line("charge", "ch_y", "", 1_00, ago=2))
    with pytest.raises(FileMissing):
        close(settling, 3)
    settling.settle(line("charge", "ch_a", "att_a", 100_00, 3_20, ago=3, batch="batch-2"))
    close(settling, 3)


def test_a_file_that_waits_keeps_days_open(settling):
    settling.charge("a", ago=3)
    waiting = settling.receive(line("charge", "ch_a", "att_a", 100_00, 3_20, ago=3))
    with pytest.raises(FileNotReconciled, match=waiting.name):
        close(settling, 3)
    settling.import_lines(line("charge", "ch_b", "att_b", 1_00, ago=3, batch="batch-2"))
    SettlementFile.objects.filter(pk=waiting.pk).update(status="refused")
    with pytest.raises(FileNotReconciled):
        close(settling, 3)


def test_loose_ends_keep_a_day_open_until_somebody_explains_or_carries_them(settling, django_user_model):
    settling.charge("a", ago=9)
    settling.charge("young", ago=1)
    settling.settle(
        line("charge", "ch_z", "", 5_00, ago=9),
        line("novelty", "nv_1", "", 1_00, ago=9),
        line("fee", "fe_1", "", -1, ago=1),
    )
    with pytest.raises(UnmappedLines) as unmapped:
        close(settling, 9)
    assert unmapped.value.count == 1
    about = {"reason": "", "actor": ACTOR}
    resolve(discrepancy=settling.the("unmapped_type"), resolution="park_in_suspense", **about)
    with pytest.raises(UnresolvedDiscrepancies) as unresolved:
        close(settling, 9)
    assert unresolved.value.count == 2
    resolve(discrepancy=settling.the("missing_in_ledger"), resolution="park_in_suspense", **about)
    owner = django_user_model.objects.create(username="olivia")
    carry(discrepancy=settling.the("missing_at_gateway"), owner=owner, **about)
    assert close(settling, 9).carried_count == 1
    close(settling, 1)  # what is only young keeps no day open
    assert settling.told() == {"missing_at_gateway": 1, "timing": 1}


def test_everything_that_hinders_a_day_is_told_at_once(settling):
    settling.charge("old", ago=9)
    settling.settle(line("charge", "ch_z", "", 5_00, ago=9))
    settling.receive(line("charge", "ch_b", "att_b", 1_00, ago=3))
    about = {"gateway": settling.gateway, "mode": "test", "currency": "USD"}
    assert [it.code for it in what_hinders(statement(**about, on=day(0)))] == [
        "day_not_over", "earlier_day_open", "file_not_reconciled", "unresolved_discrepancies",
    ]  # fmt: skip


def test_theirs_in_another_currency_is_a_loose_end_of_that_currency_too(settling, acme, django_user_model):
    acme.currencies = ["USD", "EUR"]
    acme.save()
    settling.charge("a", 50_00, 0, ago=3)
    settling.settle(line("charge", "ch_a", "att_a", 46_00, 0, currency="EUR", ago=3))
    about = {"gateway": settling.gateway, "mode": "test", "currency": "EUR", "on": day(3), "actor": ACTOR}
    with pytest.raises(UnresolvedDiscrepancies):
        close_day(**about)
    owner = django_user_model.objects.create(username="olivia")
    carry(discrepancy=settling.the("currency_differs"), owner=owner, reason="", actor=ACTOR)
    assert close_day(**about).carried_count == 1


def test_what_came_since_files_were_matched_keeps_its_day_open(settling):
    settling.charge("a", ago=9)
    settling.settle(line("charge", "ch_a", "att_a", 100_00, 3_20, ago=9), line("fee", "fe_1", "", -1, ago=8))
    settling.charge("late", ago=9)
    with pytest.raises(NotCompared) as refused:
        close(settling, 9)
    assert refused.value.count == 1
    settling.settle()
    assert settling.told()["missing_at_gateway"] == 1
    with pytest.raises(UnresolvedDiscrepancies):
        close(settling, 9)


def test_what_is_left_of_a_pair_that_was_matched_otherwise_by_hand_keeps_its_day_open(settling):
    item = settling.charge("a", ago=3)
    settling.settle(line("charge", "ch_a", "", 99_00, 3_20, ago=3), line("charge", "typo", "", 100_00, 3_20, ago=3))
    match_by_hand(line=settling.the("missing_in_ledger").line, item=item, reason="", actor=ACTOR)
    assert settling.told() == {}
    with pytest.raises(NotCompared):
        close(settling, 3)
    settling.settle()
    assert settling.told() == {"duplicate_at_gateway": 1}


def test_a_day_that_does_not_tie_out_stays_open(settling, tamper):
    settling.charge("a", ago=3)
    settling.settle(line("charge", "ch_a", "att_a", 100_00, 3_20, ago=3))
    tamper("UPDATE ledger_settlementline SET gross_minor = gross_minor - 1, net_minor = net_minor - 1")
    with pytest.raises(DoesNotTieOut) as refused:
        close(settling, 3)
    assert refused.value.difference.amount_minor == 1
    assert not ClosedDay.objects.exists()


def test_what_is_told_of_a_closed_day_goes_to_the_next(settling):
    settling.charge("a", ago=3)
    settling.settle(line("charge", "ch_a", "att_a", 100_00, 3_20, ago=3))
    close(settling, 3)
    late = settling.charge("late", ago=3)
    assert late.occurred_on == day(2)
    assert JournalEntry.objects.get(kind="capture", reference="att_late").occurred_on == day(2)
    settling.settle(line("charge", "ch_late", "att_late", 100_00, 3_20, ago=3, batch="batch-2"))
    assert settling.told() == {}
    assert JournalEntry.objects.filter(kind="settlement_announced").order_by("-pk")[0].occurred_on == day(2)
    close(settling, 2)


def test_a_day_is_opened_again_by_two_people_the_latest_first(settling, django_user_model):
    maker, checker = (django_user_model.objects.create(username=name) for name in ("olivia", "peter"))
    for ago in (3, 2):
        settling.charge(f"of-{ago}", ago=ago)
        settling.settle(line("charge", f"ch_of-{ago}", "", 100_00, 3_20, ago=ago, batch=f"batch-{ago}"))
    earlier, latest = close(settling, 3), close(settling, 2)
    with pytest.raises(DayNotClosed, match="begin with the latest"):
        request_reopen(day=earlier, reason="", maker=maker, actor=ACTOR)
    approval = request_reopen(day=latest, reason="a wrong entry", maker=maker, actor=ACTOR)
    with pytest.raises(MakerCannotCheck):
        approve_reopen(approval=approval, checker=maker, actor=ACTOR)
    assert APPROVED[approval.kind] is approve_reopen

    opened = approve_reopen(approval=approval, checker=checker, actor=ACTOR)
    assert opened.reopened_by == "command:test"
    assert settling.charge("late", ago=2).occurred_on == day(2)
    with pytest.raises(DayNotClosed, match="it is open"):
        request_reopen(day=opened, reason="", maker=maker, actor=ACTOR)
    settling.settle(line("charge", "ch_late", "", 100_00, 3_20, ago=2, batch="batch-late"))
    close(settling, 2)
    assert ClosedDay.objects.filter(on=day(2)).count() == 2
    assert AuditEntry.objects.get(verb="day.reopen").reason == "a wrong entry"


@pytest.mark.django_db(transaction=True)
def test_what_is_carried_and_what_is_sealed_outlasts_opening_a_day_again(settling, django_user_model):
    maker, checker = (django_user_model.objects.create(username=name) for name in ("olivia", "peter"))
    settling.charge("a", ago=9)
    settling.settle(line("charge", "ch_b", "", 100_00, 3_20, ago=9), payout(96_80, ago=8))
    for told in list(Discrepancy.objects.filter(status="open")):
        carry(discrepancy=told, owner=maker, reason="asked them", actor=ACTOR)
    closed = close(settling, 9)
    seal()
    summarize()
    assert (closed.carried_count, closed.closing_minor) == (2, 96_80)

    approval = request_reopen(day=closed, reason="a late refund", maker=maker, actor=ACTOR)
    approve_reopen(approval=approval, checker=checker, actor=ACTOR)
    assert set(Discrepancy.objects.values_list("status", "owner__username")) == {("carried", "olivia")}
    assert LedgerSeal.objects.count() == 1
    settling.given_back("late", 10_00, ago=9)
    settling.settle(
        line("refund", "re_late", "att_late", -10_00, ago=9, batch="batch-2"), payout(-10_00, ago=8, batch="batch-2")
    )
    again = close(settling, 9)
    assert (again.carried_count, again.opening_minor, again.closing_minor) == (2, 0, 86_80)
    assert [row.closing_minor for row in ClosedDay.objects.order_by("id")] == [96_80, 86_80]
    summarize()
    assert [finding.name for finding in verify_ledger() if not finding.is_green] == []


def test_a_day_is_not_opened_again_while_somebody_closes_the_next(settling, django_user_model):
    maker, checker = (django_user_model.objects.create(username=name) for name in ("olivia", "peter"))
    settling.charge("a", ago=3)
    settling.settle(line("charge", "ch_a", "", 100_00, 3_20, ago=3))
    approval = request_reopen(day=close(settling, 3), reason="", maker=maker, actor=ACTOR)
    with CaptureQueriesContext(connection) as asked:
        approve_reopen(approval=approval, checker=checker, actor=ACTOR)
    statements = [query["sql"] for query in asked]
    locked = next(place for place, sql in enumerate(statements) if "ledger_days_lock" in sql)
    looked = max(place for place, sql in enumerate(statements) if "ledger_closedday" in sql and "SELECT" in sql)
    assert locked < looked


def test_the_command_closes_what_can_be_closed_and_says_why_it_stops(settling, capsys):
    settling.charge("a", ago=4)
    settling.charge("b", ago=3)
    settling.charge("c", ago=2)
    settling.settle(line("charge", "ch_a", "", 100_00, 3_20, ago=4), line("charge", "ch_b", "", 90_00, 3_20, ago=3))
    with pytest.raises(CommandError, match=f"{day(3)} stays open"):
        call_command("close_day", "acme", "USD")
    assert f"{day(4)}" in capsys.readouterr().out
    assert ClosedDay.objects.get().on == day(4)
    resolve(discrepancy=settling.the("amount_differs"), resolution="write_off", reason="", actor=ACTOR)
    settling.settle(line("charge", "ch_c", "", 100_00, 3_20, ago=2, batch="batch-2"))
    call_command("close_day", "acme", "USD", "--until", str(clock.now().date() - timedelta(days=2)))
    assert ClosedDay.objects.count() == 3


def test_a_pair_that_differs_keeps_the_day_of_either_side_open(settling):
    settling.charge("a", 100_00, 3_20, ago=2)
    settling.settle(line("charge", "ch_a", "", 90_00, 3_20, ago=3), payout(86_80, ago=3))
    with pytest.raises(UnresolvedDiscrepancies):
        close(settling, 3)


def test_the_file_of_another_currency_tells_nothing_of_a_day(settling, acme):
    acme.currencies = ["USD", "EUR"]
    acme.save()
    settling.charge("a", ago=3)
    settling.settle(line("charge", "ch_e", "", 5_00, currency="EUR", ago=3))
    with pytest.raises(FileMissing):
        close(settling, 3)
    settling.settle(line("charge", "ch_a", "", 100_00, 3_20, ago=3, batch="dollars"))
    close(settling, 3)


def test_a_line_that_comes_late_covers_its_own_day_alone(settling):
    settling.charge("a", ago=3)
    settling.settle(line("fee", "fe1", "", -1, ago=40), line("fee", "fe2", "", -1, ago=1))
    with pytest.raises(FileMissing):
        close(settling, 3)


def test_a_file_tells_of_the_days_between_its_lines(settling, django_user_model):
    settling.charge("a", ago=6)
    settling.settle(line("fee", "fe1", "", -1, ago=8), line("fee", "fe2", "", -1, ago=1))
    assert settling.told() == {"missing_at_gateway": 1}
    with pytest.raises(UnresolvedDiscrepancies):
        close(settling, 6)
    owner = django_user_model.objects.create(username="olivia")
    carry(discrepancy=settling.the("missing_at_gateway"), owner=owner, reason="", actor=ACTOR)
    assert close(settling, 6).carried_count == 1


def test_what_was_told_and_is_carried_waits_for_no_file_of_its_currency(settling, acme, django_user_model):
    acme.currencies = ["USD", "EUR"]
    acme.save()
    settling.charge("a", ago=20)
    settling.settle(line("fee", "fe", "", -1, currency="EUR", ago=1))
    owner = django_user_model.objects.create(username="olivia")
    carry(discrepancy=settling.the("missing_at_gateway"), owner=owner, reason="", actor=ACTOR)
    assert close(settling, 20).carried_count == 1
