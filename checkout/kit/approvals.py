"""Who agreed? What one person asks for, another decides: never the maker, only while it is fresh, and only once.

An approval is bound to a hash of exactly what was asked. This module calls nothing to its right: the app that owns the
deed asks here, and carries it out itself in the transaction in which it is decided.
"""

import hashlib
import json
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from checkout.kit import alerts, audit, clock
from checkout.kit.actors import Actor
from checkout.kit.card_numbers import scrub
from checkout.kit.errors import Refusal
from checkout.kit.independence import let_in_by
from checkout.kit.models import Approval, User
from checkout.kit.statuses import StatusMachine, advance
from checkout.settings import policy

APPROVAL = StatusMachine(
    "approval",
    Approval.Status.REQUESTED,
    {
        (Approval.Status.REQUESTED, "approve"): Approval.Status.APPROVED,
        (Approval.Status.REQUESTED, "reject"): Approval.Status.REJECTED,
        (Approval.Status.REQUESTED, "withdraw"): Approval.Status.WITHDRAWN,
        (Approval.Status.REQUESTED, "expire"): Approval.Status.EXPIRED,
    },
)

_ONCE = "approval_requested_once"  # the constraint that lets one request for the same be open


class MakerCannotCheck(Refusal):
    """Whoever asked for something cannot agree to it, whatever else they may do."""

    code = "maker_cannot_check"
    http_status = 403

    def __init__(self) -> None:
        super().__init__("Somebody else has to decide this: you asked for it.")


class CheckerNotIndependent(Refusal):
    """Whoever asked could have let themselves in as the checker."""

    code = "checker_not_independent"
    http_status = 403

    def __init__(self, *, since: datetime) -> None:
        super().__init__(
            f"Your access was given or changed by the person who asked for this, on {since:%-d %B %Y}: somebody else "
            "has to decide."
        )


class ApprovalNotOpen(Refusal):
    """It has been decided already, or its time is over."""

    code = "approval_not_open"

    def __init__(self, *, status: str) -> None:
        super().__init__(f"This request is {status} and can no longer be decided.")


class ApprovalChanged(Refusal):
    """What is to be approved is not what was asked for."""

    code = "approval_changed"

    def __init__(self) -> None:
        super().__init__("This request is no longer what was asked for. Reject it and ask again.")


class AlreadyRequested(Refusal):
    """The same is waiting for a decision already."""

    code = "already_requested"

    def __init__(self) -> None:
        super().__init__("This has been asked for already and waits for somebody's decision.")


def request(
    *,
    kind: str,
    obj: Any,
    payload: dict[str, Any],
    reason: str,
    evidence: str = "",
    maker: User,
    actor: Actor,
    before: dict[str, Any] | None = None,
) -> Approval:
    """Ask for something that needs a second person; `before` is how it stands now, for the audit.

    Runs in the caller's transaction, which can go on after a refusal. Of several who ask at once, one is heard.
    Refuses: AlreadyRequested.
    """
    stale = Approval.objects.filter(
        kind=kind, object_id=obj.public_id, status=Approval.Status.REQUESTED, expires_at__lte=clock.now()
    )
    stale.update(status=APPROVAL.after(Approval.Status.REQUESTED, "expire"))
    approval = Approval(
        kind=kind,
        object_id=obj.public_id,
        payload=payload,
        payload_hash=hash_of(kind, obj.public_id, payload),
        reason=reason,
        evidence=evidence,
        maker=maker,
        expires_at=clock.seconds_from_now(policy.APPROVAL_EXPIRY_SECONDS),
    )
    try:
        with transaction.atomic():
            approval.save(force_insert=True)
    except IntegrityError as error:
        if _ONCE not in str(error):
            raise
        raise AlreadyRequested() from None
    audit.record(actor=actor, verb=f"{kind}.request", obj=obj, reason=reason, before=before or {}, after=payload)
    return approval


def is_open(*, kind: str, **asked: Any) -> bool:
    """Whether somebody asked for the very same, word for word by the fields of `Approval`, and it waits."""
    return waiting().filter(kind=kind, **asked).exists()


def approve(*, approval: Approval, checker: User) -> Approval:
    """Agree; whoever calls this carries the deed out in the same transaction, so it is executed once or not at all.

    The `answer` of the approval that is handed in is kept. Refuses: MakerCannotCheck, CheckerNotIndependent,
    ApprovalNotOpen, ApprovalChanged.
    """
    answer, approval = approval.answer, _lock(approval)
    if approval.maker_id == checker.pk:
        raise MakerCannotCheck()
    _require_independent(approval, checker)
    if approval.payload_hash != hash_of(approval.kind, approval.object_id, approval.payload):
        raise ApprovalChanged()
    return _decide(approval, "approve", checker, answer)


@transaction.atomic
def reject(*, approval: Approval, checker: User, reason: str, actor: Actor) -> Approval:
    """Say no; the maker withdraws what they asked for. Refuses: ApprovalNotOpen."""
    approval = _lock(approval)
    event = "withdraw" if approval.maker_id == checker.pk else "reject"
    _decide(approval, event, checker, reason)
    audit.record(actor=actor, verb=f"{approval.kind}.{event}", obj=approval, reason=reason, after=approval.payload)
    return approval


def waiting() -> QuerySet[Approval]:
    """What can still be decided, the one that has least time left first."""
    return Approval.objects.filter(status=Approval.Status.REQUESTED, expires_at__gt=clock.now()).order_by("expires_at")


def overdue() -> QuerySet[Approval]:
    """What nobody decided in time and nobody has closed yet, the oldest first."""
    return Approval.objects.filter(status=Approval.Status.REQUESTED, expires_at__lte=clock.now()).order_by("expires_at")


@transaction.atomic
def expire(*, approval: Approval, actor: Actor) -> bool:
    """Close what nobody decided in time; returns whether this was the one who did."""
    found = overdue().select_for_update().filter(pk=approval.pk).first()
    if found is None:
        return False
    _decide(found, "expire", None)
    audit.record(actor=actor, verb=f"{found.kind}.expire", obj=found, after=found.payload)
    return True


def hash_of(kind: str, object_id: str, payload: dict[str, Any]) -> str:
    """SHA-256 of what is asked for, in a canonical form."""
    return hashlib.sha256(json.dumps([kind, object_id, payload], sort_keys=True).encode()).hexdigest()


def _require_independent(approval: Approval, checker: User) -> None:
    givers, maker = let_in_by(checker), approval.maker
    if since := givers.get(f"user:{maker.username}"):
        raise CheckerNotIndependent(since=since)
    for giver in givers.keys() & let_in_by(maker).keys():
        alerts.raise_alert(
            kind="approval.both_let_in_by_one",
            object_id=giver[:64],
            message=f"{checker} agreed to what {maker} asked for, {approval.public_id}. {giver} let both of them in.",
        )


def _lock(approval: Approval) -> Approval:
    approval = Approval.objects.select_for_update().get(pk=approval.pk)
    if approval.status != Approval.Status.REQUESTED or approval.expires_at <= clock.now():
        is_late = approval.status == Approval.Status.REQUESTED
        raise ApprovalNotOpen(status="expired" if is_late else approval.status)
    return approval


def _decide(approval: Approval, event: str, checker: User | None, answer: str = "") -> Approval:
    advance(approval, APPROVAL, event)
    approval.checker, approval.decided_at, approval.answer = checker, clock.now(), scrub(answer)
    approval.save(update_fields=["status", "checker", "decided_at", "answer"])
    return approval
