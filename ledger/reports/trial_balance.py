"""What stands on every kind of account, and do debits and credits tie?"""

from collections.abc import Iterator
from itertools import groupby

from checkout.kit.display import words
from ledger import selectors
from ledger.chart import CHART, AccountKind
from ledger.reports import links
from ledger.reports.declaration import Column, Control, Report, Row, Totals, Type, sums, tie
from ledger.reports.scope import Asks, Scope


def _rows(scope: Scope) -> Iterator[Row]:
    balances = selectors.trial_balance(mode=scope.mode, currency=scope.currency or None, at=scope.at)
    for (currency, kind), found in groupby(balances, lambda row: (row.account.currency, row.account.kind)):
        accounts = list(found)
        row = CHART[AccountKind(kind)]
        yield {
            "currency": currency,
            "account": kind,
            "kind": words(kind),
            "nature": row.nature.value,
            "accounts": len(accounts),
            "debit": sum(balance.debit.amount_minor for balance in accounts),
            "credit": sum(balance.credit.amount_minor for balance in accounts),
            "meaning": row.meaning,
        }


def _controls(scope: Scope, totals: Totals) -> list[Control]:
    return tie("debits tie to credits", sums(totals, "debit"), sums(totals, "credit"), scope)


def _accounts(row: Row, scope: Scope) -> str:
    return links.accounts(kind=row["account"])(row, scope)


REPORT = Report(
    name="trial_balance",
    title="Trial balance",
    question="What stands on every kind of account at an instant, and do debits and credits tie?",
    asks=frozenset({Asks.INSTANT, Asks.CURRENCY}),
    columns=(
        Column("account", is_for_machines=True),
        Column("kind", label="account", link=_accounts),
        Column("meaning", label="what it holds", is_wide=True),
        Column("nature", is_wide=True),
        Column("accounts", Type.COUNT, is_wide=True),
        Column("debit", Type.MONEY, is_summed=True, link=_accounts),
        Column("credit", Type.MONEY, is_summed=True, link=_accounts),
    ),
    rows=_rows,
    controls=_controls,
)
