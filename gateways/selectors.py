"""What is true of gateways now?"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from checkout.kit import clock
from checkout.settings import policy
from gateways.errors import NoRoute
from gateways.models import Gateway, GatewayMaintenance, HealthCheck, Region, RegionGateway
from gateways.reach import Area, Network, Site
from gateways.routing import Candidate, Decision, RoutingQuestion, decide

_CANDIDATES = """
SELECT region.code, gateway.id, gateway.adapter,
    gateway.code, place.priority, gateway.mode, gateway.status, gateway.health_status,
    %(currency)s = ANY(gateway.currencies), %(method)s = ANY(gateway.payment_method_types),
    md5(concat_ws('|', place.priority, gateway.mode, gateway.status, gateway.currencies, gateway.payment_method_types)),
    gateway.stopped_reason,
    (
        SELECT json_object_agg(
            gateway_id, json_build_array(to_char(ends_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), reason)
            ORDER BY ends_at
        ) FROM gateways_gatewaymaintenance
        WHERE canceled_at IS NULL AND ends_at > %(now)s AND starts_at <= %(now)s
    )
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
        cursor.execute(
            _CANDIDATES,
            {"country": country, "currency": currency, "method": payment_method_type, "now": clock.now()},
        )
        rows = cursor.fetchall()
    maintenance = (rows[0][-1] or {}) if rows else {}  # the same in every row: asked for once, not for each
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
        [Candidate(*row[3:-1], *maintenance.get(str(row[1]), ())) for row in rows],
    )
    chosen = next((row for row in rows if row[3] == decision.chosen), None)
    return decision, Gateway(id=chosen[1], adapter=chosen[2], code=chosen[3]) if chosen else None


def route_or_refuse(**question: Any) -> tuple[Decision, Gateway]:
    """As `route`. Refuses: NoRoute."""
    decision, gateway = route(**question)
    if gateway is None:
        raise NoRoute(country=question["country"], currency=question["currency"])
    return decision, gateway


def watched_gateways() -> QuerySet[Gateway]:
    """The gateways whose health is watched: all that are not disabled."""
    return Gateway.objects.exclude(status=Gateway.Status.DISABLED)


def maintenances_to_come() -> QuerySet[GatewayMaintenance]:
    """The maintenance windows that are not over and not called off, those under way first."""
    return GatewayMaintenance.objects.filter(canceled_at=None, ends_at__gt=clock.now())


def maintenance_now() -> dict[Any, GatewayMaintenance]:
    """By gateway, the maintenance under way: of several the one that ends last, as `route` sees it. One query."""
    under_way = maintenances_to_come().filter(starts_at__lte=clock.now())
    return {window.gateway_id: window for window in under_way.order_by("ends_at")}


def network() -> Network:
    """All regions and gateways as they are now, for asking what a change would do. Four queries."""
    priorities: dict[Any, dict[str, int]] = defaultdict(dict)
    for region_id, gateway, priority in RegionGateway.objects.values_list("region_id", "gateway__code", "priority"):
        priorities[region_id][gateway] = priority
    maintenance = maintenance_now()
    return Network(
        areas={
            region.code: Area(frozenset(region.countries), region.is_everywhere_else, priorities[region.pk])
            for region in Region.objects.all()
        },
        sites={
            gateway.code: Site(
                mode=gateway.mode,
                status=gateway.status,
                health_status=gateway.health_status,
                currencies=frozenset(gateway.currencies),
                methods=frozenset(gateway.payment_method_types),
                stopped_reason=gateway.stopped_reason,
                **_facts_of(maintenance.get(gateway.pk)),
            )
            for gateway in Gateway.objects.defer("credentials")
        },
    )


def _facts_of(window: GatewayMaintenance | None) -> dict[str, str]:
    if window is None:
        return {}
    return {"maintenance_until": f"{window.ends_at:%Y-%m-%d %H:%M}", "maintenance_reason": window.reason}


def health_checks_to_forget(now: datetime | None = None) -> QuerySet[HealthCheck]:
    """Health history older than we keep it."""
    return HealthCheck.objects.filter(checked_at__lt=(now or clock.now()) - timedelta(days=policy.HEALTH_HISTORY_DAYS))
