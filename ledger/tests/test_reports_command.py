"""Can a report be had without a browser, and does the command fail when it does not tie?"""

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from ledger.reports import REPORTS, books
from ledger.reports.formats import FORMATS
from ledger.tests.book import Book, write_book

MARCH = ("--mode=test", "--from=2026-03-01", "--to=2026-03-31")


@pytest.fixture
def book(db: None) -> Book:
    return write_book()


@pytest.mark.parametrize("form", FORMATS)
def test_a_report_is_written_into_a_file(form: str, book: Book, tmp_path: Path) -> None:
    path = tmp_path / f"fees.{form}"

    call_command("report", "fees", *MARCH, f"--format={form}", f"--out={path}")

    assert path.stat().st_size > 200


def test_a_table_is_for_reading(book: Book, capfdbinary: Any) -> None:
    call_command("report", "fees", *MARCH, "--currency=EUR")

    lines = capfdbinary.readouterr().out.decode().splitlines()
    assert lines[0] == "Gateway fees, test mode · 1 Mar 2026 to 31 Mar 2026 · EUR"
    assert lines[2].split()[:6] == ["Acme", "acme", "1", "100.00", "EUR", "3.20"]
    assert lines[-1] == "fees tie to account gateway_fee: difference 0.00 EUR"


def test_a_merchant_and_a_gateway_are_named_by_their_ids_or_its_code(book: Book, tmp_path: Path) -> None:
    path = tmp_path / "revenue.json"
    about = (f"--merchant={book.ana.public_id}", "--gateway=bolt", "--currency=EUR")

    call_command("report", "revenue", *MARCH, *about, "--format=json", f"--out={path}")

    document = json.loads(path.read_text())
    assert [row["gateway_fees"]["amount"] for row in document["rows"]] == ["1.17"]
    assert document["scope"]["merchant"] == book.ana.public_id
    assert document["ties"] is True


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_that_does_not_tie_is_written_and_then_fails(
    name: str, book: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name in ("trial_balance", "reconciliation_statement"):
        pytest.skip("reads no figure of the books beside its rows")
    path = tmp_path / "report.csv"
    monkeypatch.setattr(books, "moved", lambda *args, **how: {"EUR": 10**9})
    monkeypatch.setattr(books, "stood", lambda *args, **how: {"EUR": 10**9})
    when = MARCH if "period" in REPORTS[name].asks else MARCH[:1]

    with pytest.raises(CommandError, match="does not tie to the books: .*difference -?[0-9]{7,}"):
        call_command("report", name, *when, "--currency=EUR", "--format=csv", f"--out={path}")

    assert "difference" in path.read_text().splitlines()[-1]


@pytest.mark.parametrize("wrong", ["--from=1.3.2026", "--mode=both", "--gateway=nowhere", "--at=2026-03-01T00:00"])
def test_words_that_say_nothing_are_refused(wrong: str, book: Book) -> None:
    with pytest.raises(CommandError, match=wrong.partition("=")[0].removeprefix("--")):
        call_command("report", "fees", wrong)
