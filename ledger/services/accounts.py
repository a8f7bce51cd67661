"""Which row is an account of the chart? Found by name, opened when it is first needed, remembered by this process."""

from functools import partial

from django.db import transaction

from ledger import selectors
from ledger.chart import CHART, AccountKey, Keeping
from ledger.models import Account, AccountBalance

AccountName = tuple[AccountKey, str, str]  # with mode and currency

_MAX_REMEMBERED = 100_000
_account_ids: dict[AccountName, int] = {}


def open_accounts(names: set[AccountName]) -> dict[AccountName, int]:
    """The ids of accounts, opening those that are not there yet.

    An id is remembered only once the transaction has committed: an account opened in one that rolls back is gone.
    """
    known = {name: account_id for name in names if (account_id := _account_ids.get(name))}
    unknown = names - known.keys()
    if unknown:
        found = _find(unknown)
        if len(found) < len(unknown):
            _open(unknown - found.keys())
            found = _find(unknown)
        transaction.on_commit(partial(_remember, found))
        known |= found
    return known


def forget_accounts() -> None:
    """Drop what this process remembers of account ids: needed only where accounts can vanish, as in tests."""
    _account_ids.clear()


def _find(names: set[AccountName]) -> dict[AccountName, int]:
    rows = Account.objects.filter(selectors.accounts_named(names))
    return {(account.key, account.mode, account.currency): account.pk for account in rows}


def _open(names: set[AccountName]) -> None:
    """Open accounts, and balance rows for the strict ones, unless somebody else just did; sorted against deadlocks."""
    accounts = [
        Account(
            kind=key.kind,
            merchant_id=key.merchant_id,
            gateway_id=key.gateway_id,
            holder=key.holder,
            mode=mode,
            currency=currency,
        )
        for key, mode, currency in sorted(names, key=str)
    ]
    Account.objects.bulk_create(accounts, ignore_conflicts=True)
    strict = [name for name in names if CHART[name[0].kind].keeping is not Keeping.LAZY]
    if strict:
        ids = sorted(_find(set(strict)).values())
        AccountBalance.objects.bulk_create([AccountBalance(account_id=pk) for pk in ids], ignore_conflicts=True)


def _remember(found: dict[AccountName, int]) -> None:
    if len(_account_ids) > _MAX_REMEMBERED:
        _account_ids.clear()
    _account_ids.update(found)
