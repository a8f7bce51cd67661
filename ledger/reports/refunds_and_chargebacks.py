"""How much of what was taken went back, because merchants gave it back or cardholders took it back?"""

from collections.abc import Iterator

from ledger.chart import AccountKind
from ledger.models import JournalEntry
from ledger.reports import books, links
from ledger.reports.declaration import Chart, Column, Control, Report, Row, Totals, Type, sums, tie
from ledger.reports.owners import GATEWAY, MERCHANT, with_merchant
from ledger.reports.running import stream
from ledger.reports.scope import Asks, Scope

Kind = JournalEntry.Kind
_REFUNDS = (Kind.REFUND_SUCCEEDED, Kind.REFUND_ADOPTED)
_DISPUTES = (Kind.CHARGEBACK_OPENED, Kind.CHARGEBACK_WON, Kind.CHARGEBACK_LOST)

# What a gateway owes us grows by a capture and shrinks by a refund; a dispute is an account of its own.
_QUERY = """
SELECT entry.gateway_id AS gateway_key, gateway.name AS gateway, gateway.code AS gateway_code,
    entry.merchant_id AS merchant_key, merchant.name AS merchant, posting.currency,
    count(*) FILTER (WHERE entry.kind = 'capture') AS captures,
    coalesce(sum(amount_minor) FILTER (WHERE entry.kind = 'capture'), 0)::bigint AS captured,
    count(*) FILTER (WHERE entry.kind = ANY(%(refunds)s)) AS refunds,
    -coalesce(sum(amount_minor) FILTER (WHERE entry.kind = ANY(%(refunds)s)), 0)::bigint AS refunded,
    -coalesce(sum(amount_minor) FILTER (WHERE entry.kind = 'refund_succeeded'), 0)::bigint AS requested,
    -coalesce(sum(amount_minor) FILTER (WHERE entry.kind = 'refund_adopted'), 0)::bigint AS adopted,
    count(*) FILTER (WHERE entry.kind = 'chargeback_opened') AS chargebacks,
    coalesce(sum(amount_minor) FILTER (WHERE entry.kind = 'chargeback_opened'), 0)::bigint AS charged_back,
    -coalesce(sum(amount_minor) FILTER (WHERE entry.kind = 'chargeback_won'), 0)::bigint AS won,
    -coalesce(sum(amount_minor) FILTER (WHERE entry.kind = 'chargeback_lost'), 0)::bigint AS lost
FROM ledger_journalentry AS entry
JOIN ledger_posting AS posting ON posting.entry_id = entry.id
JOIN ledger_account AS account ON account.id = posting.account_id
JOIN gateways_gateway AS gateway ON gateway.id = entry.gateway_id
LEFT JOIN merchants_merchant AS merchant ON merchant.id = entry.merchant_id
WHERE entry.mode = %(mode)s AND entry.occurred_on BETWEEN %(first)s AND %(last)s
    AND (entry.kind = 'capture' AND account.kind = 'gateway_receivable'
        OR entry.kind = ANY(%(refunds)s) AND account.kind = 'gateway_receivable'
        OR entry.kind = ANY(%(disputes)s) AND account.kind = 'dispute_receivable')
    AND (%(currency)s::text IS NULL OR posting.currency = %(currency)s)
    AND (%(merchant)s::uuid IS NULL OR entry.merchant_id = %(merchant)s)
    AND (%(gateway)s::uuid IS NULL OR entry.gateway_id = %(gateway)s)
GROUP BY 1, 2, 3, 4, 5, 6
ORDER BY 2, 5, 4, 6
"""


def _rows(scope: Scope) -> Iterator[Row]:
    values = {**scope.for_sql(), "refunds": list(_REFUNDS), "disputes": list(_DISPUTES)}
    return (with_merchant(row) for row in stream(_QUERY, values))


def _controls(scope: Scope, totals: Totals) -> list[Control]:
    receivable, disputed = [AccountKind.GATEWAY_RECEIVABLE], [AccountKind.DISPUTE_RECEIVABLE]
    refunded = books.negated(books.moved(receivable, scope, by=_REFUNDS))
    undecided = {code: row["charged_back"] - row["won"] - row["lost"] for code, row in totals.items()}
    return [
        *tie("refunds tie to account gateway_receivable", sums(totals, "refunded"), refunded, scope),
        *tie("chargebacks tie to account dispute_receivable", undecided, books.moved(disputed, scope), scope),
    ]


REPORT = Report(
    name="refunds_and_chargebacks",
    title="Refunds and chargebacks",
    question="How much of what was taken went back, by gateway and merchant?",
    asks=frozenset({Asks.PERIOD, Asks.CURRENCY, Asks.MERCHANT, Asks.GATEWAY}),
    columns=(
        *GATEWAY,
        *MERCHANT,
        Column("captures", Type.COUNT, is_summed=True, is_for_machines=True),
        Column("captured", Type.MONEY, is_summed=True, link=links.entries(kind=Kind.CAPTURE)),
        Column("refunds", Type.COUNT, is_summed=True, is_wide=True),
        Column("refunded", Type.MONEY, is_summed=True),
        Column(
            "requested",
            Type.MONEY,
            label="asked for here",
            is_summed=True,
            is_wide=True,
            link=links.entries(kind=Kind.REFUND_SUCCEEDED),
        ),
        Column(
            "adopted",
            Type.MONEY,
            label="made at the gateway",
            is_summed=True,
            is_wide=True,
            link=links.entries(kind=Kind.REFUND_ADOPTED),
        ),
        Column("refund_share", Type.SHARE, label="of value", part="refunded", whole="captured"),
        Column("chargebacks", Type.COUNT, is_summed=True, is_wide=True),
        Column("charged_back", Type.MONEY, is_summed=True, link=links.entries(kind=Kind.CHARGEBACK_OPENED)),
        Column("chargeback_share", Type.SHARE, label="of count", part="chargebacks", whole="captures", is_wide=True),
        Column("won", Type.MONEY, is_summed=True, is_wide=True, link=links.entries(kind=Kind.CHARGEBACK_WON)),
        Column("lost", Type.MONEY, is_summed=True, is_wide=True, link=links.entries(kind=Kind.CHARGEBACK_LOST)),
    ),
    rows=_rows,
    controls=_controls,
    chart=Chart(by="merchant", columns=("refunded", "charged_back"), is_stacked=True),
    note="Shares are of what was captured in the same period: refunds by value, chargebacks by count.",
)
