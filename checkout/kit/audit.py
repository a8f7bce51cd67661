"""Who did what, when and why? Written in the transaction of the deed itself."""

from typing import Any

from checkout.kit.actors import Actor
from checkout.kit.models import AuditEntry


def record(
    *,
    actor: Actor,
    verb: str,
    obj: Any,
    reason: str = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> AuditEntry:
    """Append one audit entry about an object that has a public id; `before` and `after` hold no secrets."""
    return AuditEntry.objects.create(
        actor=str(actor),
        verb=verb,
        object_type=obj._meta.model_name,
        object_id=obj.public_id,
        reason=reason,
        before=before or {},
        after=after or {},
        address=actor.address,
    )
