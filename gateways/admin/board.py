"""How are the gateways doing today? One row for each, from their own calls, in one query."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from checkout.kit import clock
from checkout.kit.display import EMPTY, duration, percentage

# The newest calls of each gateway are looked at through the index, so a busy day costs no more than a quiet one.
CALLS_LOOKED_AT = 5_000

_FIGURES = """
SELECT gateway.id, calls.calls, calls.good, calls.declined, calls.failed, calls.median_ms
FROM gateways_gateway gateway
LEFT JOIN LATERAL (
    SELECT count(*) AS calls,
        count(*) FILTER (WHERE outcome = 'succeeded') AS good,
        count(*) FILTER (WHERE outcome = 'declined') AS declined,
        count(*) FILTER (WHERE outcome IN ('unknown', 'not_sent')) AS failed,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY duration_ms) AS median_ms
    FROM (
        SELECT outcome, duration_ms, started_at FROM gateways_gatewaycall
        WHERE gateway_id = gateway.id ORDER BY id DESC LIMIT %s
    ) latest WHERE started_at >= %s
) calls ON true
"""


@dataclass(frozen=True)
class Figures:
    """What a gateway's calls of today came to; the median is in milliseconds."""

    call_count: int = 0
    succeeded_count: int = 0
    declined_count: int = 0
    failed_count: int = 0
    median_ms: float | None = None

    @property
    def calls(self) -> str:
        """How many calls there were, of the newest that are looked at."""
        return f"{CALLS_LOOKED_AT:,}+" if self.call_count >= CALLS_LOOKED_AT else f"{self.call_count:,}"

    @property
    def success(self) -> str:
        """The share of calls that succeeded."""
        return percentage(self.succeeded_count, self.call_count)

    @property
    def failures(self) -> str:
        """The share of calls without a trustworthy answer."""
        return percentage(self.failed_count, self.call_count)

    @property
    def latency(self) -> str:
        """The median duration of a call."""
        return duration(self.median_ms) if self.call_count else EMPTY


def midnight() -> datetime:
    """When today began, in UTC."""
    return clock.now().replace(hour=0, minute=0, second=0, microsecond=0)


def figures_today() -> dict[Any, Figures]:
    """The figures of every gateway by its key, since midnight UTC. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_FIGURES, [CALLS_LOOKED_AT, midnight()])
        return {key: Figures(*figures) for key, *figures in cursor.fetchall()}
