"""How does a report run? Once, over one snapshot of the database, row by row, so that memory does not grow with it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction

from ledger.reports.declaration import Control, Report, Row
from ledger.reports.scope import Scope

_ROWS_AT_ONCE = 2_000
_LIMITS = """
SELECT set_config('statement_timeout', %s, true), set_config('idle_in_transaction_session_timeout', %s, true)
"""


class TooManyRows(Exception):
    """A report has more rows than whoever asked may have at once."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(f"There are more than {limit:,} rows.")


class Run:
    """One run of a report. Totals and controls are there once all of its rows were taken."""

    def __init__(self, report: Report, scope: Scope, *, limit: int | None = None) -> None:
        self.report = report
        self.scope = scope
        self.limit = limit
        self.row_count = 0
        self.totals: dict[str, dict[str, int]] = {}
        self.controls: list[Control] = []

    @property
    def ties(self) -> bool:
        """Whether everything that must tie does."""
        return all(control.ties for control in self.controls)

    @property
    def last_lines(self) -> list[str]:
        """What every form of the report ends with."""
        return [str(control) for control in self.controls] or ["nothing was posted, so there is nothing to tie"]

    def rows(self) -> Iterator[Row]:
        """The rows, once. Refuses: TooManyRows, as soon as there is one too many."""
        totals: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(self.report.summed, 0))
        for row in self.report.rows(self.scope):
            self.row_count += 1
            if self.limit is not None and self.row_count > self.limit:
                raise TooManyRows(self.limit)
            sums = totals[row["currency"]]
            for name in self.report.summed:
                sums[name] += row[name] or 0
            yield row
        self.totals = {currency: dict(totals[currency]) for currency in sorted(totals)}
        self.controls = self.report.controls(self.scope, self.totals)

    def total_rows(self) -> list[Row]:
        """The totals as rows, one per currency, if any column has one."""
        is_summed = any(column.is_summed for column in self.report.columns)
        return [{"currency": currency, **sums} for currency, sums in self.totals.items() if is_summed]


@contextmanager
def running(report: Report, scope: Scope, *, seconds: float, limit: int | None = None) -> Iterator[Run]:
    """Run a report: everything that it reads, its rows and what they must tie to, is of one moment.

    `seconds` is what one of its queries may take, and whoever takes its rows between two of them. Inside another
    transaction it sees what that one sees, within its limits.
    """
    is_outermost = not connection.in_atomic_block
    with transaction.atomic():
        if is_outermost:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                cursor.execute(_LIMITS, [f"{seconds * 1000:.0f}"] * 2)
        yield Run(report, scope, limit=limit)


def stream(query: str, values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows of a query by column name, from a cursor that the server keeps: a batch of them at a time."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(query, values)
        rows = cursor.fetchmany(_ROWS_AT_ONCE)
        names = [column.name for column in cursor.description]
        while rows:
            for row in rows:
                yield dict(zip(names, row, strict=True))
            rows = cursor.fetchmany(_ROWS_AT_ONCE)
