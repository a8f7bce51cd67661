"""What is true of merchants, their keys and their webhooks now?"""

import hmac
import re
import threading
import time
import uuid
import zlib
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet

from checkout.kit import clock
from checkout.kit.fields import keyed_hash
from checkout.kit.ids import base62, first_id_at, parse_public_id
from checkout.settings import policy
from merchants.errors import KeyRefused
from merchants.models import ApiKey, Merchant, WebhookDelivery, WebhookEndpoint, WebhookEvent
from merchants.statuses import DeliveryStatus

_KEY_SHAPE = re.compile(r"sk_(test|live)_[0-9A-Za-z]{40}[0-9A-Za-z]{6}\Z", re.ASCII)
PREFIX_LENGTH = len("sk_test_") + 12

# A recursive CTE that hops through an index from endpoint to endpoint, however many deliveries each one has.
ENDPOINTS_WITH_PENDING_DELIVERIES = """
waiting(endpoint_id) AS (
    (SELECT endpoint_id FROM merchants_webhookdelivery WHERE status = 'pending' ORDER BY endpoint_id LIMIT 1)
    UNION ALL
    SELECT (
        SELECT endpoint_id FROM merchants_webhookdelivery
        WHERE status = 'pending' AND endpoint_id > waiting.endpoint_id ORDER BY endpoint_id LIMIT 1
    )
    FROM waiting WHERE waiting.endpoint_id IS NOT NULL
)
"""
_WEBHOOKS_DUE_SINCE = f"""
WITH RECURSIVE {ENDPOINTS_WITH_PENDING_DELIVERIES}, due(since) AS (
    (SELECT created_at FROM merchants_webhookevent WHERE dispatched_at IS NULL ORDER BY id LIMIT 1)
    UNION ALL
    (SELECT created_at FROM merchants_webhookredelivery WHERE finished_at IS NULL ORDER BY id LIMIT 1)
    UNION ALL
    SELECT GREATEST(endpoint.paused_until, (
        SELECT next_attempt_at FROM merchants_webhookdelivery
        WHERE status = 'pending' AND endpoint_id = endpoint.id ORDER BY next_attempt_at LIMIT 1
    ))
    FROM waiting JOIN merchants_webhookendpoint AS endpoint ON endpoint.id = waiting.endpoint_id
    WHERE endpoint.status = %(enabled)s
)
SELECT min(since) FROM due WHERE since <= %(now)s
"""  # noqa: S608

TEST_EVENT = "webhook_endpoint.test"
_SLACK = timedelta(minutes=1)  # between an event's id and its time, whichever was taken first

_cache: dict[str, tuple[float, ApiKey]] = {}
_cache_lock = threading.Lock()


def key_checksum(body: str) -> str:
    """The six base-62 digits at a key's end (CRC-32): a mistyped key is refused without asking the database."""
    return base62(zlib.crc32(body.encode()), 6)


def hash_of_key(secret: str) -> str:
    """The keyed hash under which a key's secret is stored."""
    return keyed_hash(settings.API_KEY_HASH_KEY, secret)


def api_key_of(secret: str) -> ApiKey:
    """The live key behind a secret, with its merchant; remembered for a second at most. Refuses: KeyRefused."""
    if not _KEY_SHAPE.match(secret) or key_checksum(secret[:-6]) != secret[-6:]:
        raise KeyRefused()
    hashed = hash_of_key(secret)
    key = _remembered(hashed)
    if key is None:
        key = ApiKey.objects.select_related("merchant").filter(prefix=secret[:PREFIX_LENGTH]).first()
        if key is None or not hmac.compare_digest(key.hash, hashed):
            raise KeyRefused()
        with _cache_lock:
            if len(_cache) > 10_000:
                _cache.clear()
            _cache[hashed] = (time.monotonic() + policy.KEY_CACHE_SECONDS, key)
    if key.revoked_at is not None:
        raise KeyRefused("The API key has been revoked.", "key_revoked")
    if key.expires_at is not None and key.expires_at <= clock.now():
        raise KeyRefused("The API key has expired.", "key_expired")
    return key


def _remembered(hashed: str) -> ApiKey | None:
    entry = _cache.get(hashed)
    return entry[1] if entry is not None and entry[0] > time.monotonic() else None


def forget_keys() -> None:
    """Drop what this process remembers of keys."""
    _cache.clear()


def merchant_by_public_id(public_id: str) -> Merchant | None:
    """A merchant by its outside name."""
    key = parse_public_id(Merchant.PUBLIC_PREFIX, public_id)
    return Merchant.objects.filter(pk=key).first() if key else None


def merchants_with_keys() -> QuerySet[Merchant]:
    """Every merchant by name, with its keys, newest first. Two queries."""
    return Merchant.objects.prefetch_related("api_keys")


def api_key_named(name: str) -> ApiKey | None:
    """A key, revoked or not, by its prefix or its outside name, with its merchant."""
    by_name = Q(prefix=name) | Q(pk=parse_public_id(ApiKey.PUBLIC_PREFIX, name))
    return ApiKey.objects.select_related("merchant").filter(by_name).first()


def is_use_worth_noting(key: ApiKey, now: datetime) -> bool:
    """Whether the key's last use is older than the resolution we keep it at."""
    if key.last_used_at is None:
        return True
    return (now - key.last_used_at).total_seconds() >= policy.KEY_LAST_USED_RESOLUTION_SECONDS


def webhooks_due_since() -> datetime | None:
    """Since when something has been waiting to be told to a merchant; None if nothing is due."""
    with connection.cursor() as cursor:
        cursor.execute(_WEBHOOKS_DUE_SINCE, {"enabled": WebhookEndpoint.Status.ENABLED, "now": clock.now()})
        since: datetime | None = cursor.fetchone()[0]
    return since


def ids_between(since: datetime, until: datetime) -> tuple[uuid.UUID, uuid.UUID]:
    """Between which ids lie those of the events made from `since` up to before `until`, and few others."""
    return first_id_at(since - _SLACK), first_id_at(until + _SLACK)


def count_missed(endpoint: WebhookEndpoint, *, since: datetime, until: datetime, at_most: int) -> int:
    """How many events of that time an endpoint wants to hear and has not got; one more than `at_most` means more."""
    first, last = ids_between(since, until)
    events = WebhookEvent.objects.filter(
        merchant=endpoint.merchant_id,
        mode=endpoint.mode,
        id__gte=first,
        id__lt=last,
        created_at__gte=since,
        created_at__lt=until,
        dispatched_at__isnull=False,
    ).exclude(type=TEST_EVENT)
    if endpoint.event_types:
        events = events.filter(type__in=endpoint.event_types)
    got = WebhookDelivery.objects.filter(
        event=OuterRef("pk"), endpoint=endpoint, status__in=[DeliveryStatus.PENDING, DeliveryStatus.DELIVERED]
    )
    return events.filter(~Exists(got)).order_by()[: at_most + 1].count()
