"""Where did a movement of money end up? From what we expected to the gateway's line, its payout, the bank; and back."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Q

from ledger.models import ClearingItem, Discrepancy, JournalEntry, SettlementBatch, SettlementLine
from ledger.statuses import UNRESOLVED

_MOST = 100  # rows of one match: a split has a few


@dataclass(frozen=True)
class Traced:
    """What a gateway owes us, or we it; the lines of its files that settled it; the payouts that these were part of.

    Without lines it is open, or was explained alone: `told` is what is told of it now. A payout has its `bank_line`
    once the bank has booked it.
    """

    item: ClearingItem
    lines: list[SettlementLine]
    payouts: list[SettlementBatch]
    told: list[Discrepancy]


def trace(entries: Iterable[JournalEntry]) -> list[Traced]:
    """What became of the movements that these entries expect, the oldest first. At most four queries."""
    items = list(
        ClearingItem.objects.filter(pk__in=[entry.pk for entry in entries])
        .select_related("match", "gateway")
        .defer("gateway__credentials")
        .order_by("pk")
    )
    matches = {item.match_id for item in items if item.match_id is not None}
    lines = list(SettlementLine.objects.filter(match__in=matches).select_related("file").order_by("pk")[:_MOST])
    payouts = _payouts_of(lines)
    unresolved = Discrepancy.objects.filter(item__in=items, status__in=UNRESOLVED)
    told = list(unresolved.select_related("line__file").order_by("pk"))
    traced = []
    for item in items:
        own = [line for line in lines if line.match_id == item.match_id]
        named = dict.fromkeys(payouts[key] for line in own if (key := _payout_key(line)) in payouts)
        traced.append(Traced(item, own, list(named), [found for found in told if found.item_id == item.pk]))
    return traced


def items_settled_by(line: SettlementLine) -> list[ClearingItem]:
    """The items that a line was matched with. At most one query."""
    if line.match_id is None:
        return []
    return list(ClearingItem.objects.filter(match=line.match_id).select_related("entry").order_by("pk")[:_MOST])


def _payouts_of(lines: list[SettlementLine]) -> dict[tuple[object, ...], SettlementBatch]:
    keys = {_payout_key(line) for line in lines if line.batch_reference}
    if not keys:
        return {}
    named = Q()
    for gateway_id, mode, reference, currency in keys:
        named |= Q(gateway=gateway_id, mode=mode, reference=reference, currency=currency)
    batches = SettlementBatch.objects.filter(named).select_related("bank_line").order_by("pk")
    return {(batch.gateway_id, batch.mode, batch.reference, batch.currency): batch for batch in batches}


def _payout_key(line: SettlementLine) -> tuple[object, ...]:
    return (line.gateway_id, line.mode, line.batch_reference, line.currency)
