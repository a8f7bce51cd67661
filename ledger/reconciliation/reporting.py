"""What has changed since differences were last reported? New ones open, explained ones end, the others are kept as they
stand, with whoever carries them.
"""

from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models.expressions import RawSQL

from checkout.kit.statuses import advance_where
from checkout.settings import policy
from ledger.models import Discrepancy
from ledger.statuses import DISCREPANCY, DiscrepancyEvent

# A UUIDv7 of this very moment.
_KEY = """
overlay(overlay(gen_random_uuid()::text PLACING '7' FROM 15 FOR 1) PLACING
    regexp_replace(lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0'), '(.{8})', '\\1-')
    FROM 1 FOR 13)::uuid
"""

# A discrepancy is told again if both of its sides are the same; one that is not there is equal to nothing.
_NO_LINE, _NO_ITEM = "0", "'00000000-0000-0000-0000-000000000000'::uuid"
_SAME_SIDES = f"""
    coalesce(reason.line_id, {_NO_LINE}) = coalesce(told.line_id, {_NO_LINE})
    AND coalesce(reason.item_id, {_NO_ITEM}) = coalesce(told.item_id, {_NO_ITEM})
"""

# Reported before, and about other lines and items by now, or about none.
_ENDED = f"""
DROP TABLE IF EXISTS ended;
CREATE TEMPORARY TABLE ended ON COMMIT DROP AS
SELECT told.id
FROM ledger_discrepancy AS told LEFT JOIN reason ON {_SAME_SIDES}
WHERE told.gateway_id = %(gateway)s AND told.mode = %(mode)s AND told.status IN ('open', 'carried', 'requested')
    AND told.batch_id IS NULL AND told.bank_line_id IS NULL AND reason.kind IS NULL
"""  # noqa: S608

# Payments may know more of a line than the ledger does: what it has been told of its status is kept.
_CHANGED = f"""
UPDATE ledger_discrepancy AS told
SET kind = reason.kind, currency = reason.currency, "on" = reason.on_day, ours_minor = reason.ours_minor,
    theirs_minor = reason.theirs_minor, difference_minor = reason.difference_minor, detail = reason.detail
FROM reason
WHERE told.gateway_id = %(gateway)s AND told.mode = %(mode)s AND told.status IN ('open', 'carried', 'requested')
    AND {_SAME_SIDES}
    AND (told.kind, told.ours_minor, told.theirs_minor, told.difference_minor, told.detail) IS DISTINCT FROM
        (reason.kind, reason.ours_minor, reason.theirs_minor, reason.difference_minor, reason.detail)
    AND NOT (told.kind = 'status_differs' AND reason.kind = 'missing_in_ledger')
"""  # noqa: S608

_NEW = f"""
INSERT INTO ledger_discrepancy (id, gateway_id, mode, currency, kind, status, "on", item_id, line_id, ours_minor,
    theirs_minor, difference_minor, detail, found_at, resolution, ended_by, end_reason)
SELECT {_KEY}, %(gateway)s, %(mode)s, currency, kind, 'open', on_day, item_id, line_id, ours_minor, theirs_minor,
    difference_minor, detail, %(now)s, '', '', ''
FROM reason
WHERE NOT EXISTS (
    SELECT FROM ledger_discrepancy AS told
    WHERE told.line_id = reason.line_id AND told.status IN ('open', 'carried', 'requested')
) AND NOT EXISTS (
    SELECT FROM ledger_discrepancy AS told
    WHERE told.item_id = reason.item_id AND told.status IN ('open', 'carried', 'requested')
)
ORDER BY on_day, line_id, item_id
"""  # noqa: S608


class Changes(NamedTuple):
    """How many differences were opened, ended, and told anew."""

    opened: int
    cleared: int
    changed: int


def report(values: dict[str, Any], *, now: datetime, actor: str) -> Changes:
    """Bring the discrepancies of a gateway in line with `reason`. `values` name the gateway, the mode and `now`."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE reason")
        cursor.execute(_ENDED, values)
    cleared = advance_where(
        Discrepancy.objects.filter(pk__in=RawSQL("SELECT id FROM ended", ())),
        DISCREPANCY,
        DiscrepancyEvent.CLEAR,
        ended_at=now,
        ended_by=actor,
        end_reason="explained by what came later",
    )
    with connection.cursor() as cursor:
        cursor.execute(_CHANGED, values)
        changed = cursor.rowcount
        cursor.execute(_NEW, values)
        return Changes(opened=cursor.rowcount, cleared=cleared, changed=changed)


# A payout that is not the sum of its lines, unless that was told before.
_TOTALS = f"""
INSERT INTO ledger_discrepancy (id, gateway_id, mode, currency, kind, status, "on", batch_id, ours_minor, theirs_minor,
    difference_minor, detail, found_at, resolution, ended_by, end_reason)
SELECT {_KEY}, gateway_id, mode, currency, 'batch_total_differs', 'open', paid_on, id, net_minor, payout_minor,
    payout_minor - net_minor, '', %(now)s, '', '', ''
FROM ledger_settlementbatch AS batch
WHERE mode = %(mode)s AND (%(gateway)s::uuid IS NULL OR gateway_id = %(gateway)s::uuid) AND payout_minor <> net_minor
    AND NOT EXISTS (
        SELECT FROM ledger_discrepancy AS told WHERE told.batch_id = batch.id
            AND (told.kind IN ('batch_total_differs', 'bank_amount_differs')
                OR told.status IN ('open', 'carried', 'requested'))
    )
ON CONFLICT DO NOTHING
"""  # noqa: S608

# A payout that should be at the bank by now.
_MISSING = f"""
INSERT INTO ledger_discrepancy (id, gateway_id, mode, currency, kind, status, "on", batch_id, ours_minor, theirs_minor,
    difference_minor, detail, found_at, resolution, ended_by, end_reason)
SELECT {_KEY}, gateway_id, mode, currency, 'missing_bank_credit', 'open', paid_on, id,
    coalesce(payout_minor, net_minor), NULL, -coalesce(payout_minor, net_minor), '', %(now)s, '', '', ''
FROM ledger_settlementbatch AS batch
WHERE mode = %(mode)s AND (%(gateway)s::uuid IS NULL OR gateway_id = %(gateway)s::uuid) AND status = 'announced'
    AND paid_on < %(today)s - %(days)s AND coalesce(payout_minor, net_minor) <> 0
    AND NOT EXISTS (
        SELECT FROM ledger_discrepancy AS told WHERE told.batch_id = batch.id
            AND (told.kind = 'missing_bank_credit' OR told.status IN ('open', 'carried', 'requested'))
    )
ON CONFLICT DO NOTHING
"""  # noqa: S608


def report_payouts(*, mode: str, today: date, now: datetime, gateway_id: UUID | None = None) -> int:
    """Report payouts that are not the sum of their lines or should be at the bank by now, of one gateway or of all.

    Returns how many differences were opened.
    """
    values = {"mode": mode, "gateway": gateway_id, "today": today, "now": now, "days": policy.BANK_CREDIT_DAYS}
    with connection.cursor() as cursor:
        cursor.execute(_TOTALS, values)
        opened = cursor.rowcount
        cursor.execute(_MISSING, values)
        return opened + int(cursor.rowcount)
