"""Who agrees to what one person alone may not decide? The request names exactly what would be posted; if that has
become another thing by the time somebody agrees, it is refused.
"""

from collections.abc import Sequence
from typing import Any

from django.db import transaction

from checkout.kit import approvals
from checkout.kit.actors import Actor
from checkout.kit.approvals import AlreadyRequested, ApprovalChanged
from checkout.kit.durable import durable
from checkout.kit.ids import parse_public_id
from checkout.kit.models import Approval, User
from checkout.kit.statuses import advance_where
from ledger.models import ClearingItem, Discrepancy, Match, SettlementLine
from ledger.services.discrepancies import (
    Total,
    lock_discrepancies,
    match_by_hand,
    preview_many,
    require_matchable,
    resolve,
    resolve_many,
    told_of,
)
from ledger.services.limits import require_not_too_many
from ledger.statuses import DISCREPANCY, DiscrepancyEvent, DiscrepancyStatus

RESOLVE = "discrepancy.resolve"
MATCH = "discrepancy.match"


@durable("resolution.request")
def request_resolution(
    *,
    discrepancies: Sequence[Discrepancy],
    resolution: str,
    reason: str,
    maker: User,
    actor: Actor,
    evidence: str = "",
) -> Approval:
    """Ask a second person to resolve one discrepancy, or several of one kind alike.

    Refuses: DiscrepancyEnded, ResolutionNotPossible, TooManyAtOnce, AlreadyRequested, ReconciliationUnderWay.
    """
    require_not_too_many(len(discrepancies))
    locked = lock_discrepancies(discrepancies)
    payload = _payload(locked, resolution)
    return _request(RESOLVE, locked, payload, reason=reason, evidence=evidence, maker=maker, actor=actor)


@durable("match.request")
def request_match(
    *, line: SettlementLine, item: ClearingItem, reason: str, maker: User, actor: Actor, evidence: str = ""
) -> Approval:
    """Ask a second person to agree that a line and an item are the same movement.

    Refuses: LineCannotBeMatched, AlreadyRequested, ReconciliationUnderWay.
    """
    locked = lock_discrepancies(list(told_of(line, item)))
    require_matchable(line, item, locked)
    payload = _match_payload(locked, line, item)
    return _request(MATCH, locked, payload, reason=reason, evidence=evidence, maker=maker, actor=actor)


@durable("match.approve")
def approve_match(*, approval: Approval, checker: User, actor: Actor) -> Match:
    """Agree that a line and an item are the same movement, and match them.

    Refuses: MakerCannotCheck, ApprovalNotOpen, ApprovalChanged, and what `match_by_hand` refuses.
    """
    approval = approvals.approve(approval=approval, checker=checker)
    rows = lock_discrepancies(_rows(approval))
    line = SettlementLine.objects.select_related("file").get(pk=approval.payload["line"]["id"])
    item = ClearingItem.objects.get(pk=approval.payload["item"]["id"])
    if _match_payload(rows, line, item) != approval.payload:
        raise ApprovalChanged()
    return match_by_hand(line=line, item=item, reason=approval.reason, actor=actor, has_second_person=True)


@durable("resolution.approve")
def approve_resolution(*, approval: Approval, checker: User, actor: Actor) -> list[Discrepancy]:
    """Agree to a resolution, and carry it out.

    Nothing is matched between the look at what it has become and the posting of it. Refuses: MakerCannotCheck,
    ApprovalNotOpen, ApprovalChanged, and what `resolve` refuses.
    """
    approval = approvals.approve(approval=approval, checker=checker)
    rows, resolution = lock_discrepancies(_rows(approval)), approval.payload["resolution"]
    if _payload(rows, resolution) != approval.payload:
        raise ApprovalChanged()
    told: dict[str, Any] = {"reason": approval.reason, "actor": actor, "has_second_person": True}
    if len(rows) == 1:
        return [resolve(discrepancy=rows[0], resolution=resolution, **told)]
    return resolve_many(discrepancies=rows, resolution=resolution, **told)


@transaction.atomic
def reject_resolution(*, approval: Approval, checker: User, reason: str, actor: Actor) -> Approval:
    """Say no to either; what was to be resolved is open again, or carried by whoever did. The maker may withdraw.

    Refuses: ApprovalNotOpen.
    """
    approval = approvals.reject(approval=approval, checker=checker, reason=reason, actor=actor)
    rows = _rows(approval)
    _advance(rows, DiscrepancyEvent.REJECT)
    _advance([row for row in rows if row.owner_id], DiscrepancyEvent.CARRY)
    return approval


def is_requested(*discrepancies: Discrepancy) -> bool:
    """Whether any of them waits for somebody's decision, alone or with others: not if nobody decided in time."""
    names = {row.public_id for row in discrepancies if row.status == DiscrepancyStatus.REQUESTED}
    if not names:
        return False
    payloads = approvals.waiting().filter(kind__in=(RESOLVE, MATCH)).values_list("payload", flat=True)
    return any(names.intersection(payload["discrepancies"]) for payload in payloads)


def _request(kind: str, locked: Sequence[Discrepancy], payload: dict[str, Any], **asked: Any) -> Approval:
    if is_requested(*locked):
        raise AlreadyRequested()
    approval = approvals.request(kind=kind, obj=locked[0], payload=payload, **asked)
    _advance(locked, DiscrepancyEvent.REJECT)  # of an earlier request that nobody decided in time
    _advance(locked, DiscrepancyEvent.REQUEST)
    return approval


def _match_payload(rows: Sequence[Discrepancy], line: SettlementLine, item: ClearingItem) -> dict[str, Any]:
    """What is said to be the same, as whoever agrees reads it: amounts in minor units."""
    return {
        "discrepancies": [row.public_id for row in rows],
        "currency": line.currency,
        "line": {
            "id": line.pk,
            "file": line.file.name,
            "number": line.line_number,
            "reference": line.gateway_reference,
            "gross": line.gross_minor,
            "fee": line.fee_minor,
        },
        "item": {
            "id": str(item.pk),
            "reference": item.reference,
            "gross": item.gross_minor,
            "fee": item.fee_minor,
        },
    }


def _payload(rows: Sequence[Discrepancy], resolution: str) -> dict[str, Any]:
    """What is asked for, as whoever agrees reads it: amounts in minor units."""
    totals = preview_many(discrepancies=rows, resolution=resolution)
    return {
        "resolution": str(resolution),
        "discrepancies": [row.public_id for row in rows],
        "kinds": sorted({row.kind for row in rows}),
        "totals": [_as_json(total) for total in totals],
    }


def _as_json(total: Total) -> dict[str, Any]:
    return {
        "currency": total.currency,
        "count": total.count,
        "difference": total.difference_minor,
        "value": total.value_minor,
    }


def _rows(approval: Approval) -> list[Discrepancy]:
    names = approval.payload["discrepancies"]
    keys = [key for name in names if (key := parse_public_id(Discrepancy.PUBLIC_PREFIX, name))]
    return list(Discrepancy.objects.filter(pk__in=keys).order_by("pk"))


def _advance(rows: Sequence[Discrepancy], event: DiscrepancyEvent) -> None:
    """Move those of the rows that the event can move."""
    advance_where(Discrepancy.objects.filter(pk__in=[row.pk for row in rows]), DISCREPANCY, event)
