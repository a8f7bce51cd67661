"""Does a table leave as a file that says exactly what it said, runs nothing, and needs no more memory for more rows?"""

import csv
import io
import tracemalloc
import zipfile
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from defusedxml import ElementTree

from checkout.kit import spreadsheets
from checkout.kit.spreadsheets import FILE_FORMATS, Cell, csv_pieces, xlsx_pieces

HOSTILE = [
    *("=1+1", "+1", "-1+cmd|' /C calc'!A0", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1+1", '=HYPERLINK("http://x")'),
    *("<b>&amp;</b>", "_x003D_1", "a\x00b\x1f", "é ✓ 字", 'say "hi", twice', " leading", "x" * 40_000),
]
_NAME = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def sheets_of(file: bytes) -> dict[str, list[list[tuple[str, str]]]]:
    """The cells of a workbook by sheet: of each its type and its text, read as the parts of the package say."""
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        assert archive.testzip() is None
        book = ElementTree.fromstring(archive.read("xl/workbook.xml"))
        names = [sheet.attrib["name"] for sheet in book.iter(f"{_NAME}sheet")]
        for part in archive.namelist():
            ElementTree.fromstring(archive.read(part))
        return {
            name: [
                [(cell.get("t", "n"), "".join(cell.itertext())) for cell in row]
                for row in ElementTree.fromstring(archive.read(f"xl/worksheets/sheet{number}.xml")).iter(f"{_NAME}row")
            ]
            for number, name in enumerate(names, 1)
        }


def test_no_cell_of_a_csv_file_is_a_formula() -> None:
    file = b"".join(csv_pieces([["text"], *([text] for text in HOSTILE)])).decode()

    read = [row[0] for row in csv.reader(io.StringIO(file, newline=""))]

    assert not [text for text in read if text.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝"))]
    assert [text.removeprefix("'") for text in read[1:]] == HOSTILE


def test_texts_in_a_workbook_are_texts_and_stay_what_they_are() -> None:
    file = b"".join(xlsx_pieces([["text"], *([text] for text in HOSTILE)]))

    [rows] = sheets_of(file).values()

    assert {kind for row in rows for kind, _ in row} == {"inlineStr"}
    assert b"<f>" not in b"".join(zipfile.ZipFile(io.BytesIO(file)).read(n) for n in ("xl/worksheets/sheet1.xml",))
    read = [row[0][1] for row in rows[1:]]
    assert read[:10] == [*HOSTILE[:5], "\n=1", *HOSTILE[6:10]]  # XML knows one kind of line end
    assert read[10:] == ["_x005F_x003D_1", "a\ufffdb\ufffd", *HOSTILE[12:15], "x" * 32_767]


def test_numbers_stay_numbers_and_what_a_spreadsheet_would_round_is_text() -> None:
    rows: list[list[Cell]] = [["n"], [-5], [Decimal("-1234.50")], [10**15 - 1], [10**15], [Decimal("1E+20")]]

    text = b"".join(csv_pieces(rows)).decode().split()
    [cells] = sheets_of(b"".join(xlsx_pieces(rows))).values()

    assert text[1:] == ["-5", "-1234.50", "999999999999999", "1000000000000000", "1" + "0" * 20]
    assert [row[0] for row in cells[1:]] == [
        *(("n", "-5"), ("n", "-1234.50"), ("n", "999999999999999")),
        *(("inlineStr", "1000000000000000"), ("inlineStr", "1" + "0" * 20)),
    ]


def test_a_full_sheet_is_followed_by_another_with_the_same_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spreadsheets, "MAX_SHEET_ROWS", 4)

    sheets = sheets_of(b"".join(xlsx_pieces([["n"], *([number] for number in range(7))])))

    assert [[row[0][1] for row in rows] for rows in sheets.values()] == [
        ["n", "0", "1", "2"],
        ["n", "3", "4", "5"],
        ["n", "6"],
    ]
    assert [[row[0][1] for row in rows] for rows in sheets_of(b"".join(xlsx_pieces([["n"]]))).values()] == [["n"]]


@pytest.mark.parametrize("form", FILE_FORMATS)
def test_a_file_of_many_rows_comes_in_pieces_and_needs_no_more_memory(form: str) -> None:
    def peak(count: int) -> tuple[int, int]:
        tracemalloc.start()
        pieces = sum(1 for _ in FILE_FORMATS[form].pieces(lines(count)))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return pieces, most

    few, many = peak(20_000), peak(60_000)

    assert many[0] > few[0] > 2 or form == "xlsx"
    assert many[1] < few[1] * 1.3 + 100_000


def lines(count: int) -> Iterator[list[Any]]:
    yield ["id", "text", "number"]
    for number in range(count):
        yield [f"pay_{number:022d}", f"order {number * 7919 % 100_003}", number]
