"""Does a gateway get new payments? To take them away is done at once; to let live ones go there takes two."""

from typing import Any

from django.db import transaction

from checkout.kit import alerts, approvals, audit, clock
from checkout.kit.actors import Actor
from checkout.kit.approvals import ApprovalChanged
from checkout.kit.durable import durable
from checkout.kit.ids import parse_public_id
from checkout.kit.models import Approval, User
from gateways.errors import NothingToChange, SecondPersonNeeded
from gateways.models import Gateway
from gateways.services.terms import terms_of

ENABLE = "gateway.enable"
RESUME = "gateway.resume"


@transaction.atomic
def set_gateway_status(*, gateway: Gateway, status: str, reason: str, actor: Actor) -> Gateway:
    """Enable, drain or disable a gateway for new payments; inquiries, captures, voids and refunds at it go on.

    Refuses: SecondPersonNeeded (to enable a live one), NothingToChange.
    """
    gateway, status = locked(gateway), Gateway.Status(status)
    if gateway.is_live and status == Gateway.Status.ENABLED:
        raise SecondPersonNeeded(what=f"Enabling {gateway}")
    return _set_status(gateway, status, reason, actor)


@durable("enable.request")
def request_enable(*, gateway: Gateway, reason: str, maker: User, actor: Actor) -> Approval:
    """Ask a second person to enable a gateway as it is set up now. Refuses: NothingToChange, AlreadyRequested."""
    gateway = locked(gateway)
    if gateway.status == Gateway.Status.ENABLED:
        raise NothingToChange(what=gateway.name)
    payload = {
        "gateway": gateway.code,
        "mode": gateway.mode,
        "from": gateway.status,
        "to": "enabled",
        **terms_of(gateway),
    }
    return approvals.request(kind=ENABLE, obj=gateway, payload=payload, reason=reason, maker=maker, actor=actor)


@durable("enable.approve")
def approve_enable(*, approval: Approval, checker: User, actor: Actor) -> Gateway:
    """Agree that a gateway is enabled. Refuses: MakerCannotCheck, ApprovalNotOpen, ApprovalChanged."""
    gateway = gateway_of(approval)
    approval = approvals.approve(approval=approval, checker=checker)
    terms = terms_of(gateway)
    if gateway.status != approval.payload["from"] or terms != {name: approval.payload.get(name) for name in terms}:
        raise ApprovalChanged()
    return _set_status(gateway, Gateway.Status.ENABLED, approval.reason, actor, approval)


@transaction.atomic
def stop_gateway(*, gateway: Gateway, reason: str, actor: Actor) -> Gateway:
    """Begin nothing new at a gateway until it is resumed: no charge, capture or refund. Inquiries and voids go on.

    `reason` is a sentence. A gateway that is stopped already keeps its first reason.
    """
    gateway = locked(gateway)
    if gateway.stopped_at is None:
        gateway.stopped_at, gateway.stopped_reason = clock.now(), reason[:200]
        Gateway.objects.filter(pk=gateway.pk).update(
            stopped_at=gateway.stopped_at, stopped_reason=gateway.stopped_reason
        )
        audit.record(
            actor=actor,
            verb="gateway.stop",
            obj=gateway,
            reason=gateway.stopped_reason,
            before={"is_stopped": False},
            after={"is_stopped": True},
        )
        alerts.raise_alert(
            kind="gateway_stopped",
            object_id=gateway.public_id,
            severity="critical",
            message=f"{gateway.name} takes no new payments: {gateway.stopped_reason}",
        )
    return gateway


@transaction.atomic
def resume_gateway(*, gateway: Gateway, reason: str, actor: Actor) -> Gateway:
    """Route to a stopped gateway again: a person has looked. Resuming twice changes nothing.

    Refuses: SecondPersonNeeded (for a live one).
    """
    gateway = locked(gateway)
    if gateway.is_live and gateway.is_stopped:
        raise SecondPersonNeeded(what=f"Resuming {gateway}")
    return _resume(gateway, reason, actor)


@durable("resume.request")
def request_resume(*, gateway: Gateway, reason: str, maker: User, actor: Actor) -> Approval:
    """Ask a second person to route to a stopped gateway again. Refuses: NothingToChange, AlreadyRequested."""
    gateway = locked(gateway)
    if not gateway.is_stopped:
        raise NothingToChange(what=gateway.name)
    payload = {"gateway": gateway.code, "mode": gateway.mode, "stopped_because": gateway.stopped_reason}
    return approvals.request(kind=RESUME, obj=gateway, payload=payload, reason=reason, maker=maker, actor=actor)


@durable("resume.approve")
def approve_resume(*, approval: Approval, checker: User, actor: Actor) -> Gateway:
    """Agree that a stopped gateway gets payments again. Refuses: MakerCannotCheck, ApprovalNotOpen, ApprovalChanged."""
    gateway = gateway_of(approval)
    approval = approvals.approve(approval=approval, checker=checker)
    if not gateway.is_stopped or gateway.stopped_reason != approval.payload["stopped_because"]:
        raise ApprovalChanged()
    return _resume(gateway, approval.reason, actor, approval)


def locked(gateway: Gateway) -> Gateway:
    """The gateway as it is now, kept so until the end of the transaction."""
    return Gateway.objects.select_for_update(no_key=True).get(pk=gateway.pk)


def gateway_of(approval: Approval) -> Gateway:
    """The gateway that a request is about, locked: before the request itself, as whoever asks does."""
    key = parse_public_id(Gateway.PUBLIC_PREFIX, approval.object_id)
    assert key is not None
    return locked(Gateway(id=key))


def agreed(approval: Approval | None) -> dict[str, Any]:
    """What the audit says of a deed that a second person agreed to."""
    return {"approval": approval.public_id, "asked_by": f"user:{approval.maker.username}"} if approval else {}


def _set_status(
    gateway: Gateway, status: Gateway.Status, reason: str, actor: Actor, approval: Approval | None = None
) -> Gateway:
    before = gateway.status
    if before == status:
        raise NothingToChange(what=gateway.name)
    gateway.status = status
    gateway._change_reason = reason[:100]  # type: ignore[attr-defined]
    gateway.save(update_fields=["status"])
    audit.record(
        actor=actor,
        verb="gateway.set_status",
        obj=gateway,
        reason=reason,
        before={"status": before},
        after={"status": status, **agreed(approval)},
    )
    return gateway


def _resume(gateway: Gateway, reason: str, actor: Actor, approval: Approval | None = None) -> Gateway:
    if gateway.stopped_at is not None:
        before = {"is_stopped": True, "stopped_reason": gateway.stopped_reason}
        gateway.stopped_at, gateway.stopped_reason = None, ""
        Gateway.objects.filter(pk=gateway.pk).update(stopped_at=None, stopped_reason="")
        audit.record(
            actor=actor,
            verb="gateway.resume",
            obj=gateway,
            reason=reason,
            before=before,
            after={"is_stopped": False, **agreed(approval)},
        )
    return gateway
