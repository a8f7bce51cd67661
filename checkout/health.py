"""Are we well? For load balancers and people: alive, and ready to take a payment."""

from typing import Any

import redis
from django.conf import settings
from django.http import HttpRequest, JsonResponse

from checkout.kit import clock, heartbeats
from checkout.settings import policy
from payments import selectors


def live(request: HttpRequest) -> JsonResponse:
    """200 as long as the process answers."""
    return JsonResponse({"status": "live"})


def ready(request: HttpRequest) -> JsonResponse:
    """200 when a payment can be taken: the database answers. `degraded` says what is slow or stands still meanwhile."""
    parts: dict[str, Any] = {"database": "ok", "redis": "ok"}
    degraded = []
    try:
        oldest = selectors.oldest_due_at()
        parts["oldest_due_seconds"] = round((clock.now() - oldest).total_seconds(), 1) if oldest else 0.0
        parts["heartbeats"] = heartbeats.ages()
        degraded += _late(parts["oldest_due_seconds"]) + _silent(parts["heartbeats"])
    except Exception:
        parts["database"] = "unreachable"
    try:
        redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=0.3, socket_timeout=0.3).ping()
    except redis.RedisError:
        parts["redis"] = "unreachable"
        degraded.append("Redis is unreachable: nobody is woken, and only the sweeper carries things out.")
    is_ready = parts["database"] == "ok"
    return JsonResponse(
        {"status": "ready" if is_ready else "not ready", "degraded": degraded, **parts},
        status=200 if is_ready else 503,
    )


def _late(oldest_due_seconds: float) -> list[str]:
    if oldest_due_seconds <= policy.RUN_WHEN_DUE_FOR_SECONDS:
        return []
    return [f"Attempts have been due for {oldest_due_seconds:.0f} s: outcomes come late."]


def _silent(ages: dict[str, float | None]) -> list[str]:
    """The kinds of process that nobody has heard of lately."""
    return [
        f"No {name} has been heard of" + ("." if age is None else f" for {age:.0f} s.")
        for name, age in ages.items()
        if age is None or age > policy.HEARTBEAT_OLD_SECONDS
    ]
