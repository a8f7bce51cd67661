"""Which payouts did gateways announce, and which of them has the bank seen?"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from ledger.chart import AccountKind
from ledger.models import Discrepancy, JournalEntry, SettlementBatch
from ledger.reports import books, links
from ledger.reports.declaration import Chart, Column, Control, Report, Row, Totals, Type, sums, tie
from ledger.reports.owners import GATEWAY
from ledger.reports.running import stream
from ledger.reports.scope import Asks, Scope
from ledger.statuses import UNRESOLVED

# A payout of nothing has no entry. What resolutions put right of a payout is a row of its own, of its own day; what the
# bank credited, and what is still on its way, stand with the payout. The bank credited all that was in transit, and
# what is still unexplained of it.
_PAYOUTS = """
WITH differing AS (
    SELECT batch_id, coalesce(sum(difference_minor) FILTER (WHERE entry_id IS NOT NULL), 0) AS put_right,
        coalesce(sum(difference_minor) FILTER (WHERE status = ANY(%(unresolved)s)), 0) AS unexplained
    FROM ledger_discrepancy
    WHERE batch_id IS NOT NULL AND mode = %(mode)s
    GROUP BY 1
), payout AS (
    SELECT batch.id, coalesce(entry.occurred_on, batch.paid_on) AS day, NULL::uuid AS discrepancy_id,
        batch.line_count AS lines, batch.net_minor AS net,
        CASE WHEN batch.bank_line_id IS NULL THEN 0
            ELSE batch.net_minor + coalesce(put_right, 0) + coalesce(unexplained, 0) END AS banked,
        CASE WHEN batch.bank_line_id IS NULL THEN batch.net_minor + coalesce(put_right, 0)
            ELSE -coalesce(unexplained, 0) END AS on_its_way
    FROM ledger_settlementbatch AS batch
    LEFT JOIN ledger_journalentry AS entry ON entry.id = batch.entry_id
    LEFT JOIN differing ON differing.batch_id = batch.id
    WHERE batch.mode = %(mode)s
    UNION ALL
    SELECT discrepancy.batch_id, entry.occurred_on, discrepancy.id, 0, discrepancy.difference_minor, 0, 0
    FROM ledger_discrepancy AS discrepancy
    JOIN ledger_journalentry AS entry ON entry.id = discrepancy.entry_id
    WHERE discrepancy.batch_id IS NOT NULL AND discrepancy.mode = %(mode)s
)
"""
_ASKED = """
    (%(currency)s::text IS NULL OR batch.currency = %(currency)s)
    AND (%(gateway)s::uuid IS NULL OR batch.gateway_id = %(gateway)s)
"""
_QUERY = f"""
{_PAYOUTS}
SELECT payout.day, batch.id AS key, discrepancy_id AS discrepancy_key, gateway.id AS gateway_key,
    gateway.name AS gateway, gateway.code AS gateway_code, batch.reference, batch.currency, payout.lines, payout.net,
    bank.booked_on AS banked_on, banked::bigint, on_its_way::bigint
FROM payout
JOIN ledger_settlementbatch AS batch ON batch.id = payout.id
JOIN gateways_gateway AS gateway ON gateway.id = batch.gateway_id
LEFT JOIN ledger_bankline AS bank ON bank.id = batch.bank_line_id
WHERE payout.day BETWEEN %(first)s AND %(last)s AND {_ASKED}
ORDER BY 1 DESC, gateway.name, batch.id, payout.lines DESC, payout.net
"""  # noqa: S608
_OF_OTHER_DAYS = f"""
{_PAYOUTS}
SELECT batch.currency, sum(on_its_way)::bigint AS on_its_way
FROM payout
JOIN ledger_settlementbatch AS batch ON batch.id = payout.id
WHERE payout.day NOT BETWEEN %(first)s AND %(last)s AND {_ASKED}
GROUP BY 1
"""  # noqa: S608
_PUT_IN_TRANSIT = (JournalEntry.Kind.SETTLEMENT_ANNOUNCED, JournalEntry.Kind.WRITTEN_OFF)


def _read(query: str, scope: Scope) -> Iterator[dict[str, Any]]:
    return stream(query, {**scope.for_sql(), "unresolved": list(UNRESOLVED)})


def _rows(scope: Scope) -> Iterator[Row]:
    return _read(_QUERY, scope)


def _controls(scope: Scope, totals: Totals) -> list[Control]:
    accounts = [AccountKind.GATEWAY_IN_TRANSIT]
    announced = books.moved(accounts, scope, by=_PUT_IN_TRANSIT)
    on_its_way = Counter(sums(totals, "on_its_way"))
    on_its_way.update({row["currency"]: row["on_its_way"] for row in _read(_OF_OTHER_DAYS, scope)})
    put_in, left = "payouts, and what they were put right by,", "what is on its way, of all days,"
    return [
        *tie(f"{put_in} tie to account gateway_in_transit", sums(totals, "net"), announced, scope),
        *tie(f"{left} ties to account gateway_in_transit", on_its_way, books.stood(accounts, scope), scope),
    ]


def _batch(row: Row, scope: Scope) -> str:
    return links.page(SettlementBatch, row["key"])


def _put_in_transit(row: Row, scope: Scope) -> str:
    return links.page(Discrepancy, row["discrepancy_key"]) or _batch(row, scope)


REPORT = Report(
    name="settlements",
    title="Settlements",
    question="Which payouts did gateways announce, and which of them has the bank credited?",
    asks=frozenset({Asks.PERIOD, Asks.CURRENCY, Asks.GATEWAY}),
    columns=(
        Column("day", Type.DATE),
        *GATEWAY,
        Column("reference", link=_batch, is_wide=True),
        Column("lines", Type.COUNT, is_summed=True, is_wide=True, link=_batch),
        Column("net", Type.MONEY, is_summed=True, link=_put_in_transit),
        Column("banked_on", Type.DATE),
        Column("banked", Type.MONEY, is_summed=True, link=_batch, is_wide=True),
        Column("on_its_way", Type.MONEY, is_summed=True, link=_batch),
    ),
    rows=_rows,
    controls=_controls,
    chart=Chart(by="day", columns=("banked", "on_its_way"), is_stacked=True),
    note="What a payout was put right by has a row of its own; what the bank credited stands with the payout.",
)
