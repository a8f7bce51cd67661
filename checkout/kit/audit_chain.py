"""Does the audit still say what it said? What was written is sealed, seal upon seal, and can be hashed again.

Transactions end in another order than they begin. A seal covers the numbers below which every transaction has ended, so
nothing can join what it covers.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import chain
from typing import Any

from django.db import connection, transaction

from checkout.kit import clock
from checkout.kit.models import AuditEntry, AuditSeal
from checkout.settings import policy

BEGINNING = -(2**63)  # of numbers: the first seal leaves out nothing

_LIMITS = "SET LOCAL statement_timeout = '10min'; SET LOCAL jit = off"
_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended('audit seals', 0))"

# Up to where the next seal goes: whole transactions, of about so many entries.
_END = """
SELECT coalesce((
    SELECT transaction_id FROM kit_auditentry
    WHERE transaction_id >= %(begin)s AND transaction_id < settled.number
    ORDER BY transaction_id, id OFFSET %(count)s LIMIT 1
) + 1, settled.number)
FROM (SELECT audit_settled() AS number) AS settled
"""

# Values are hashed in their binary form, each with its type and length, whatever the settings of a session.
_CONTENT = """
SELECT count(*), sha256(coalesce(string_agg(sha256(record_send(ROW(
    id, at, actor, verb, object_type, object_id, reason, before, after, address, told_by_database, transaction_id
))), ''::bytea ORDER BY transaction_id, id), ''::bytea))
FROM kit_auditentry WHERE transaction_id >= %s AND transaction_id < %s
"""


@dataclass(frozen=True)
class Verdict:
    """What a look at the whole chain found: how much was looked at, how much is not as it was, and a few of that.

    `waiting` entries are too young for a seal. `sealed_at` and `last_seal` (its hash) are of the last seal.
    """

    seals: int
    entries: int
    waiting: int
    violations: int
    samples: list[str]
    sealed_at: datetime | None
    last_seal: str
    seconds: float

    @property
    def is_green(self) -> bool:
        """Whether all is as it was."""
        return not self.violations

    def as_json(self) -> dict[str, Any]:
        """The verdict as it is printed."""
        return {**asdict(self), "sealed_at": self.sealed_at.isoformat() if self.sealed_at else None}


def seal_audit() -> list[AuditSeal]:
    """Seal what nothing can join any more, about `policy.AUDIT_SEAL_ENTRIES` in each seal. Returns the new seals."""
    made = []
    while seal := _seal_next():
        made.append(seal)
    return made


def verify_audit(*, known_seal: bytes | None = None) -> Verdict:
    """Hash again all that was sealed, seal by seal, in one transaction that sees one moment of it. Changes nothing.

    `known_seal` is the hash of a seal that was kept elsewhere: without it nobody sees that the last seals were taken
    away together with all that they covered.
    """
    began = time.monotonic()
    is_outermost = not connection.in_atomic_block
    looked_at, problems = 0, 0
    samples: list[str] = []
    with transaction.atomic(), connection.cursor() as cursor:
        if is_outermost:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute(_LIMITS)
        seals = list(AuditSeal.objects.order_by("number"))
        for count, problem in chain(_examine(seals), _lost(seals, known_seal)):
            looked_at += count
            if problem:
                problems += 1
                samples.append(problem)
                samples = samples[: policy.AUDIT_SAMPLE_COUNT]
        last = seals[-1] if seals else None
        waiting = AuditEntry.objects.filter(transaction_id__gte=last.ends_at if last else BEGINNING).count()
    return Verdict(
        seals=len(seals),
        entries=looked_at,
        waiting=waiting,
        violations=problems,
        samples=samples,
        sealed_at=last.sealed_at if last else None,
        last_seal=bytes(last.seal_hash).hex() if last else "",
        seconds=round(time.monotonic() - began, 3),
    )


@transaction.atomic(durable=True)
def _seal_next() -> AuditSeal | None:
    """One seal, unless there is nothing to seal or somebody else is at it."""
    with connection.cursor() as cursor:
        cursor.execute(_LIMITS)
        cursor.execute(_LOCK)
        if not cursor.fetchone()[0]:
            return None
        last = AuditSeal.objects.order_by("number").last()
        begin = last.ends_at if last else BEGINNING
        cursor.execute(_END, {"begin": begin, "count": policy.AUDIT_SEAL_ENTRIES - 1})
        (end,) = cursor.fetchone()
    count, content = _content(begin, end)
    if not count:
        return None
    seal = AuditSeal(
        number=last.number + 1 if last else 1, begins_at=begin, ends_at=end, entry_count=count, content_hash=content
    )
    seal.seal_hash = _hash_of(seal, bytes(last.seal_hash) if last else b"")
    seal.save(force_insert=True)
    return seal


def _content(begin: int, end: int) -> tuple[int, bytes]:
    with connection.cursor() as cursor:
        cursor.execute(_CONTENT, [begin, end])
        count, content = cursor.fetchone()
    return count, bytes(content)


def _hash_of(seal: AuditSeal, previous: bytes) -> bytes:
    """SHA-256 of a seal: what it covers, what was found there, and the seal before it (empty for the first)."""
    stretch = [seal.number, seal.begins_at, seal.ends_at, seal.entry_count, bytes(seal.content_hash).hex()]
    return sha256(json.dumps([previous.hex(), *stretch]).encode()).digest()


def _examine(seals: list[AuditSeal]) -> Iterator[tuple[int, str]]:
    """For each seal how many entries it covers, and what is wrong with it."""
    number, end, previous = 0, BEGINNING, b""
    for seal in seals:
        count, content = _content(seal.begins_at, seal.ends_at)
        problem = ""
        if (seal.number, seal.begins_at) != (number + 1, end) or bytes(seal.seal_hash) != _hash_of(seal, previous):
            problem = f"{seal} does not continue the one before it"
        elif count != seal.entry_count:
            problem = f"{seal} covers {count:,} entries and was made of {seal.entry_count:,}"
        elif content != bytes(seal.content_hash):
            problem = f"{seal} covers entries that were changed"
        yield count, problem
        number, end, previous = seal.number, seal.ends_at, bytes(seal.seal_hash)


def _lost(seals: list[AuditSeal], known_seal: bytes | None) -> Iterator[tuple[int, str]]:
    """What only the end of the chain can lack: entries that should be sealed by now, and a seal that somebody knows."""
    until = clock.now() - timedelta(seconds=policy.SEAL_OVERDUE_SECONDS)
    unsealed = AuditEntry.objects.filter(transaction_id__gte=seals[-1].ends_at if seals else BEGINNING)
    if count := unsealed.filter(at__lt=until).count():
        yield 0, f"{count:,} entries of before {until:%Y-%m-%d %H:%M} UTC are in no seal"
    if known_seal is not None and known_seal not in {bytes(seal.seal_hash) for seal in seals}:
        yield 0, f"the seal {known_seal.hex()} is not there any more"
