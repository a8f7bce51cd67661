"""What did we owe a merchant, what changed it, and what do we owe now?

All of a merchant's accounts are taken together, so money that only moves between them (released, set aside for a
refund) is not on the statement.
"""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from checkout.kit.display import words
from ledger.chart import Owner, kinds_owned_by
from ledger.reports import books, links
from ledger.reports.declaration import Column, Control, Report, Row, Totals, Type, sums, tie
from ledger.reports.owners import MERCHANT, with_merchant
from ledger.reports.running import stream
from ledger.reports.scope import Asks, Scope

_QUERY = """
SELECT account.merchant_id AS merchant_key, merchant.name AS merchant, account.currency, movement.kind,
    coalesce(sum(credit_minor - debit_minor) FILTER (WHERE "on" < %(first)s), 0)::bigint AS before,
    coalesce(sum(credit_minor - debit_minor) FILTER (WHERE "on" BETWEEN %(first)s AND %(last)s), 0)::bigint AS change,
    coalesce(sum(credit_minor - debit_minor) FILTER (WHERE "on" > %(last)s), 0)::bigint AS later
FROM ledger_account AS account
JOIN ledger_movement AS movement ON movement.account_id = account.id
JOIN merchants_merchant AS merchant ON merchant.id = account.merchant_id
WHERE account.kind = ANY(%(kinds)s) AND account.mode = %(mode)s
    AND (%(currency)s::text IS NULL OR account.currency = %(currency)s)
    AND (%(merchant)s::uuid IS NULL OR account.merchant_id = %(merchant)s)
GROUP BY 1, 2, 3, 4
ORDER BY 2, 1, 3, 4
"""
_KINDS = kinds_owned_by(Owner.MERCHANT)
_OPENING, _CLOSING = "opening balance", "closing balance"


def _rows(scope: Scope) -> Iterator[Row]:
    found = stream(_QUERY, {**scope.for_sql(), "kinds": _KINDS})
    for _, movements in groupby(found, lambda row: (row["merchant_key"], row["currency"])):
        yield from _statement(list(movements))


def _statement(movements: list[dict[str, Any]]) -> Iterator[Row]:
    """One merchant's statement in one currency, unless there never was anything on it."""
    about = with_merchant(movements[0])
    balance = sum(row["before"] for row in movements)
    changes = [(row["kind"], row["change"]) for row in movements if row["change"]]
    later = sum(row["later"] for row in movements)
    if not (balance or changes or later):
        return
    yield _line(about, _OPENING, "", balance)
    for kind, change in changes:
        balance += change
        yield _line(about, words(kind), kind, balance, change)
    yield {**_line(about, _CLOSING, "", balance), "standing": balance + later}


def _line(about: Row, what: str, kind: str, balance: int, change: int = 0) -> dict[str, Any]:
    return {
        **about,
        "movement": what,
        "kind": kind,
        "plus": max(change, 0) or None,
        "minus": max(-change, 0) or None,
        "balance": balance,
        "standing": 0,
        "is_result": not kind,
    }


def _controls(scope: Scope, totals: Totals) -> list[Control]:
    owed = books.negated(books.stood(_KINDS, scope))
    claim = "closing balances, and what moved since, tie to the merchants' accounts of now"
    return tie(claim, sums(totals, "standing"), owed, scope)


def _behind(row: Row, scope: Scope) -> str:
    return links.entries(kind=row["kind"])(row, scope) if row["kind"] else links.accounts()(row, scope)


REPORT = Report(
    name="merchant_statement",
    title="Merchant statement",
    question="What did we owe each merchant, what changed it, and what do we owe now?",
    asks=frozenset({Asks.PERIOD, Asks.CURRENCY, Asks.MERCHANT}),
    columns=(
        *MERCHANT,
        Column("movement"),
        Column("plus", Type.MONEY, is_summed=True, link=_behind),
        Column("minus", Type.MONEY, is_summed=True, link=_behind),
        Column("balance", Type.MONEY, link=_behind),
    ),
    rows=_rows,
    controls=_controls,
    also_summed=("standing",),
    note="Pending, available, reserved and held money together, less what the merchant owes us.",
)
