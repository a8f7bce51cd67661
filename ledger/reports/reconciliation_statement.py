"""Does what our books say a gateway owes us agree with what the gateway says?"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db.models import prefetch_related_objects

from ledger import selectors
from ledger.chart import AccountKind
from ledger.models import ClearingItem, JournalEntry, SettlementBatch, SettlementLine
from ledger.reports import links
from ledger.reports.clearing import open_parts
from ledger.reports.declaration import Column, Control, Report, Row, Totals, Type, sums, tie
from ledger.reports.owners import GATEWAY
from ledger.reports.scope import Asks, Scope

_RECEIVABLE, _IN_TRANSIT = AccountKind.GATEWAY_RECEIVABLE, AccountKind.GATEWAY_IN_TRANSIT
_RECKONED, _TOLD, _PUT_RIGHT = "reckoned", "batch", "put_right"

# What is said of each part of a statement, in its order. What is open is taken off what the ledger says.
_LEDGER: dict[str, str] = {_RECEIVABLE: "ledger: owed, in no payout", _IN_TRANSIT: "ledger: payouts on their way"}
_OPEN = {
    "line": "add: in a file, not in the ledger",
    "item": "less: in the ledger, in no file",
    "pair": "add: what differs between both",
    "entry": "less: posted past both",
    "rest": "less: arrived as another amount",
}
_GATEWAY = {
    _RECKONED: "the gateway's balance, so reckoned",
    _TOLD: "payouts that the bank has not credited",
    _PUT_RIGHT: "what was put right of these",
}

_LINES = {**_LEDGER, **_OPEN, **_GATEWAY}


@dataclass
class _Statement:
    """One gateway in one currency: counts and amounts of its parts."""

    about: dict[str, Any]
    counts: Counter[str] = field(default_factory=Counter)
    amounts: Counter[str] = field(default_factory=Counter)

    def add(self, part: str, amount: int, count: int = 0) -> None:
        self.amounts[part] += amount
        self.counts[part] += count
        if part not in (_TOLD, _PUT_RIGHT):
            self.amounts[_RECKONED] += amount

    def rows(self) -> Iterator[Row]:
        """Its lines; of what is open, or was put right, those that there is something of."""
        for part, text in _LINES.items():
            if part in (*_OPEN, _PUT_RIGHT) and not self.counts[part]:
                continue
            yield {
                **self.about,
                "part": part,
                "line": text,
                "count": self.counts[part] or None,
                "amount": self.amounts[part],
                "reckoned": self.amounts[_RECKONED] if part == _RECKONED else 0,
                "told": self.amounts[part] if part in (_TOLD, _PUT_RIGHT) else 0,
                "is_result": part in _GATEWAY,
            }


def _rows(scope: Scope) -> Iterator[Row]:
    """Statements are as few as gateways, so all are added up before the first is given."""
    statements: dict[tuple[str, str, str], _Statement] = {}

    def statement(**about: Any) -> _Statement:
        key = about["gateway"], str(about["gateway_key"]), about["currency"]
        return statements.setdefault(key, _Statement(about))

    for account, amount in _ledger(scope):
        gateway = account.gateway
        about = {"gateway_key": gateway.pk, "gateway": gateway.name, "gateway_code": gateway.code}
        statement(currency=account.currency, **about).add(account.kind, amount)
    for part in open_parts(scope):
        about = {name: part[name] for name in ("gateway_key", "gateway", "gateway_code", "currency")}
        if part["part"] in (_TOLD, _PUT_RIGHT):
            statement(**about).add(part["part"], part["amount"], part["count"])
        else:
            statement(**about).add("pair" if part["is_pair"] else part["part"], -part["amount"], part["count"])
    for key in sorted(statements):
        yield from statements[key].rows()


def _ledger(scope: Scope) -> Iterator[tuple[Any, int]]:
    """The accounts of the trial balance that a statement begins with, with what is on them."""
    balances = [
        balance
        for balance in selectors.trial_balance(mode=scope.mode, currency=scope.currency or None, at=scope.at)
        if balance.account.kind in _LEDGER and (not scope.gateway or balance.account.gateway_id == scope.gateway.pk)
    ]
    prefetch_related_objects([balance.account for balance in balances], "gateway")
    return ((balance.account, balance.sum.amount_minor) for balance in balances)


def _controls(scope: Scope, totals: Totals) -> list[Control]:
    claim = "the trial balance, and what is open, tie to the gateways' files"
    return tie(claim, sums(totals, "reckoned"), sums(totals, "told"), scope)


def _behind(row: Row, scope: Scope) -> str:
    about = {"gateway__id__exact": row["gateway_key"], "currency": row["currency"]}
    match row["part"]:
        case "item":
            return links.listed(ClearingItem, scope, state="open", **about)
        case "line" | "pair":
            return links.listed(SettlementLine, scope, state="open", **about)
        case "batch":
            return links.listed(SettlementBatch, scope, status__exact="announced", **about)
        case "entry":
            return links.listed(JournalEntry, scope, state="past_both", **about)
        case AccountKind():
            return links.accounts(kind=row["part"])(row, scope)
    return ""


REPORT = Report(
    name="reconciliation_statement",
    title="Reconciliation statement",
    question="Does what our books say a gateway owes us agree with what the gateway says?",
    asks=frozenset({Asks.INSTANT, Asks.CURRENCY, Asks.GATEWAY}),
    columns=(
        *GATEWAY,
        Column("line", label=""),
        Column("count", Type.COUNT, link=_behind),
        Column("amount", Type.MONEY, link=_behind),
    ),
    rows=_rows,
    controls=_controls,
    note="Net of fees. What a gateway's files name is in a payout, so its balance is what the bank has yet to credit.",
    also_summed=("reckoned", "told"),
)
