"""What of a report fits on a screen? The first of its rows with their links, the totals of all, a drawing."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from checkout.kit.display import EMPTY
from checkout.kit.display import money as money_text
from checkout.kit.money import Money
from ledger.reports.declaration import Column, Control, Row, Type, Value
from ledger.reports.drawing import Drawing
from ledger.reports.running import Run


@dataclass(frozen=True)
class Cell:
    """One figure or text; `address` is where what is behind it can be seen."""

    text: str
    column: Column
    address: str = ""


@dataclass(frozen=True)
class Line:
    """One row; a result is what the rows around it lead to."""

    cells: list[Cell]
    is_result: bool = False


@dataclass(frozen=True)
class Screen:
    """A report to look at. `chart` is empty where nothing is drawn."""

    columns: list[Column]
    rows: list[Line]
    totals: list[Line]
    controls: list[Control]
    row_count: int
    ties: bool
    chart: dict[str, Any]
    chart_currency: str

    @property
    def is_cut_off(self) -> bool:
        """Whether there are more rows than are shown."""
        return self.row_count > len(self.rows)


def read_screen(run: Run, *, row_count: int) -> Screen:
    """Run a report to its end and keep what is shown: at most so many rows, and nothing else that grows."""
    columns = [column for column in run.report.columns if not column.is_for_machines]
    drawing = Drawing(run.report, run.report.chart) if run.report.chart else None
    rows: list[Line] = []
    for row in run.rows():
        if drawing:
            drawing.add(row)
        if len(rows) < row_count:
            rows.append(Line([_cell(column, row, run) for column in columns], row.get("is_result", False)))
    return Screen(
        columns=columns,
        rows=rows,
        totals=[_total(columns, row) for row in run.total_rows()],
        controls=run.controls,
        row_count=run.row_count,
        ties=run.ties,
        chart=drawing.data(run.scope) if drawing else {},
        chart_currency=drawing.currency if drawing else "",
    )


def _cell(column: Column, row: Row, run: Run) -> Cell:
    """A figure of nothing is a dash, and nothing is behind it."""
    value = column.value(row)
    if not value:
        return Cell(EMPTY, column)
    return Cell(_shown(value), column, column.link(row, run.scope) if column.link else "")


def _total(columns: Iterable[Column], row: Row) -> Line:
    cells = [Cell(_shown(column.value(row)) if _has_total(column) else "", column) for column in columns]
    return Line([Cell(f"Total in {row['currency']}", cells[0].column), *cells[1:]])


def _has_total(column: Column) -> bool:
    return column.is_summed or column.type is Type.SHARE


def _shown(value: Value) -> str:
    match value:
        case None:
            return EMPTY
        case Money():
            return money_text(value)
        case Decimal():
            return f"{100 * value:.2f} %"
        case int():
            return f"{value:,}"
        case date():
            return f"{value.day} {value:%b %Y}"
    return value
