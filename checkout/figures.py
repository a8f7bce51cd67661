"""What do we count? A table: each figure is a name, what it means, and one query whose rows are labels and a value.

Every query reads the new end of an index or a partial one, so that a scrape costs the same with a million payments. The
figures are those of the whole platform, whichever process is asked.
"""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import structlog
from django.db import Error, connection
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from checkout.kit import clock, heartbeats
from checkout.kit.ids import first_id_at
from checkout.settings import policy

log = structlog.get_logger(__name__)

_HOUR, _DAY = 3_600, 86_400
_IN_FLIGHT = "('created', 'sent', 'pending', 'unknown')"


@dataclass(frozen=True)
class Figure:
    """One gauge. `query` gives a row for each combination of labels, the value last; None is left out."""

    name: str
    meaning: str
    labels: tuple[str, ...]
    query: str
    cache_seconds: float = policy.METRICS_CACHE_SECONDS


FIGURES = (
    Figure(
        "checkout_payments_day",
        "Payments created in the last 24 hours, by status.",
        ("status",),
        "SELECT status, count(*) FROM payments_payment WHERE id >= %(day)s GROUP BY status",
        policy.METRICS_DAY_CACHE_SECONDS,
    ),
    Figure(
        "checkout_payments_in_flight",
        "Payments with an attempt that may still move money, by status.",
        ("status",),
        f"""
        SELECT status, count(*) FROM payments_payment
        WHERE id IN (SELECT payment_id FROM payments_attempt WHERE status IN {_IN_FLIGHT}) GROUP BY status
        """,  # noqa: S608
    ),
    Figure(
        "checkout_attempts_hour",
        "Attempts of the last hour, by gateway, operation and status.",
        ("gateway", "operation", "status"),
        """
        SELECT gateway.code, attempt.operation, attempt.status, count(*)
        FROM payments_attempt AS attempt JOIN gateways_gateway AS gateway ON gateway.id = attempt.gateway_id
        WHERE attempt.id >= %(hour)s GROUP BY 1, 2, 3
        """,
    ),
    Figure(
        "checkout_attempts_day",
        "Attempts of the last 24 hours, by gateway, operation and status.",
        ("gateway", "operation", "status"),
        """
        SELECT gateway.code, attempt.operation, attempt.status, count(*)
        FROM payments_attempt AS attempt JOIN gateways_gateway AS gateway ON gateway.id = attempt.gateway_id
        WHERE attempt.id >= %(day)s GROUP BY 1, 2, 3
        """,
        policy.METRICS_DAY_CACHE_SECONDS,
    ),
    Figure(
        "checkout_gateway_call_seconds",
        "How long calls took, by gateway and quantile: the last 1,000 of the last 15 minutes.",
        ("gateway", "quantile"),
        """
        SELECT gateway.code, quantile, percentile_cont(quantile) WITHIN GROUP (ORDER BY duration_ms) / 1000
        FROM gateways_gateway AS gateway CROSS JOIN unnest(ARRAY[0.5, 0.95, 0.99]) AS quantile CROSS JOIN LATERAL (
            SELECT started_at, duration_ms FROM gateways_gatewaycall
            WHERE gateway_id = gateway.id ORDER BY started_at DESC LIMIT 1000
        ) AS call
        WHERE call.started_at > %(now)s - interval '15 minutes' GROUP BY gateway.code, quantile
        """,
    ),
    Figure(
        "checkout_unknown_outcomes",
        "Attempts that nobody knows the outcome of, by gateway.",
        ("gateway",),
        """
        SELECT gateway.code, count(attempt.id) FROM gateways_gateway AS gateway LEFT JOIN payments_attempt AS attempt
            ON attempt.gateway_id = gateway.id AND attempt.status = 'unknown' GROUP BY gateway.code
        """,
    ),
    Figure(
        "checkout_unknown_oldest_seconds",
        "For how long the oldest unknown outcome has been unknown, by gateway; 0 without any.",
        ("gateway",),
        """
        SELECT gateway.code, coalesce(extract(epoch FROM %(now)s - min(attempt.sent_at)), 0)
        FROM gateways_gateway AS gateway LEFT JOIN payments_attempt AS attempt
            ON attempt.gateway_id = gateway.id AND attempt.status = 'unknown' GROUP BY gateway.code
        """,
    ),
    Figure(
        "checkout_due_attempts",
        "Attempts that are due now.",
        (),
        "SELECT count(*) FROM payments_attempt WHERE next_action_at <= %(now)s",
    ),
    Figure(
        "checkout_due_oldest_seconds",
        "For how long the longest waiting attempt has been due; 0 without any.",
        (),
        """
        SELECT coalesce(extract(epoch FROM %(now)s - min(next_action_at)), 0) FROM payments_attempt
        WHERE next_action_at <= %(now)s
        """,
    ),
    Figure(
        "checkout_notices",
        "Notices of gateways that wait, and those of the last day that are about nothing we know.",
        ("status",),
        """
        SELECT 'waiting', count(*) FROM gateways_notice WHERE status = 'waiting'
        UNION ALL
        SELECT 'unmatched', count(*) FILTER (WHERE status = 'unmatched' AND received_at > %(now)s - interval '1 day')
        FROM (SELECT status, received_at FROM gateways_notice ORDER BY id DESC LIMIT 5000) AS recent
        """,
    ),
    Figure(
        "checkout_webhook_backlog",
        "Events that are not yet deliveries, and deliveries that are due at enabled endpoints.",
        ("stage",),
        """
        SELECT 'event', count(*) FROM merchants_webhookevent WHERE dispatched_at IS NULL
        UNION ALL
        SELECT 'delivery', count(*) FROM merchants_webhookdelivery AS delivery
            JOIN merchants_webhookendpoint AS endpoint ON endpoint.id = delivery.endpoint_id
        WHERE delivery.status = 'pending' AND next_attempt_at <= %(now)s AND endpoint.status = 'enabled'
        """,
    ),
    Figure(
        "checkout_webhook_backlog_oldest_seconds",
        "For how long the longest waiting delivery at an enabled endpoint has been due; 0 without any.",
        (),
        """
        SELECT coalesce(extract(epoch FROM %(now)s - min(greatest(next_attempt_at, endpoint.paused_until))), 0)
        FROM merchants_webhookdelivery AS delivery
            JOIN merchants_webhookendpoint AS endpoint ON endpoint.id = delivery.endpoint_id
        WHERE delivery.status = 'pending' AND greatest(next_attempt_at, endpoint.paused_until) <= %(now)s
            AND endpoint.status = 'enabled'
        """,
    ),
    Figure(
        "checkout_gateway_healthy",
        "Whether an enabled gateway is healthy: 1 or 0.",
        ("gateway",),
        "SELECT code, (health_status = 'healthy')::int FROM gateways_gateway WHERE status = 'enabled'",
    ),
    Figure(
        "checkout_gateway_stopped",
        "Whether the self-audit keeps new payments from a gateway: 1 or 0.",
        ("gateway",),
        "SELECT code, (stopped_at IS NOT NULL)::int FROM gateways_gateway",
    ),
    Figure(
        "checkout_self_audit_green",
        "Whether the last self-audit found every invariant to hold: 1 or 0.",
        (),
        "SELECT (result = 'green')::int FROM payments_auditrun ORDER BY id DESC LIMIT 1",
    ),
    Figure(
        "checkout_self_audit_age_seconds",
        "How long ago the last self-audit began; infinite if there was none.",
        (),
        """
        SELECT coalesce(extract(epoch FROM %(now)s - started_at), 'Infinity')
        FROM (SELECT 1) AS always LEFT JOIN (
            SELECT started_at FROM payments_auditrun ORDER BY id DESC LIMIT 1
        ) AS run ON TRUE
        """,
    ),
    Figure(
        "checkout_self_audit_violations",
        "Objects that break an invariant, by the last self-audit; only for those that are broken.",
        ("invariant",),
        """
        SELECT finding->>'code', (finding->>'violations')::bigint
        FROM (SELECT findings FROM payments_auditrun ORDER BY id DESC LIMIT 1) AS run
            CROSS JOIN LATERAL jsonb_array_elements(run.findings) AS finding
        """,
    ),
    Figure(
        "checkout_heartbeat_age_seconds",
        "How long ago a process of that kind was heard of; infinite if never.",
        ("process",),
        """
        SELECT kind, coalesce(extract(epoch FROM %(now)s - max(beat_at)), 'Infinity')
        FROM unnest(%(kinds)s::text[]) AS kind LEFT JOIN kit_heartbeat AS heartbeat ON heartbeat.name = kind
        GROUP BY kind
        """,
    ),
    Figure(
        "checkout_processes",
        "Processes of that kind that were heard of lately.",
        ("process",),
        """
        SELECT kind, count(heartbeat.id)
        FROM unnest(%(kinds)s::text[]) AS kind LEFT JOIN kit_heartbeat AS heartbeat
            ON heartbeat.name = kind AND beat_at > %(now)s - %(old_seconds)s * interval '1 second'
        GROUP BY kind
        """,
    ),
    Figure(
        "checkout_alerts_open",
        "Alerts that nobody has acknowledged, by severity.",
        ("severity",),
        """
        SELECT level, count(alert.id)
        FROM unnest(ARRAY['warning', 'critical']) AS level LEFT JOIN kit_alert AS alert
            ON alert.severity = level AND alert.acknowledged_at IS NULL
        GROUP BY level
        """,
    ),
    Figure(
        "checkout_audit_broken",
        "Whether the last look at the chain of the audit found it changed, and nobody has acknowledged that.",
        (),
        "SELECT count(*) FROM kit_alert WHERE kind = 'audit_broken' AND acknowledged_at IS NULL",
    ),
)


class Figures(Collector):
    """Reads the figures when a scrape asks for them, each at most once in its cache time per process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, list[tuple[Any, ...]]]] = {}

    def describe(self) -> list[GaugeMetricFamily]:
        """What there is, without asking the database."""
        return [_family(figure) for figure in FIGURES]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """All figures; where the database does not answer, only that it does not."""
        began = time.monotonic()
        families = []
        is_up = True
        with self._lock:
            try:
                families = [self._read(figure) for figure in FIGURES]
            except Error as error:
                log.warning("figures_not_read", error=type(error).__name__)
                is_up = False
        yield from families
        up = GaugeMetricFamily("checkout_database_up", "Whether the database answers: 1 or 0.", value=int(is_up))
        took = GaugeMetricFamily(
            "checkout_figures_seconds", "How long it took to read all this.", value=time.monotonic() - began
        )
        yield from (up, took)

    def forget(self) -> None:
        """Drop what is cached."""
        with self._lock:
            self._kept.clear()

    def _read(self, figure: Figure) -> GaugeMetricFamily:
        expires, rows = self._kept.get(figure.name, (0.0, []))
        if time.monotonic() >= expires:
            with connection.cursor() as cursor:
                cursor.execute(figure.query, _given())
                rows = cursor.fetchall()
            self._kept[figure.name] = time.monotonic() + figure.cache_seconds, rows
        family = _family(figure)
        for *labels, value in rows:
            if value is not None:
                family.add_metric([str(label) for label in labels], float(value))
        return family


def _family(figure: Figure) -> GaugeMetricFamily:
    return GaugeMetricFamily(figure.name, figure.meaning, labels=figure.labels)


def _given() -> dict[str, Any]:
    return {
        "now": clock.now(),
        "hour": first_id_at(clock.seconds_from_now(-_HOUR)),
        "day": first_id_at(clock.seconds_from_now(-_DAY)),
        "kinds": list(heartbeats.KINDS),
        "old_seconds": policy.HEARTBEAT_OLD_SECONDS,
    }
