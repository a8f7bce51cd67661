"""What are merchants told? Events are written with the change itself, then made into deliveries, set by set."""

from django.db import connection, transaction

from checkout.kit import audit, clock
from checkout.kit.actors import Actor
from checkout.kit.defer import defer
from checkout.kit.durable import durable
from checkout.kit.ids import uuid7
from checkout.settings import policy
from merchants.models import WebhookDelivery, WebhookEndpoint, WebhookEvent
from merchants.selectors import TEST_EVENT
from merchants.services.endpoints import lock_enabled
from merchants.statuses import DELIVERY

DELIVER_WEBHOOKS = "merchants.deliver_webhooks"
_FORGET_COUNT = 1000

# The share lock keeps an endpoint from being disabled half-way: what is made for it here is there to be canceled.
_DISPATCH = """
WITH batch AS (
    SELECT id, merchant_id, mode, type FROM merchants_webhookevent
    WHERE dispatched_at IS NULL ORDER BY id LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
), endpoint AS (
    SELECT id, merchant_id, mode, event_types FROM merchants_webhookendpoint
    WHERE status = %(enabled)s AND (merchant_id, mode) IN (SELECT merchant_id, mode FROM batch)
    ORDER BY id FOR SHARE
), made AS (
    INSERT INTO merchants_webhookdelivery
        (event_id, endpoint_id, status, attempt_count, next_attempt_at, last_error, created_at)
    SELECT batch.id, endpoint.id, %(pending)s, 0, %(now)s, '', %(now)s
    FROM batch JOIN endpoint USING (merchant_id, mode)
    WHERE endpoint.event_types = '{}' OR batch.type = ANY(endpoint.event_types)
    ORDER BY batch.id
    ON CONFLICT (event_id, endpoint_id) DO NOTHING
)
UPDATE merchants_webhookevent AS event SET dispatched_at = %(now)s FROM batch WHERE event.id = batch.id
"""

_FORGET = """
WITH oldest AS (
    SELECT id, created_at FROM merchants_webhookevent ORDER BY id LIMIT %(limit)s
), old AS (
    SELECT id FROM oldest WHERE created_at < %(before)s
), forgotten AS (
    DELETE FROM merchants_webhookdelivery USING old WHERE event_id = old.id
)
DELETE FROM merchants_webhookevent AS event USING old WHERE event.id = old.id
"""


@durable("dispatch_webhooks")
def dispatch_events() -> int:
    """Make deliveries of the oldest events that have none yet, a batch in one statement; returns how many events.

    An event goes to every enabled endpoint of its merchant and mode that wants its type; often that is none.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _DISPATCH,
            {
                "limit": policy.WEBHOOK_DISPATCH_COUNT,
                "enabled": WebhookEndpoint.Status.ENABLED,
                "pending": DELIVERY.initial,
                "now": clock.now(),
            },
        )
        return int(cursor.rowcount)


@transaction.atomic
def send_test_event(*, endpoint: WebhookEndpoint, actor: Actor) -> WebhookEvent:
    """Send an event that tells of nothing to this endpoint alone. Refuses: WebhookEndpointDisabled."""
    endpoint = lock_enabled(endpoint)
    now = clock.now()
    event = WebhookEvent(
        id=uuid7(),
        merchant_id=endpoint.merchant_id,
        mode=endpoint.mode,
        type=TEST_EVENT,
        sequence=1,
        data={"webhook_endpoint": endpoint.public_id},
        dispatched_at=now,
    )
    event.object_id = event.public_id
    event.save(force_insert=True)
    WebhookDelivery.objects.create(event=event, endpoint=endpoint, next_attempt_at=now)
    audit.record(actor=actor, verb="webhook_endpoint.send_test_event", obj=endpoint, after={"event": event.public_id})
    defer(DELIVER_WEBHOOKS)
    return event


@transaction.atomic
def forget_old_events() -> int:
    """Delete the oldest events beyond what we keep, with their deliveries, a batch; returns how many events went."""
    before = clock.seconds_from_now(-policy.WEBHOOK_EVENT_DAYS * 86_400)
    with connection.cursor() as cursor:
        cursor.execute(_FORGET, {"limit": _FORGET_COUNT, "before": before})
        return int(cursor.rowcount)
