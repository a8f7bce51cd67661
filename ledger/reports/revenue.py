"""What do we earn? Our fees and what gateways charge for the same, by merchant and day."""

from collections.abc import Iterator

from ledger.chart import AccountKind
from ledger.reports import books, links
from ledger.reports.declaration import Chart, Column, Control, Report, Row, Totals, Type, sums, tie
from ledger.reports.owners import MERCHANT, with_merchant
from ledger.reports.running import stream
from ledger.reports.scope import Asks, Scope

_QUERY = """
SELECT entry.occurred_on AS day, entry.merchant_id AS merchant_key, merchant.name AS merchant, posting.currency,
    -coalesce(sum(amount_minor) FILTER (WHERE account.kind = 'platform_fee'), 0)::bigint AS our_fees,
    -coalesce(sum(amount_minor) FILTER (WHERE account.kind = 'tax_payable'), 0)::bigint AS taxes,
    coalesce(sum(amount_minor) FILTER (WHERE account.kind = 'gateway_fee'), 0)::bigint AS gateway_fees
FROM ledger_posting AS posting
JOIN ledger_account AS account ON account.id = posting.account_id
JOIN ledger_journalentry AS entry ON entry.id = posting.entry_id
LEFT JOIN merchants_merchant AS merchant ON merchant.id = entry.merchant_id
WHERE account.kind IN ('platform_fee', 'tax_payable', 'gateway_fee') AND account.mode = %(mode)s
    AND entry.occurred_on BETWEEN %(first)s AND %(last)s
    AND (%(currency)s::text IS NULL OR posting.currency = %(currency)s)
    AND (%(merchant)s::uuid IS NULL OR entry.merchant_id = %(merchant)s)
    AND (%(gateway)s::uuid IS NULL OR entry.gateway_id = %(gateway)s)
GROUP BY 1, 2, 3, 4
ORDER BY 1 DESC, 3, 2, 4
"""


def _rows(scope: Scope) -> Iterator[Row]:
    for row in stream(_QUERY, scope.for_sql()):
        yield {**with_merchant(row), "margin": row["our_fees"] - row["gateway_fees"]}


def _controls(scope: Scope, totals: Totals) -> list[Control]:
    income = books.negated(books.moved([AccountKind.PLATFORM_FEE], scope))
    taxes = books.negated(books.moved([AccountKind.TAX_PAYABLE], scope))
    charged = books.moved([AccountKind.GATEWAY_FEE], scope)
    return [
        *tie("our fees tie to account platform_fee", sums(totals, "our_fees"), income, scope),
        *tie("taxes tie to account tax_payable", sums(totals, "taxes"), taxes, scope),
        *tie("gateway fees tie to account gateway_fee", sums(totals, "gateway_fees"), charged, scope),
    ]


REPORT = Report(
    name="revenue",
    title="Revenue",
    question="What do we earn, after what gateways charge, by merchant and day?",
    asks=frozenset({Asks.PERIOD, Asks.CURRENCY, Asks.MERCHANT, Asks.GATEWAY}),
    columns=(
        Column("day", Type.DATE),
        *MERCHANT,
        Column("our_fees", Type.MONEY, is_summed=True, link=links.entries(account=AccountKind.PLATFORM_FEE)),
        Column("taxes", Type.MONEY, is_summed=True, link=links.entries(account=AccountKind.TAX_PAYABLE), is_wide=True),
        Column("gateway_fees", Type.MONEY, is_summed=True, link=links.entries(account=AccountKind.GATEWAY_FEE)),
        Column("margin", Type.MONEY, is_summed=True),
    ),
    rows=_rows,
    controls=_controls,
    chart=Chart(by="day", columns=("our_fees", "gateway_fees")),
    note="Taxes are collected for the state on top of our fees. The margin is our fees less those of gateways.",
)
