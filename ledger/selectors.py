"""What is true of money now, or was at some instant, and what moved it?

Balances are positive on the normal side of their account, and debit positive where either side is normal. An instant
is one of our own record: the entries whose transaction had begun by then. A day is an accounting day, in UTC.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import BigIntegerField, Prefetch, Q, QuerySet
from django.db.models.expressions import RawSQL

from checkout.kit.money import Money
from checkout.settings import policy
from ledger.chart import CHART, AccountKey, Keeping, Owner, kinds_owned_by
from ledger.models import Account, AccountBalance, JournalEntry, Posting

# The latest snapshot before the instant, and the rest; null for an account that nothing was posted to by then.
_BALANCE = """
SELECT CASE WHEN base.at IS NOT NULL OR rest.sum_minor IS NOT NULL
    THEN (coalesce(base.balance_minor, 0) + coalesce(rest.sum_minor, 0))::bigint END
FROM (VALUES (%s::timestamptz)) AS asked (at)
LEFT JOIN LATERAL (
    SELECT snapshot.at, balance_minor FROM ledger_accountsnapshot AS snapshot
    WHERE account_id = ledger_account.id AND snapshot.at <= asked.at ORDER BY snapshot.at DESC LIMIT 1
) AS base ON true
LEFT JOIN LATERAL (
    SELECT sum(amount_minor) AS sum_minor FROM ledger_posting
    WHERE account_id = ledger_account.id AND created_at BETWEEN coalesce(base.at, '-infinity') AND asked.at
) AS rest ON true
"""
_MOVEMENTS = """
SELECT account_id, "on", kind, sum(debit_minor)::bigint, sum(credit_minor)::bigint, sum(posting_count)::bigint
FROM ledger_movement
WHERE account_id = ANY(%s) AND "on" BETWEEN coalesce(%s::date, '-infinity') AND coalesce(%s::date, 'infinity')
GROUP BY account_id, "on", kind
ORDER BY account_id, "on", kind
"""
_AT_END_OF_DAY = """
SELECT account_id, sum(debit_minor - credit_minor)::bigint FROM ledger_movement
WHERE account_id = ANY(%s) AND "on" <= %s GROUP BY account_id
"""
_COMPLETE_UNTIL = """
SELECT least(clock_timestamp() - %s * interval '1 second', min(xact_start))
FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
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


@dataclass(frozen=True)
class Movement:
    """What one kind of entry moved on one account on one accounting day, in minor units; both sums are positive."""

    account_id: int
    on: date
    kind: str
    debit_minor: int
    credit_minor: int
    posting_count: int

    @property
    def sum_minor(self) -> int:
        """What it came to, debit positive."""
        return self.debit_minor - self.credit_minor


def balance_of(account: AccountKey, *, mode: str, currency: str, at: datetime | None = None) -> Money:
    """The balance of one account, now or at an instant; zero if it was never posted to. One query."""
    rows = Account.objects.filter(accounts_named([(account, mode, currency)]))
    row = CHART[account.kind]
    if at is None and row.keeping is not Keeping.LAZY:
        total = rows.values_list("balance__balance_minor", flat=True).first()
    else:
        total = with_balances(rows, at).values_list("total", flat=True).first()
    return Money((total or 0) * row.nature.sign, currency)


def trial_balance(*, mode: str, currency: str | None = None, at: datetime | None = None) -> list[Balance]:
    """Every account that was ever posted to, in the order of the chart. Its sums are zero per currency. One query."""
    rows = Account.objects.filter(mode=mode)
    if currency is not None:
        rows = rows.filter(currency=currency)
    return _balances(rows, at)


def merchant_balances(*, merchant_id: UUID, mode: str, at: datetime | None = None) -> list[Balance]:
    """What a merchant is owed and owes, by account and currency, in the order of the chart. One query."""
    kinds = kinds_owned_by(Owner.MERCHANT)
    return _balances(Account.objects.filter(merchant_id=merchant_id, mode=mode, kind__in=kinds), at)


def platform_balances(*, mode: str, currency: str | None = None, at: datetime | None = None) -> list[Balance]:
    """What the platform itself has, at the bank and at gateways, earns and spends, in the order of the chart."""
    kinds = kinds_owned_by(Owner.PLATFORM) + kinds_owned_by(Owner.GATEWAY)
    rows = Account.objects.filter(mode=mode, kind__in=kinds)
    return _balances(rows if currency is None else rows.filter(currency=currency), at)


def with_balances(rows: QuerySet[Account], at: datetime | None = None) -> QuerySet[Any]:
    """Accounts with their `total`, debit positive, now or at an instant; None where nothing was posted by then."""
    return rows.annotate(total=RawSQL(_BALANCE, ["infinity" if at is None else at], BigIntegerField()))


def movements(accounts: Iterable[Account], *, first: date | None = None, last: date | None = None) -> list[Movement]:
    """What moved on accounts in accounting days, from the first to the last, by account, day and kind. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_MOVEMENTS, [[account.pk for account in accounts], first, last])
        return [Movement(*row) for row in cursor.fetchall()]


def balances_at_end_of(day: date, accounts: Iterable[Account]) -> dict[int, Money]:
    """What stood on accounts when an accounting day was over, by their keys, debit positive. One query."""
    currencies = {account.pk: account.currency for account in accounts}
    with connection.cursor() as cursor:
        cursor.execute(_AT_END_OF_DAY, [list(currencies), day])
        sums = dict(cursor.fetchall())
    return {pk: Money(sums.get(pk, 0), currency) for pk, currency in currencies.items()}


def entries_of_payment(payment_reference: str) -> QuerySet[JournalEntry]:
    """The entries about one payment, the oldest first, with their postings, accounts and owners. Two queries."""
    return _with_postings(JournalEntry.objects.filter(payment_reference=payment_reference).order_by("id"))


def refund_requested(reference: str) -> JournalEntry:
    """The entry that set a refund's money aside, with postings and accounts. Refuses: JournalEntry.DoesNotExist."""
    return _with_postings(JournalEntry.objects.all()).get(kind=JournalEntry.Kind.REFUND_REQUESTED, reference=reference)


def entry_with_postings(pk: UUID) -> JournalEntry:
    """One entry with postings, accounts and owners. Refuses: JournalEntry.DoesNotExist."""
    return _with_postings(JournalEntry.objects.all()).get(pk=pk)


def reversal_of(entry: JournalEntry) -> JournalEntry | None:
    """The entry that reversed another one, if there is one."""
    return JournalEntry.objects.filter(kind=JournalEntry.Kind.REVERSAL, reference=entry.public_id).first()


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


def complete_until() -> datetime:
    """The instant until which the record is complete: every transaction that began before it has ended.

    This transaction itself is not counted. Sessions of another database role are seen only by a role that may read all
    statistics.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # a transaction would see what it saw the first time
        cursor.execute(_COMPLETE_UNTIL, [policy.RECORD_LAG_SECONDS])
        (until,) = cursor.fetchone()
    return until


def lock_balances(account_ids: Iterable[int]) -> dict[int, int]:
    """Lock the balance rows of strict accounts, in account order; returns their sums, debit positive.

    Take this lock after every other one.
    """
    rows = AccountBalance.objects.filter(account_id__in=account_ids).order_by("account_id")
    return dict(rows.select_for_update(no_key=True).values_list("account_id", "balance_minor"))


def _balances(rows: QuerySet[Account], at: datetime | None) -> list[Balance]:
    posted = [account for account in with_balances(rows, at) if account.total is not None]
    balances = [Balance(account, Money(account.total, account.currency)) for account in posted]
    return sorted(balances, key=lambda balance: _place(balance.account))


def _place(account: Account) -> tuple[str, int, int]:
    return account.currency, _CHART_ORDER[account.kind], account.pk


def _with_postings(entries: QuerySet[JournalEntry]) -> QuerySet[JournalEntry]:
    return entries.prefetch_related(
        Prefetch("postings", Posting.objects.select_related("account__merchant", "account__gateway"))
    )
