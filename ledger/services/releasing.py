"""When may merchants use what was taken for them, if not at once? When their gateway has settled it.

What an item says is settled once it is matched, which it is only once; so nothing is released twice. What was released
at its capture, or has been reversed since, has nothing left to release.
"""

from typing import Any
from uuid import UUID

from django.db import connection

from checkout.kit.ids import public_id
from checkout.kit.money import Money
from ledger import recipes, selectors
from ledger.chart import AccountKind
from ledger.models import Account, ClearingItem, JournalEntry
from ledger.recipes import JournalDraft

# What is pending of each capture, but no more than of its payment as a whole: a reversal bears another name.
_PENDING = """
SELECT capture.merchant_id, item.currency, min(capture.id::text), sum(least(own.minor, whole.minor))::bigint
FROM ({items}) AS settled (item_id)
JOIN ledger_clearingitem AS item ON item.entry_id = settled.item_id
JOIN ledger_journalentry AS capture ON capture.id = item.entry_id
CROSS JOIN LATERAL (
    SELECT -coalesce(sum(amount_minor), 0) AS minor
    FROM ledger_journalentry AS entry JOIN ledger_posting AS posting ON posting.entry_id = entry.id
    WHERE entry.reference = capture.reference AND entry.kind IN ('capture', 'platform_fee', 'funds_released')
        AND posting.account_id = ANY(%(pending)s)
) AS own
CROSS JOIN LATERAL (
    SELECT -coalesce(sum(amount_minor), 0) AS minor
    FROM ledger_journalentry AS entry JOIN ledger_posting AS posting ON posting.entry_id = entry.id
    WHERE entry.payment_reference = capture.payment_reference AND entry.payment_reference <> ''
        AND posting.account_id = ANY(%(pending)s)
) AS whole
WHERE capture.kind = 'capture' AND capture.merchant_id = ANY(%(merchants)s) AND own.minor > 0 AND whole.minor > 0
GROUP BY capture.merchant_id, item.currency ORDER BY capture.merchant_id, item.currency
"""
MATCHED_NOW = "SELECT item_id FROM pair WHERE item_id IS NOT NULL"  # what `reconciliation.passes` found


def released_by_settlement(
    *, gateway_id: UUID, mode: str, items: list[ClearingItem] | None = None
) -> list[JournalDraft]:
    """What merchants may use because these items are settled now, or else those that were matched just now.

    One entry per merchant and currency, named after the first of the captures that it releases. Two queries, or one
    where nothing is pending.
    """
    accounts = Account.objects.filter(kind=AccountKind.MERCHANT_PENDING, mode=mode)
    pending = [account for account in selectors.with_balances(accounts) if account.total]
    if not pending:
        return []
    values: dict[str, Any] = {
        "pending": [account.pk for account in pending],
        "merchants": [account.merchant_id for account in pending],
        "items": [item.pk for item in items or ()],
    }
    query = _PENDING.format(items=MATCHED_NOW if items is None else "SELECT unnest(%(items)s::uuid[])")
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return [
            recipes.funds_released(
                amount=Money(minor, currency),
                mode=mode,
                merchant_id=merchant_id,
                gateway_id=gateway_id,
                reference=public_id(JournalEntry.PUBLIC_PREFIX, UUID(first)),
            )
            for merchant_id, currency, first, minor in cursor.fetchall()
        ]
