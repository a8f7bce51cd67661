"""Was this asked before? One merchant's key, one request, one object, one answer.

Follows draft-ietf-httpapi-idempotency-key-header. The row is written in the transaction that makes the object, and
the final answer is frozen into it, byte for byte, before it leaves.
"""

import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import OperationalError, connection
from psycopg.errors import LockNotAvailable

from checkout.kit import clock
from checkout.kit.durable import durable
from checkout.settings import policy
from payments.errors import IdempotencyKeyReused, RequestInFlight
from payments.models import IdempotencyKey

_CLAIM = """
INSERT INTO payments_idempotencykey
    (merchant_id, mode, key, fingerprint, object_id, answering_until, body, created_at)
VALUES (%s, %s, %s, %s, %s, %s, '', %s)
ON CONFLICT (merchant_id, mode, key) DO NOTHING
"""
_FREEZE = """
UPDATE payments_idempotencykey SET http_status = %s, body = %s
WHERE merchant_id = %s AND mode = %s AND key = %s AND http_status IS NULL
"""
_FREEZE_REFUSAL = """
INSERT INTO payments_idempotencykey
    (merchant_id, mode, key, fingerprint, answering_until, http_status, body, created_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (merchant_id, mode, key) DO NOTHING
"""
_RELEASE = """
UPDATE payments_idempotencykey SET answering_until = %s
WHERE merchant_id = %s AND mode = %s AND key = %s AND http_status IS NULL
"""


class KeyTaken(Exception):
    """The key is in use already; the transaction that tried to claim it must end."""


@dataclass(frozen=True)
class Claim:
    """One request's word for itself. `fingerprint` is keyed: it reveals nothing of the body."""

    merchant_id: Any
    mode: str
    key: str
    fingerprint: str = field(repr=False)

    @classmethod
    def of(cls, *, merchant_id: Any, mode: str, key: str, method: str, path: str, body: Any) -> "Claim":
        """The claim of a request with a JSON body; two bodies that mean the same are the same."""
        canonical = json.dumps([method, path, body], sort_keys=True, separators=(",", ":"))
        secret = settings.IDEMPOTENCY_FINGERPRINT_KEY.encode()
        return cls(merchant_id, mode, key, hmac.new(secret, canonical.encode(), hashlib.sha256).hexdigest())


def claim(word: Claim | None, *, object_id: Any) -> None:
    """Take the key for an object, as the first statement of the transaction that makes it.

    A request without a key (an operator's, a task's) claims nothing. Refuses: KeyTaken; RequestInFlight where the first
    request with the key has not committed for as long as we wait for a lock.
    """
    if word is None:
        return
    now = clock.now()
    until = clock.seconds_from_now(policy.ANSWERING_SECONDS)
    with connection.cursor() as cursor:
        try:
            cursor.execute(_CLAIM, [word.merchant_id, word.mode, word.key, word.fingerprint, object_id, until, now])
        except OperationalError as error:
            if isinstance(error.__cause__, LockNotAvailable):
                raise RequestInFlight() from error
            raise
        if cursor.rowcount == 0:
            raise KeyTaken


def earlier(word: Claim) -> IdempotencyKey | None:
    """The row of the request that used this key first; None if none has.

    Refuses: IdempotencyKeyReused for another request, RequestInFlight while the first is still being answered.
    """
    row = IdempotencyKey.objects.filter(merchant_id=word.merchant_id, mode=word.mode, key=word.key).first()
    if row is None:
        return None
    if not hmac.compare_digest(row.fingerprint, word.fingerprint):
        raise IdempotencyKeyReused()
    if row.http_status is None and row.answering_until > clock.now():
        raise RequestInFlight()
    return row


@durable("freeze")
def freeze(word: Claim, *, http_status: int, body: str) -> tuple[int, str]:
    """Keep the final answer under the key and return what is kept: the first frozen answer wins.

    Only a final 2xx or 4xx is kept; 202, 409 and 429 are not final, and a 5xx is nobody's answer. After a 202 the key
    is no longer in flight: whoever comes again learns the outcome.
    """
    if http_status in (409, 429) or http_status >= 500:
        return http_status, body
    with connection.cursor() as cursor:
        if http_status == 202:
            cursor.execute(_RELEASE, [clock.now(), word.merchant_id, word.mode, word.key])
            return http_status, body
        cursor.execute(_FREEZE, [http_status, body, word.merchant_id, word.mode, word.key])
        if cursor.rowcount:
            return http_status, body
    row = IdempotencyKey.objects.get(merchant_id=word.merchant_id, mode=word.mode, key=word.key)
    return row.http_status or http_status, row.body


@durable("freeze_refusal")
def freeze_refusal(word: Claim, *, http_status: int, body: str) -> IdempotencyKey | None:
    """Keep the answer to a request that made no object; returns the row of whoever took the key meanwhile, if anybody.

    Refuses: RequestInFlight while that one is still being answered.
    """
    if http_status in (409, 429) or http_status >= 500:
        return None
    now = clock.now()
    with connection.cursor() as cursor:
        cursor.execute(
            _FREEZE_REFUSAL,
            [word.merchant_id, word.mode, word.key, word.fingerprint, now, http_status, body, now],
        )
        if cursor.rowcount:
            return None
    return earlier(word)


def forget_old_keys() -> int:
    """Delete the keys that are past their time; returns how many."""
    limit = clock.seconds_from_now(-policy.IDEMPOTENCY_KEY_DAYS * 86_400)
    count, _ = IdempotencyKey.objects.filter(created_at__lt=limit).delete()
    return count
