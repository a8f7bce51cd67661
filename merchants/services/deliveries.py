"""Who tells merchants? One run at a time takes what is due, posts it concurrently, and records what came of it.

At least once: what was posted and not recorded is posted again when its lease ends. Order is not promised; the sequence
number in each message lets a receiver restore it.
"""

import json
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import OperationalError, connection
from django.db.models import Q

from checkout.kit import clock
from checkout.kit.actors import Actor
from checkout.kit.alerts import raise_alert
from checkout.kit.defer import heard, ring
from checkout.kit.durable import durable
from checkout.kit.ids import public_id
from checkout.settings import policy
from merchants import selectors, signatures
from merchants.models import WebhookDelivery, WebhookEndpoint, WebhookEvent
from merchants.sender import Answer, Message, Sender
from merchants.services.endpoints import disable, may_be_loopback
from merchants.services.events import DELIVER_WEBHOOKS, dispatch_events
from merchants.services.redelivery import continue_redelivery
from merchants.statuses import DELIVERY, DeliveryEvent, DeliveryStatus

log = structlog.get_logger(__name__)

_ACTOR = Actor.task("deliver_webhooks")
_GONE = 410
_CLAIMER_LOCK = 0x776562686F6F6B  # any number that nobody else locks

# A claim goes from endpoint to endpoint, so that the long queue of one is never in the way of another.
_CLAIM = f"""
WITH RECURSIVE {selectors.ENDPOINTS_WITH_PENDING_DELIVERIES}, flying AS (
    SELECT * FROM unnest(%(flying)s::uuid[], %(counts)s::int[]) AS flying(id, count)
), room AS (
    SELECT endpoint.id, COALESCE(flying.count, 0) AS taken, CASE
        WHEN endpoint.failure_count < %(failures)s THEN %(calls)s
        WHEN %(calls_to_failing)s > (
            SELECT COALESCE(sum(flying.count), 0) FROM flying JOIN merchants_webhookendpoint AS failing USING (id)
            WHERE failing.failure_count >= %(failures)s
        ) THEN 1
        ELSE 0
    END AS allowed
    FROM waiting
    JOIN merchants_webhookendpoint AS endpoint ON endpoint.id = waiting.endpoint_id
    LEFT JOIN flying ON flying.id = endpoint.id
    WHERE endpoint.status = %(enabled)s AND COALESCE(endpoint.paused_until <= %(now)s, true)
), due AS (
    SELECT delivery.id FROM room CROSS JOIN LATERAL (
        SELECT id, next_attempt_at FROM merchants_webhookdelivery
        WHERE endpoint_id = room.id AND status = 'pending' AND next_attempt_at <= %(now)s
        ORDER BY next_attempt_at LIMIT GREATEST(room.allowed - room.taken, 0)
        FOR UPDATE SKIP LOCKED
    ) AS delivery
    ORDER BY delivery.next_attempt_at LIMIT %(limit)s
)
UPDATE merchants_webhookdelivery AS delivery
SET attempt_count = delivery.attempt_count + 1, next_attempt_at = %(lease_until)s
FROM due WHERE delivery.id = due.id
RETURNING delivery.id
"""  # noqa: S608

# A failure is recorded by whoever holds the lease; a success whoever brings it.
_RECORD = """
UPDATE merchants_webhookdelivery AS delivery SET
    status = result.status,
    next_attempt_at = result.next_attempt_at,
    delivered_at = CASE result.status WHEN %(delivered)s THEN %(now)s END,
    last_http_status = result.http_status,
    last_error = result.error,
    duration_ms = result.duration_ms
FROM unnest(
    %(ids)s::bigint[], %(leases)s::timestamptz[], %(statuses)s::text[], %(next)s::timestamptz[],
    %(http_statuses)s::int[], %(errors)s::text[], %(durations)s::int[]
) AS result(id, lease_until, status, next_attempt_at, http_status, error, duration_ms)
WHERE delivery.id = result.id AND delivery.status = %(pending)s
    AND (result.status = %(delivered)s OR delivery.next_attempt_at = result.lease_until)
"""


def deliver_due() -> int:
    """Tell merchants what is to be told, until nothing is due; returns how many answers were recorded.

    Keeps dispatching and claiming for WEBHOOK_RUN_SECONDS, then lets another run do so and waits for its own last
    calls. At once and without effect where another run is claiming: it looks often enough for both.
    """
    sender = Sender()
    recorded = 0
    with _only_claimer() as is_only:
        if not is_only:
            return 0
        claim_until = time.monotonic() + policy.WEBHOOK_RUN_SECONDS
        while time.monotonic() < claim_until:
            started = dispatch_events() + continue_redelivery() + _send_due(sender)
            if not started and not sender.is_busy:
                break
            recorded += _record(sender.take(policy.CLAIM_AGAIN_SECONDS))
    # Whoever rang while this run was claiming may have been sent away, or has not rung because the bell was ringing.
    heard(DELIVER_WEBHOOKS)
    if selectors.webhooks_due_since() is not None:
        ring(DELIVER_WEBHOOKS)
    while sender.is_busy:
        recorded += _record(sender.take(policy.CLAIM_AGAIN_SECONDS))
    return recorded


@contextmanager
def _only_claimer() -> Iterator[bool]:
    """Whether nobody else claims; if so, nobody else will until the block ends.

    However often the bell rings, webhooks thus never occupy all the workers that payments need.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_CLAIMER_LOCK])
        is_only = bool(cursor.fetchone()[0])
    try:
        yield is_only
    finally:
        if is_only:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [_CLAIMER_LOCK])


def _send_due(sender: Sender) -> int:
    room = min(policy.WEBHOOK_BATCH_COUNT, policy.WEBHOOK_MAX_CALLS - sender.in_flight.total())
    if room <= 0:
        return 0
    deliveries = claim_due(limit=room, in_flight=sender.in_flight)
    endpoints = WebhookEndpoint.objects.in_bulk({delivery.endpoint_id for delivery in deliveries})
    for delivery in deliveries:
        sender.send(_message(delivery, endpoints[delivery.endpoint_id]))
    return len(deliveries)


@durable("claim_webhooks")
def claim_due(*, limit: int, in_flight: Mapping[Any, int]) -> list[WebhookDelivery]:
    """Take up to `limit` due deliveries under a lease, of each endpoint only as many as may be in flight to it.

    `in_flight` counts this run's calls by endpoint. An endpoint that keeps failing is called once at a time, and all
    such endpoints together leave half of the calls to the others.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _CLAIM,
            {
                "now": clock.now(),
                "limit": limit,
                "enabled": WebhookEndpoint.Status.ENABLED,
                "flying": list(in_flight.keys()),
                "counts": list(in_flight.values()),
                "calls": policy.WEBHOOK_MAX_CALLS_PER_ENDPOINT,
                "calls_to_failing": policy.WEBHOOK_MAX_CALLS // 2,
                "failures": policy.WEBHOOK_FAILURES_TO_PACE,
                "lease_until": clock.seconds_from_now(policy.WEBHOOK_LEASE_SECONDS),
            },
        )
        claimed = [key for (key,) in cursor.fetchall()]
    if not claimed:
        return []
    return list(WebhookDelivery.objects.select_related("event").filter(pk__in=claimed).order_by("pk"))


def _message(delivery: WebhookDelivery, endpoint: WebhookEndpoint) -> Message:
    now = clock.now()
    body = envelope(delivery.event)
    return Message(
        endpoint_id=endpoint.pk,
        url=endpoint.url,
        headers={
            "Content-Type": "application/json",
            "User-Agent": "Checkout-Webhooks",
            **signatures.signed_headers(
                endpoint.live_secrets(now),
                message_id=delivery.event.public_id,
                timestamp=int(now.timestamp()),
                body=body,
            ),
        },
        body=body,
        may_be_loopback=may_be_loopback(endpoint.mode),
        tag=delivery,
    )


def envelope(event: WebhookEvent) -> bytes:
    """What an endpoint is sent of an event, the same bytes at every try."""
    return json.dumps(
        {
            "id": event.public_id,
            "type": event.type,
            "created_at": event.created_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "sequence": event.sequence,
            "data": event.data,
        },
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()


def _record(answers: Sequence[Answer]) -> int:
    """Record what arrived together, tried again where the database says so. If it fails for good, the leases end."""
    if not answers:
        return 0
    for is_last in (False, False, True):
        try:
            record_answers(answers=answers)
            return len(answers)
        except OperationalError as error:
            log.warning("record_webhooks_again", error=type(error).__name__)
            if is_last:
                break
        except Exception:
            log.exception("record_webhooks_failed")
            break
    return 0


@durable("record_webhooks")
def record_answers(*, answers: Sequence[Answer]) -> None:
    """Write down what came of each delivery, and let it speak for or against its endpoint."""
    now = clock.now()
    failed = [answer.message.endpoint_id for answer in answers if answer.error]
    answered = [answer.message.endpoint_id for answer in answers if not answer.error]
    endpoints = (  # locked before their deliveries, as everybody does
        WebhookEndpoint.objects.select_for_update(no_key=True)
        .filter(Q(pk__in=failed) | Q(pk__in=answered, failure_count__gt=0))
        .defer("secret", "previous_secret")
        .order_by("pk")
    )
    by_id = {endpoint.pk: endpoint for endpoint in endpoints}
    results = [(answer, *_judge(answer, now)) for answer in answers]
    _write(results, now)
    for answer, status, _ in results:
        if answer.message.endpoint_id in by_id:
            _note(by_id[answer.message.endpoint_id], answer, now)
        if status == DeliveryStatus.FAILED:
            _alert_undelivered(answer)
    for endpoint in by_id.values():
        endpoint.save(update_fields=["failure_count", "failing_since", "paused_until"])
        _draw_conclusion(endpoint, [answer for answer in answers if answer.message.endpoint_id == endpoint.pk], now)


def _judge(answer: Answer, now: datetime) -> tuple[str, datetime | None]:
    """The status that a delivery comes to, and when it is tried next if it stays pending."""
    delivery: WebhookDelivery = answer.message.tag
    if not answer.error:
        return DELIVERY.after(delivery.status, DeliveryEvent.DELIVER), None
    if answer.http_status == _GONE or delivery.attempt_count > len(policy.WEBHOOK_DELAYS_SECONDS):
        return DELIVERY.after(delivery.status, DeliveryEvent.FAIL), None
    jitter = random.uniform(1, 1 + policy.WEBHOOK_JITTER)  # noqa: S311
    delay = policy.WEBHOOK_DELAYS_SECONDS[delivery.attempt_count - 1] * jitter
    return delivery.status, now + timedelta(seconds=max(delay, answer.retry_after_seconds))


def _write(results: Sequence[tuple[Answer, str, datetime | None]], now: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            _RECORD,
            {
                "now": now,
                "pending": DeliveryStatus.PENDING,
                "delivered": DeliveryStatus.DELIVERED,
                "ids": [answer.message.tag.pk for answer, _, _ in results],
                "leases": [answer.message.tag.next_attempt_at for answer, _, _ in results],
                "statuses": [status for _, status, _ in results],
                "next": [next_attempt_at for _, _, next_attempt_at in results],
                "http_statuses": [answer.http_status for answer, _, _ in results],
                "errors": [answer.error for answer, _, _ in results],
                "durations": [answer.duration_ms for answer, _, _ in results],
            },
        )


def _note(endpoint: WebhookEndpoint, answer: Answer, now: datetime) -> None:
    if not answer.error:
        endpoint.failure_count, endpoint.failing_since = 0, None
        return
    endpoint.failure_count += 1
    endpoint.failing_since = endpoint.failing_since or now
    if answer.retry_after_seconds:
        pause = now + timedelta(seconds=answer.retry_after_seconds)
        endpoint.paused_until = max(endpoint.paused_until or pause, pause)


def _draw_conclusion(endpoint: WebhookEndpoint, answers: Sequence[Answer], now: datetime) -> None:
    """Disable an endpoint that says it is gone, or that has accepted nothing for days."""
    given_up_since = now - timedelta(seconds=policy.WEBHOOK_GIVE_UP_SECONDS)
    if any(answer.http_status == _GONE for answer in answers):
        reason = "It answered 410: it is gone."
    elif (
        endpoint.failing_since is not None
        and endpoint.failing_since <= given_up_since
        and endpoint.failure_count >= policy.WEBHOOK_FAILURES_TO_PACE
    ):
        reason = f"It has accepted nothing since {endpoint.failing_since:%Y-%m-%d}."
    else:
        return
    if endpoint.is_enabled:
        disable(endpoint_id=endpoint.pk, reason=reason, actor=_ACTOR)
        raise_alert(
            kind="webhook_endpoint_disabled",
            object_id=endpoint.public_id,
            message=f"A webhook endpoint was disabled. {reason}",
        )


def _alert_undelivered(answer: Answer) -> None:
    delivery: WebhookDelivery = answer.message.tag
    raise_alert(
        kind="webhook_not_delivered",
        object_id=public_id(WebhookEndpoint.PUBLIC_PREFIX, delivery.endpoint_id),
        message=f"Event {delivery.event.public_id} was not delivered: {answer.error}.",
    )
