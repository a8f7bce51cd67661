"""A report for a terminal: columns of a fixed width, since the widest cell is known only at the end."""

from collections.abc import Iterable
from decimal import Decimal
from typing import BinaryIO

from checkout.kit.money import Money
from ledger.reports.declaration import Column, Row, Type, Value
from ledger.reports.formats.csv import label_column
from ledger.reports.running import Run

_WIDTHS = {Type.MONEY: 20, Type.COUNT: 10, Type.DATE: 10, Type.SHARE: 9, Type.TEXT: 32}


def write(run: Run, file: BinaryIO) -> None:
    """The title, what it is about, a line for every row, the totals, and the controls."""
    columns = run.report.columns
    _line(file, f"{run.report.title}, {run.scope.in_words(run.report.asks)}")
    _line(file, _laid_out(columns, [column.title for column in columns]))
    for row in run.rows():
        _line(file, _cells(columns, row))
    for row in run.total_rows():
        _line(file, _cells(columns, {**row, label_column(columns).name: f"{row['currency']} total"}))
    for line in run.last_lines:
        _line(file, line)


def _cells(columns: Iterable[Column], row: Row) -> str:
    return _laid_out(columns, [_shown(column.value(row)) for column in columns])


def _laid_out(columns: Iterable[Column], texts: Iterable[str]) -> str:
    cells = []
    for column, text in zip(columns, texts, strict=True):
        width = _WIDTHS[column.type]
        cells.append(text.rjust(width) if column.is_number else text[:width].ljust(width))
    return "  ".join(cells).rstrip()


def _shown(value: Value) -> str:
    match value:
        case None:
            return ""
        case Money():
            return f"{value.as_decimal():,} {value.currency}"
        case Decimal():
            return f"{value:.2%}"
        case int():
            return f"{value:,}"
    return "".join(character if character.isprintable() else "�" for character in str(value))


def _line(file: BinaryIO, text: str) -> None:
    file.write(f"{text}\n".encode())
