"""What does an imported file say was paid out? Its batches, posted as announced, and the lines that are movements of
their own: fees that belong to no payment, and reserves.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from typing import Any, NamedTuple

from django.db import connection

from checkout.kit import clock
from checkout.kit.ids import uuid7
from checkout.kit.money import Money
from gateways.settlements import LineKind
from ledger import recipes
from ledger.models import Match, SettlementBatch, SettlementFile
from ledger.recipes import GatewayFact, JournalDraft
from ledger.reconciliation.coverage import write_covered_days
from ledger.services.recording import record_entries

_DRAFTS_AT_ONCE = 1_000

_GROUPS = """
SELECT batch_reference, currency, kind IN ('fee', 'reserve_held', 'reserve_released') AS is_own, kind,
    count(*), sum(net_minor), min(occurred_on), max(occurred_on)
FROM ledger_settlementline WHERE file_id = %s
GROUP BY batch_reference, currency, kind
ORDER BY batch_reference, currency, kind
"""
_CONSUME = """
UPDATE ledger_settlementline AS line SET match_id = posted.match_id
FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[]) AS posted (match_id, batch_reference, currency, kind)
WHERE line.file_id = %s AND line.batch_reference = posted.batch_reference AND line.currency = posted.currency
    AND line.kind = posted.kind
"""


class Days(NamedTuple):
    """The first and last day that lines of a file are about; None where there is no line but payouts."""

    first: date | None
    last: date | None


class _Group(NamedTuple):
    """The lines of one kind in one batch."""

    batch_reference: str
    currency: str
    is_own: bool
    kind: str
    line_count: int
    net_minor: int
    first_on: date
    last_on: date


@dataclass
class Batch:
    """A batch as its lines tell it."""

    reference: str
    currency: str
    groups: list[_Group]

    @property
    def lines(self) -> list[_Group]:
        return [group for group in self.groups if group.kind != LineKind.PAYOUT]

    @property
    def payouts(self) -> list[_Group]:
        return [group for group in self.groups if group.kind == LineKind.PAYOUT]

    @property
    def net_minor(self) -> int:
        return sum(group.net_minor for group in self.lines)

    @property
    def payout_minor(self) -> int | None:
        return -sum(group.net_minor for group in self.payouts) if self.payouts else None

    @property
    def paid_on(self) -> date:
        return max(group.last_on for group in self.payouts or self.lines)


def announce_batches(file: SettlementFile) -> Days:
    """Write the batches of a file and post what they announce; returns the days its lines are about.

    The net of a batch goes in transit on the day it was paid, or today if that is still to come.
    """
    batches = batches_of(file)
    rows = [_row(file, batch) for batch in batches]
    drafts = [draft for row, batch in zip(rows, batches, strict=True) for draft in _drafts(row, batch)]
    for start in range(0, len(drafts), _DRAFTS_AT_ONCE):
        record_entries(drafts[start : start + _DRAFTS_AT_ONCE])
    SettlementBatch.objects.bulk_create(rows)
    _consume(file, [group for batch in batches for group in batch.groups if group.is_own])
    write_covered_days(file)
    days = [day for batch in batches for group in batch.lines for day in (group.first_on, group.last_on)]
    return Days(min(days, default=None), max(days, default=None))


def batches_of(file: SettlementFile) -> list[Batch]:
    """The batches that the stored lines of a file tell of."""
    with connection.cursor() as cursor:
        cursor.execute(_GROUPS, [file.pk])
        groups = [_Group._make(row)._replace(net_minor=int(row[5])) for row in cursor.fetchall()]
    found: dict[tuple[str, str], Batch] = {}
    for group in groups:
        key = group.batch_reference, group.currency
        found.setdefault(key, Batch(*key, [])).groups.append(group)
    return list(found.values())


def _row(file: SettlementFile, batch: Batch) -> SettlementBatch:
    return SettlementBatch(
        file=file,
        gateway=file.gateway,
        mode=file.mode,
        reference=batch.reference,
        currency=batch.currency,
        net_minor=batch.net_minor,
        payout_minor=batch.payout_minor,
        line_count=sum(group.line_count for group in batch.lines),
        entry_id=uuid7() if batch.net_minor else None,
        paid_on=batch.paid_on,
    )


def _drafts(row: SettlementBatch, batch: Batch) -> Iterator[JournalDraft]:
    """What a batch posts: its fees that belong to no payment and its reserves, each in sum, and its net in transit."""
    for group in batch.groups:
        if not (group.is_own and group.net_minor):
            continue
        net = Money(group.net_minor, row.currency)
        fact = _fact(row, f"{row.public_id}:{group.kind}", group.last_on)
        if group.kind == LineKind.FEE:
            yield recipes.gateway_fee_line(fee=-net, **fact)
        elif group.net_minor < 0:
            yield recipes.reserve_held(amount=-net, **fact)
        else:
            yield recipes.reserve_released(amount=net, **fact)
    if row.entry_id:
        net = Money(row.net_minor, row.currency)
        yield replace(recipes.settlement_announced(net=net, **_fact(row, row.public_id, row.paid_on)), id=row.entry_id)


def _fact(row: SettlementBatch, reference: str, on: date) -> GatewayFact:
    """What recipes are told: that it happened on its day, or now if that is still to come."""
    return {
        "mode": row.mode,
        "gateway_id": row.gateway_id,
        "reference": reference,
        "gateway_reference": row.reference,
        "occurred_at": min(datetime.combine(on, time(12), UTC), clock.now()),
    }


def _consume(file: SettlementFile, groups: list[_Group]) -> None:
    """Close the lines that are movements of their own."""
    assert file.gateway_id
    now = clock.now()
    matches = Match.objects.bulk_create(
        Match(
            gateway_id=file.gateway_id,
            mode=file.mode,
            currency=group.currency,
            how=Match.How.POSTED,
            difference_minor=group.net_minor,
            matched_at=now,
        )
        for group in groups
    )
    columns: list[list[Any]] = [
        [match.pk for match in matches],
        [group.batch_reference for group in groups],
        [group.currency for group in groups],
        [group.kind for group in groups],
    ]
    with connection.cursor() as cursor:
        cursor.execute(_CONSUME, [*columns, file.pk])
