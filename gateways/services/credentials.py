"""How are a gateway's credentials changed? They are written and never read back; live ones by two people."""

import json
from collections.abc import Mapping

from django.db import transaction
from django.db.models import Q

from checkout.kit import approvals, audit
from checkout.kit.actors import Actor
from checkout.kit.approvals import ApprovalChanged
from checkout.kit.durable import durable
from checkout.kit.models import Approval, User
from gateways.errors import NothingToChange, SecondPersonNeeded
from gateways.models import Gateway, PendingCredentials
from gateways.registry import adapter_class
from gateways.services.standing import agreed, gateway_of, locked
from gateways.services.terms import fingerprint

ROTATE = "gateway.rotate_credentials"

PREVIOUS = "_previous"  # a credential `x` whose adapter has `x_previous` too is believed under both for a while


def needs_second_person(gateway: Gateway) -> bool:
    """Whether its credentials were ever used for real money: what was never enabled may be set up by one person."""
    was_enabled = Q(status__in=(Gateway.Status.ENABLED, Gateway.Status.DRAINING))
    return gateway.is_live and gateway.history.filter(was_enabled).exists()


def after_rotation(gateway: Gateway, values: Mapping[str, str]) -> dict[str, str]:
    """A gateway's credentials with new values: what overlaps is kept as the previous one."""
    kept = gateway.secrets
    names = {field.name for field in adapter_class(gateway.adapter).credentials}
    previous = {
        f"{name}{PREVIOUS}": kept[name]
        for name, value in values.items()
        if f"{name}{PREVIOUS}" in names and kept.get(name) and kept[name] != value
    }
    return {**kept, **previous, **values}


@transaction.atomic
def rotate_credentials(*, gateway: Gateway, values: Mapping[str, str], reason: str, actor: Actor) -> Gateway:
    """Replace those credentials of a gateway that are given, by name. Refuses: SecondPersonNeeded, NothingToChange."""
    gateway = locked(gateway)
    if needs_second_person(gateway):
        raise SecondPersonNeeded(what=f"Rotating the credentials of {gateway}")
    return _rotate(gateway, values, reason, actor)


@durable("rotation.request")
def request_rotation(
    *, gateway: Gateway, values: Mapping[str, str], reason: str, maker: User, actor: Actor
) -> Approval:
    """Ask a second person to replace credentials. Until then the new ones lie encrypted, apart from the request.

    Refuses: NothingToChange, AlreadyRequested.
    """
    gateway = locked(gateway)
    if not values:
        raise NothingToChange(what=gateway.name)
    forget_decided_credentials()
    payload = {
        "gateway": gateway.code,
        "mode": gateway.mode,
        "base_url": gateway.base_url,
        "fields": sorted(values),
        "fingerprint": fingerprint(gateway, values),
        "instead_of": fingerprint(gateway, gateway.secrets),
    }
    approval = approvals.request(kind=ROTATE, obj=gateway, payload=payload, reason=reason, maker=maker, actor=actor)
    PendingCredentials.objects.create(approval=approval, values=json.dumps(dict(values)))
    return approval


@durable("rotation.approve")
def approve_rotation(*, approval: Approval, checker: User, actor: Actor) -> Gateway:
    """Agree that credentials are replaced. Refuses: MakerCannotCheck, ApprovalNotOpen, ApprovalChanged."""
    gateway = gateway_of(approval)
    approval = approvals.approve(approval=approval, checker=checker)
    pending = PendingCredentials.objects.filter(approval=approval).first()
    if pending is None:
        raise ApprovalChanged()
    values = json.loads(pending.values)
    asked = tuple(approval.payload.get(name) for name in ("base_url", "fingerprint", "instead_of"))
    if asked != (gateway.base_url, fingerprint(gateway, values), fingerprint(gateway, gateway.secrets)):
        raise ApprovalChanged()
    pending.delete()
    return _rotate(gateway, values, approval.reason, actor, approval)


@transaction.atomic
def reject_rotation(*, approval: Approval, checker: User, reason: str, actor: Actor) -> Approval:
    """Say no, or withdraw; the new credentials are forgotten. Refuses: ApprovalNotOpen."""
    approval = approvals.reject(approval=approval, checker=checker, reason=reason, actor=actor)
    PendingCredentials.objects.filter(approval=approval).delete()
    return approval


@transaction.atomic
def end_overlap(*, gateway: Gateway, reason: str, actor: Actor) -> Gateway:
    """Believe the previous credentials no longer. Refuses: NothingToChange."""
    gateway = locked(gateway)
    kept = gateway.secrets
    ended = sorted(name for name, value in kept.items() if name.endswith(PREVIOUS) and value)
    if not ended:
        raise NothingToChange(what=gateway.name)
    _save(gateway, {name: value for name, value in kept.items() if name not in ended})
    audit.record(
        actor=actor, verb="gateway.end_overlap", obj=gateway, reason=reason, after={"credentials_removed": ended}
    )
    return gateway


@transaction.atomic
def forget_credentials(*, gateway: Gateway, reason: str, actor: Actor) -> Gateway:
    """Forget what lets us in at a gateway whose address has changed: nobody else there is to be sent it."""
    gateway = locked(gateway)
    if forgotten := sorted(gateway.secrets):
        _save(gateway, {})
        audit.record(
            actor=actor,
            verb="gateway.forget_credentials",
            obj=gateway,
            reason=reason,
            after={"credentials_removed": forgotten},
        )
    return gateway


def forget_decided_credentials() -> int:
    """Delete pending credentials that nobody can agree to any more; returns how many went."""
    count, _ = PendingCredentials.objects.exclude(approval__in=approvals.waiting()).delete()
    return count


def _rotate(
    gateway: Gateway, values: Mapping[str, str], reason: str, actor: Actor, approval: Approval | None = None
) -> Gateway:
    kept, becomes = gateway.secrets, after_rotation(gateway, values)
    written = sorted(name for name in becomes if becomes[name] != kept.get(name))
    if not written:
        raise NothingToChange(what=gateway.name)
    _save(gateway, becomes)
    audit.record(
        actor=actor,
        verb=ROTATE,
        obj=gateway,
        reason=reason,
        after={"credentials_written": written, **agreed(approval)},
    )
    return gateway


def _save(gateway: Gateway, credentials: Mapping[str, str]) -> None:
    """Written past the history, which keeps no credentials."""
    Gateway.objects.filter(pk=gateway.pk).update(credentials=json.dumps(dict(credentials)))
