"""What stands open between a gateway and us at an instant, and how old is it?

A gateway's receivable is what we expect and no file has named (`item`), less what files have named and we do not know
(`line`), plus what was posted past both (`entry`). What is in transit is the payouts that no bank line has shown yet
(`batch`, the sum of their lines, and `put_right`, what resolutions have put right of that), and what of others arrived
as another amount (`rest`). Amounts are net, signed as what the gateway owes us.
"""

from collections.abc import Iterator
from typing import Any

from ledger.models import JournalEntry
from ledger.reports.running import stream
from ledger.reports.scope import Scope

Kind = JournalEntry.Kind

# Entries that move a receivable without an item. Those that resolve a discrepancy, which are written in one
# transaction, come with a match instead.
PAST_BOTH = (Kind.MANUAL, Kind.REVERSAL, Kind.CHARGEBACK_OPENED, Kind.CHARGEBACK_FEE, Kind.CHARGEBACK_WON)

_OPEN = """
WITH open_discrepancy AS MATERIALIZED (
    SELECT id, item_id, line_id, kind FROM ledger_discrepancy
    WHERE mode = %(mode)s AND found_at <= coalesce(%(at)s::timestamptz, 'infinity')
        AND (ended_at IS NULL OR ended_at > %(at)s::timestamptz)
), payout AS (
    SELECT batch.*, coalesce(bank.matched_at <= coalesce(%(at)s::timestamptz, 'infinity'), false) AS is_banked
    FROM ledger_settlementbatch AS batch
    JOIN ledger_settlementfile AS file ON file.id = batch.file_id
    LEFT JOIN ledger_bankline AS bank ON bank.id = batch.bank_line_id
    WHERE batch.mode = %(mode)s AND file.imported_at <= coalesce(%(at)s::timestamptz, 'infinity')
), open AS (
    SELECT 'item' AS part, item.gateway_id, item.currency, item.occurred_on AS day, discrepancy.kind,
        discrepancy.line_id IS NOT NULL AS is_pair, gross_minor - fee_minor AS amount,
        NULL::uuid AS discrepancy_key, '' AS reference
    FROM ledger_clearingitem AS item
    LEFT JOIN open_discrepancy AS discrepancy ON discrepancy.item_id = item.entry_id
    WHERE item.mode = %(mode)s AND (%(at)s::timestamptz IS NULL AND item.match_id IS NULL
        OR %(at)s IS NOT NULL
            AND NOT EXISTS (SELECT FROM ledger_match WHERE id = item.match_id AND matched_at <= %(at)s)
            AND EXISTS (SELECT FROM ledger_journalentry WHERE id = item.entry_id AND created_at <= %(at)s))
    UNION ALL
    SELECT 'line', line.gateway_id, line.currency, line.occurred_on, discrepancy.kind,
        discrepancy.item_id IS NOT NULL, -net_minor, NULL, ''
    FROM ledger_settlementline AS line
    JOIN ledger_settlementfile AS file ON file.id = line.file_id
    LEFT JOIN open_discrepancy AS discrepancy ON discrepancy.line_id = line.id
    WHERE line.mode = %(mode)s AND line.kind <> 'payout' AND file.status = 'imported'
        AND file.imported_at <= coalesce(%(at)s::timestamptz, 'infinity')
        AND (%(at)s::timestamptz IS NULL AND line.match_id IS NULL OR %(at)s IS NOT NULL
            AND NOT EXISTS (SELECT FROM ledger_match WHERE id = line.match_id AND matched_at <= %(at)s))
    UNION ALL
    SELECT 'entry', account.gateway_id, account.currency, entry.occurred_on, NULL, false, posting.amount_minor, NULL, ''
    FROM ledger_journalentry AS entry
    JOIN ledger_posting AS posting ON posting.entry_id = entry.id
    JOIN ledger_account AS account ON account.id = posting.account_id
    WHERE entry.kind = ANY(%(past_both)s) AND entry.mode = %(mode)s
        AND entry.created_at <= coalesce(%(at)s::timestamptz, 'infinity') AND account.kind = 'gateway_receivable'
        AND entry.xid NOT IN (
            SELECT resolving.xid FROM ledger_discrepancy AS discrepancy
            JOIN ledger_journalentry AS resolving ON resolving.id = discrepancy.entry_id
            WHERE discrepancy.mode = %(mode)s
        )
    UNION ALL
    SELECT 'batch', gateway_id, currency, paid_on, NULL, false, net_minor, NULL, '' FROM payout WHERE NOT is_banked
    UNION ALL
    SELECT CASE WHEN is_banked THEN 'rest' ELSE 'put_right' END, payout.gateway_id, payout.currency, paid_on,
        NULL, false, CASE WHEN is_banked THEN -difference_minor ELSE difference_minor END, discrepancy.id,
        payout.reference
    FROM payout
    JOIN ledger_discrepancy AS discrepancy ON discrepancy.batch_id = payout.id
    WHERE is_banked AND found_at <= coalesce(%(at)s::timestamptz, 'infinity')
            AND (ended_at IS NULL OR ended_at > %(at)s::timestamptz)
        OR NOT is_banked AND discrepancy.status = 'resolved' AND resolution <> 'no_entry'
            AND ended_at <= coalesce(%(at)s::timestamptz, 'infinity')
)
SELECT gateway.id AS gateway_key, gateway.name AS gateway, gateway.code AS gateway_code, open.currency,
    part, open.kind, is_pair, %(today)s - day AS age, discrepancy_key, reference,
    count(*) AS count, sum(amount)::bigint AS amount,
    sum(abs(amount))::bigint AS value
FROM open
JOIN gateways_gateway AS gateway ON gateway.id = open.gateway_id
WHERE (%(currency)s::text IS NULL OR open.currency = %(currency)s)
    AND (%(gateway)s::uuid IS NULL OR open.gateway_id = %(gateway)s)
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
ORDER BY 2, 1, 4, array_position(ARRAY['item', 'line', 'entry', 'batch', 'put_right', 'rest'], part), reference,
    discrepancy_key, 6, 7, 8 DESC
"""

# What stands on a gateway's account of payouts, beside what is owed before one.
IN_TRANSIT = ("batch", "put_right", "rest")

# Up to how many days old, and what that is called; the last has no end.
AGES = ((1, "0-1 days"), (3, "2-3 days"), (7, "4-7 days"), (30, "8-30 days"), (None, "over 30 days"))


def open_parts(scope: Scope) -> Iterator[dict[str, Any]]:
    """What is open, summed by gateway, currency, part, kind of discrepancy and age in days. One query.

    What discrepancies say of payouts is apart, by `discrepancy_key` and the payout's `reference`.
    """
    return stream(_OPEN, {**scope.for_sql(), "past_both": list(PAST_BOTH)})


def bucket(age: int) -> int:
    """Which of AGES an age in days belongs to."""
    return next(place for place, (last, _) in enumerate(AGES) if last is None or age <= last)
