"""May somebody follow a movement of money from the book to the bank, and back?"""

import pytest
from django.test import Client

from checkout.kit.display import page_of
from gateways.models import Gateway
from ledger.models import BankLine, ClearingItem, SettlementBatch, SettlementFile, SettlementLine
from ledger.reconciliation.tracing import items_settled_by, trace
from ledger.services import reconcile_bank
from ledger.services.discrepancies import resolve
from ledger.tests.settling import ACTOR, Settling, day, line, payout
from tests.desk import at_desk, queries_of, text_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def settling(acme, ana) -> Settling:
    return Settling(acme, ana)


@pytest.fixture
def desk() -> Client:
    return at_desk("Finance")


def entries_of(*items: ClearingItem) -> list:
    return [item.entry for item in items]


def at_the_bank(payout: SettlementBatch) -> BankLine:
    statement = SettlementFile.objects.create(
        mode="test", name="bank.xml", source="upload", size_bytes=1, status="imported"
    )
    booking = BankLine.objects.create(
        **{"file": statement, "line_number": 1, "account": "DE1", "text": payout.reference, "currency": "USD"},
        **{"amount_minor": payout.net_minor, "booked_on": day(0)},
    )
    reconcile_bank(mode="test", actor=ACTOR)
    return booking


def test_a_movement_leads_to_its_line_its_payout_and_the_bank(settling):
    ours, other = settling.charge("a"), settling.charge("b", 50_00, 1_60)
    settling.settle(
        line("charge", "ch_b", "", 50_00, 1_60, batch="batch-2"),
        line("charge", "ch_a", "", 100_00, 3_20),
        payout(96_80),
    )
    booking = at_the_bank(SettlementBatch.objects.get(reference="batch-1"))

    first, second = trace(entries_of(ours, other))

    assert (first.item, [row.gateway_reference for row in first.lines]) == (ours, ["ch_a"])
    assert [(row.reference, row.bank_line) for row in first.payouts] == [("batch-1", booking)]
    assert [row.gateway_reference for row in second.lines] == ["ch_b"]
    assert [(row.reference, row.bank_line) for row in second.payouts] == [("batch-2", None)]


def test_what_is_open_leads_nowhere(settling):
    (traced,) = trace(entries_of(settling.charge("a")))

    assert (traced.item.match, traced.lines, traced.payouts) == (None, [], [])


def test_one_movement_settled_in_parts_leads_to_all_of_them_and_two_settled_as_one_to_the_same(settling):
    parted, one, two = settling.charge("a"), settling.charge("b", theirs="same"), settling.charge("c", theirs="same")
    settling.settle(
        line("charge", "ch_a", "", 60_00, 3_20), line("charge", "ch_a", "", 40_00, 0),
        line("charge", "same", "", 200_00, 6_40),
    )  # fmt: skip

    whole, *halves = trace(entries_of(parted, one, two))

    assert [row.gross_minor for row in whole.lines] == [60_00, 40_00]
    assert [[row.gross_minor for row in half.lines] for half in halves] == [[200_00], [200_00]]
    assert items_settled_by(SettlementLine.objects.get(gateway_reference="same")) == [one, two]


def test_another_gateways_payout_of_the_same_name_is_another(settling, acme):
    globex = Gateway.objects.create(
        code="globex", name="Globex", adapter=acme.adapter, mode="test", data_format="json",
        base_url="https://globex.test", currencies=["USD"],
    )  # fmt: skip
    settling.settle(line("charge", "ch_x", "", 5_00, 0))
    there = Settling(globex, settling.merchant)
    item = there.charge("a")
    there.settle(line("charge", "ch_a", "", 100_00, 3_20))

    (traced,) = trace(entries_of(item))

    assert [row.gateway for row in traced.payouts] == [globex]


def test_many_are_traced_in_as_many_queries_as_one(settling):
    entries = entries_of(*(settling.charge(name) for name in "abcdef"))
    settling.settle(*(line("charge", f"ch_{name}", "", 100_00, 3_20) for name in "abcdef"), payout(6 * 96_80))

    assert queries_of(lambda: trace(entries)) == queries_of(lambda: trace(entries[:1])) == 4


def test_a_person_follows_the_links_both_ways(settling, desk):
    item = settling.charge("a")
    settling.settle(line("charge", "ch_a", "att_a", 100_00, 3_20), payout(96_80))
    theirs, batch = SettlementLine.objects.get(kind="charge"), SettlementBatch.objects.get()

    on_the_items_page = desk.get(page_of(item))
    on_the_lines_page = desk.get(page_of(theirs))

    assert f"line {theirs.line_number} of {theirs.file.name}" in text_of(on_the_items_page)
    assert "payout batch-1 , not at the bank" in text_of(on_the_items_page)
    assert f'href="{page_of(theirs)}"' in on_the_items_page.content.decode()
    assert f'href="{page_of(batch)}"' in on_the_items_page.content.decode()
    assert "charge att_a" in text_of(on_the_lines_page)
    assert f'href="{page_of(item)}"' in on_the_lines_page.content.decode()
    booking = at_the_bank(batch)
    assert f"payout batch-1 , at the bank on {booking.booked_on:%d %b %Y}" in text_of(desk.get(page_of(item)))


def test_what_differs_leads_to_the_line_and_the_difference_and_so_does_the_line(settling, desk):
    item = settling.charge("a")
    settling.settle(line("charge", "ch_a", "att_a", 100_00, 4_20))
    told = settling.the("fee_differs")

    (traced,) = trace(entries_of(item))

    assert (traced.lines, traced.told, traced.told[0].line) == ([], [told], told.line)
    on_the_lines_page = desk.get(page_of(told.line))
    assert f'href="{page_of(told)}"' in on_the_lines_page.content.decode()
    assert "fee differs open" in text_of(on_the_lines_page)
    resolve(discrepancy=told, resolution="fee_true_up", reason="", actor=ACTOR)
    (traced,) = trace(entries_of(item))
    assert (traced.lines, traced.told) == ([told.line], [])
    told.refresh_from_db()
    assert f'href="{page_of(told.entry)}"' in desk.get(page_of(told.line)).content.decode()


def test_a_booking_is_called_by_its_amount(settling, desk):
    settling.settle(line("charge", "ch_a", "", 100_00, 3_20), payout(96_80))
    booking = at_the_bank(SettlementBatch.objects.get())
    assert f"96.80 USD on {day(0)}" in text_of(desk.get(page_of(booking)))


def test_a_refused_file_shows_why_and_no_form_to_correct(settling, desk):
    file = settling.import_lines("charge,x\n")
    said = text_of(desk.get(page_of(file)))
    assert "Why it was refused" in said
    assert "correct the error" not in said
