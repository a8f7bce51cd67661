"""Who did what, when and why? Written in the transaction of the deed itself.

What nobody accounts for in this way, the database tells by itself (`checkout.kit.watching`).
"""

from typing import Any

from django.contrib.auth.models import Group

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
    """Append one audit entry about an object; `before` and `after` hold no secrets.

    Whoever gives a reason may forget that it is kept: what must not be is taken out of it.
    """
    entry = entry_of(actor=actor, verb=verb, obj=obj, reason=reason, before=before, after=after)
    entry.save(force_insert=True)
    return entry


def entry_of(
    *,
    actor: Actor,
    verb: str,
    obj: Any,
    reason: str = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> AuditEntry:
    """The entry that `record` appends, not written yet: for thousands at once."""
    return AuditEntry(
        actor=str(actor),
        verb=verb,
        object_type=obj._meta.model_name,
        object_id=name_of(obj),
        reason=scrub(reason),
        before=before or {},
        after=after or {},
        address=actor.address,
    )


def name_of(obj: Any) -> str:
    """What the audit knows an object by: its outside name, or `role:Finance`."""
    return f"role:{obj.name}"[:64] if isinstance(obj, Group) else str(obj.public_id)
