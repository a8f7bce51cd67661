"""Does every report say what the book says, to the cent, and does it notice when it does not?"""

from collections.abc import Callable
from dataclasses import replace
from threading import Thread
from typing import Any

import pytest
import time_machine
from django.db import connection

from ledger import recipes, selectors
from ledger.reports import REPORTS, books
from ledger.reports.running import Run, running
from ledger.reports.scope import Asks, read_scope
from ledger.tests.book import MAR_2, MAR_3, MAR_4, MARCH, Book, capture, eur, record, write_book


@pytest.fixture
def book(db: None) -> Book:
    return write_book()


def run_of(name: str, **words: str) -> tuple[list[Any], Run]:
    """A report's rows in the order of its columns, and the run."""
    report = REPORTS[name]
    with running(report, read_scope(words, report.asks), seconds=60) as run:
        rows = list(run.rows())
    return rows, run


def figures(rows: list[Any], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in rows]


def said(run: Run) -> list[str]:
    return [str(control) for control in run.controls]


def test_revenue_is_our_fees_less_those_of_gateways_by_merchant_and_day(book: Book) -> None:
    rows, run = run_of("revenue", **MARCH, currency="EUR")

    assert figures(rows, "day", "merchant", "our_fees", "taxes", "gateway_fees", "margin") == [
        (MAR_3, "Ana", -5, -1, 1_17, -1_22),
        (MAR_2, "Ana", 3_50, 70, 3_20, 30),
        (MAR_2, "Ben", 62, 12, 59, 3),
    ]
    assert run.totals == {"EUR": {"our_fees": 4_07, "taxes": 81, "gateway_fees": 4_96, "margin": -89}}
    assert said(run) == [
        "our fees tie to account platform_fee: difference 0.00 EUR",
        "taxes tie to account tax_payable: difference 0.00 EUR",
        "gateway fees tie to account gateway_fee: difference 0.00 EUR",
    ]


def test_a_statement_goes_from_what_was_owed_by_kind_of_movement_to_what_is_owed(book: Book) -> None:
    rows, run = run_of("merchant_statement", **MARCH, merchant=book.ana.public_id, currency="EUR")

    assert figures(rows, "movement", "plus", "minus", "balance") == [
        ("opening balance", None, None, 47_60),
        ("capture", 130_05, None, 177_65),
        ("fee returned", 1_68, None, 179_33),
        ("platform fee", None, 5_82, 173_51),
        ("refund succeeded", None, 40_00, 133_51),
        ("closing balance", None, None, 133_51),
    ]
    assert run.ties


def test_a_merchant_may_owe_us(book: Book) -> None:
    rows, run = run_of("merchant_statement", **MARCH, merchant=book.ben.public_id)

    # 10.00 were charged back, 9.26 of them covered; held they are still counted as the merchant's.
    assert figures(rows, "movement", "plus", "minus", "balance")[-1] == ("closing balance", None, None, 9_26)
    assert run.ties


def test_a_statement_of_all_merchants_ties_to_the_trial_balance(book: Book) -> None:
    rows, run = run_of("merchant_statement", **MARCH, currency="EUR")

    assert [row["balance"] for row in rows if row["movement"] == "closing balance"] == [133_51, 9_26]
    assert run.totals == {"EUR": {"plus": 141_73, "minus": 46_56, "standing": 142_77}}
    assert said(run) == [
        "closing balances, and what moved since, tie to the merchants' accounts of now: difference 0.00 EUR"
    ]


def test_a_statement_that_ends_earlier_still_ties_to_now(book: Book) -> None:
    words = {"mode": "test", "from": "2026-03-01", "to": "2026-03-02", "merchant": book.ana.public_id}
    rows, run = run_of("merchant_statement", **words, currency="EUR")

    assert figures(rows, "movement", "balance")[-1] == ("closing balance", 143_40)
    assert run.ties


def test_a_statement_of_a_period_by_its_name_ties_too(book: Book) -> None:
    with time_machine.travel("2026-04-01T06:00Z"):
        rows, run = run_of("merchant_statement", mode="test", period="last_month", currency="EUR")

    assert rows[-1]["balance"] == 9_26
    assert run.ties


def test_fees_are_what_was_expected_and_what_came_on_top(book: Book) -> None:
    fact = {**book.fact(book.ana, book.acme, MAR_4, "stl_1")}
    fact.pop("merchant_id")
    record(recipes.fee_trued_up(difference=eur(11), **fact), recipes.gateway_fee_line(fee=eur(5_00), **fact))

    rows, run = run_of("fees", **MARCH, currency="EUR")

    names = ("gateway", "charges", "turnover", "expected", "trued_up", "other", "charged", "waiting")
    assert figures(rows, *names) == [
        ("Acme", 1, 100_00, 3_20, 11, 5_00, 8_31, 0),
        ("Bolt", 2, 40_05, 1_76, 0, 0, 1_76, 0),
    ]
    assert run.totals["EUR"]["charged"] == 10_07
    assert said(run) == ["fees tie to account gateway_fee: difference 0.00 EUR"]


def test_refunds_and_chargebacks_are_measured_against_what_was_taken(book: Book) -> None:
    rows, run = run_of("refunds_and_chargebacks", **MARCH, currency="EUR")

    names = ("gateway", "merchant", "captures", "captured", "refunds", "refunded", "chargebacks", "charged_back")
    assert figures(rows, *names) == [
        ("Acme", "Ana", 1, 100_00, 1, 40_00, 0, 0),
        ("Bolt", "Ana", 1, 30_05, 0, 0, 0, 0),
        ("Bolt", "Ben", 1, 10_00, 0, 0, 1, 10_00),
    ]
    assert said(run) == [
        "refunds tie to account gateway_receivable: difference 0.00 EUR",
        "chargebacks tie to account dispute_receivable: difference 0.00 EUR",
    ]


def test_the_trial_balance_shows_every_kind_of_account_on_its_side(book: Book) -> None:
    rows, run = run_of("trial_balance", mode="test", currency="EUR")

    assert figures(rows, "account", "accounts", "debit", "credit") == [
        ("gateway_receivable", 2, 133_34, 0),
        ("dispute_receivable", 1, 10_00, 0),
        ("merchant_receivable", 1, 74, 0),
        ("merchant_pending", 2, 0, 0),
        ("merchant_available", 2, 0, 133_51),
        ("merchant_dispute_hold", 1, 0, 10_00),
        ("refund_in_flight", 1, 0, 0),
        ("tax_payable", 1, 0, 1_21),
        ("platform_fee", 1, 0, 6_07),
        ("gateway_fee", 2, 6_71, 0),
    ]
    assert run.totals == {"EUR": {"debit": 150_79, "credit": 150_79}}
    assert said(run) == ["debits tie to credits: difference 0.00 EUR"]


def test_the_trial_balance_of_an_instant_before_the_book_is_empty(book: Book) -> None:
    rows, run = run_of("trial_balance", mode="test", currency="EUR", at="2026-01-01T00:00")

    assert rows == []
    assert said(run) == ["debits tie to credits: difference 0.00 EUR"]


@pytest.mark.parametrize("name", REPORTS)
def test_what_is_captured_while_a_report_runs_is_not_in_it(name: str, transactional_db: None) -> None:
    book = write_book()
    report = REPORTS[name]
    words = MARCH if Asks.PERIOD in report.asks else {"mode": "test"}

    def meanwhile() -> None:
        capture(book, book.ana, book.acme, MAR_2, "att_late", 77_00, gateway_fee=7, our_fee=5, tax=1)
        connection.close()

    before, _ = run_of(name, **words)
    with running(report, read_scope(words, report.asks), seconds=60) as run:
        rows = run.rows()
        found = [next(rows)] if before else []
        thread = Thread(target=meanwhile)
        thread.start()
        thread.join()
        found += rows

    assert found == before
    assert run.ties


@pytest.mark.parametrize("name", REPORTS)
def test_every_report_ties_in_every_currency_and_in_each(name: str, book: Book) -> None:
    words = MARCH if Asks.PERIOD in REPORTS[name].asks else {"mode": "test"}

    for currency in ("", "EUR", "JPY", "BHD"):
        _, run = run_of(name, **words, currency=currency)
        assert run.controls or not currency
        assert run.ties, said(run)


@pytest.mark.parametrize("name", REPORTS)
def test_every_report_says_that_nothing_ties_to_nothing(name: str, db: None) -> None:
    rows, run = run_of(name, mode="live", currency="EUR")

    assert rows == []
    assert all(control.reported.amount_minor == 0 for control in run.controls)
    assert run.ties


@pytest.mark.parametrize("name", REPORTS)
def test_every_report_notices_a_cent_too_much_in_the_books(
    name: str, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = {**MARCH, "currency": "EUR"} if Asks.PERIOD in REPORTS[name].asks else {"mode": "test", "currency": "EUR"}
    if name in ("trial_balance", "reconciliation_statement"):
        first, *others = selectors.trial_balance(mode="test", currency="EUR")
        wrong = [replace(first, sum=first.sum + eur(1)), *others]
        monkeypatch.setattr(selectors, "trial_balance", lambda **words: wrong)
    else:
        monkeypatch.setattr(books, "moved", a_cent_more(books.moved))
        monkeypatch.setattr(books, "stood", a_cent_more(books.stood))

    _, run = run_of(name, **words)

    assert not run.ties
    assert {abs(control.difference.amount_minor) for control in run.controls} == {1}


def a_cent_more(figure: Callable[..., dict[str, int]]) -> Callable[..., dict[str, int]]:
    return lambda *args, **how: {"EUR": figure(*args, **how).get("EUR", 0) + 1}
