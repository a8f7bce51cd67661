"""When is a stretch of time over, and what is then written down of it? Days are locked, sums rolled up, content sealed.

A stretch is over when every transaction that began in it has ended: entries bear the time their transaction began.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Min

from ledger import seals, selectors
from ledger.errors import DayNotOver
from ledger.models import AccountDay, AccountSnapshot, JournalEntry, LedgerSeal, SummaryCutoff

_DAY = timedelta(days=1)
_SUMMARIES, _SEALS = "ledger summaries", "ledger seals"  # what one process at a time is at
_LIMITS = "SET LOCAL statement_timeout = '10min'; SET LOCAL work_mem = '64MB'; SET LOCAL jit = off"

# An entry has the time of its postings; saying so lets both be found by it.
_ROLL_UP = """
INSERT INTO ledger_accountday AS day (account_id, "on", kind, debit_minor, credit_minor, posting_count)
SELECT posting.account_id, entry.occurred_on, entry.kind,
    coalesce(sum(amount_minor) FILTER (WHERE amount_minor > 0), 0),
    coalesce(-sum(amount_minor) FILTER (WHERE amount_minor < 0), 0),
    count(*)
FROM ledger_posting AS posting JOIN ledger_journalentry AS entry ON entry.id = posting.entry_id
WHERE posting.created_at >= %(begin)s AND posting.created_at < %(end)s
    AND entry.created_at >= %(begin)s AND entry.created_at < %(end)s
GROUP BY posting.account_id, entry.occurred_on, entry.kind
ON CONFLICT (account_id, "on", kind) DO UPDATE SET
    debit_minor = day.debit_minor + excluded.debit_minor,
    credit_minor = day.credit_minor + excluded.credit_minor,
    posting_count = day.posting_count + excluded.posting_count
"""
_SNAPSHOT = """
INSERT INTO ledger_accountsnapshot (account_id, at, balance_minor)
SELECT moved.account_id, %(end)s, moved.sum_minor + coalesce((
    SELECT balance_minor FROM ledger_accountsnapshot AS earlier
    WHERE earlier.account_id = moved.account_id ORDER BY at DESC LIMIT 1
), 0)
FROM (
    SELECT account_id, sum(amount_minor) AS sum_minor FROM ledger_posting
    WHERE created_at >= %(begin)s AND created_at < %(end)s GROUP BY account_id
) AS moved
"""


def lock_days(*, gateway_id: UUID, mode: str, currency: str, until: date) -> None:
    """Keep everybody else out of the past days of a gateway and a currency until this transaction ends.

    What they tell of those days meanwhile goes to the present one. Call it before looking at what is to be closed,
    in the transaction that closes. Refuses: DayNotOver, if something that began on `until` or before is still being
    written.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(ledger_days_lock(%s, %s, %s))", [gateway_id, mode, currency])
    require_over(until)


def require_over(day: date) -> None:
    """Refuse (DayNotOver) a day as long as something that began on it, or before, may still be written."""
    if selectors.complete_until() < _midnight(day) + _DAY:
        raise DayNotOver(day=day)


def summarize(*, afresh: bool = False) -> datetime | None:
    """Sum up what has been recorded, by account, accounting day and kind, with a snapshot of every midnight.

    Goes on where it stopped the last time, or forgets all and begins again. One transaction for each day of the
    record. Returns until when the ledger is summed up; None if it is empty.
    """
    until = selectors.complete_until()
    if afresh:
        _forget_summaries()
    while _sum_up_a_day(until):
        pass
    return SummaryCutoff.objects.values_list("at", flat=True).first()


def seal() -> list[LedgerSeal]:
    """Seal what has been recorded since the last seal, one for each day of the record at the least.

    Returns the new seals.
    """
    last = LedgerSeal.objects.order_by("ends_at").last()
    begin = last.ends_at if last else _beginning()
    if begin is None:
        return []
    ends = _stretches(begin, selectors.complete_until())
    return [new for end in ends if (new := _seal_until(end))]


@transaction.atomic(durable=True)
def _sum_up_a_day(until: datetime) -> bool:
    """One step, up to the next midnight at most; False if there is none left, or somebody else takes it."""
    if not _is_ours(_SUMMARIES):
        return False
    cutoff = SummaryCutoff.objects.values_list("at", flat=True).first()
    begin = cutoff or _beginning()
    end = next(_stretches(begin, until), None) if begin else None
    if end is None:
        return False
    with connection.cursor() as cursor:
        cursor.execute(_ROLL_UP, {"begin": begin, "end": end})
        if end == _midnight(end.date()):
            cursor.execute(_SNAPSHOT, {"begin": end - _DAY, "end": end})
    SummaryCutoff.objects.update_or_create(defaults={"at": end})
    return True


@transaction.atomic(durable=True)
def _forget_summaries() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [_SUMMARIES])
    for model in (AccountDay, AccountSnapshot, SummaryCutoff):
        model.objects.all().delete()


@transaction.atomic(durable=True)
def _seal_until(end: datetime) -> LedgerSeal | None:
    """One seal, unless there is nothing to seal or somebody else does it."""
    if not _is_ours(_SEALS):
        return None
    last = LedgerSeal.objects.order_by("ends_at").last()
    begin = last.ends_at if last else None
    if begin and begin >= end:
        return None
    content = seals.content_of(begin, end)
    if not content.entry_count:
        return None
    return LedgerSeal.objects.create(
        begins_at=begin,
        ends_at=end,
        entry_count=content.entry_count,
        posting_count=content.posting_count,
        content_hash=content.content_hash,
        seal_hash=seals.seal_hash(bytes(last.seal_hash) if last else b"", begin, end, content),
    )


def _is_ours(work: str) -> bool:
    """Whether nobody else is at this work; if so, it is ours until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(_LIMITS)
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [work])
        (is_ours,) = cursor.fetchone()
    return bool(is_ours)


def _beginning() -> datetime | None:
    """The midnight before the first entry; None if there is none."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_LIMITS)
        first = JournalEntry.objects.aggregate(at=Min("created_at"))["at"]
    return _midnight(first.date()) if first else None


def _stretches(begin: datetime, until: datetime) -> Iterator[datetime]:
    """The ends of the stretches from one instant to another: every midnight between them, and the last instant."""
    while begin < until:
        begin = min(_midnight(begin.date()) + _DAY, until)
        yield begin


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
