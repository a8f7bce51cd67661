"""How is something told again? One event, or all that an endpoint missed in a time, batch by batch.

What arrived is never sent by itself; an event keeps its id, so that a receiver knows it.
"""

from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import F

from checkout.kit import audit, clock
from checkout.kit.actors import Actor
from checkout.kit.defer import defer
from checkout.kit.durable import durable
from checkout.kit.statuses import advance
from checkout.settings import policy
from merchants.errors import WebhookEventNotFound
from merchants.models import WebhookDelivery, WebhookEndpoint, WebhookEvent, WebhookRedelivery
from merchants.selectors import TEST_EVENT, ids_between
from merchants.services.endpoints import lock_enabled
from merchants.services.events import DELIVER_WEBHOOKS
from merchants.statuses import DELIVERY, DeliveryEvent, DeliveryStatus

_REDELIVER = """
WITH batch AS (
    SELECT id, type, created_at, dispatched_at FROM merchants_webhookevent
    WHERE merchant_id = %(merchant)s AND mode = %(mode)s AND id > %(position)s AND id < %(last)s
    ORDER BY id LIMIT %(limit)s
), sent AS (
    INSERT INTO merchants_webhookdelivery
        (event_id, endpoint_id, status, attempt_count, next_attempt_at, last_error, created_at)
    SELECT event.id, %(endpoint)s, %(pending)s, 0, %(now)s, '', %(now)s
    FROM batch AS event
    WHERE event.dispatched_at IS NOT NULL AND event.created_at >= %(since)s AND event.created_at < %(until)s
        AND (%(types)s::text[] = '{}' OR event.type = ANY(%(types)s)) AND event.type <> %(test_event)s
    ORDER BY event.id
    ON CONFLICT (event_id, endpoint_id) DO UPDATE
        SET status = %(pending)s, attempt_count = 0, next_attempt_at = %(now)s
        WHERE merchants_webhookdelivery.status = ANY(%(missed)s)
    RETURNING 1
)
SELECT (SELECT id FROM batch ORDER BY id DESC LIMIT 1), (SELECT count(*) FROM batch), (SELECT count(*) FROM sent)
"""


@transaction.atomic
def redeliver(*, endpoint: WebhookEndpoint, event: WebhookEvent, actor: Actor, reason: str = "") -> WebhookDelivery:
    """Send one event to an endpoint once more, or for the first time, with all its tries; one on its way stays so.

    Refuses: WebhookEndpointDisabled, WebhookEventNotFound.
    """
    endpoint = lock_enabled(endpoint)
    if (event.merchant_id, event.mode) != (endpoint.merchant_id, endpoint.mode):
        raise WebhookEventNotFound()
    now = clock.now()
    delivery, is_new = WebhookDelivery.objects.select_for_update(no_key=True).get_or_create(
        event=event, endpoint=endpoint, defaults={"next_attempt_at": now}
    )
    before = {"status": delivery.status, "tries": delivery.attempt_count, "last_error": delivery.last_error}
    if not is_new and DELIVERY.allows(delivery.status, DeliveryEvent.REDELIVER):
        advance(delivery, DELIVERY, DeliveryEvent.REDELIVER)
        delivery.attempt_count, delivery.next_attempt_at = 0, now
        delivery.save(update_fields=["status", "attempt_count", "next_attempt_at"])
    audit.record(
        actor=actor,
        verb="webhook_endpoint.redeliver",
        obj=endpoint,
        reason=reason,
        before={} if is_new else before,
        after={"event": event.public_id},
    )
    defer(DELIVER_WEBHOOKS)
    return delivery


@transaction.atomic
def redeliver_missed(
    *, endpoint: WebhookEndpoint, since: datetime, until: datetime, actor: Actor, reason: str = ""
) -> WebhookRedelivery:
    """Let everything be sent that an endpoint wants to hear and has not got, of the events made from `since` up to
    before `until`: what failed, what was canceled, and what happened while it was disabled.

    Whoever delivers does it, batch by batch. Refuses: WebhookEndpointDisabled.
    """
    endpoint = lock_enabled(endpoint)
    redelivery = WebhookRedelivery.objects.create(
        endpoint=endpoint, since=since, until=until, position=ids_between(since, until)[0]
    )
    audit.record(
        actor=actor,
        verb="webhook_endpoint.redeliver_missed",
        obj=endpoint,
        reason=reason,
        after={"since": since.isoformat(), "until": until.isoformat()},
    )
    defer(DELIVER_WEBHOOKS)
    return redelivery


@durable("redeliver_webhooks")
def continue_redelivery() -> int:
    """Make deliveries of the next batch of a redelivery that is unfinished, unless its endpoint was disabled meanwhile.

    They take turns: it is the one that has waited longest, so a long one keeps nobody waiting for its end. Returns 1 if
    there was one, else 0.
    """
    unfinished = WebhookRedelivery.objects.select_for_update(skip_locked=True).filter(finished_at=None)
    redelivery = unfinished.order_by(F("served_at").asc(nulls_first=True), "id").first()
    if redelivery is None:
        return 0
    endpoint = WebhookEndpoint.objects.select_for_update(no_key=True).get(pk=redelivery.endpoint_id)
    seen = 0
    if endpoint.is_enabled:
        position, seen, sent = _next_batch(redelivery, endpoint)
        redelivery.position = position or redelivery.position
        redelivery.count += sent
    redelivery.served_at = clock.now()
    if seen < policy.WEBHOOK_DISPATCH_COUNT:
        redelivery.finished_at = redelivery.served_at
    redelivery.save(update_fields=["position", "count", "served_at", "finished_at"])
    return 1


def _next_batch(redelivery: WebhookRedelivery, endpoint: WebhookEndpoint) -> tuple[Any, int, int]:
    """The id of the last event that was looked at, how many were, and of how many deliveries were made."""
    with connection.cursor() as cursor:
        cursor.execute(
            _REDELIVER,
            {
                "endpoint": endpoint.pk,
                "merchant": endpoint.merchant_id,
                "mode": endpoint.mode,
                "types": endpoint.event_types,
                "test_event": TEST_EVENT,
                "since": redelivery.since,
                "until": redelivery.until,
                "position": redelivery.position,
                "last": ids_between(redelivery.since, redelivery.until)[1],
                "limit": policy.WEBHOOK_DISPATCH_COUNT,
                "now": clock.now(),
                "pending": DELIVERY.initial,
                "missed": [DeliveryStatus.FAILED, DeliveryStatus.CANCELED],
            },
        )
        position, seen, sent = cursor.fetchone()
    return position, int(seen), int(sent)
