"""When is a gateway left alone because its provider, or we, work on it? Windows are planned, and end by themselves."""

from datetime import datetime

from django.db import transaction

from checkout.kit import approvals, audit, clock
from checkout.kit.actors import Actor
from checkout.kit.card_numbers import scrub
from checkout.kit.durable import durable
from checkout.kit.ids import parse_public_id
from checkout.kit.models import Approval, User
from gateways.errors import MaintenanceNotPossible, MaintenanceOver, SecondPersonNeeded
from gateways.models import Gateway, GatewayMaintenance
from gateways.services.standing import agreed, gateway_of, locked

END = "gateway.end_maintenance"


@transaction.atomic
def plan_maintenance(
    *, gateway: Gateway, starts_at: datetime, ends_at: datetime, reason: str, actor: Actor
) -> GatewayMaintenance:
    """Leave a gateway out of routing from one moment to another. Refuses: MaintenanceNotPossible."""
    if starts_at >= ends_at:
        raise MaintenanceNotPossible("It has to end after it begins.")
    if ends_at <= clock.now():
        raise MaintenanceNotPossible("It would be over already.")
    gateway = locked(gateway)
    window = GatewayMaintenance.objects.create(
        gateway=gateway, starts_at=starts_at, ends_at=ends_at, reason=scrub(reason)[:200], planned_by=str(actor)
    )
    audit.record(actor=actor, verb="gateway.plan_maintenance", obj=gateway, reason=reason, after=_as_json(window))
    return window


@transaction.atomic
def cancel_maintenance(*, window: GatewayMaintenance, reason: str, actor: Actor) -> GatewayMaintenance:
    """Call off a window. Refuses: MaintenanceOver, SecondPersonNeeded (to end one of a live gateway that has begun)."""
    gateway, window = locked(window.gateway), _open(window)
    if gateway.is_live and window.starts_at <= clock.now():
        raise SecondPersonNeeded(what=f"Ending the maintenance of {gateway} early")
    return _cancel(gateway, window, reason, actor)


@durable("end_maintenance.request")
def request_end_of_maintenance(*, window: GatewayMaintenance, reason: str, maker: User, actor: Actor) -> Approval:
    """Ask a second person to end a window early. Refuses: MaintenanceOver, AlreadyRequested."""
    gateway, window = locked(window.gateway), _open(window)
    payload = {"gateway": gateway.code, "mode": gateway.mode, "window": window.public_id, **_as_json(window)}
    return approvals.request(kind=END, obj=gateway, payload=payload, reason=reason, maker=maker, actor=actor)


@durable("end_maintenance.approve")
def approve_end_of_maintenance(*, approval: Approval, checker: User, actor: Actor) -> GatewayMaintenance:
    """Agree that a window ends early. Refuses: MakerCannotCheck, ApprovalNotOpen, ApprovalChanged, MaintenanceOver."""
    gateway = gateway_of(approval)
    approval = approvals.approve(approval=approval, checker=checker)
    key = parse_public_id(GatewayMaintenance.PUBLIC_PREFIX, approval.payload["window"])
    assert key is not None
    return _cancel(gateway, _open(GatewayMaintenance(id=key)), approval.reason, actor, approval)


def _open(window: GatewayMaintenance) -> GatewayMaintenance:
    window = GatewayMaintenance.objects.select_for_update().get(pk=window.pk)
    if window.canceled_at is not None or window.ends_at <= clock.now():
        raise MaintenanceOver()
    return window


def _cancel(
    gateway: Gateway, window: GatewayMaintenance, reason: str, actor: Actor, approval: Approval | None = None
) -> GatewayMaintenance:
    window.canceled_at = clock.now()
    window.save(update_fields=["canceled_at"])
    audit.record(
        actor=actor,
        verb="gateway.cancel_maintenance",
        obj=gateway,
        reason=reason,
        before=_as_json(window),
        after={"maintenance": "called off", **agreed(approval)},
    )
    return window


def _as_json(window: GatewayMaintenance) -> dict[str, str]:
    return {
        "maintenance_from": f"{window.starts_at:%Y-%m-%d %H:%M} UTC",
        "maintenance_until": f"{window.ends_at:%Y-%m-%d %H:%M} UTC",
        "maintenance_because": window.reason,
    }
