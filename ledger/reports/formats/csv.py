"""A report as CSV: RFC 4180, UTF-8, a point before the decimals whatever the locale, no cell that is a formula."""

import csv
from collections.abc import Iterable
from decimal import Decimal
from io import TextIOWrapper
from typing import BinaryIO

from checkout.kit.money import Money
from checkout.kit.spreadsheets import safe
from ledger.reports.declaration import Column, Row, Value
from ledger.reports.running import Run


def write(run: Run, file: BinaryIO) -> None:
    """A header of column names, the rows, the totals per currency, and one line for every control."""
    columns = run.report.columns
    text = TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    try:
        out = csv.writer(text)
        out.writerow(["currency", *(column.name for column in columns)])
        out.writerows(_cells(columns, row) for row in run.rows())
        for row in run.total_rows():
            out.writerow(_cells(columns, {**row, label_column(columns).name: "total"}))
        out.writerows([safe(line)] for line in run.last_lines)
    finally:
        text.detach()


def label_column(columns: Iterable[Column]) -> Column:
    """The column in which a line of totals says that it is one."""
    return next(column for column in columns if not column.is_number)


def plain(value: Value) -> str:
    """A value as text for machines: money and shares as decimals, days as ISO 8601."""
    match value:
        case None:
            return ""
        case Money():
            return str(value.as_decimal())
        case Decimal():
            return f"{value:f}"
        case str():
            return safe(value)
    return str(value)


def _cells(columns: Iterable[Column], row: Row) -> list[str]:
    return [row["currency"], *(plain(column.value(row)) for column in columns)]
