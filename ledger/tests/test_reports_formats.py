"""Does a report leave in every form unharmed: exact to the minor unit, harmless in a spreadsheet, in little memory?"""

import csv
import io
import json
import os
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryFile

import pytest
from defusedxml import ElementTree

from checkout.kit.money import Money
from checkout.kit.spreadsheets import safe
from ledger.reports import REPORTS
from ledger.reports.declaration import Column, Control, Report, Row, Type
from ledger.reports.formats import FORMATS, xlsx
from ledger.reports.running import running, stream
from ledger.reports.scope import Asks, Scope, read_scope
from ledger.tests.book import MARCH, Book, write_book

_SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
MANY = 200_000
MANY_BYTES = 24 * 1024 * 1024  # a list of as many rows would take five times that


@pytest.fixture
def book(db: None) -> Book:
    return write_book()


def written(form: str, report: Report, **words: str) -> bytes:
    file = io.BytesIO()
    with running(report, read_scope(words, report.asks), seconds=60) as run:
        FORMATS[form].write(run, file)
        return file.getvalue()


def words_for(report: Report) -> dict[str, str]:
    return MARCH if Asks.PERIOD in report.asks else {"mode": "test"}


def cells(workbook: bytes, sheet: str = "sheet1") -> Iterator[list[tuple[str, str]]]:
    """The rows of a sheet: the text or number of every cell, and its number format."""
    with zipfile.ZipFile(io.BytesIO(workbook)) as parts:
        styles = ElementTree.fromstring(parts.read("xl/styles.xml"))
        codes = {f.get("numFmtId"): f.get("formatCode") for f in styles.iter(f"{_SHEET}numFmt")}
        looks = [codes.get(xf.get("numFmtId"), xf.get("numFmtId")) for xf in styles.find(f"{_SHEET}cellXfs") or ()]
        tree = ElementTree.fromstring(parts.read(f"xl/worksheets/{sheet}.xml"))
    for row in tree.iter(f"{_SHEET}row"):
        yield [("".join(cell.itertext()), str(looks[int(cell.get("s", "0"))])) for cell in row]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", REPORTS)
def test_every_report_leaves_in_every_form_and_says_last_that_it_ties(name: str, form: str, book: Book) -> None:
    report = REPORTS[name]

    content = written(form, report, **words_for(report), currency="EUR")

    match form:
        case "xlsx":
            last = list(cells(content))[-1][0][0]
        case "json" | "jsonl":
            foot = json.loads(content if form == "json" else content.splitlines()[-1])
            assert foot["ties"] is True
            assert foot["row_count"] == len(foot.get("rows") or content.splitlines()[1:-1])
            control = foot["controls"][-1]
            last = f"{control['claim']}: difference {control['difference']['amount']} {control['booked']['currency']}"
        case "csv":
            [last] = list(csv.reader(content.decode().splitlines()))[-1]
        case _:
            last = content.decode().splitlines()[-1]
    assert re.fullmatch(r".* tie.*: difference 0\.00 EUR", last)


@pytest.mark.parametrize("form", ["csv", "xlsx", "table"])
def test_a_report_of_nothing_says_that_there_is_nothing_to_tie(form: str, db: None) -> None:
    content = written(form, REPORTS["write_offs"], mode="live")

    last = list(cells(content))[-1][0][0] if form == "xlsx" else content.decode().splitlines()[-1].strip('"')
    assert last == "nothing was posted, so there is nothing to tie"


def test_csv_has_a_point_before_as_many_decimals_as_the_currency_has(book: Book) -> None:
    lines = list(csv.reader(written("csv", REPORTS["fees"], **MARCH).decode().splitlines()))

    assert lines[0][:5] == ["currency", "gateway", "gateway_code", "charges", "turnover"]
    assert [line[:7] for line in lines[1:5]] == [
        ["BHD", "Acme", "acme", "1", "5.125", "0.179", "0.000"],
        ["EUR", "Acme", "acme", "1", "100.00", "3.20", "0.00"],
        ["JPY", "Acme", "acme", "1", "1050", "38", "0"],
        ["EUR", "Bolt", "bolt", "2", "40.05", "1.76", "0.00"],
    ]
    assert lines[6][:5] == ["EUR", "total", "", "3", "140.05"]
    assert lines[-2] == ["fees tie to account gateway_fee: difference 0.00 EUR"]


def test_json_says_amounts_in_both_units_with_their_currency(book: Book) -> None:
    document = json.loads(written("json", REPORTS["fees"], **MARCH, currency="BHD"))

    assert document["report"] == "fees"
    assert document["scope"] == {"mode": "test", "from": "2026-03-01", "to": "2026-03-31", "currency": "BHD"}
    [row] = document["rows"]
    assert row["expected"] == {"amount": "0.179", "amount_minor": 179, "currency": "BHD"}
    assert row["rate"] == "0.034927"
    assert document["totals"][0]["turnover"]["amount_minor"] == 5_125


def test_a_spreadsheet_holds_numbers_in_the_shape_of_their_currency_and_dates(book: Book) -> None:
    rows = list(cells(written("xlsx", REPORTS["revenue"], **MARCH)))

    assert [text for text, _ in rows[0]][:3] == ["currency", "day", "merchant"]
    by_currency = {row[0][0]: row for row in rows[2:5]}
    assert rows[1][1:5:3] == [("46084", "yyyy-mm-dd"), ("-0.05", "#,##0.00")]
    assert by_currency["JPY"][6] == ("38", "#,##0")
    assert by_currency["BHD"][6] == ("0.179", "#,##0.000")


def test_a_spreadsheet_says_what_it_is_about(book: Book) -> None:
    about = {row[0][0]: row[1][0] for row in cells(written("xlsx", REPORTS["fees"], **MARCH), "sheet2")}

    assert about["about"] == "test mode · 1 Mar 2026 to 31 Mar 2026"
    assert about["answers"] == REPORTS["fees"].question


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\r=1", "\n=1", "=cmd|' /C calc'!A0"])
def test_no_text_is_a_formula(text: str) -> None:
    assert safe(text) == f"'{text}"


@pytest.mark.parametrize("text", ["Ana", "a=b", "'=1", "", "1-2"])
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert safe(text) == text


def test_a_merchant_named_like_a_formula_is_quoted_and_its_negative_amounts_are_not(book: Book) -> None:
    book.ana.name = '=HYPERLINK("http://evil.example";"Ana")'
    book.ana.save()

    line = list(csv.reader(io.StringIO(written("csv", REPORTS["revenue"], **MARCH, currency="EUR").decode())))[1]
    [row, *_] = list(cells(written("xlsx", REPORTS["revenue"], **MARCH, currency="EUR")))[1:]

    assert line[2] == """'=HYPERLINK("http://evil.example";"Ana")"""
    assert line[4] == "-0.05"
    assert row[2] == ('=HYPERLINK("http://evil.example";"Ana")', "@")


def test_an_amount_beyond_the_digits_of_a_spreadsheet_is_written_as_text(db: None) -> None:
    report = of_rows(lambda scope: iter([{"currency": "EUR", "name": "much", "amount": 2**60, "number": 1}]))

    [row] = list(cells(written("xlsx", report, mode="test")))[1:2]

    assert row[2] == ("11529215046068469.76", "@")


def test_what_does_not_tie_is_told_in_the_last_line(db: None) -> None:
    report = replace(of_rows(lambda scope: iter(())), controls=lambda scope, totals: [one_cent_off()])

    assert written("csv", report, mode="test").decode().splitlines()[-1] == "sums tie to the books: difference 0.01 EUR"
    assert json.loads(written("json", report, mode="test"))["ties"] is False


def test_a_sheet_that_is_full_goes_on_in_another(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx, "MAX_SHEET_ROWS", 4)

    content = written("xlsx", of_rows(lambda scope: numbered(7)), mode="test")

    sheets = [[row[1][0] for row in cells(content, f"sheet{number}") if len(row) > 1] for number in (1, 2, 3)]
    assert sheets == [
        ["name", "row 1", "row 2", "row 3"],
        ["name", "row 4", "row 5", "row 6"],
        ["name", "row 7", "total"],
    ]


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
def test_two_hundred_thousand_rows_take_no_more_memory_than_a_few(form: str, transactional_db: None) -> None:
    seen: list[int] = []
    with running(of_rows(lambda scope: watched(seen)), a_scope(), seconds=120) as run, TemporaryFile() as file:
        before = resident_bytes()
        FORMATS[form].write(run, file)
        seen.append(resident_bytes())
        size = file.tell()

    assert run.row_count == MANY
    assert run.totals["EUR"]["amount"] == MANY * (MANY + 1) // 2
    assert size > 2_000_000
    assert max(seen) - before < MANY_BYTES, f"{(max(seen) - before) / 2**20:.0f} MiB"


def of_rows(rows: Callable[[Scope], Iterator[Row]]) -> Report:
    """A report of nothing but some rows."""
    return Report(
        name="rows",
        title="Rows",
        question="Which rows?",
        asks=frozenset({Asks.INSTANT}),
        columns=(
            Column("name"),
            Column("amount", Type.MONEY, is_summed=True),
            Column("number", Type.COUNT),
            Column("share", Type.SHARE, part="number", whole="amount"),
        ),
        rows=rows,
        controls=lambda scope, totals: [],
    )


def numbered(count: int) -> Iterator[Row]:
    return ({"currency": "EUR", "name": f"row {n}", "amount": n, "number": n} for n in range(1, count + 1))


def watched(seen: list[int]) -> Iterator[Row]:
    """Many rows from the database, and how much memory there is in use meanwhile."""
    query = """
        SELECT 'EUR' AS currency, 'a merchant whose name is ' || n AS name, n AS amount, n AS number
        FROM generate_series(1, %(many)s) AS n
    """
    for row in stream(query, {"many": MANY}):
        if row["number"] % 10_000 == 0:
            seen.append(resident_bytes())
        yield row


def a_scope() -> Scope:
    today = datetime.now(UTC).date()
    return Scope(mode="test", first=today, last=today)


def one_cent_off() -> Control:
    return Control("sums tie to the books", Money(1, "EUR"), Money(0, "EUR"))


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
