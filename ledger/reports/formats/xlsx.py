"""A report as a spreadsheet: amounts are numbers with the decimals of their currency, days are dates, texts are texts.

Rows go to a temporary file as they come and are forgotten. A sheet holds a million rows; the next goes on from there.
"""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import Any, BinaryIO

from xlsxwriter import Workbook  # type: ignore[import-untyped]

from checkout.kit import clock
from checkout.kit.money import CURRENCY_DECIMALS, Money
from checkout.kit.spreadsheets import EXACT, MAX_SHEET_ROWS
from ledger.reports.declaration import Column, Row, Type, Value
from ledger.reports.formats.csv import label_column
from ledger.reports.running import Run

_WIDTHS = {Type.MONEY: 16, Type.COUNT: 10, Type.DATE: 11, Type.SHARE: 9, Type.TEXT: 24}
_OPTIONS = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
    "use_zip64": True,
}


def write(run: Run, file: BinaryIO) -> None:
    """The sheet of rows, totals and controls, and one that says what it is about."""
    with Workbook(file, _OPTIONS) as book:
        book.set_properties({"title": run.report.title, "created": clock.now()})
        _Sheets(book, run).write()


class _Sheets:
    """Writes a run into a workbook, line by line."""

    def __init__(self, book: Any, run: Run) -> None:
        self.book = book
        self.run = run
        self.columns: Sequence[Column] = run.report.columns
        self.sheet_count = 0
        self.formats: dict[tuple[str, bool], Any] = {}

    def write(self) -> None:
        self._start_sheet()
        for row in self.run.rows():
            self._write_row(row)
        for row in self.run.total_rows():
            self._write_row({**row, label_column(self.columns).name: "total"}, is_total=True)
        for line in self.run.last_lines:
            self._next_line()
            self.sheet.write_string(self.line, 0, line, None if self.run.ties else self.alarm)
        self._write_about()

    @cached_property
    def bold(self) -> Any:
        return self.book.add_format({"bold": True, "bottom": 1})

    @cached_property
    def alarm(self) -> Any:
        return self.book.add_format({"bold": True, "font_color": "#A3261C"})

    def _start_sheet(self) -> None:
        self.sheet_count += 1
        self.sheet = self.book.add_worksheet("report" if self.sheet_count == 1 else f"report {self.sheet_count}")
        self.sheet.freeze_panes(1, 0)
        self.sheet.set_column(0, 0, 9)
        self.sheet.write_string(0, 0, "currency", self.bold)
        for place, column in enumerate(self.columns, 1):
            self.sheet.set_column(place, place, _WIDTHS[column.type])
            self.sheet.write_string(0, place, column.title, self.bold)
        self.line = 0

    def _next_line(self) -> None:
        self.line += 1
        if self.line >= MAX_SHEET_ROWS:
            self._start_sheet()
            self.line = 1

    def _write_row(self, row: Row, *, is_total: bool = False) -> None:
        self._next_line()
        self.sheet.write_string(self.line, 0, row["currency"], self._format("@", is_total))
        for place, column in enumerate(self.columns, 1):
            self._write_cell(place, column.value(row), is_total)

    def _write_cell(self, place: int, value: Value, is_total: bool) -> None:
        match value:
            case None:
                self.sheet.write_blank(self.line, place, None, self._format("@", is_total))
            case Money() if abs(value.amount_minor) < EXACT:
                decimals = CURRENCY_DECIMALS[value.currency]
                shape = f"#,##0.{'0' * decimals}" if decimals else "#,##0"
                self.sheet.write_number(self.line, place, float(value.as_decimal()), self._format(shape, is_total))
            case Decimal():
                self.sheet.write_number(self.line, place, float(value), self._format("0.00%", is_total))
            case int() if abs(value) < EXACT:
                self.sheet.write_number(self.line, place, value, self._format("#,##0", is_total))
            case date():
                self.sheet.write_datetime(self.line, place, value, self._format("yyyy-mm-dd", is_total))
            case Money():
                self.sheet.write_string(self.line, place, str(value.as_decimal()), self._format("@", is_total))
            case _:
                self.sheet.write_string(self.line, place, str(value), self._format("@", is_total))

    def _format(self, shape: str, is_total: bool) -> Any:
        if (shape, is_total) not in self.formats:
            look = {"bold": True, "top": 1} if is_total else {}
            self.formats[shape, is_total] = self.book.add_format({"num_format": shape, **look})
        return self.formats[shape, is_total]

    def _write_about(self) -> None:
        report, scope = self.run.report, self.run.scope
        sheet = self.book.add_worksheet("about")
        sheet.set_column(0, 0, 12)
        sheet.set_column(1, 1, 90)
        facts = {
            "report": report.title,
            "answers": report.question,
            "about": scope.in_words(report.asks),
            "made": f"{clock.now():%Y-%m-%d %H:%M:%S} UTC",
            "rows": f"{self.run.row_count:,}",
            "note": report.note,
        }
        for line, (name, text) in enumerate((name, text) for name, text in facts.items() if text):
            sheet.write_string(line, 0, name, self.bold)
            sheet.write_string(line, 1, text)
