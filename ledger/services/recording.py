"""How is a fact written into the books? Once, whole, and only where the money is there.

`record_entries` runs inside the transaction of whatever happened and has none of its own. Call it last and once per
transaction: it locks balance rows, always in account order.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from checkout.kit.ids import uuid7
from ledger.chart import CHART, AccountKind, Keeping
from ledger.errors import InsufficientBalance, LedgerConflict
from ledger.models import ClearingItem, JournalEntry
from ledger.recipes import JournalDraft
from ledger.services.accounts import AccountName, open_accounts

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
    """File facts in the ledger, with the clearing items that come of them, and move the strict balances they touch.

    The same fact told again changes nothing. Two statements, however many the drafts, once their accounts are known to
    this process. Refuses: InsufficientBalance, LedgerConflict; the surrounding transaction can then only be rolled
    back.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("An entry is written inside the transaction of its fact.")
    if not drafts:
        return
    account_ids = open_accounts(
        {(leg.account, draft.mode, leg.amount.currency) for draft in drafts for leg in draft.postings}
    )
    entries = [(draft.id or uuid7(), draft) for draft in drafts]
    filed = _insert(entries, account_ids)
    if len(filed) < len(entries):
        _require_same_facts([draft for key, draft in entries if key not in filed])
    _move_balances([draft for key, draft in entries if key in filed], account_ids)


def _insert(entries: Sequence[tuple[UUID, JournalDraft]], account_ids: Mapping[AccountName, int]) -> set[UUID]:
    """Write entries, postings and clearing items in one statement; returns the keys of the entries that were news."""
    fees = {
        draft.reference: _on_receivable(draft) for _, draft in entries if draft.kind == JournalEntry.Kind.GATEWAY_FEE
    }
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
            "currencies": list({leg.amount.currency for leg in draft.postings}),
            **_item(draft, fees),
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
        cursor.execute("SELECT ledger_file_entries(%s, %s)", [json.dumps(rows), json.dumps(legs)])
        return {key for (key,) in cursor.fetchall()}


def _item(draft: JournalDraft, fees: Mapping[str, int]) -> dict[str, Any]:
    """What a gateway is expected to settle because of an entry, if it is of such a kind; `fees` by reference."""
    kind = ClearingItem.KINDS.get(draft.kind)
    if kind is None:
        return {}
    return {
        "item_kind": kind,
        "gross_minor": _on_receivable(draft),
        "fee_minor": -fees.get(draft.reference, 0),
        "clearing_reference": draft.clearing_reference or draft.reference,
    }


def _on_receivable(draft: JournalDraft) -> int:
    """What an entry moves on its gateway's receivable."""
    return sum(leg.amount.amount_minor for leg in draft.postings if leg.account.kind == AccountKind.GATEWAY_RECEIVABLE)


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
