"""Who did what, when and why? Written in the transaction of the deed itself."""

from typing import Any

from checkout.kit.actors import Actor
from checkout.kit.card_numbers import scrub
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
    """Append one audit entry about an object that has a public id; `before` and `after` hold no secrets.

    Whoever gives a reason may forget that it is kept: what must not be is taken out of it.
    """
    return AuditEntry.objects.create(
        actor=str(actor),
        verb=verb,
        object_type=obj._meta.model_name,
        object_id=obj.public_id,
        reason=scrub(reason),
        before=before or {},
        after=after or {},
        address=actor.address,
    )
