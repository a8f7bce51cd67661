"""What do the books say? The figures that reports must tie to, per currency, debit positive, read another way."""

from collections.abc import Collection, Mapping

from django.db import connection
from django.db.models import Q, Sum

from ledger import selectors
from ledger.chart import CHART, AccountKind, Owner
from ledger.models import Posting
from ledger.reports.scope import Scope

_MOVED = """
SELECT account.currency, sum(debit_minor - credit_minor)::bigint
FROM ledger_account AS account
JOIN ledger_movement AS movement ON movement.account_id = account.id
WHERE account.kind = ANY(%(accounts)s) AND account.mode = %(mode)s AND "on" BETWEEN %(first)s AND %(last)s
    AND (%(kinds)s::text[] IS NULL OR movement.kind = ANY(%(kinds)s))
    AND (%(currency)s::text IS NULL OR account.currency = %(currency)s)
    AND (%(gateway)s::uuid IS NULL OR account.gateway_id = %(gateway)s)
GROUP BY 1
"""


def moved(accounts: Collection[AccountKind], scope: Scope, *, by: Collection[str] = ()) -> dict[str, int]:
    """What a period moved on accounts of these kinds, by entries of the named kinds or of all. One query.

    An account of the platform belongs to no merchant or gateway: of it, the entries are asked who they are about.
    """
    owners = {CHART[kind].owner for kind in accounts}
    if scope.merchant or scope.gateway and owners != {Owner.GATEWAY}:
        return _moved_by_entries(accounts, scope, by)
    values = {**scope.for_sql(), "accounts": [kind.value for kind in accounts], "kinds": list(by) or None}
    with connection.cursor() as cursor:
        cursor.execute(_MOVED, values)
        return dict(cursor.fetchall())


def stood(accounts: Collection[str], scope: Scope) -> dict[str, int]:
    """What the trial balance shows on accounts of these kinds at the scope's instant. One query."""
    sums: dict[str, int] = {}
    for balance in selectors.trial_balance(mode=scope.mode, currency=scope.currency or None, at=scope.at):
        account = balance.account
        is_asked = not scope.gateway or account.gateway_id == scope.gateway.pk
        is_asked = is_asked and (not scope.merchant or account.merchant_id == scope.merchant.pk)
        if is_asked and account.kind in accounts:
            sums[account.currency] = sums.get(account.currency, 0) + balance.sum.amount_minor
    return sums


def negated(sums: Mapping[str, int]) -> dict[str, int]:
    """The same seen from the credit side."""
    return {currency: -amount for currency, amount in sums.items()}


def _moved_by_entries(accounts: Collection[AccountKind], scope: Scope, by: Collection[str]) -> dict[str, int]:
    about = Q(entry__occurred_on__range=(scope.first, scope.last))
    about &= Q(entry__kind__in=by) if by else Q()
    about &= Q(entry__merchant=scope.merchant) if scope.merchant else Q()
    about &= Q(entry__gateway=scope.gateway) if scope.gateway else Q()
    about &= Q(currency=scope.currency) if scope.currency else Q()
    rows = Posting.objects.filter(about, account__kind__in=accounts, account__mode=scope.mode)
    return {code: int(sum) for code, sum in rows.order_by().values_list("currency").annotate(Sum("amount_minor"))}
