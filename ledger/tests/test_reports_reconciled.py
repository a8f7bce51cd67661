"""Do the reports about gateways' files say what is in them, what is open and how old, and tie after every step?

Beside the small book, Acme settles on 5 March, as its file says: the charge of February as expected; the charge of
2 March with 3.31 of fee instead of 3.20; a refund of 5.00 that nobody asked for here; a fee of 2.00. It leaves the
refund of 3 March out. The payout is 48.25 + 96.69 - 5.00 - 2.00 = 137.94, of which the bank gets 137.00.
"""

import io
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
import time_machine

from checkout.kit.actors import Actor
from checkout.kit.display import page_of
from ledger import recipes, selectors
from ledger.models import BankLine, Discrepancy, SettlementBatch, SettlementFile
from ledger.reports import REPORTS
from ledger.reports.running import Run, running
from ledger.reports.scope import read_scope
from ledger.services.bank import reconcile_bank
from ledger.services.discrepancies import resolve
from ledger.services.files import import_file, receive_file
from ledger.services.matching import reconcile
from ledger.tests.book import MARCH, Book, eur, record, write_book
from tests.desk import at_desk

HEADER = "kind,gateway_reference,reference,currency,gross_minor,fee_minor,net_minor,occurred_on,batch"
LINES = [
    "charge,,att_1,EUR,5000,175,4825,2026-02-27,payout-1",
    "charge,,att_2,EUR,10000,331,9669,2026-03-02,payout-1",
    "refund,re_9,,EUR,-500,0,-500,2026-03-04,payout-1",
    "fee,fee_9,,EUR,-200,0,-200,2026-03-04,payout-1",
    "payout,payout-1,,EUR,-13794,0,-13794,2026-03-05,payout-1",
]
CLERK = Actor.user("clara")
ABOUT = {"mode": "test", "currency": "EUR"}


@pytest.fixture
def book(transactional_db: None) -> Iterator[Book]:
    """Every fact is a transaction of its own, as in life."""
    with time_machine.travel("2026-03-10T12:00Z", tick=False):
        yield write_book()


@pytest.fixture
def settled(book: Book) -> Book:
    """The file is imported, and what can be matched is."""
    settle(book)
    return book


def settle(book: Book, *lines: str) -> None:
    """Import Acme's file, or other lines than those in it, and match it."""
    content = "\n".join([HEADER, *(lines or LINES), ""]).encode()
    file = receive_file(
        stream=io.BytesIO(content), name="acme.csv", gateway=book.acme, mode="test", source="command", actor=CLERK
    )
    assert import_file(file).status == "imported"
    reconcile(gateway=book.acme, mode="test", actor=CLERK)


@pytest.fixture
def banked(book: Book) -> Callable[..., None]:
    """The bank has credited so many cents for the payout, or for those that it names."""

    def credit(amount_minor: int, reference: str = "payout-1") -> None:
        statement = SettlementFile.objects.create(
            gateway=None,
            mode="test",
            name="statement.xml",
            source="command",
            sha256="0" * 64,
            size_bytes=1,
            status="imported",
            imported_at=datetime.now(UTC),
            received_by="command:test",
        )
        BankLine.objects.create(
            file=statement,
            line_number=1,
            account="PT50",
            reference=reference,
            currency="EUR",
            amount_minor=amount_minor,
            booked_on=date(2026, 3, 7),
        )
        reconcile_bank(mode="test", actor=CLERK)

    return credit


def run_of(name: str, **words: str) -> tuple[list[Any], Run]:
    report = REPORTS[name]
    when = MARCH if "period" in report.asks else {}
    with running(report, read_scope({**ABOUT, **when, **words}, report.asks), seconds=60) as run:
        rows = list(run.rows())
    return rows, run


def figures(rows: list[Any], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in rows]


def everything_ties() -> bool:
    return all(run_of(name)[1].ties for name in REPORTS)


def in_transit() -> int:
    """What the trial balance shows on the account."""
    balances = selectors.trial_balance(mode="test", currency="EUR")
    return sum(each.sum.amount_minor for each in balances if each.account.kind == "gateway_in_transit")


def behind(answer: Any) -> int:
    """What a list of payouts adds up to, or the page of a difference says of it, whatever its sign."""
    if listed := answer.context.get("cl"):
        return sum(listed.queryset.values_list("net_minor", flat=True))
    return abs(int(answer.context["original"].difference_minor))


def found(kind: str) -> Discrepancy:
    return Discrepancy.objects.get(kind=kind, currency="EUR")


def test_before_any_file_all_that_was_captured_is_open_by_its_age(book: Book) -> None:
    rows, run = run_of("settlement_ageing")

    ages = tuple(f"age_{place}" for place in range(5))
    assert sorted(figures(rows, "gateway", "what", "total", *ages)) == [
        ("Acme", "captured, in no file yet", 105_05, 0, 0, -40_00, 145_05, 0),
        ("Bolt", "captured, in no file yet", 38_29, 0, 0, 28_88, 9_41, 0),
        ("Bolt", "posted past both", -10_00, 0, 0, -10_00, 0, 0),
    ]
    assert run.ties


def test_settlement_ageing_is_what_is_open_on_either_side_and_what_is_on_its_way(settled: Book) -> None:
    rows, run = run_of("settlement_ageing", gateway="acme")

    ages = tuple(f"age_{place}" for place in range(5))
    assert sorted(figures(rows, "what", "total", *ages)) == [
        ("captured, in no file yet", 56_80, 0, 0, -40_00, 96_80, 0),
        ("in a file, not in our books", -91_69, 0, 0, 5_00, -96_69, 0),
        ("payout on its way to the bank", 137_94, 0, 0, 137_94, 0, 0),
    ]
    assert [str(control) for control in run.controls] == [
        "what is in no payout ties to account gateway_receivable: difference 0.00 EUR",
        "payouts tie to account gateway_in_transit: difference 0.00 EUR",
    ]


def test_the_statement_goes_from_the_ledger_to_the_gateways_own_balance(settled: Book) -> None:
    rows, run = run_of("reconciliation_statement", gateway="acme")

    assert figures(rows, "line", "count", "amount") == [
        ("ledger: owed, in no payout", None, -34_89),
        ("ledger: payouts on their way", None, 137_94),
        ("add: in a file, not in the ledger", 1, -5_00),
        ("less: in the ledger, in no file", 1, 40_00),
        ("add: what differs between both", 2, -11),
        ("the gateway's balance, so reckoned", None, 137_94),
        ("payouts that the bank has not credited", 1, 137_94),
    ]
    assert run.ties


def test_the_match_rate_is_of_the_lines_of_what_was_announced(settled: Book) -> None:
    rows, run = run_of("match_rate")

    assert sorted(figures(rows, "how", "lines", "value", "net", "all_lines", "all_value")) == [
        ("our reference", 1, 50_00, 48_25, 4, 157_00),
        ("posted", 1, 2_00, -2_00, 4, 157_00),
        ("unmatched", 2, 105_00, 91_69, 4, 157_00),
    ]
    assert run.totals["EUR"]["net"] == 137_94
    assert run.ties


def test_exceptions_are_counted_and_valued_by_reason_and_age(settled: Book) -> None:
    rows, run = run_of("exception_ageing", gateway="acme")

    assert figures(rows, "reason", "count", "value", "age_2", "age_3") == [
        ("fee differs", 1, 11, 0, 11),
        ("missing at gateway", 1, 40_00, 40_00, 0),
        ("missing in ledger", 1, 5_00, 5_00, 0),
    ]
    assert run.ties


def test_fees_show_what_waits_to_be_explained(settled: Book) -> None:
    rows, run = run_of("fees", gateway="acme")

    assert figures(rows, "expected", "trued_up", "other", "charged", "waiting") == [(3_20, 0, 2_00, 5_20, 11)]
    assert run.ties


def test_settlements_are_payouts_and_when_the_bank_had_them(settled: Book, banked: Callable[..., None]) -> None:
    rows, _ = run_of("settlements")
    assert figures(rows, "day", "reference", "lines", "net", "banked_on", "on_its_way") == [
        (date(2026, 3, 5), "payout-1", 4, 137_94, None, 137_94)
    ]

    banked(137_94)

    rows, run = run_of("settlements")
    assert figures(rows, "net", "banked_on", "banked", "on_its_way") == [(137_94, date(2026, 3, 7), 137_94, 0)]
    assert run.ties
    assert everything_ties()


def test_a_payout_that_arrives_as_another_amount_stays_in_transit_with_the_rest(
    settled: Book, banked: Callable[..., None]
) -> None:
    banked(137_00)

    rows, run = run_of("settlement_ageing", gateway="acme")
    assert ("arrived as another amount: payout-1", 94) in figures(rows, "what", "total")
    assert run.ties
    assert everything_ties()

    resolve(discrepancy=found("bank_amount_differs"), resolution="write_off", reason="bank charges", actor=CLERK)

    rows, run = run_of("settlement_ageing", gateway="acme")
    assert "rest" not in {row["part"] for row in rows}
    assert everything_ties()


@pytest.mark.parametrize(
    ("kind", "resolution"),
    [
        ("fee_differs", "fee_true_up"),
        ("fee_differs", "write_off"),
        ("fee_differs", "park_in_suspense"),
        ("missing_in_ledger", "write_off"),
        ("missing_in_ledger", "park_in_suspense"),
        ("missing_at_gateway", "write_off"),
        ("missing_at_gateway", "reverse_ours"),
    ],
)
def test_all_reports_tie_whatever_explains_a_difference(kind: str, resolution: str, settled: Book) -> None:
    resolve(discrepancy=found(kind), resolution=resolution, reason="looked at", actor=CLERK)

    assert everything_ties()


def test_a_fee_that_was_accepted_is_trued_up_and_waits_no_more(settled: Book) -> None:
    resolve(discrepancy=found("fee_differs"), resolution="fee_true_up", reason="new rate", actor=CLERK)

    rows, _ = run_of("fees", gateway="acme", to=f"{datetime.now(UTC):%Y-%m-%d}")
    assert figures(rows, "expected", "trued_up", "charged", "waiting") == [(3_20, 11, 5_31, 0)]


def test_write_offs_are_told_by_person(settled: Book) -> None:
    resolve(discrepancy=found("fee_differs"), resolution="write_off", reason="small", actor=CLERK)
    resolve(
        discrepancy=found("missing_at_gateway"), resolution="write_off", reason="never came", actor=Actor.user("carl")
    )

    rows, run = run_of("write_offs")

    assert figures(rows, "person", "entries", "lost", "gained", "net") == [
        ("carl", 1, 0, 40_00, -40_00),
        ("clara", 1, 11, 0, 11),
    ]
    assert run.totals["EUR"]["net"] == -39_89
    assert run.ties


def test_how_things_stood_at_an_instant_is_told_after_they_have_changed(transactional_db: None) -> None:
    names = ("settlement_ageing", "exception_ageing", "reconciliation_statement", "trial_balance")
    settle(write_book())
    before, at = {name: run_of(name)[0] for name in names}, datetime.now(UTC).isoformat()

    resolve(discrepancy=found("fee_differs"), resolution="fee_true_up", reason="new rate", actor=CLERK)

    for name, rows in before.items():
        then, run = run_of(name, at=at)
        assert then == rows, name
        assert run.ties
        assert run_of(name)[0] != rows, name


def test_a_batch_that_is_put_right_ties_with_its_payout(book: Book) -> None:
    settle(book, *LINES[:4], "payout,payout-1,,EUR,-13700,0,-13700,2026-03-05,payout-1")
    assert everything_ties()

    resolve(discrepancy=found("batch_total_differs"), resolution="park_in_suspense", reason="asked", actor=CLERK)

    rows, _ = run_of("settlements")
    assert figures(rows, "reference", "net", "banked", "on_its_way") == [
        ("payout-1", -94, 0, 0),
        ("payout-1", 137_94, 0, 137_00),
    ]
    assert everything_ties()
    assert SettlementBatch.objects.get().status == "announced"


def pay_less(book: Book, resolution: str) -> None:
    """The gateway says that it paid out less than its lines come to; which was put right, if there is a resolution."""
    settle(book, *LINES[:4], "payout,payout-1,,EUR,-13700,0,-13700,2026-03-05,payout-1")
    if resolution:
        resolve(discrepancy=found("batch_total_differs"), resolution=resolution, reason="asked", actor=CLERK)


@pytest.mark.parametrize("resolution", ["", "write_off", "park_in_suspense"])
@pytest.mark.parametrize("credited", [0, 137_00, 137_94, 130_00])
def test_what_is_on_its_way_is_what_the_account_holds_whatever_a_payout_said_and_the_bank_got(
    resolution: str, credited: int, book: Book, banked: Callable[..., None]
) -> None:
    pay_less(book, resolution)
    if credited:
        banked(credited)

    rows, run = run_of("settlements")
    assert run.totals["EUR"]["banked"] == credited
    assert run.totals["EUR"]["on_its_way"] == in_transit()
    assert [str(control) for control in run.controls] == [
        "payouts, and what they were put right by, tie to account gateway_in_transit: difference 0.00 EUR",
        "what is on its way, of all days, ties to account gateway_in_transit: difference 0.00 EUR",
    ]
    assert everything_ties()


@pytest.mark.parametrize("resolution", ["", "write_off", "park_in_suspense"])
@pytest.mark.parametrize("credited", [0, 137_00, 130_00])
def test_what_is_in_transit_leads_to_the_payouts_and_differences_that_add_up_to_it(
    resolution: str, credited: int, book: Book, banked: Callable[..., None]
) -> None:
    pay_less(book, resolution)
    if credited:
        banked(credited)

    rows, run = run_of("settlement_ageing", gateway="acme")

    browser = at_desk("Finance")
    link = next(column.link for column in run.report.columns if column.name == "total")
    for row in rows:
        if row["part"] in ("batch", "put_right", "rest"):
            address = link(row, run.scope)
            assert behind(browser.get(address)) == abs(row["total"]), row["what"]
            assert (
                row["discrepancy_key"] is None or page_of(Discrepancy.objects.get(pk=row["discrepancy_key"])) == address
            )
    assert run.totals["EUR"]["in_transit"] == in_transit()


def test_a_payout_that_was_given_up_and_comes_after_all_is_banked_and_stands_in_transit(
    book: Book, banked: Callable[..., None]
) -> None:
    settle(book, LINES[0])
    with time_machine.travel("2026-03-20T12:00Z", tick=False):
        reconcile_bank(mode="test", actor=CLERK)
        resolve(discrepancy=found("missing_bank_credit"), resolution="write_off", reason="never came", actor=CLERK)
        rows, _ = run_of("settlements", **{"from": "2026-02-01"})
        assert figures(rows, "net", "banked", "on_its_way") == [(-48_25, 0, 0), (48_25, 0, 0)]
        assert everything_ties()

        banked(48_25)

        rows, _ = run_of("settlements", **{"from": "2026-02-01"})
        assert figures(rows, "net", "banked", "on_its_way") == [(-48_25, 0, 0), (48_25, 48_25, -48_25)]
        assert everything_ties()


def test_of_one_credit_for_several_payouts_each_is_banked_with_its_share(
    book: Book, banked: Callable[..., None]
) -> None:
    settle(
        book,
        *LINES[:4],
        "payout,payout-1,,EUR,-13700,0,-13700,2026-03-05,payout-1",
        "charge,ch_9,,EUR,1000,0,1000,2026-03-04,payout-2",
    )
    resolve(discrepancy=found("batch_total_differs"), resolution="write_off", reason="asked", actor=CLERK)

    banked(147_00, "payout-1 payout-2")

    rows, _ = run_of("settlements")
    assert sorted(figures(rows, "reference", "banked", "on_its_way")) == [
        ("payout-1", 0, 0),
        ("payout-1", 137_00, 0),
        ("payout-2", 10_00, 0),
    ]
    assert everything_ties()


def test_what_is_on_its_way_ties_in_a_period_without_it(settled: Book) -> None:
    rows, run = run_of("settlements", **{"from": "2026-03-01", "to": "2026-03-02"})

    assert rows == []
    assert [control.booked.amount_minor for control in run.controls] == [0, 137_94]
    assert run.ties


def test_settlements_notice_what_no_payout_put_in_transit(settled: Book) -> None:
    fact = {"mode": "test", "gateway_id": settled.acme.pk, "reference": "stray", "occurred_at": datetime.now(UTC)}
    record(recipes.bank_credit(amount=eur(1_00), **fact))

    _, run = run_of("settlements")

    assert [control.difference.amount_minor for control in run.controls] == [0, 1_00]


def test_what_a_payout_was_put_right_by_leads_to_the_difference(book: Book) -> None:
    settle(book, *LINES[:4], "payout,payout-1,,EUR,-13700,0,-13700,2026-03-05,payout-1")
    resolve(discrepancy=found("batch_total_differs"), resolution="write_off", reason="asked", actor=CLERK)

    rows, run = run_of("settlements")

    link = next(column.link for column in run.report.columns if column.name == "net")
    assert [link(row, run.scope) for row in rows] == [
        page_of(found("batch_total_differs")),
        page_of(SettlementBatch.objects.get()),
    ]
