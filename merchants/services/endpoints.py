"""Where does a merchant want to be told? Its webhook endpoints, and the secrets that sign what they get."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import transaction

from checkout.kit import audit, clock
from checkout.kit.actors import Actor
from checkout.kit.modes import Mode
from checkout.kit.statuses import advance_where
from checkout.settings import policy
from merchants import sender, signatures
from merchants.errors import TooManyWebhookEndpoints, WebhookEndpointDisabled
from merchants.models import Merchant, WebhookDelivery, WebhookEndpoint
from merchants.statuses import DELIVERY, DeliveryEvent


@dataclass(frozen=True)
class EndpointSecret:
    """An endpoint with the secret that was just made for it."""

    endpoint: WebhookEndpoint
    secret: str = field(repr=False)


def create_endpoint(
    *,
    merchant: Merchant,
    mode: str,
    url: str,
    actor: Actor,
    description: str = "",
    event_types: Iterable[str] = (),
) -> EndpointSecret:
    """Tell a merchant, at this address from now on, of what happens in that mode; no event types means all of them.

    Looks the host's name up, for 2 s at most. Refuses: WebhookUrlRefused, TooManyWebhookEndpoints, django
    ValidationError for an unknown mode or what is no event type.
    """
    sender.check_url(url, may_be_loopback=may_be_loopback(mode))
    endpoint = WebhookEndpoint(
        merchant=merchant,
        mode=mode,
        url=url,
        description=description,
        event_types=_sorted(event_types),
        secret=signatures.new_secret(),
    )
    with transaction.atomic():
        Merchant.objects.select_for_update(no_key=True).get(pk=merchant.pk)  # so that two cannot both be the last one
        if merchant.webhook_endpoints.filter(mode=mode).count() >= policy.WEBHOOK_MAX_ENDPOINTS:
            raise TooManyWebhookEndpoints(limit=policy.WEBHOOK_MAX_ENDPOINTS)
        endpoint.full_clean()
        endpoint.save(force_insert=True)
        audit.record(
            actor=actor,
            verb="webhook_endpoint.create",
            obj=endpoint,
            after={"merchant": merchant.public_id, "mode": mode, **_facts(endpoint)},
        )
    return EndpointSecret(endpoint, endpoint.secret)


def update_endpoint(
    *,
    endpoint: WebhookEndpoint,
    actor: Actor,
    url: str | None = None,
    description: str | None = None,
    event_types: Iterable[str] | None = None,
) -> WebhookEndpoint:
    """Change what is given and leave the rest; another address starts without a past. Refuses as `create_endpoint`."""
    if url is not None:
        sender.check_url(url, may_be_loopback=may_be_loopback(endpoint.mode))
    with transaction.atomic():
        endpoint = _lock(endpoint.pk)
        before = _facts(endpoint)
        if url is not None and url != endpoint.url:
            endpoint.url = url
            _forget_failures(endpoint)
        if description is not None:
            endpoint.description = description
        if event_types is not None:
            endpoint.event_types = _sorted(event_types)
        endpoint.full_clean()
        endpoint.save()
        audit.record(actor=actor, verb="webhook_endpoint.update", obj=endpoint, before=before, after=_facts(endpoint))
    return endpoint


@transaction.atomic
def enable_endpoint(*, endpoint: WebhookEndpoint, actor: Actor) -> WebhookEndpoint:
    """Tell it what happens from now on; what it missed is not sent by itself. An enabled one stays as it is."""
    endpoint = _lock(endpoint.pk)
    if not endpoint.is_enabled:
        endpoint.status = WebhookEndpoint.Status.ENABLED
        endpoint.disabled_reason = ""
        _forget_failures(endpoint)
        endpoint.save()
        audit.record(actor=actor, verb="webhook_endpoint.enable", obj=endpoint)
    return endpoint


@transaction.atomic
def disable_endpoint(*, endpoint: WebhookEndpoint, reason: str, actor: Actor) -> WebhookEndpoint:
    """Tell it nothing any more, and cancel what is on its way. A disabled one stays as it is."""
    return disable(endpoint_id=endpoint.pk, reason=reason, actor=actor)


@transaction.atomic
def rotate_secret(*, endpoint: WebhookEndpoint, actor: Actor) -> EndpointSecret:
    """Sign with a new secret from now on, and with the present one as well for 24 hours."""
    endpoint = _lock(endpoint.pk)
    endpoint.previous_secret = endpoint.secret
    endpoint.previous_secret_until = clock.seconds_from_now(policy.WEBHOOK_SECRET_OVERLAP_SECONDS)
    endpoint.secret = signatures.new_secret()
    endpoint.save()
    audit.record(
        actor=actor,
        verb="webhook_endpoint.rotate_secret",
        obj=endpoint,
        after={"previous_secret_until": endpoint.previous_secret_until.isoformat()},
    )
    return EndpointSecret(endpoint, endpoint.secret)


def disable(*, endpoint_id: Any, reason: str, actor: Actor) -> WebhookEndpoint:
    """Disable an endpoint inside the caller's transaction."""
    endpoint = _lock(endpoint_id)
    if endpoint.is_enabled:
        endpoint.status = WebhookEndpoint.Status.DISABLED
        endpoint.disabled_reason = reason[:200]
        endpoint.save()
        advance_where(
            WebhookDelivery.objects.filter(endpoint=endpoint), DELIVERY, DeliveryEvent.CANCEL, next_attempt_at=None
        )
        audit.record(actor=actor, verb="webhook_endpoint.disable", obj=endpoint, reason=reason)
    return endpoint


def lock_enabled(endpoint: WebhookEndpoint) -> WebhookEndpoint:
    """The endpoint, locked so that it stays enabled. Refuses: WebhookEndpointDisabled."""
    endpoint = _lock(endpoint.pk)
    if not endpoint.is_enabled:
        raise WebhookEndpointDisabled()
    return endpoint


def may_be_loopback(mode: str) -> bool:
    """Whether an endpoint in that mode may be on this machine."""
    return mode == Mode.TEST and bool(settings.WEBHOOK_ALLOW_LOOPBACK)


def _lock(endpoint_id: Any) -> WebhookEndpoint:
    return WebhookEndpoint.objects.select_for_update(no_key=True).get(pk=endpoint_id)


def _forget_failures(endpoint: WebhookEndpoint) -> None:
    endpoint.failure_count, endpoint.failing_since, endpoint.paused_until = 0, None, None


def _sorted(event_types: Iterable[str]) -> list[str]:
    return sorted(set(event_types))


def _facts(endpoint: WebhookEndpoint) -> dict[str, Any]:
    return {"url": endpoint.url, "description": endpoint.description, "event_types": endpoint.event_types}
