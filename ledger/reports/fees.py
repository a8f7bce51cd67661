"""What did gateways charge, and is it what we expected?"""

from collections.abc import Iterator

from ledger.chart import AccountKind
from ledger.models import Discrepancy, JournalEntry
from ledger.reports import books, links
from ledger.reports.declaration import Chart, Column, Control, Report, Row, Totals, Type, sums, tie
from ledger.reports.owners import GATEWAY
from ledger.reports.running import stream
from ledger.reports.scope import Asks, Scope
from ledger.statuses import UNRESOLVED

Kind = JournalEntry.Kind

# Expected is what was written down with each charge; the rest is what the books say beside it.
_QUERY = """
WITH expected AS (
    SELECT gateway_id, currency,
        count(*) FILTER (WHERE kind = 'charge') AS charges,
        coalesce(sum(gross_minor) FILTER (WHERE kind = 'charge'), 0) AS turnover,
        sum(fee_minor) AS expected
    FROM ledger_clearingitem
    WHERE mode = %(mode)s AND occurred_on BETWEEN %(first)s AND %(last)s
    GROUP BY 1, 2
), booked AS (
    SELECT account.gateway_id, account.currency,
        coalesce(sum(debit_minor - credit_minor) FILTER (WHERE movement.kind = 'fee_trued_up'), 0) AS trued_up,
        coalesce(
            sum(debit_minor - credit_minor) FILTER (WHERE movement.kind NOT IN ('gateway_fee', 'fee_trued_up')), 0
        ) AS other
    FROM ledger_account AS account
    JOIN ledger_movement AS movement ON movement.account_id = account.id
    WHERE account.kind = 'gateway_fee' AND account.mode = %(mode)s AND "on" BETWEEN %(first)s AND %(last)s
    GROUP BY 1, 2
), waiting AS (
    SELECT gateway_id, currency, sum(difference_minor) AS waiting
    FROM ledger_discrepancy
    WHERE kind = 'fee_differs' AND status = ANY(%(unresolved)s) AND mode = %(mode)s
        AND "on" BETWEEN %(first)s AND %(last)s
    GROUP BY 1, 2
)
SELECT gateway.id AS gateway_key, gateway.name AS gateway, gateway.code AS gateway_code, currency,
    coalesce(charges, 0) AS charges, coalesce(turnover, 0)::bigint AS turnover,
    coalesce(expected, 0)::bigint AS expected, coalesce(trued_up, 0)::bigint AS trued_up,
    coalesce(other, 0)::bigint AS other, -coalesce(waiting, 0)::bigint AS waiting
FROM expected
FULL JOIN booked USING (gateway_id, currency)
FULL JOIN waiting USING (gateway_id, currency)
JOIN gateways_gateway AS gateway ON gateway.id = gateway_id
WHERE (%(currency)s::text IS NULL OR currency = %(currency)s)
    AND (%(gateway)s::uuid IS NULL OR gateway_id = %(gateway)s)
ORDER BY gateway.name, gateway.id, currency
"""


def _rows(scope: Scope) -> Iterator[Row]:
    for row in stream(_QUERY, {**scope.for_sql(), "unresolved": list(UNRESOLVED)}):
        yield {**row, "charged": row["expected"] + row["trued_up"] + row["other"]}


def _controls(scope: Scope, totals: Totals) -> list[Control]:
    charged = books.moved([AccountKind.GATEWAY_FEE], scope)
    return tie("fees tie to account gateway_fee", sums(totals, "charged"), charged, scope)


def _waiting(row: Row, scope: Scope) -> str:
    about = {"gateway__id__exact": row["gateway_key"], "currency": row["currency"]}
    return links.listed(Discrepancy, scope, kind__exact=Discrepancy.Kind.FEE_DIFFERS, state="unresolved", **about)


REPORT = Report(
    name="fees",
    title="Gateway fees",
    question="What did each gateway charge, and is it what we expected?",
    asks=frozenset({Asks.PERIOD, Asks.CURRENCY, Asks.GATEWAY}),
    columns=(
        *GATEWAY,
        Column("charges", Type.COUNT, is_summed=True, is_wide=True),
        Column("turnover", Type.MONEY, is_summed=True, is_wide=True, link=links.entries(kind=Kind.CAPTURE)),
        Column("expected", Type.MONEY, is_summed=True, link=links.entries(kind=Kind.GATEWAY_FEE)),
        Column("trued_up", Type.MONEY, is_summed=True, is_wide=True, link=links.entries(kind=Kind.FEE_TRUED_UP)),
        Column("other", Type.MONEY, label="without a charge", is_summed=True, is_wide=True),
        Column("charged", Type.MONEY, is_summed=True, link=links.entries(account=AccountKind.GATEWAY_FEE)),
        Column("rate", Type.SHARE, part="charged", whole="turnover"),
        Column("waiting", Type.MONEY, label="not explained yet", is_summed=True, is_wide=True, link=_waiting),
    ),
    rows=_rows,
    controls=_controls,
    chart=Chart(by="gateway", columns=("expected", "charged")),
    note="What a file charged beyond what was expected is trued up once somebody has accepted it; until then it waits.",
)
