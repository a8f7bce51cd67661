"""What is in a stretch of the ledger, in 32 bytes? Hashed by the database itself, set by set.

Values are hashed in their binary form, each with its type and length, so that no two contents look alike whatever the
settings of a session. An account counts with all that it is named by: who moves it to another owner changes the hash.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from django.db import connection

_CONTENT = """
WITH entries AS (
    SELECT count(*) AS total, string_agg(sha256(record_send(ROW(
        id, kind, reference, mode, merchant_id, gateway_id, gateway_reference, payment_reference, body_hash,
        occurred_on, created_at
    ))), ''::bytea ORDER BY id) AS hashes
    FROM ledger_journalentry
    WHERE created_at >= %(begin)s::timestamptz AND created_at < %(end)s::timestamptz
), postings AS (
    SELECT count(*) AS total, string_agg(sha256(record_send(ROW(
        posting.id, entry_id, posting.currency, amount_minor, created_at,
        account_id, kind, merchant_id, gateway_id, holder, mode, account.currency
    ))), ''::bytea ORDER BY posting.id) AS hashes
    FROM ledger_posting AS posting LEFT JOIN ledger_account AS account ON account.id = account_id
    WHERE created_at >= %(begin)s::timestamptz AND created_at < %(end)s::timestamptz
)
SELECT entries.total, postings.total,
    sha256(sha256(coalesce(entries.hashes, ''::bytea)) || sha256(coalesce(postings.hashes, ''::bytea)))
FROM entries, postings
"""


@dataclass(frozen=True)
class Content:
    """What a stretch holds: how many entries and postings, and the hash of all they say."""

    entry_count: int
    posting_count: int
    content_hash: bytes


def content_of(begins_at: datetime | None, ends_at: datetime) -> Content:
    """What was recorded in `[begins_at, ends_at)`, from the very beginning if none is named. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_CONTENT, {"begin": begins_at or "-infinity", "end": ends_at})
        entry_count, posting_count, content_hash = cursor.fetchone()
    return Content(entry_count, posting_count, bytes(content_hash))


def seal_hash(previous: bytes, begins_at: datetime | None, ends_at: datetime, content: Content) -> bytes:
    """SHA-256 of a seal: what it covers, what was found there, and the seal before it (empty for the first)."""
    stretch = [begins_at and _in_utc(begins_at), _in_utc(ends_at)]
    found = [content.entry_count, content.posting_count, content.content_hash.hex()]
    return sha256(json.dumps([previous.hex(), stretch, found]).encode()).digest()


def _in_utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
