"""Which payouts did gateways announce, and which of them has the bank seen?"""

from collections.abc import Iterator

from ledger.chart import AccountKind
from ledger.models import JournalEntry, SettlementBatch
from ledger.reports import books, links
from ledger.reports.declaration import Chart, Column, Control, Report, Row, Totals, Type, sums, tie
from ledger.reports.owners import GATEWAY
from ledger.reports.running import stream
from ledger.reports.scope import Asks, Scope

# What a payout was put right by was announced beside it; a payout of nothing has no entry.
_QUERY = """
WITH payout AS (
    SELECT batch.id, coalesce(entry.occurred_on, batch.paid_on) AS day, batch.line_count AS lines,
        batch.net_minor AS net
    FROM ledger_settlementbatch AS batch
    LEFT JOIN ledger_journalentry AS entry ON entry.id = batch.entry_id
    WHERE batch.mode = %(mode)s
    UNION ALL
    SELECT discrepancy.batch_id, entry.occurred_on, 0, discrepancy.difference_minor
    FROM ledger_journalentry AS entry
    JOIN ledger_discrepancy AS discrepancy ON discrepancy.entry_id = entry.id
    WHERE entry.kind = 'settlement_announced' AND entry.mode = %(mode)s
)
SELECT payout.day, batch.id AS key, gateway.id AS gateway_key, gateway.name AS gateway, gateway.code AS gateway_code,
    batch.reference, batch.currency, payout.lines, payout.net, bank.booked_on AS banked_on,
    CASE WHEN bank.id IS NOT NULL THEN payout.net ELSE 0 END AS banked,
    CASE WHEN bank.id IS NULL THEN payout.net ELSE 0 END AS on_its_way
FROM payout
JOIN ledger_settlementbatch AS batch ON batch.id = payout.id
JOIN gateways_gateway AS gateway ON gateway.id = batch.gateway_id
LEFT JOIN ledger_bankline AS bank ON bank.id = batch.bank_line_id
WHERE payout.day BETWEEN %(first)s AND %(last)s
    AND (%(currency)s::text IS NULL OR batch.currency = %(currency)s)
    AND (%(gateway)s::uuid IS NULL OR batch.gateway_id = %(gateway)s)
ORDER BY 1 DESC, gateway.name, batch.id, payout.lines DESC
"""


def _rows(scope: Scope) -> Iterator[Row]:
    return stream(_QUERY, scope.for_sql())


def _controls(scope: Scope, totals: Totals) -> list[Control]:
    announced = books.moved([AccountKind.GATEWAY_IN_TRANSIT], scope, by=[JournalEntry.Kind.SETTLEMENT_ANNOUNCED])
    return tie("payouts tie to account gateway_in_transit", sums(totals, "net"), announced, scope)


def _batch(row: Row, scope: Scope) -> str:
    return links.page(SettlementBatch, row["key"])


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
        Column("net", Type.MONEY, is_summed=True, link=_batch),
        Column("banked_on", Type.DATE),
        Column("banked", Type.MONEY, is_summed=True, link=_batch, is_wide=True),
        Column("on_its_way", Type.MONEY, is_summed=True, link=_batch),
    ),
    rows=_rows,
    controls=_controls,
    chart=Chart(by="day", columns=("banked", "on_its_way"), is_stacked=True),
)
