"""What can be done about merchants, their keys and what they are told?"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction

from checkout.kit import audit, clock
from checkout.kit.actors import Actor
from checkout.kit.ids import base62
from merchants import selectors
from merchants.models import ApiKey, Merchant, WebhookEvent, all_scopes


@dataclass(frozen=True)
class NewKey:
    """A key just made, with the only copy of its secret."""

    key: ApiKey
    secret: str = field(repr=False)


@transaction.atomic
def create_merchant(
    *,
    name: str,
    country: str,
    default_currency: str,
    actor: Actor,
    fee_bps: int = 0,
    fee_fixed_minor: int = 0,
    tax_bps: int = 0,
) -> Merchant:
    """Take on a merchant. Fee in basis points plus minor units, tax on the fee in basis points.

    Refuses: django ValidationError for a country, currency or rate that cannot be.
    """
    merchant = Merchant(
        name=name,
        country=country,
        default_currency=default_currency,
        fee_bps=fee_bps,
        fee_fixed_minor=fee_fixed_minor,
        tax_bps=tax_bps,
    )
    merchant.full_clean()
    merchant.save(force_insert=True)
    audit.record(actor=actor, verb="merchant.create", obj=merchant, after={"name": name, "country": country})
    return merchant


@transaction.atomic
def set_merchant_status(*, merchant: Merchant, status: str, reason: str, actor: Actor) -> Merchant:
    """Suspend a merchant or let it work again; open payments go on, new ones are refused while suspended."""
    merchant = Merchant.objects.select_for_update(no_key=True).get(pk=merchant.pk)
    before = merchant.status
    merchant.status = Merchant.Status(status)
    merchant.save(update_fields=["status"])
    selectors.forget_keys()
    audit.record(
        actor=actor,
        verb="merchant.set_status",
        obj=merchant,
        reason=reason,
        before={"status": before},
        after={"status": merchant.status},
    )
    return merchant


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

    Refuses: django ValidationError for an unknown mode or scope.
    """
    body = f"sk_{mode}_{base62(secrets.randbits(238), 40)}"
    secret = body + selectors.key_checksum(body)
    key = ApiKey(
        merchant=merchant,
        name=name,
        mode=mode,
        prefix=secret[: selectors.PREFIX_LENGTH],
        hash=selectors.hash_of_key(secret),
        scopes=all_scopes() if scopes is None else list(scopes),
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


def enqueue_webhook(
    *, merchant_id: Any, mode: str, type: str, object_id: str, sequence: int, data: dict[str, Any]
) -> WebhookEvent:
    """Write down an event for a merchant, inside the transaction of the change it tells of."""
    return WebhookEvent.objects.create(
        merchant_id=merchant_id, mode=mode, type=type, object_id=object_id, sequence=sequence, data=data
    )
