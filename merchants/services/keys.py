"""How is a merchant's software let in? By a key that is shown once."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction

from checkout.kit import audit, clock
from checkout.kit.actors import Actor
from checkout.kit.ids import base62
from checkout.kit.modes import Mode
from merchants import selectors
from merchants.errors import LiveRefundsNotAtDesk
from merchants.models import ApiKey, Merchant, Scope, all_scopes


@dataclass(frozen=True)
class NewKey:
    """A key just made, with the only copy of its secret."""

    key: ApiKey
    secret: str = field(repr=False)


@transaction.atomic
def create_api_key(
    *,
    merchant: Merchant,
    mode: str,
    actor: Actor,
    name: str = "",
    scopes: Iterable[str] | None = None,
    expires_at: datetime | None = None,
) -> NewKey:
    """Make a key for a merchant. Its secret is in the answer and nowhere else.

    Refuses: LiveRefundsNotAtDesk to people, django ValidationError for an unknown mode or scope.
    """
    scopes = all_scopes() if scopes is None else list(scopes)
    if actor.kind == "user" and mode == Mode.LIVE and Scope.REFUNDS_WRITE in scopes:
        raise LiveRefundsNotAtDesk()
    body = f"sk_{mode}_{base62(secrets.randbits(238), 40)}"
    secret = body + selectors.key_checksum(body)
    key = ApiKey(
        merchant=merchant,
        name=name,
        mode=mode,
        prefix=secret[: selectors.PREFIX_LENGTH],
        hash=selectors.hash_of_key(secret),
        scopes=scopes,
        expires_at=expires_at,
    )
    key.full_clean()
    key.save(force_insert=True)
    audit.record(
        actor=actor,
        verb="api_key.create",
        obj=key,
        after={"merchant": merchant.public_id, "mode": mode, "scopes": key.scopes, "prefix": key.prefix},
    )
    return NewKey(key, secret)


@transaction.atomic
def revoke_api_key(*, key: ApiKey, reason: str, actor: Actor) -> ApiKey:
    """End a key; it opens nothing a second later at the latest. Revoking twice changes nothing."""
    key = ApiKey.objects.select_for_update(no_key=True).get(pk=key.pk)
    if key.revoked_at is None:
        key.revoked_at = clock.now()
        key.save(update_fields=["revoked_at"])
        selectors.forget_keys()
        audit.record(actor=actor, verb="api_key.revoke", obj=key, reason=reason, after={"prefix": key.prefix})
    return key


def note_key_used(*, key: ApiKey) -> None:
    """Remember when a key was last used, to the minute."""
    now = clock.now()
    if selectors.is_use_worth_noting(key, now):
        key.last_used_at = now
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
