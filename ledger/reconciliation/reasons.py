"""Why is a line or an item still open? Each gets one reason, alone or with the one of the other side it belongs to.

Goes on where the passes stopped, over `left_line` and `left_item`, and leaves `reason`: what is to be reported now.
"""

from typing import Any

from django.db import connection

from ledger.models import ClearingItem
from ledger.reconciliation.passes import BUCKETS, NEAR

# The entries that have items: what a gateway calls a movement leads to them by an index of their own.
_KINDS = ", ".join(f"'{kind}'" for kind in ClearingItem.KINDS)
_ENTRIES_WITH_ITEMS = f"entry.gateway_reference <> '' AND entry.kind IN ({_KINDS})"

# A line and an item of one name and kind are about one movement, whatever else they say of it.
_COUPLES = """
DROP TABLE IF EXISTS couple;
CREATE TEMPORARY TABLE couple (line_id bigint, item_id uuid) ON COMMIT DROP
"""
_COUPLE = """
INSERT INTO couple
SELECT line.id, item.id
FROM (
    SELECT *, row_number() OVER (PARTITION BY {name}, kind ORDER BY currency, gross_minor, fee_minor, id) AS place
    FROM left_line WHERE {name} <> '' AND NOT EXISTS (SELECT FROM couple WHERE couple.line_id = left_line.id)
) AS line JOIN (
    SELECT *, row_number() OVER (PARTITION BY {name}, kind ORDER BY currency, gross_minor, fee_minor, id) AS place
    FROM left_item
    WHERE {name} IN (SELECT {name} FROM left_line WHERE {name} <> '')
        AND NOT EXISTS (SELECT FROM couple WHERE couple.item_id = left_item.id)
) AS item USING ({name}, kind, place)
"""

# What stands alone, and of it only what the gateway's files should have named by now.
_ALONE = """
DROP TABLE IF EXISTS lone_line, lone_item, namesake, unsure_line, unsure_item, reason;
CREATE TEMPORARY TABLE lone_line ON COMMIT DROP AS
SELECT * FROM left_line WHERE NOT EXISTS (SELECT FROM couple WHERE couple.line_id = left_line.id);
CREATE TEMPORARY TABLE lone_item ON COMMIT DROP AS
SELECT * FROM left_item
WHERE occurred_on <= coalesce((%(covered)s::jsonb ->> currency)::date, %(covered_otherwise)s)
    AND NOT EXISTS (SELECT FROM couple WHERE couple.item_id = left_item.id);
ANALYZE lone_line;
ANALYZE lone_item
"""

# Items of the same name as a line that stands alone: matched ones, too. What a person gave up without a line of theirs
# was not settled by one: theirs comes late, and not twice.
_IS_SETTLED = """
    item.match_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM ledger_discrepancy AS ended
        WHERE ended.item_id = item.entry_id AND ended.line_id IS NULL AND ended.status = 'resolved'
            AND ended.resolution <> 'match_by_hand'
    ) OR EXISTS (SELECT FROM couple WHERE couple.item_id = item.entry_id) AS is_settled
"""
_NAMESAKES = f"""
CREATE TEMPORARY TABLE namesake ON COMMIT DROP AS
SELECT line.id AS line_id, item.kind, item.currency, item.gross_minor, {_IS_SETTLED}
FROM lone_line AS line
    JOIN ledger_journalentry AS entry ON entry.gateway_reference = line.gateway_reference
    JOIN ledger_clearingitem AS item ON item.entry_id = entry.id
WHERE line.gateway_reference <> '' AND item.gateway_id = %(gateway)s AND item.mode = %(mode)s
    AND {_ENTRIES_WITH_ITEMS}
UNION ALL
SELECT line.id, item.kind, item.currency, item.gross_minor, {_IS_SETTLED}
FROM lone_line AS line JOIN ledger_clearingitem AS item ON item.reference = line.reference
WHERE line.reference <> '' AND item.gateway_id = %(gateway)s AND item.mode = %(mode)s
"""  # noqa: S608

# An item is unsure if the lines that could be it are enough for all that could be theirs; else one of them is missing.
_UNSURE = f"""
CREATE TEMPORARY TABLE unsure_line ON COMMIT DROP AS
SELECT one.id, near.item_count
FROM (SELECT line.*, sum(item.n) AS item_count FROM {NEAR} GROUP BY
        line.kind, line.currency, line.gross_minor, line.fee_minor, line.is_named, line.on_day, line.n, line.id) AS near
    JOIN lone_line AS one ON one.kind = near.kind AND one.currency = near.currency
        AND one.gross_minor = near.gross_minor AND one.fee_minor = near.fee_minor AND one.reference = ''
        AND (one.gateway_reference <> '') = near.is_named AND one.occurred_on = near.on_day;
CREATE TEMPORARY TABLE unsure_item ON COMMIT DROP AS
WITH asked AS (
    SELECT item.*, sum(line.n) AS line_count FROM {NEAR} GROUP BY
        item.kind, item.currency, item.gross_minor, item.fee_minor, item.is_named, item.on_day, item.n, item.id
), weighed AS (
    SELECT asked.*, (
        SELECT sum(other.n) FROM item_bucket AS other
        WHERE other.kind = asked.kind AND other.currency = asked.currency AND other.gross_minor = asked.gross_minor
            AND other.fee_minor = asked.fee_minor
            AND other.on_day BETWEEN asked.on_day - %(slack)s AND asked.on_day + %(slack)s
    ) AS item_count FROM asked
)
SELECT one.id, weighed.line_count
FROM weighed JOIN lone_item AS one ON one.kind = weighed.kind AND one.currency = weighed.currency
    AND one.gross_minor = weighed.gross_minor AND one.fee_minor = weighed.fee_minor
    AND (one.gateway_reference <> '') = weighed.is_named AND one.occurred_on = weighed.on_day
WHERE line_count >= item_count
"""  # noqa: S608

# `ours` and `theirs` are the fee or the gross, whichever differs; the difference is always of the net. What differs
# belongs to the first day that either side puts it on: neither is closed before it is explained.
_REASONS = f"""
CREATE TEMPORARY TABLE reason ON COMMIT DROP AS
SELECT line.id AS line_id, item.id AS item_id, verdict.kind, item.currency,
    least(item.occurred_on, line.occurred_on) AS on_day,
    CASE verdict.kind WHEN 'fee_differs' THEN item.fee_minor ELSE item.gross_minor END AS ours_minor,
    CASE verdict.kind WHEN 'fee_differs' THEN line.fee_minor ELSE line.gross_minor END AS theirs_minor,
    CASE verdict.kind WHEN 'currency_differs' THEN 0 ELSE line.gross_minor - line.fee_minor END
        - item.gross_minor + item.fee_minor AS difference_minor,
    CASE verdict.kind WHEN 'currency_differs' THEN 'theirs is in ' || line.currency ELSE '' END AS detail
FROM couple JOIN left_line AS line ON line.id = couple.line_id JOIN left_item AS item ON item.id = couple.item_id
    CROSS JOIN LATERAL (
        SELECT CASE WHEN line.currency <> item.currency THEN 'currency_differs'
            WHEN line.gross_minor <> item.gross_minor THEN 'amount_differs' ELSE 'fee_differs' END AS kind
    ) AS verdict
UNION ALL
SELECT line.id, NULL,
    CASE WHEN line.kind = 'unmapped' THEN 'unmapped_type'
        WHEN line.kind = 'refund_reversed' AND EXISTS (
            SELECT FROM namesake WHERE namesake.line_id = line.id AND namesake.kind = 'refund'
        ) THEN 'status_differs'
        WHEN line.is_repeated OR EXISTS (
            SELECT FROM namesake
            WHERE namesake.line_id = line.id AND namesake.is_settled AND namesake.kind = line.kind
                AND namesake.currency = line.currency AND namesake.gross_minor = line.gross_minor
        ) THEN 'duplicate_at_gateway'
        WHEN unsure.id IS NOT NULL THEN 'ambiguous'
        ELSE 'missing_in_ledger' END,
    line.currency, line.occurred_on, NULL, line.gross_minor, line.gross_minor - line.fee_minor,
    CASE WHEN unsure.id IS NOT NULL THEN unsure.item_count || ' of ours could be it' ELSE '' END
FROM (
    SELECT lone.*, gateway_reference <> '' AND (
        row_number() OVER (PARTITION BY kind, currency, gross_minor, gateway_reference ORDER BY lone.id) > 1
        OR (kind, currency, gross_minor, gateway_reference) IN (
            SELECT resolved.kind, resolved.currency, resolved.gross_minor, resolved.gateway_reference
            FROM ledger_discrepancy AS ended JOIN ledger_settlementline AS resolved ON resolved.id = ended.line_id
            WHERE ended.gateway_id = %(gateway)s AND ended.mode = %(mode)s AND ended.status = 'resolved'
        )
    ) AS is_repeated
    FROM lone_line AS lone
) AS line LEFT JOIN unsure_line AS unsure ON unsure.id = line.id
UNION ALL
SELECT NULL, item.id,
    CASE WHEN is_repeated THEN 'duplicate_in_ledger'
        WHEN unsure.id IS NOT NULL THEN 'ambiguous'
        WHEN item.occurred_on > %(late)s THEN 'timing'
        ELSE 'missing_at_gateway' END,
    item.currency, item.occurred_on, item.gross_minor, NULL, item.fee_minor - item.gross_minor,
    CASE WHEN unsure.id IS NOT NULL THEN unsure.line_count || ' of theirs could be it' ELSE '' END
FROM (
    SELECT lone.*, EXISTS (
        SELECT FROM ledger_clearingitem AS other
        WHERE other.reference = lone.reference AND other.entry_id <> lone.id AND other.kind = lone.kind
            AND other.currency = lone.currency AND other.gross_minor = lone.gross_minor
            AND (other.match_id IS NOT NULL OR other.entry_id < lone.id)
            AND other.gateway_id = %(gateway)s AND other.mode = %(mode)s
    ) OR gateway_reference <> '' AND EXISTS (
        SELECT FROM ledger_journalentry AS entry JOIN ledger_clearingitem AS other ON other.entry_id = entry.id
        WHERE entry.gateway_reference = lone.gateway_reference AND other.entry_id <> lone.id AND other.kind = lone.kind
            AND {_ENTRIES_WITH_ITEMS} AND other.currency = lone.currency AND other.gross_minor = lone.gross_minor
            AND (other.match_id IS NOT NULL OR other.entry_id < lone.id)
            AND other.gateway_id = %(gateway)s AND other.mode = %(mode)s
    ) AS is_repeated
    FROM lone_item AS lone
) AS item LEFT JOIN unsure_item AS unsure ON unsure.id = item.id
"""  # noqa: S608


def find_reasons(values: dict[str, Any]) -> None:
    """Give everything that is left its reason.

    `values` name the gateway and the mode; the last day that its files cover, by currency and otherwise; the last day
    that is late, so that what is not in a file by now is missing; and by how many days a line may be off its item.
    """
    with connection.cursor() as cursor:
        cursor.execute(_COUPLES)
        for name in ("gateway_reference", "reference"):
            cursor.execute(_COUPLE.format(name=name))
        cursor.execute("ANALYZE couple")
        cursor.execute(_ALONE, values)
        cursor.execute(_NAMESAKES, values)
        cursor.execute(BUCKETS)
        cursor.execute(_UNSURE, values)
        cursor.execute(_REASONS, values)
