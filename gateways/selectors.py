"""What is true of gateways now?"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from checkout.kit import clock
from checkout.settings import policy
from gateways.errors import NoRoute
from gateways.models import Gateway, HealthCheck
from gateways.routing import Candidate, Decision, RoutingQuestion, decide

_CANDIDATES = """
SELECT region.code, gateway.id, gateway.adapter,
    gateway.code, place.priority, gateway.mode, gateway.status, gateway.health_status,
    %(currency)s = ANY(gateway.currencies), %(method)s = ANY(gateway.payment_method_types),
    md5(concat_ws('|', place.priority, gateway.mode, gateway.status, gateway.currencies, gateway.payment_method_types)),
    gateway.stopped_reason
FROM gateways_regiongateway AS place JOIN gateways_gateway AS gateway ON gateway.id = place.gateway_id
    JOIN gateways_region AS region ON region.id = place.region_id
WHERE region.id = (
    SELECT id FROM gateways_region WHERE %(country)s = ANY(countries) OR is_everywhere_else
    ORDER BY %(country)s = ANY(countries) DESC, code LIMIT 1
)
"""


def route(
    *, country: str, currency: str, mode: str, payment_method_type: str, amount_minor: int, tried: Sequence[str] = ()
) -> tuple[Decision, Gateway | None]:
    """Decide where a payment goes now: in the region that names its country, else in the one for everywhere else.

    One query. Returns the decision and the chosen gateway (not all of its columns), None where none is eligible.
    """
    with connection.cursor() as cursor:
        cursor.execute(_CANDIDATES, {"country": country, "currency": currency, "method": payment_method_type})
        rows = cursor.fetchall()
    decision = decide(
        RoutingQuestion(
            region=rows[0][0] if rows else "",
            country=country,
            currency=currency,
            mode=mode,
            payment_method_type=payment_method_type,
            amount_minor=amount_minor,
            tried=tuple(tried),
        ),
        [Candidate(*row[3:]) for row in rows],
    )
    chosen = next((row for row in rows if row[3] == decision.chosen), None)
    return decision, Gateway(id=chosen[1], adapter=chosen[2], code=chosen[3]) if chosen else None


def route_or_refuse(**question: Any) -> tuple[Decision, Gateway]:
    """As `route`. Refuses: NoRoute."""
    decision, gateway = route(**question)
    if gateway is None:
        raise NoRoute(country=question["country"], currency=question["currency"])
    return decision, gateway


def enabled_gateways() -> QuerySet[Gateway]:
    """The gateways whose health is watched."""
    return Gateway.objects.filter(status=Gateway.Status.ENABLED)


def health_checks_to_forget(now: datetime | None = None) -> QuerySet[HealthCheck]:
    """Health history older than we keep it."""
    return HealthCheck.objects.filter(checked_at__lt=(now or clock.now()) - timedelta(days=policy.HEALTH_HISTORY_DAYS))
