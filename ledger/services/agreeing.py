"""Who agrees to what one person alone may not decide? The request names exactly what would be posted; if that has
become another thing by the time somebody agrees, it is refused.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from django.db import transaction

from checkout.kit import approvals
from checkout.kit.actors import Actor
from checkout.kit.approvals import ApprovalChanged
from checkout.kit.durable import durable
from checkout.kit.ids import parse_public_id
from checkout.kit.models import Approval, User
from checkout.kit.statuses import advance_where
from ledger.models import Discrepancy
from ledger.reconciliation.refusals import DiscrepancyEnded
from ledger.services.discrepancies import Total, preview_many, require_not_too_many, resolve, resolve_many
from ledger.statuses import DISCREPANCY, UNRESOLVED, DiscrepancyEvent

RESOLVE = "discrepancy.resolve"


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

    Refuses: DiscrepancyEnded, ResolutionNotPossible, TooManyAtOnce, AlreadyRequested.
    """
    require_not_too_many(len(discrepancies))
    rows = Discrepancy.objects.select_for_update().filter(pk__in=[row.pk for row in discrepancies]).order_by("pk")
    locked = list(rows)
    for row in locked:
        if row.status not in UNRESOLVED:
            raise DiscrepancyEnded(status=row.status)
    approval = approvals.request(
        kind=RESOLVE,
        obj=locked[0],
        payload=_payload(locked, resolution),
        reason=reason,
        evidence=evidence,
        maker=maker,
        actor=actor,
    )
    _advance(locked, DiscrepancyEvent.REJECT)  # of an earlier request that nobody decided in time
    _advance(locked, DiscrepancyEvent.REQUEST)
    return approval


@durable("resolution.approve")
def approve_resolution(*, approval: Approval, checker: User, actor: Actor) -> list[Discrepancy]:
    """Agree to a resolution, and carry it out.

    Refuses: MakerCannotCheck, ApprovalNotOpen, ApprovalChanged, and what `resolve` refuses.
    """
    approval = approvals.approve(approval=approval, checker=checker)
    rows, resolution = list(_rows(approval)), approval.payload["resolution"]
    if _payload(rows, resolution) != approval.payload:
        raise ApprovalChanged()
    told: dict[str, Any] = {"reason": approval.reason, "actor": actor, "has_second_person": True}
    if len(rows) == 1:
        return [resolve(discrepancy=rows[0], resolution=resolution, **told)]
    return resolve_many(discrepancies=rows, resolution=resolution, **told)


@transaction.atomic
def reject_resolution(*, approval: Approval, checker: User, reason: str, actor: Actor) -> Approval:
    """Say no; what was to be resolved is open again. The maker may withdraw. Refuses: ApprovalNotOpen."""
    approval = approvals.reject(approval=approval, checker=checker, reason=reason, actor=actor)
    _advance(list(_rows(approval)), DiscrepancyEvent.REJECT)
    return approval


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


def _rows(approval: Approval) -> Iterable[Discrepancy]:
    names = approval.payload["discrepancies"]
    keys = [key for name in names if (key := parse_public_id(Discrepancy.PUBLIC_PREFIX, name))]
    return Discrepancy.objects.select_related("line", "item__entry", "batch").filter(pk__in=keys).order_by("pk")


def _advance(rows: Sequence[Discrepancy], event: DiscrepancyEvent) -> None:
    """Move those of the rows that the event can move."""
    advance_where(Discrepancy.objects.filter(pk__in=[row.pk for row in rows]), DISCREPANCY, event)
