"""How are the gateways doing? From the newest calls and checks of each, so a busy day costs as a quiet one."""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from checkout.kit import clock
from checkout.kit.display import EMPTY, age, duration, percentage
from gateways import selectors
from gateways.models import Gateway, GatewayMaintenance, HealthCheck
from gateways.plain import said, said_when_checked

CALLS_LOOKED_AT = 2_000  # of each gateway
SHARED_OUT = 10_000  # of all gateways: whose calls these are is each one's share
CHECKS_SECONDS = 300  # checks that are shown one by one
BAD_CHECKS_SECONDS = 3_600  # and those that failed
CHECKS_DRAWN = 24
HOURS_DRAWN = 24
CALLS_PER_HOUR = 500  # of one gateway's hour: what its success and latency are taken from

_FIGURES = """
WITH newest AS MATERIALIZED (
    SELECT call.* FROM gateways_gateway gateway CROSS JOIN LATERAL (
        SELECT id, gateway_id, operation, outcome, started_at, duration_ms, http_status, error, detail
        FROM gateways_gatewaycall WHERE gateway_id = gateway.id ORDER BY started_at DESC LIMIT %(calls)s
    ) call
), counted AS (
    SELECT gateway_id,
        count(*) AS calls,
        count(*) FILTER (WHERE outcome IN ('unknown', 'not_sent')) AS failed,
        count(*) FILTER (WHERE outcome = 'succeeded' AND operation = 'authorize') AS approved_charges,
        count(*) FILTER (WHERE outcome = 'declined' AND operation = 'authorize') AS declined_charges,
        percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY duration_ms) AS latencies
    FROM newest WHERE started_at >= %(since)s GROUP BY gateway_id
), shared AS (
    SELECT gateway_id, count(*) AS charges FROM (
        SELECT gateway_id, operation, started_at FROM gateways_gatewaycall ORDER BY id DESC LIMIT %(shared)s
    ) call WHERE operation = 'authorize' AND started_at >= %(since)s GROUP BY gateway_id
), failure AS (
    SELECT DISTINCT ON (gateway_id) * FROM newest
    WHERE error <> '' OR http_status IN (401, 403, 429) OR http_status >= 500
        OR outcome = 'unknown' AND operation <> 'fetch'
    ORDER BY gateway_id, started_at DESC, id DESC
)
SELECT gateway.id, gateway.mode,
    coalesce(calls, 0), coalesce(failed, 0), coalesce(approved_charges, 0), coalesce(declined_charges, 0),
    latencies[1], latencies[2], coalesce(charges, 0),
    failure.started_at, failure.outcome, http_status, error, duration_ms, detail
FROM gateways_gateway gateway
LEFT JOIN counted ON counted.gateway_id = gateway.id
LEFT JOIN shared ON shared.gateway_id = gateway.id
LEFT JOIN failure ON failure.gateway_id = gateway.id
"""

_CHECKS = """
SELECT * FROM gateways_healthcheck
WHERE checked_at > %(bad_since)s AND (NOT is_good OR checked_at > %(since)s) ORDER BY checked_at, id
"""

_HOURS = """
SELECT hours.began, counted.calls, looked.*
FROM generate_series(%(since)s::timestamptz, %(until)s, interval '1 hour') AS hours (began)
CROSS JOIN LATERAL (
    SELECT count(*) AS calls FROM gateways_gatewaycall
    WHERE gateway_id = %(gateway)s AND started_at >= hours.began AND started_at < hours.began + interval '1 hour'
) counted
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE outcome = 'succeeded'), count(*) FILTER (WHERE outcome = 'declined'), count(*),
        percentile_cont(0.5) WITHIN GROUP (ORDER BY duration_ms),
        percentile_cont(0.95) WITHIN GROUP (ORDER BY duration_ms)
    FROM (
        SELECT outcome, duration_ms FROM gateways_gatewaycall
        WHERE gateway_id = %(gateway)s AND started_at >= hours.began AND started_at < hours.began + interval '1 hour'
        ORDER BY started_at DESC LIMIT %(calls)s
    ) newest
) looked
ORDER BY hours.began
"""


@dataclass(frozen=True)
class Trouble:
    """The last thing that went wrong at a gateway: when, and in plain words what."""

    at: datetime
    said: str

    @property
    def ago(self) -> str:
        """How long ago it was."""
        return f"{age(self.at)} ago"


@dataclass(frozen=True)
class Figures:
    """What a gateway's newest calls of today came to; latencies are in milliseconds. A charge is an authorization."""

    call_count: int = 0
    failed_count: int = 0
    approved_charge_count: int = 0
    declined_charge_count: int = 0
    median_ms: float | None = None
    p95_ms: float | None = None
    shared_count: int = 0
    shared_of: int = 0  # by all gateways of the mode
    trouble: Trouble | None = None
    checks: list[HealthCheck] = field(default_factory=list)  # oldest first
    windows: list[GatewayMaintenance] = field(default_factory=list)  # not over, in their order
    unknown_count: int = 0
    unknown_address: str = ""

    @property
    def calls(self) -> str:
        """How many calls there were, of the newest that are looked at."""
        return f"{CALLS_LOOKED_AT:,}+" if self.call_count >= CALLS_LOOKED_AT else f"{self.call_count:,}"

    @property
    def success(self) -> str:
        """The share of decided charges that were approved."""
        return percentage(self.approved_charge_count, self.approved_charge_count + self.declined_charge_count)

    @property
    def share(self) -> str:
        """Which part of the mode's newest charges went there."""
        return percentage(self.shared_count, self.shared_of)

    @property
    def latency(self) -> str:
        """The median duration of a call."""
        return duration(self.median_ms) if self.call_count else EMPTY

    @property
    def p95(self) -> str:
        """What 95 of 100 calls took at the most."""
        return duration(self.p95_ms) if self.call_count else EMPTY

    @property
    def maintenance(self) -> GatewayMaintenance | None:
        """The window that is under way, if there is one."""
        now = clock.now()
        return max((w for w in self.windows if w.starts_at <= now), key=lambda w: w.ends_at, default=None)


_unknowns: Callable[[], Mapping[Any, tuple[int, str]]] = dict


def ask_unknowns_of(count: Callable[[], Mapping[Any, tuple[int, str]]]) -> None:
    """Say who counts the outcomes that nobody knows: by a gateway's key how many, and the list that shows them.

    Payments cannot be seen from here, so whoever sees them lends us the question.
    """
    global _unknowns
    _unknowns = count


def midnight() -> datetime:
    """When today began, in UTC."""
    return clock.now().replace(hour=0, minute=0, second=0, microsecond=0)


def figures_today() -> dict[Any, Figures]:
    """The figures of every gateway by its key, since midnight UTC. Four queries."""
    asked: dict[str, Any] = {"shared": SHARED_OUT, "calls": CALLS_LOOKED_AT, "since": midnight()}
    with connection.cursor() as cursor:
        cursor.execute(_FIGURES, asked)
        rows = cursor.fetchall()
    shared_of: dict[str, int] = defaultdict(int)
    for row in rows:
        shared_of[row[1]] += row[8]
    checks, windows, unknowns = _checks(), _windows(), _unknowns()
    figures = {}
    for key, mode, *counts in rows:
        unknown_count, unknown_address = unknowns.get(key, (0, ""))
        figures[key] = replace(
            Figures(*counts[:7]),
            shared_of=shared_of[mode],
            trouble=_trouble(counts[7:], checks[key]),
            checks=checks[key][-CHECKS_DRAWN:],
            windows=windows[key],
            unknown_count=unknown_count,
            unknown_address=unknown_address,
        )
    return figures


def standing_of(gateway: Gateway, figures: Figures) -> str:
    """Whether new payments are sent there: enabled, draining, disabled, stopped, or in maintenance."""
    if gateway.is_stopped:
        return "stopped"
    is_in_maintenance = gateway.status == Gateway.Status.ENABLED and figures.maintenance
    return "maintenance" if is_in_maintenance else str(gateway.status)


def hours_of(gateway: Gateway) -> dict[str, str]:
    """The calls of the last hours, and how long they took, as the chart component wants them; empty without any.

    What came of a busy hour's calls is that of the newest of them, scaled. One query.
    """
    now = clock.now().replace(minute=0, second=0, microsecond=0)
    asked: dict[str, Any] = {"since": now - timedelta(hours=HOURS_DRAWN - 1), "until": now, "gateway": gateway.pk}
    with connection.cursor() as cursor:
        cursor.execute(_HOURS, {**asked, "calls": CALLS_PER_HOUR})
        rows = cursor.fetchall()
    if not any(row[1] for row in rows):
        return {}
    labels = [f"{began:%H}:00" for began, *_ in rows]
    counts: dict[str, list[int]] = {"succeeded": [], "declined": [], "neither": []}
    for _, calls, succeeded, declined, looked, *_ in rows:
        parts = [round(calls * part / looked) if looked else 0 for part in (succeeded, declined)]
        for name, count in zip(counts, [*parts, calls - sum(parts)], strict=True):
            counts[name].append(count)
    bars = {"displayYAxis": True, "maxTicksXLimit": 12, "borderRadius": 2, "maxBarThickness": 14, "stack": "calls"}
    dots = {"pointStyle": "circle", "pointRadius": 2}  # an hour between two without calls has no line
    line = {"displayYAxis": True, "maxTicksXLimit": 12, "borderWidth": 2, "spanGaps": True, **dots}
    return {
        "calls": _chart(labels, bars, zip(counts, counts.values(), ("good", "bad", "6"), strict=True)),
        "latency": _chart(labels, line, [("p50", [r[5] for r in rows], "1"), ("p95", [r[6] for r in rows], "2")]),
    }


def _chart(labels: list[str], look: dict[str, Any], sets: Any) -> str:
    datasets = [
        {
            "label": label,
            "data": data,
            "backgroundColor": f"var(--chart-{c})",
            "borderColor": f"var(--chart-{c})",
            **look,
        }
        for label, data, c in sets
    ]
    return json.dumps({"labels": labels, "datasets": datasets})


def _checks() -> dict[Any, list[HealthCheck]]:
    """The latest checks and those of the last hour that failed, oldest first."""
    since = {"since": -CHECKS_SECONDS, "bad_since": -BAD_CHECKS_SECONDS}
    found: dict[Any, list[HealthCheck]] = defaultdict(list)
    for check in HealthCheck.objects.raw(_CHECKS, {name: clock.seconds_from_now(s) for name, s in since.items()}):
        found[check.gateway_id].append(check)
    return found


def _windows() -> dict[Any, list[GatewayMaintenance]]:
    found: dict[Any, list[GatewayMaintenance]] = defaultdict(list)
    for window in selectors.maintenances_to_come():
        found[window.gateway_id].append(window)
    return found


def _trouble(failure: Sequence[Any], checks: list[HealthCheck]) -> Trouble | None:
    """The newer of the last call that failed and the last check that did."""
    found = []
    if failure[0] is not None:
        at, outcome, http_status, error, duration_ms, detail = failure
        words = said(outcome=outcome, http_status=http_status, error=error, duration_ms=duration_ms, detail=detail)
        found.append(Trouble(at, words))
    bad = next((check for check in reversed(checks) if not check.is_good), None)
    if bad is not None:
        found.append(Trouble(bad.checked_at, said_when_checked(bad)))
    return max(found, key=lambda trouble: trouble.at, default=None)
