"""How much of what gateways told us did we recognise, and how?"""

from collections.abc import Iterator

from checkout.kit.display import words
from ledger.chart import AccountKind
from ledger.models import JournalEntry, SettlementLine
from ledger.reports import books, links
from ledger.reports.declaration import Chart, Column, Control, Report, Row, Totals, Type, sums, tie
from ledger.reports.owners import GATEWAY
from ledger.reports.running import stream
from ledger.reports.scope import Asks, Scope

# The lines of the payouts that were announced in the period, and what such a payout was put right by, which no line
# says. A payout of nothing has no entry.
_QUERY = """
WITH told AS (
    SELECT batch.gateway_id, batch.currency, coalesce(match.how, 'unmatched') AS how, 1 AS lines,
        abs(line.gross_minor) AS value, line.net_minor AS net
    FROM ledger_settlementbatch AS batch
    LEFT JOIN ledger_journalentry AS entry ON entry.id = batch.entry_id
    JOIN ledger_settlementline AS line ON line.file_id = batch.file_id AND line.batch_reference = batch.reference
        AND line.currency = batch.currency AND line.kind <> 'payout'
    LEFT JOIN ledger_match AS match ON match.id = line.match_id
    WHERE batch.mode = %(mode)s AND coalesce(entry.occurred_on, batch.paid_on) BETWEEN %(first)s AND %(last)s
    UNION ALL
    SELECT discrepancy.gateway_id, discrepancy.currency, 'put right', 0, 0, discrepancy.difference_minor
    FROM ledger_journalentry AS entry
    JOIN ledger_discrepancy AS discrepancy ON discrepancy.entry_id = entry.id
    WHERE entry.kind = 'settlement_announced' AND entry.mode = %(mode)s
        AND entry.occurred_on BETWEEN %(first)s AND %(last)s
)
SELECT gateway.id AS gateway_key, gateway.name AS gateway, gateway.code AS gateway_code, currency, how,
    sum(lines) AS lines, sum(value)::bigint AS value, sum(net)::bigint AS net,
    (sum(sum(lines)) OVER everything)::bigint AS all_lines,
    (sum(sum(value)) OVER everything)::bigint AS all_value
FROM told
JOIN gateways_gateway AS gateway ON gateway.id = told.gateway_id
WHERE (%(currency)s::text IS NULL OR currency = %(currency)s)
    AND (%(gateway)s::uuid IS NULL OR told.gateway_id = %(gateway)s)
GROUP BY 1, 2, 3, 4, 5
WINDOW everything AS (PARTITION BY gateway.id, currency)
ORDER BY 2, 1, 4, 6 DESC, 5
"""


def _rows(scope: Scope) -> Iterator[Row]:
    return ({**row, "how": words(row["how"]), "way": row["how"]} for row in stream(_QUERY, scope.for_sql()))


def _controls(scope: Scope, totals: Totals) -> list[Control]:
    announced = books.moved([AccountKind.GATEWAY_IN_TRANSIT], scope, by=[JournalEntry.Kind.SETTLEMENT_ANNOUNCED])
    claim = "lines, matched and not, tie to what account gateway_in_transit was told"
    return tie(claim, sums(totals, "net"), announced, scope)


def _lines(row: Row, scope: Scope) -> str:
    about = {"gateway__id__exact": row["gateway_key"], "currency": row["currency"]}
    return links.listed(SettlementLine, scope, state="open" if row["way"] == "unmatched" else row["way"], **about)


REPORT = Report(
    name="match_rate",
    title="Match rate",
    question="How much of what gateways settled did we recognise, by count and value, and how?",
    asks=frozenset({Asks.PERIOD, Asks.CURRENCY, Asks.GATEWAY}),
    columns=(
        *GATEWAY,
        Column("how", label="recognised by"),
        Column("lines", Type.COUNT, is_summed=True, link=_lines),
        Column("share_of_lines", Type.SHARE, part="lines", whole="all_lines"),
        Column("value", Type.MONEY, is_summed=True),
        Column("share_of_value", Type.SHARE, part="value", whole="all_value"),
        Column("net", Type.MONEY, is_summed=True, is_wide=True),
    ),
    rows=_rows,
    controls=_controls,
    chart=Chart(by="how", columns=("lines",)),
    note="Value is gross, whichever way it goes. Posted lines are movements of their own: fees and reserves.",
)
