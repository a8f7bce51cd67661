"""Does the ledger still say what it said? Every seal is hashed again, and every sum is added up again.

A check is one query of what breaks it: `entry_id`, or null and an `object` in words, and the `problem`.
"""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from checkout.kit import clock
from checkout.kit.ids import public_id
from checkout.settings import policy
from ledger import seals
from ledger.chart import CHART, Keeping
from ledger.models import ClearingItem, JournalEntry, LedgerSeal

_ONE_VIEW = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"
_LIMITS = "SET LOCAL statement_timeout = '30min'; SET LOCAL work_mem = '64MB'; SET LOCAL jit = off"
_EXAMINE = """
WITH violation AS ({query})
SELECT count(*) OVER (), entry_id, object, problem FROM violation ORDER BY object, entry_id, problem LIMIT %s
"""


def _quoted(words: Any) -> str:
    return ", ".join(f"'{word}'" for word in words)


@dataclass(frozen=True)
class Check:
    """One rule, in plain words, with the queries that count what is looked at and find what breaks it."""

    name: str
    counted: str
    violations: str


@dataclass(frozen=True)
class Finding:
    """What came of one check: how much was looked at, how much breaks it, and a few of that."""

    name: str
    checked: int
    violations: int
    samples: list[str]
    seconds: float

    @property
    def is_green(self) -> bool:
        """Whether the rule holds."""
        return not self.violations

    def as_json(self) -> dict[str, Any]:
        """The finding as it is printed."""
        return asdict(self)


ENTRIES_BALANCE = Check(
    "Entries balance in each currency and are as old as their postings",
    "SELECT count(*) FROM ledger_journalentry",
    """
    SELECT coalesce(entry.id, legs.entry_id) AS entry_id, NULL AS object,
        CASE WHEN entry.id IS NULL THEN 'has postings and is no entry'
            WHEN coalesce(legs.posting_count, 0) < 2 OR NOT legs.is_balanced THEN 'does not balance'
            ELSE 'was recorded at another time than its postings' END AS problem
    FROM ledger_journalentry AS entry FULL JOIN (
        SELECT entry_id, sum(leg_count) AS posting_count, bool_and(total = 0) AS is_balanced,
            min(earliest) AS earliest, max(latest) AS latest
        FROM (
            SELECT entry_id, count(*) AS leg_count, sum(amount_minor) AS total,
                min(created_at) AS earliest, max(created_at) AS latest
            FROM ledger_posting GROUP BY entry_id, currency
        ) AS per_currency
        GROUP BY entry_id
    ) AS legs ON legs.entry_id = entry.id
    WHERE entry.id IS NULL OR coalesce(legs.posting_count, 0) < 2 OR NOT legs.is_balanced
        OR legs.earliest <> entry.created_at OR legs.latest <> entry.created_at
    """,
)
TRIAL_BALANCE = Check(
    "The trial balance is zero in each mode and currency",
    "SELECT count(*) FROM ledger_posting",
    """
    SELECT NULL::uuid AS entry_id, 'the trial balance of ' || account.mode || ' ' || account.currency AS object,
        'differs by ' || sum(posting.amount_minor) AS problem
    FROM ledger_posting AS posting JOIN ledger_account AS account ON account.id = posting.account_id
    GROUP BY account.mode, account.currency HAVING sum(posting.amount_minor) <> 0
    """,
)
RUNNING_BALANCES = Check(
    "Running balances are the sums of their postings",
    "SELECT count(*) FROM ledger_accountbalance",
    f"""
    SELECT NULL::uuid AS entry_id, 'account ' || coalesce(balance.account_id, posted.account_id) AS object,
        'has a running balance of ' || coalesce(balance.balance_minor::text, 'nothing')
            || ' and postings of ' || coalesce(posted.sum_minor, 0) AS problem
    FROM ledger_accountbalance AS balance FULL JOIN (
        SELECT account_id, sum(amount_minor) AS sum_minor
        FROM ledger_posting JOIN ledger_account AS account ON account.id = account_id
        WHERE account.kind IN ({_quoted(kind for kind, row in CHART.items() if row.keeping is not Keeping.LAZY)})
        GROUP BY account_id
    ) AS posted ON posted.account_id = balance.account_id
    WHERE balance.balance_minor IS DISTINCT FROM coalesce(posted.sum_minor, 0)
    """,  # noqa: S608
)
SNAPSHOTS = Check(
    "Snapshots are the sums of the postings before them",
    "SELECT count(*) FROM ledger_accountsnapshot",
    """
    SELECT NULL::uuid AS entry_id, 'account ' || account_id || ' at ' || at AS object,
        'has a snapshot of ' || balance_minor || ' and postings of ' || sum_minor AS problem
    FROM (
        SELECT account_id, at, balance_minor, coalesce(sum(moved_minor) OVER (
            PARTITION BY account_id ORDER BY at, is_snapshot ROWS UNBOUNDED PRECEDING
        ), 0) AS sum_minor, is_snapshot
        FROM (
            SELECT account_id, at, balance_minor, 0 AS moved_minor, true AS is_snapshot FROM ledger_accountsnapshot
            UNION ALL
            SELECT account_id, date_trunc('day', created_at, 'UTC') + interval '1 day', NULL, sum(amount_minor), false
            FROM ledger_posting GROUP BY 1, 2
        ) AS line
    ) AS line
    WHERE is_snapshot AND balance_minor <> sum_minor
    """,
)
DAYS = Check(
    "Days that were summed up are the sums of their postings",
    "SELECT count(*) FROM ledger_accountday",
    """
    SELECT NULL::uuid AS entry_id, 'account ' || coalesce(day.account_id, posted.account_id) || ' on '
            || coalesce(day."on", posted."on") || ', ' || coalesce(day.kind, posted.kind) AS object,
        'was summed up as ' || coalesce(day.debit_minor, 0) || ' debit, ' || coalesce(day.credit_minor, 0)
            || ' credit; its postings are ' || coalesce(posted.debit_minor, 0) || ' and '
            || coalesce(posted.credit_minor, 0) AS problem
    FROM ledger_accountday AS day FULL JOIN (
        SELECT posting.account_id, entry.occurred_on AS "on", entry.kind, count(*) AS posting_count,
            sum(greatest(posting.amount_minor, 0)) AS debit_minor,
            sum(greatest(-posting.amount_minor, 0)) AS credit_minor
        FROM ledger_posting AS posting JOIN ledger_journalentry AS entry ON entry.id = posting.entry_id
        WHERE posting.created_at < (SELECT at FROM ledger_summarycutoff)
        GROUP BY posting.account_id, entry.occurred_on, entry.kind
    ) AS posted ON (posted.account_id, posted."on", posted.kind) = (day.account_id, day."on", day.kind)
    WHERE (day.debit_minor, day.credit_minor, day.posting_count)
        IS DISTINCT FROM (posted.debit_minor, posted.credit_minor, posted.posting_count)
    """,
)
CLEARING_ITEMS = Check(
    "Clearing items are what their entries moved on the gateway's receivable",
    "SELECT count(*) FROM ledger_clearingitem",
    f"""
    SELECT coalesce(moved.entry_id, item.entry_id) AS entry_id, NULL AS object,
        CASE WHEN item.entry_id IS NULL THEN 'has no clearing item'
            WHEN moved.entry_id IS NULL THEN 'has a clearing item and is not settled line by line'
            ELSE 'moved ' || moved.amount_minor || ' and has a clearing item of ' || item.gross_minor END AS problem
    FROM ledger_clearingitem AS item FULL JOIN (
        SELECT entry.id AS entry_id, entry.gateway_id, account.mode, account.currency,
            sum(posting.amount_minor) AS amount_minor
        FROM ledger_journalentry AS entry
            JOIN ledger_posting AS posting ON posting.entry_id = entry.id
            JOIN ledger_account AS account ON account.id = posting.account_id AND account.kind = 'gateway_receivable'
        WHERE entry.kind IN ({_quoted(ClearingItem.KINDS)})
        GROUP BY entry.id, entry.gateway_id, account.mode, account.currency
    ) AS moved ON moved.entry_id = item.entry_id
    WHERE (item.gateway_id, item.mode, item.currency, item.gross_minor)
        IS DISTINCT FROM (moved.gateway_id, moved.mode, moved.currency, moved.amount_minor)
    """,  # noqa: S608
)
MATCHES = Check(
    "Matches are what their lines and items differ by, all of one gateway",
    "SELECT count(*) FROM ledger_match",
    """
    SELECT NULL::uuid AS entry_id, 'match ' || coalesce(match.id, sides.match_id) AS object,
        CASE WHEN match.id IS NULL THEN 'is not there, and has lines or items'
            WHEN sides.match_id IS NULL THEN 'has neither a line nor an item'
            WHEN match.difference_minor <> sides.difference_minor THEN
                'says ' || match.difference_minor || ', and its sides differ by ' || sides.difference_minor
            ELSE 'is of another gateway, mode or currency than its sides' END AS problem
    FROM ledger_match AS match FULL JOIN (
        SELECT match_id, sum(net_minor)::bigint AS difference_minor,
            min((gateway_id, mode, currency)::text) AS first, max((gateway_id, mode, currency)::text) AS last
        FROM (
            SELECT match_id, gateway_id, mode, currency, net_minor FROM ledger_settlementline
            WHERE match_id IS NOT NULL
            UNION ALL
            SELECT match_id, gateway_id, mode, currency, fee_minor - gross_minor FROM ledger_clearingitem
            WHERE match_id IS NOT NULL
        ) AS side
        GROUP BY match_id
    ) AS sides ON sides.match_id = match.id
    WHERE match.difference_minor IS DISTINCT FROM sides.difference_minor OR sides.first <> sides.last
        OR sides.first <> (match.gateway_id, match.mode, match.currency)::text
    """,
)
CLOSED_DAYS = Check(
    "Closed days begin and end with what is posted",
    "SELECT count(*) FROM ledger_closedday WHERE reopened_at IS NULL",
    """
    SELECT NULL::uuid AS entry_id,
        line."on" || ' of ' || gateway.code || ' ' || line.mode || ' ' || line.currency AS object,
        'was closed with ' || line.kept_minor || CASE line.place WHEN 0 THEN ' at its beginning' ELSE ' at its end' END
            || ' and has postings of ' || line.sum_minor AS problem
    FROM (
        SELECT gateway_id, mode, currency, "on", place, kept_minor, coalesce(sum(moved_minor) OVER (
            PARTITION BY gateway_id, mode, currency ORDER BY "on", place ROWS UNBOUNDED PRECEDING
        ), 0) AS sum_minor
        FROM (
            SELECT gateway_id, mode, currency, "on", 0 AS place, opening_minor AS kept_minor, 0 AS moved_minor
            FROM ledger_closedday WHERE reopened_at IS NULL
            UNION ALL
            SELECT gateway_id, mode, currency, "on", 2, closing_minor, 0
            FROM ledger_closedday WHERE reopened_at IS NULL
            UNION ALL
            SELECT account.gateway_id, account.mode, account.currency, entry.occurred_on, 1, NULL, sum(amount_minor)
            FROM ledger_account AS account
                JOIN ledger_posting AS posting ON posting.account_id = account.id
                JOIN ledger_journalentry AS entry ON entry.id = posting.entry_id
            WHERE account.kind = 'gateway_receivable' GROUP BY 1, 2, 3, 4
        ) AS moved
    ) AS line JOIN gateways_gateway AS gateway ON gateway.id = line.gateway_id
    WHERE line.place <> 1 AND line.kept_minor <> line.sum_minor
    """,
)
CHECKS = (
    ENTRIES_BALANCE, TRIAL_BALANCE, RUNNING_BALANCES, SNAPSHOTS, DAYS, CLEARING_ITEMS, MATCHES, CLOSED_DAYS,
)  # fmt: skip
_SEALS = "Seals are unbroken, and what they cover is as it was"


def verify_ledger(*, known_seal: bytes | None = None) -> list[Finding]:
    """Examine everything, in one transaction that sees one moment of it. Changes nothing.

    `known_seal` is the hash of a seal that was kept elsewhere: without it nobody sees that the last seals were taken
    away together with all that they covered.
    """
    is_outermost = not connection.in_atomic_block
    with transaction.atomic(), connection.cursor() as cursor:
        if is_outermost:
            cursor.execute(_ONE_VIEW)
        cursor.execute(_LIMITS)
        return [_examine_seals(known_seal), *(_examine(check) for check in CHECKS)]


def _examine(check: Check) -> Finding:
    began = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute(check.counted)
        (checked,) = cursor.fetchone()
        cursor.execute(_EXAMINE.format(query=check.violations), [policy.AUDIT_SAMPLE_COUNT])
        rows = cursor.fetchall()
    return Finding(
        name=check.name,
        checked=checked,
        violations=rows[0][0] if rows else 0,
        samples=[f"{_named(entry_id) if entry_id else what} {problem}" for _, entry_id, what, problem in rows],
        seconds=round(time.monotonic() - began, 3),
    )


def _named(entry_id: UUID) -> str:
    return public_id(JournalEntry.PUBLIC_PREFIX, entry_id)


def _examine_seals(known_seal: bytes | None) -> Finding:
    began = time.monotonic()
    found = list(LedgerSeal.objects.order_by("ends_at"))
    problems = [*_broken_seals(found), *_lost_seals(found, known_seal)]
    samples = problems[: policy.AUDIT_SAMPLE_COUNT]
    return Finding(_SEALS, len(found), len(problems), samples, round(time.monotonic() - began, 3))


def _broken_seals(found: list[LedgerSeal]) -> Iterator[str]:
    previous: LedgerSeal | None = None
    for seal in found:
        content = seals.content_of(seal.begins_at, seal.ends_at)
        if (content.entry_count, content.posting_count) != (seal.entry_count, seal.posting_count):
            yield (
                f"{seal} covers {content.entry_count} entries with {content.posting_count} postings, and was made of"
                f" {seal.entry_count} with {seal.posting_count}"
            )
        elif content.content_hash != bytes(seal.content_hash):
            yield f"{seal} covers entries that were changed"
        sealed = seals.Content(seal.entry_count, seal.posting_count, bytes(seal.content_hash))
        before = bytes(previous.seal_hash) if previous else b""
        is_next = seal.begins_at == (previous.ends_at if previous else None)
        if not is_next or bytes(seal.seal_hash) != seals.seal_hash(before, seal.begins_at, seal.ends_at, sealed):
            yield f"{seal} does not continue the one before it"
        previous = seal


def _lost_seals(found: list[LedgerSeal], known_seal: bytes | None) -> Iterator[str]:
    """What only the end of the chain can lack: entries that should be sealed by now, and a seal that somebody knows."""
    until = clock.now() - timedelta(seconds=policy.SEAL_OVERDUE_SECONDS)
    overdue = JournalEntry.objects.filter(created_at__lt=until)
    if found:
        overdue = overdue.filter(created_at__gte=found[-1].ends_at)
    if count := overdue.count():
        yield f"{count:,} entries of before {until:%Y-%m-%d %H:%M} UTC are in no seal"
    if known_seal is not None and known_seal not in {bytes(seal.seal_hash) for seal in found}:
        yield f"the seal {known_seal.hex()} is not there any more"
