"""What is true of money now, or was at some instant?

Balances are positive on the normal side of their account, and debit positive where either side is normal. An instant
is one of our own record: the entries whose transaction had begun by then.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID

from django.db.models import Prefetch, Q, QuerySet, Sum

from checkout.kit.money import Money
from ledger.chart import CHART, AccountKey, Keeping, Owner
from ledger.models import Account, AccountBalance, JournalEntry, Posting

_CHART_ORDER = {kind.value: place for place, kind in enumerate(CHART)}


@dataclass(frozen=True)
class Balance:
    """One account and its sum, debit positive."""

    account: Account
    sum: Money

    @property
    def debit(self) -> Money:
        """The sum, if it is on the debit side; else nothing."""
        return Money(max(self.sum.amount_minor, 0), self.sum.currency)

    @property
    def credit(self) -> Money:
        """The sum, if it is on the credit side; else nothing."""
        return Money(max(-self.sum.amount_minor, 0), self.sum.currency)

    @property
    def amount(self) -> Money:
        """The balance as people say it: positive on the account's normal side."""
        return Money(self.sum.amount_minor * self.account.chart_row.nature.sign, self.sum.currency)


def balance_of(account: AccountKey, *, mode: str, currency: str, at: datetime | None = None) -> Money:
    """The balance of one account, now or at an instant; zero if it was never posted to. One query."""
    rows = Account.objects.filter(accounts_named([(account, mode, currency)]))
    row = CHART[account.kind]
    if at is None and row.keeping is not Keeping.LAZY:
        total = rows.values_list("balance__balance_minor", flat=True).first()
    else:
        total = _with_sums(rows, at).values_list("total", flat=True).first()
    return Money((total or 0) * row.nature.sign, currency)


def trial_balance(*, mode: str, currency: str | None = None, at: datetime | None = None) -> list[Balance]:
    """Every account that was ever posted to, in the order of the chart. Its sums are zero per currency. One query."""
    rows = Account.objects.filter(mode=mode)
    if currency is not None:
        rows = rows.filter(currency=currency)
    return _balances(rows, at)


def merchant_balances(*, merchant_id: UUID, mode: str) -> list[Balance]:
    """What a merchant is owed and owes, by account and currency, in the order of the chart. One query."""
    kinds = [kind for kind, row in CHART.items() if row.owner is Owner.MERCHANT]
    return _balances(Account.objects.filter(merchant_id=merchant_id, mode=mode, kind__in=kinds), None)


def entries_of_payment(payment_reference: str) -> QuerySet[JournalEntry]:
    """The entries about one payment, the oldest first, with their postings, accounts and owners. Two queries."""
    return _with_postings(JournalEntry.objects.filter(payment_reference=payment_reference).order_by("id"))


def refund_requested(reference: str) -> JournalEntry:
    """The entry that set a refund's money aside, with postings and accounts. Refuses: JournalEntry.DoesNotExist."""
    return _with_postings(JournalEntry.objects.all()).get(kind=JournalEntry.Kind.REFUND_REQUESTED, reference=reference)


def accounts_named(names: Iterable[tuple[AccountKey, str, str]]) -> Q:
    """The condition that picks accounts by key, mode and currency."""
    return reduce(
        or_,
        (
            Q(
                kind=key.kind,
                merchant_id=key.merchant_id,
                gateway_id=key.gateway_id,
                holder=key.holder,
                mode=mode,
                currency=currency,
            )
            for key, mode, currency in names
        ),
    )


def lock_balances(account_ids: Iterable[int]) -> dict[int, int]:
    """Lock the balance rows of strict accounts, in account order; returns their sums, debit positive.

    Take this lock after every other one.
    """
    rows = AccountBalance.objects.filter(account_id__in=account_ids).order_by("account_id")
    return dict(rows.select_for_update(no_key=True).values_list("account_id", "balance_minor"))


def _with_sums(rows: QuerySet[Account], at: datetime | None) -> QuerySet[Any]:
    until = None if at is None else Q(postings__created_at__lte=at)
    return rows.annotate(total=Sum("postings__amount_minor", filter=until))


def _balances(rows: QuerySet[Account], at: datetime | None) -> list[Balance]:
    posted = _with_sums(rows, at).filter(total__isnull=False)
    balances = [Balance(account, Money(int(account.total), account.currency)) for account in posted]
    return sorted(balances, key=lambda balance: _place(balance.account))


def _place(account: Account) -> tuple[str, int, int]:
    return account.currency, _CHART_ORDER[account.kind], account.pk


def _with_postings(entries: QuerySet[JournalEntry]) -> QuerySet[JournalEntry]:
    return entries.prefetch_related(
        Prefetch("postings", Posting.objects.select_related("account__merchant", "account__gateway"))
    )
