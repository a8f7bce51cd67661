"""A report as JSON, in the shape of docs/reports.md: one document, or one line per row where it is read in pieces."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, BinaryIO

from checkout.kit import clock
from checkout.kit.money import Money
from ledger.reports.declaration import Control, Row, Value
from ledger.reports.running import Run


def write(run: Run, file: BinaryIO) -> None:
    """One object; its rows have a line each."""
    head = _text(_head(run))
    file.write(f'{head[:-1]}, "rows": ['.encode())
    for number, row in enumerate(_rows(run)):
        file.write(f"{',' if number else ''}\n{_text(row)}".encode())
    file.write(f"\n], {_text(_foot(run))[1:]}\n".encode())


def write_lines(run: Run, file: BinaryIO) -> None:
    """JSON Lines: the head, a line for every row, the foot."""
    file.write(f"{_text(_head(run))}\n".encode())
    for row in _rows(run):
        file.write(f"{_text({'row': row})}\n".encode())
    file.write(f"{_text(_foot(run))}\n".encode())


def _head(run: Run) -> dict[str, Any]:
    report = run.report
    return {
        "report": report.name,
        "title": report.title,
        "scope": run.scope.as_words(report.asks),
        "made_at": clock.now().isoformat(),
        "columns": [{"name": c.name, "type": c.type, "title": c.title} for c in report.columns],
    }


def _rows(run: Run) -> Iterator[dict[str, Any]]:
    return (_object(run, row) for row in run.rows())


def _foot(run: Run) -> dict[str, Any]:
    return {
        "row_count": run.row_count,
        "totals": [_object(run, row) for row in run.total_rows()],
        "controls": [_control(control) for control in run.controls],
        "ties": run.ties,
    }


def _object(run: Run, row: Row) -> dict[str, Any]:
    return {"currency": row["currency"], **{c.name: _plain(c.value(row)) for c in run.report.columns}}


def _control(control: Control) -> dict[str, Any]:
    return {
        "claim": control.claim,
        "reported": _plain(control.reported),
        "booked": _plain(control.booked),
        "difference": _plain(control.difference),
    }


def _plain(value: Value) -> Any:
    match value:
        case Money():
            return {
                "amount": str(value.as_decimal()),
                "amount_minor": value.amount_minor,
                "currency": value.currency,
            }
        case Decimal():
            return f"{value:f}"
        case None | int() | str():
            return value
    return value.isoformat()


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
