"""Which lines of a gateway and which items of ours are the same movement? Pass after pass, each consuming both sides.

Everything is a statement over temporary tables: `open_line` and `open_item` are what is open, `pair` what was found
(one row per line and item of a match; a match of several has more rows, of which one `is_first`), `left_line` and
`left_item` what the first pass left over. Of several lines and items that are alike, the k-th is paired with the k-th.
"""

from typing import Any

from django.db import connection

from checkout.settings import policy

_NAMES = ("gateway_reference", "reference")  # what the gateway calls it, and what we do

_STAGE = """
DROP TABLE IF EXISTS open_line, open_item, left_line, left_item, pair, found;
CREATE TEMPORARY TABLE open_line ON COMMIT DROP AS
SELECT line.id, line.kind, line.currency, line.gross_minor, line.fee_minor, line.gateway_reference, line.reference,
    line.occurred_on
FROM ledger_settlementline AS line JOIN ledger_settlementfile AS file ON file.id = line.file_id
WHERE line.gateway_id = %(gateway)s AND line.mode = %(mode)s AND line.match_id IS NULL AND line.kind <> 'payout'
    AND file.status = 'imported';
CREATE TEMPORARY TABLE open_item ON COMMIT DROP AS
SELECT entry_id AS id, kind, currency, gross_minor, fee_minor, gateway_reference, reference, occurred_on
FROM ledger_clearingitem WHERE gateway_id = %(gateway)s AND mode = %(mode)s AND match_id IS NULL;
CREATE TEMPORARY TABLE pair (
    match_id bigint, line_id bigint, item_id uuid, how text, currency text, difference_minor bigint, is_first boolean
) ON COMMIT DROP;
CREATE TEMPORARY TABLE found (LIKE pair) ON COMMIT DROP;
ANALYZE open_line;
ANALYZE open_item;
"""

_NEXT_MATCH = "nextval('ledger_match_id_seq')"

# Alike in all that both say. The hash of the whole key makes the sort narrow; what is most telling is compared as well.
_EXACT = """
INSERT INTO {target}
SELECT {next_match}, line.id, item.id,
    CASE WHEN '{name}' = 'reference' AND (line.is_unnamed OR item.is_unnamed) THEN 'our_reference' ELSE 'exact' END,
    line.currency, 0, true
FROM ({placed_lines}) AS line JOIN ({placed_items}) AS item USING (key_hash, place, {name}, gross_minor)
ORDER BY line.id
"""
_PLACED = """
    SELECT id, key_hash, {name}, gross_minor, currency, {other} = '' AS is_unnamed,
        row_number() OVER (PARTITION BY key_hash ORDER BY id) AS place
    FROM (
        SELECT *, hash_record_extended((kind, currency, gross_minor, fee_minor, {name}), 0) AS key_hash
        FROM {rows} WHERE {name} <> ''
    ) AS keyed
"""

_LEFT = """
CREATE TEMPORARY TABLE left_line ON COMMIT DROP AS
SELECT * FROM open_line WHERE NOT EXISTS (SELECT FROM pair WHERE pair.line_id = open_line.id);
CREATE TEMPORARY TABLE left_item ON COMMIT DROP AS
SELECT * FROM open_item WHERE NOT EXISTS (SELECT FROM pair WHERE pair.item_id = open_item.id);
ANALYZE left_line;
ANALYZE left_item;
"""

# Of the same name, and off by no more than rounding in gross, fee and net.
_ROUNDING = """
INSERT INTO found
SELECT {next_match}, line.id, item.id, 'rounding', line.currency,
    line.gross_minor - line.fee_minor - item.gross_minor + item.fee_minor, true
FROM (
    SELECT *, row_number() OVER (PARTITION BY {name}, kind, currency ORDER BY gross_minor, fee_minor, id) AS place
    FROM left_line WHERE {name} <> ''
) AS line JOIN (
    SELECT *, row_number() OVER (PARTITION BY {name}, kind, currency ORDER BY gross_minor, fee_minor, id) AS place
    FROM left_item WHERE {name} IN (SELECT {name} FROM left_line WHERE {name} <> '')
) AS item USING ({name}, kind, currency, place)
WHERE abs(line.gross_minor - item.gross_minor) <= %(tolerance)s
    AND abs(line.fee_minor - item.fee_minor) <= %(tolerance)s
    AND abs(line.gross_minor - line.fee_minor - item.gross_minor + item.fee_minor) <= %(tolerance)s
"""

# One item that was settled in parts, or several that were settled as one: the sums of the same name are equal.
_SPLIT = """
INSERT INTO found
WITH line AS (
    SELECT {name}, kind, currency, count(*) AS line_count, sum(gross_minor) AS gross_minor, sum(fee_minor) AS fee_minor
    FROM left_line WHERE {name} <> '' GROUP BY {name}, kind, currency
), item AS (
    SELECT {name}, kind, currency, count(*) AS item_count, sum(gross_minor) AS gross_minor, sum(fee_minor) AS fee_minor
    FROM left_item WHERE {name} IN (SELECT {name} FROM line) GROUP BY {name}, kind, currency
), alike AS MATERIALIZED (
    SELECT {name}, kind, currency, {next_match} AS match_id,
        line.gross_minor - line.fee_minor - item.gross_minor + item.fee_minor AS difference_minor
    FROM line JOIN item USING ({name}, kind, currency)
    WHERE line.gross_minor = item.gross_minor AND abs(line.fee_minor - item.fee_minor) <= %(tolerance)s
        AND least(line_count, item_count) = 1 AND greatest(line_count, item_count) > 1
), member AS (
    SELECT match_id, id AS line_id, NULL::uuid AS item_id, currency, difference_minor
    FROM alike JOIN left_line USING ({name}, kind, currency)
    UNION ALL
    SELECT match_id, NULL, id, currency, difference_minor FROM alike JOIN left_item USING ({name}, kind, currency)
)
SELECT match_id, line_id, item_id, 'split', currency, difference_minor,
    row_number() OVER (PARTITION BY match_id) = 1
FROM member
"""

# Lines that name nothing, against items by amount and day: buckets of what is alike, so that a million of one price is
# a few rows. The same pairs of buckets tell what is ambiguous. A name that contradicts is never overruled by an amount.
BUCKETS = """
DROP TABLE IF EXISTS line_bucket, item_bucket;
CREATE TEMPORARY TABLE line_bucket ON COMMIT DROP AS
SELECT kind, currency, gross_minor, fee_minor, gateway_reference <> '' AS is_named, occurred_on AS on_day,
    count(*) AS n, min(id) AS id
FROM left_line WHERE reference = '' GROUP BY 1, 2, 3, 4, 5, 6;
CREATE TEMPORARY TABLE item_bucket ON COMMIT DROP AS
SELECT kind, currency, gross_minor, fee_minor, gateway_reference <> '' AS is_named, occurred_on AS on_day,
    count(*) AS n, min(id::text)::uuid AS id
FROM left_item
WHERE (kind, currency, gross_minor, fee_minor) IN (SELECT kind, currency, gross_minor, fee_minor FROM line_bucket)
GROUP BY 1, 2, 3, 4, 5, 6;
"""
NEAR = """
    line_bucket AS line JOIN item_bucket AS item
    ON item.kind = line.kind AND item.currency = line.currency AND item.gross_minor = line.gross_minor
        AND item.fee_minor = line.fee_minor AND NOT (item.is_named AND line.is_named)
        AND item.on_day BETWEEN line.on_day - %(slack)s AND line.on_day + %(slack)s
"""
_AMOUNT_AND_DATE = f"""
INSERT INTO found
WITH near AS (
    SELECT line.id AS line_id, item.id AS item_id, line.currency,
        sum(item.n) OVER (PARTITION BY line.id) AS item_count, sum(line.n) OVER (PARTITION BY item.id) AS line_count
    FROM {NEAR}
)
SELECT {_NEXT_MATCH}, line_id, item_id, 'amount_and_date', currency, 0, true
FROM near WHERE item_count = 1 AND line_count = 1
"""  # noqa: S608

_TAKE = """
INSERT INTO pair SELECT * FROM found;
DELETE FROM left_line USING found WHERE found.line_id = left_line.id;
DELETE FROM left_item USING found WHERE found.item_id = left_item.id;
TRUNCATE found
"""

_MATCHES = """
INSERT INTO ledger_match (id, gateway_id, mode, currency, how, difference_minor, matched_at)
SELECT match_id, %(gateway)s, %(mode)s, currency, how, difference_minor, %(now)s FROM pair WHERE is_first
"""
_LINES = """
UPDATE ledger_settlementline AS line SET match_id = pair.match_id FROM pair
WHERE pair.line_id = line.id AND line.match_id IS NULL
"""
# In the order in which items lie and are indexed: a file has its own, and a page touched once is touched for all.
_ITEMS = """
UPDATE ledger_clearingitem AS item SET match_id = pair.match_id
FROM (SELECT match_id, item_id FROM pair ORDER BY item_id OFFSET 0) AS pair
WHERE pair.item_id = item.entry_id AND item.match_id IS NULL
"""
_HOW = "SELECT how, count(*) FROM pair WHERE is_first GROUP BY how"
_DIFFERENCES = "SELECT match_id, currency, difference_minor FROM pair WHERE is_first AND difference_minor <> 0"
# What was open, less what is left.
_CHARGES = """
SELECT currency, sum(n), sum(gross_minor), sum(fee_minor)
FROM (
    SELECT currency, 1 AS n, gross_minor, fee_minor FROM open_line WHERE kind = 'charge'
    UNION ALL
    SELECT currency, -1, -gross_minor, -fee_minor FROM left_line WHERE kind = 'charge'
) AS line
GROUP BY currency HAVING sum(n) > 0
"""


def match_open(values: dict[str, Any]) -> None:
    """Find every pair. `values` name the gateway and the mode, as for all statements here."""
    with connection.cursor() as cursor:
        cursor.execute(_STAGE, values)
        cursor.execute(_exact(*_NAMES, target="pair", lines="open_line", items="open_item"))
        cursor.execute("ANALYZE pair")
        cursor.execute(_LEFT)
        while _match_left(cursor, values):
            pass  # what one pass consumed may make something unique that another has looked at


def _match_left(cursor: Any, values: dict[str, Any]) -> bool:
    """One round over what is left; whether it found anything."""
    values = {**values, "tolerance": policy.TOLERANCE_MINOR, "slack": policy.DATE_SLACK_DAYS}
    is_found = False
    for name, other in (_NAMES, _NAMES[::-1]):
        is_found |= _take(cursor, _exact(name, other, target="found", lines="left_line", items="left_item"), values)
    for template in (_ROUNDING, _SPLIT):
        for name in _NAMES:
            is_found |= _take(cursor, template.format(name=name, next_match=_NEXT_MATCH), values)
    cursor.execute(BUCKETS)
    return _take(cursor, _AMOUNT_AND_DATE, values) or is_found


def _take(cursor: Any, statement: str, values: dict[str, Any]) -> bool:
    cursor.execute(statement, values)
    if cursor.rowcount == 0:
        return False
    cursor.execute(_TAKE)
    return True


def _exact(name: str, other: str, *, target: str, lines: str, items: str) -> str:
    placed_lines, placed_items = (_PLACED.format(name=name, other=other, rows=rows) for rows in (lines, items))
    return _EXACT.format(
        name=name, target=target, next_match=_NEXT_MATCH, placed_lines=placed_lines, placed_items=placed_items
    )


def write_matches(values: dict[str, Any]) -> dict[str, int]:
    """Write what was found; returns the number of matches by how they were found. `values` also says `now`."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(line_id), count(item_id) FROM pair")
        line_count, item_count = cursor.fetchone()
        cursor.execute(_MATCHES, values)
        cursor.execute(_LINES)
        assert cursor.rowcount == line_count, "a line was consumed twice"
        cursor.execute(_ITEMS)
        assert cursor.rowcount == item_count, "an item was consumed twice"
        cursor.execute(_HOW)
        return dict(cursor.fetchall())


def differences() -> list[tuple[int, str, int]]:
    """The matches found just now that are off by rounding: key, currency, theirs - ours."""
    with connection.cursor() as cursor:
        cursor.execute(_DIFFERENCES)
        return list(cursor.fetchall())


def charges() -> list[tuple[str, int, int, int]]:
    """What was charged for the payments matched just now: currency, how many, their gross and fee."""
    with connection.cursor() as cursor:
        cursor.execute(_CHARGES)
        return [(currency, int(count), int(gross), int(fee)) for currency, count, gross, fee in cursor.fetchall()]
