"""What can be done to the ledger? Facts are filed, once; requests are refused where the money is not there.

These functions run inside the transaction of whatever happened and have none of their own. Call them last and once
per transaction: they lock balance rows, always in account order.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC
from functools import partial
from uuid import UUID

from django.db import connection, transaction

from checkout.kit.ids import uuid7
from checkout.kit.money import Money
from checkout.settings import policy
from ledger import chart, recipes, selectors
from ledger.chart import CHART, AccountKey, Keeping
from ledger.errors import InsufficientBalance, LedgerConflict
from ledger.models import Account, AccountBalance, JournalEntry
from ledger.recipes import JournalDraft

AccountName = tuple[AccountKey, str, str]  # with mode and currency

_MAX_REMEMBERED = 100_000
_account_ids: dict[AccountName, int] = {}

_INSERT = """
WITH drafted AS (
    SELECT * FROM json_to_recordset(%s) AS draft (
        id uuid, kind text, reference text, mode text, merchant_id uuid, gateway_id uuid, gateway_reference text,
        payment_reference text, body_hash bytea, occurred_on date
    )
), filed AS (
    INSERT INTO ledger_journalentry (id, kind, reference, mode, merchant_id, gateway_id, gateway_reference,
                                     payment_reference, body_hash, occurred_on)
    SELECT * FROM drafted
    ON CONFLICT (kind, reference) DO NOTHING
    RETURNING id
), posted AS (
    INSERT INTO ledger_posting (entry_id, account_id, currency, amount_minor)
    SELECT leg.entry_id, leg.account_id, leg.currency, leg.amount_minor
    FROM ROWS FROM (
        json_to_recordset(%s) AS (entry_id uuid, account_id bigint, currency text, amount_minor bigint)
    ) WITH ORDINALITY AS leg (entry_id, account_id, currency, amount_minor, place)
    JOIN filed ON filed.id = leg.entry_id
    ORDER BY leg.place
)
SELECT id FROM filed
"""

_MOVE = """
WITH moves AS (
    SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::boolean[]) AS m (account_id, amount_minor, is_floored)
), locked AS (
    SELECT account_id FROM ledger_accountbalance WHERE account_id IN (SELECT account_id FROM moves)
    ORDER BY account_id FOR NO KEY UPDATE
)
UPDATE ledger_accountbalance AS balance
SET balance_minor = balance.balance_minor + moves.amount_minor
FROM locked JOIN moves USING (account_id)
WHERE balance.account_id = locked.account_id
    AND (NOT moves.is_floored OR balance.balance_minor + moves.amount_minor <= 0)
"""


def record_entries(drafts: Sequence[JournalDraft]) -> None:
    """File facts in the ledger and move the strict balances they touch. The same fact told again changes nothing.

    Two statements, however many the drafts, once their accounts are known to this process. Refuses:
    InsufficientBalance, LedgerConflict; the surrounding transaction can then only be rolled back.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("An entry is written inside the transaction of its fact.")
    if not drafts:
        return
    account_ids = _accounts(
        {(leg.account, draft.mode, leg.amount.currency) for draft in drafts for leg in draft.postings}
    )
    entries = [(uuid7(), draft) for draft in drafts]
    filed = _insert(entries, account_ids)
    if len(filed) < len(entries):
        _require_same_facts([draft for key, draft in entries if key not in filed])
    _move_balances([draft for key, draft in entries if key in filed], account_ids)


def reserve_refund(
    *,
    merchant_id: UUID,
    gateway_id: UUID,
    mode: str,
    reference: str,
    payment_reference: str,
    amount: Money,
) -> None:
    """Set aside the money of a refund that is about to be asked of a gateway.

    It comes from what the merchant has available. Where that is too little, the rest becomes what the merchant owes
    us if the policy lets a refund go beyond; otherwise refuses: InsufficientBalance. A reference is for one refund;
    another one under it is refused: LedgerConflict.
    """
    from_available = amount
    if policy.REFUND_BEYOND_AVAILABLE:
        from_available = min(amount, _lock_for_refund(merchant_id, mode, amount.currency))
    record_entries(
        [
            recipes.refund_requested(
                merchant_id=merchant_id,
                gateway_id=gateway_id,
                mode=mode,
                reference=reference,
                payment_reference=payment_reference,
                from_available=from_available,
                from_receivable=amount - from_available,
            )
        ]
    )


def forget_accounts() -> None:
    """Drop what this process remembers of account ids: needed only where accounts can vanish, as in tests."""
    _account_ids.clear()


def _lock_for_refund(merchant_id: UUID, mode: str, currency: str) -> Money:
    """Lock all that a refund may move, in account order, and say how much is available."""
    kinds = (chart.merchant_available, chart.merchant_receivable, chart.refund_in_flight)
    account_ids = _accounts({(kind(merchant_id), mode, currency) for kind in kinds})
    sums = selectors.lock_balances(account_ids.values())
    return Money(-sums[account_ids[chart.merchant_available(merchant_id), mode, currency]], currency)


def _accounts(names: set[AccountName]) -> dict[AccountName, int]:
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


def _insert(entries: Sequence[tuple[UUID, JournalDraft]], account_ids: Mapping[AccountName, int]) -> set[UUID]:
    """Write entries and postings in one statement; returns the keys of the entries that were news."""
    rows = [
        {
            "id": str(key),
            "kind": draft.kind,
            "reference": draft.reference,
            "mode": draft.mode,
            "merchant_id": draft.merchant_id and str(draft.merchant_id),
            "gateway_id": draft.gateway_id and str(draft.gateway_id),
            "gateway_reference": draft.gateway_reference,
            "payment_reference": draft.payment_reference,
            "body_hash": rf"\x{draft.body_hash.hex()}",
            "occurred_on": draft.occurred_at.astimezone(UTC).date().isoformat(),
        }
        for key, draft in entries
    ]
    legs = [
        {
            "entry_id": str(key),
            "account_id": account_ids[leg.account, draft.mode, leg.amount.currency],
            "currency": leg.amount.currency,
            "amount_minor": leg.amount.amount_minor,
        }
        for key, draft in entries
        for leg in draft.postings
    ]
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, [json.dumps(rows), json.dumps(legs)])
        return {key for (key,) in cursor.fetchall()}


def _require_same_facts(drafts: Iterable[JournalDraft]) -> None:
    for draft in drafts:
        entry = JournalEntry.objects.only("body_hash").get(kind=draft.kind, reference=draft.reference)
        if bytes(entry.body_hash) != draft.body_hash:
            transaction.set_rollback(True)
            raise LedgerConflict(kind=draft.kind, reference=draft.reference)


def _move_balances(drafts: Iterable[JournalDraft], account_ids: Mapping[AccountName, int]) -> None:
    """Move the running balances of strict accounts in one statement, in account order."""
    sums: dict[int, int] = defaultdict(int)
    floored: dict[int, bool] = {}
    for draft in drafts:
        for leg in draft.postings:
            keeping = CHART[leg.account.kind].keeping
            if keeping is not Keeping.LAZY:
                account_id = account_ids[leg.account, draft.mode, leg.amount.currency]
                sums[account_id] += leg.amount.amount_minor
                floored[account_id] = keeping is Keeping.FLOORED
    if not sums:
        return
    with connection.cursor() as cursor:
        cursor.execute(_MOVE, [list(sums), list(sums.values()), list(floored.values())])
        if cursor.rowcount < len(sums):
            transaction.set_rollback(True)
            raise InsufficientBalance()
