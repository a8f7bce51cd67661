"""What do gateways owe us, and for how long already?"""

from collections.abc import Iterator
from itertools import groupby

from ledger.chart import AccountKind
from ledger.models import ClearingItem, Discrepancy, JournalEntry, SettlementBatch, SettlementLine
from ledger.reports import books, links
from ledger.reports.clearing import AGES, IN_TRANSIT, bucket, open_parts
from ledger.reports.declaration import Chart, Column, Control, Report, Row, Totals, Type, sums, tie
from ledger.reports.owners import GATEWAY
from ledger.reports.scope import Asks, Scope

_WHAT = {
    "item": "captured, in no file yet",
    "line": "in a file, not in our books",
    "entry": "posted past both",
    "batch": "payout on its way to the bank",
    "put_right": "put right of what is on its way",
    "rest": "arrived as another amount",
}
_BUCKETS = tuple(f"age_{place}" for place in range(len(AGES)))


def _rows(scope: Scope) -> Iterator[Row]:
    def about(row: Row) -> tuple[str, ...]:
        names = ("gateway", "gateway_key", "currency", "part", "discrepancy_key")
        return tuple(str(row[name]) for name in names)

    for _, group in groupby(open_parts(scope), about):
        found = list(group)
        ages = dict.fromkeys(_BUCKETS, 0)
        for row in found:
            ages[_BUCKETS[bucket(row["age"])]] += row["amount"]
        total, part = sum(ages.values()), found[0]["part"]
        yield {
            **found[0],
            **ages,
            "what": ": ".join(filter(None, [_WHAT[part], found[0]["reference"]])),
            "total": total,
            "receivable": 0 if part in IN_TRANSIT else total,
            "in_transit": total if part in IN_TRANSIT else 0,
        }


def _controls(scope: Scope, totals: Totals) -> list[Control]:
    owed = books.stood([AccountKind.GATEWAY_RECEIVABLE], scope)
    sent = books.stood([AccountKind.GATEWAY_IN_TRANSIT], scope)
    return [
        *tie("what is in no payout ties to account gateway_receivable", sums(totals, "receivable"), owed, scope),
        *tie("payouts tie to account gateway_in_transit", sums(totals, "in_transit"), sent, scope),
    ]


def _behind(row: Row, scope: Scope) -> str:
    about = {"gateway__id__exact": row["gateway_key"], "currency": row["currency"]}
    match row["part"]:
        case "item":
            return links.listed(ClearingItem, scope, state="open", **about)
        case "line":
            return links.listed(SettlementLine, scope, state="open", **about)
        case "batch":
            return links.listed(SettlementBatch, scope, status__exact="announced", **about)
        case "put_right" | "rest":
            return links.page(Discrepancy, row["discrepancy_key"])
    return links.listed(JournalEntry, scope, state="past_both", **about)


REPORT = Report(
    name="settlement_ageing",
    title="Settlement ageing",
    question="What does each gateway owe us, in payouts and before, and for how long already?",
    asks=frozenset({Asks.INSTANT, Asks.CURRENCY, Asks.GATEWAY}),
    columns=(
        *GATEWAY,
        Column("what", label=""),
        Column("total", Type.MONEY, is_summed=True, link=_behind),
        *(
            Column(name, Type.MONEY, label=label, is_summed=True, link=_behind, is_wide=place in (1, 2))
            for place, (name, (_, label)) in enumerate(zip(_BUCKETS, AGES, strict=True))
        ),
    ),
    rows=_rows,
    controls=_controls,
    chart=Chart(by="gateway", columns=_BUCKETS, is_stacked=True),
    note="Net of fees, by the day of the payment or of the payout. What is old and not zero needs somebody.",
    also_summed=("receivable", "in_transit"),
)
