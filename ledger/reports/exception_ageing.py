"""Which differences has nobody explained yet, and for how long?"""

from collections.abc import Iterator, Mapping
from typing import Any

from checkout.kit.display import words
from ledger.chart import AccountKind
from ledger.models import ClearingItem, Discrepancy, JournalEntry, SettlementLine
from ledger.reports import books, links
from ledger.reports.clearing import AGES, IN_TRANSIT, bucket, open_parts
from ledger.reports.declaration import Chart, Column, Control, Report, Row, Totals, Type, sums, tie
from ledger.reports.owners import GATEWAY
from ledger.reports.running import stream
from ledger.reports.scope import Asks, Scope

_QUERY = """
SELECT gateway.id AS gateway_key, gateway.name AS gateway, gateway.code AS gateway_code, currency, kind,
    %(today)s - "on" AS age,
    count(*) AS count,
    count(*) FILTER (WHERE discrepancy.status = 'carried') AS carried,
    sum(abs(difference_minor))::bigint AS value
FROM ledger_discrepancy AS discrepancy
LEFT JOIN gateways_gateway AS gateway ON gateway.id = discrepancy.gateway_id
WHERE discrepancy.mode = %(mode)s AND found_at <= coalesce(%(at)s::timestamptz, 'infinity')
    AND (ended_at IS NULL OR ended_at > %(at)s::timestamptz)
    AND (%(currency)s::text IS NULL OR currency = %(currency)s)
    AND (%(gateway)s::uuid IS NULL OR gateway_id = %(gateway)s)
GROUP BY 1, 2, 3, 4, 5, 6
"""
_BUCKETS = tuple(f"age_{place}" for place in range(len(AGES)))
_NOT_DISCREPANCIES = {"item": "in no file yet", "line": "not looked at yet", "entry": "posted past both"}


def _rows(scope: Scope) -> Iterator[Row]:
    """By gateway and kind: the discrepancies, and what else stands on a receivable, which so adds up."""
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for found in stream(_QUERY, scope.for_sql()):
        _add(_row_for(rows, found, found["kind"]), found)
    for part in open_parts(scope):
        if part["part"] in IN_TRANSIT:
            continue
        kind = part["kind"] or part["part"]
        row = _row_for(rows, part, kind)
        row["standing"] += part["amount"]
        if not part["kind"]:
            _add(row, {**part, "carried": 0})
    yield from (rows[key] for key in sorted(rows))


def _row_for(rows: dict[tuple[Any, ...], dict[str, Any]], found: Mapping[str, Any], kind: str) -> dict[str, Any]:
    gateway = found["gateway"] or "the bank"
    names = ("gateway_key", "gateway_code", "currency")
    new = {
        **{name: found[name] for name in names},
        **dict.fromkeys(("count", "carried", "value", "standing", *_BUCKETS), 0),
        "gateway": gateway,
        "kind": kind,
        "reason": _NOT_DISCREPANCIES.get(kind) or words(kind),
    }
    return rows.setdefault((gateway, str(found["gateway_key"]), found["currency"], kind), new)


def _add(row: dict[str, Any], found: Mapping[str, Any]) -> None:
    for name in ("count", "carried", "value"):
        row[name] += found[name]
    row[_BUCKETS[bucket(found["age"])]] += found["value"]


def _controls(scope: Scope, totals: Totals) -> list[Control]:
    owed = books.stood([AccountKind.GATEWAY_RECEIVABLE], scope)
    return tie("both sides of all of it tie to account gateway_receivable", sums(totals, "standing"), owed, scope)


def _behind(row: Row, scope: Scope) -> str:
    about = {"gateway__id__exact": row["gateway_key"], "currency": row["currency"]}
    match row["kind"]:
        case "item":
            return links.listed(ClearingItem, scope, state="open", **about)
        case "line":
            return links.listed(SettlementLine, scope, state="open", **about)
        case "entry":
            return links.listed(JournalEntry, scope, state="past_both", **about)
    return links.listed(Discrepancy, scope, kind__exact=row["kind"], state="unresolved", **about)


REPORT = Report(
    name="exception_ageing",
    title="Exception ageing",
    question="Which differences has nobody explained yet, and for how long?",
    asks=frozenset({Asks.INSTANT, Asks.CURRENCY, Asks.GATEWAY}),
    columns=(
        *GATEWAY,
        Column("reason", link=_behind),
        Column("count", Type.COUNT, is_summed=True, link=_behind),
        Column("carried", Type.COUNT, is_summed=True, is_wide=True),
        Column("value", Type.MONEY, is_summed=True, link=_behind),
        *(
            Column(name, Type.MONEY, label=label, is_summed=True, is_wide=True)
            for name, (_, label) in zip(_BUCKETS, AGES, strict=True)
        ),
    ),
    rows=_rows,
    controls=_controls,
    chart=Chart(by="reason", columns=_BUCKETS, is_stacked=True),
    note="Values are what differs, whichever way. What is in no file yet is no exception before its time.",
    also_summed=("standing",),
)
