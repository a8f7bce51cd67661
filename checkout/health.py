"""Are we well? For load balancers and people: alive, and ready to take a payment."""

from typing import Any

import redis
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, JsonResponse

from checkout.kit import clock
from payments import selectors


def live(request: HttpRequest) -> JsonResponse:
    """200 as long as the process answers."""
    return JsonResponse({"status": "live"})


def ready(request: HttpRequest) -> JsonResponse:
    """200 when a payment can be taken: the database answers. Redis away is only slower, and said."""
    parts: dict[str, Any] = {"database": "ok", "redis": "ok"}
    oldest_seconds = 0.0
    try:
        oldest = selectors.oldest_due_at()
        oldest_seconds = (clock.now() - oldest).total_seconds() if oldest else 0.0
    except Exception:
        parts["database"] = "unreachable"
    finally:
        connection.close()
    try:
        redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=0.3, socket_timeout=0.3).ping()
    except redis.RedisError:
        parts["redis"] = "unreachable"
    is_ready = parts["database"] == "ok"
    return JsonResponse(
        {"status": "ready" if is_ready else "not ready", **parts, "oldest_due_seconds": round(oldest_seconds, 1)},
        status=200 if is_ready else 503,
    )
