"""What is true of gateways now?"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet

from checkout.kit import clock
from checkout.settings import policy
from gateways.errors import NoRoute
from gateways.models import Gateway, HealthCheck, Region, RegionGateway
from gateways.routing import Candidate, Decision, RoutingQuestion, decide


def region_of(country: str) -> Region | None:
    """The region that names a country, else the one for everywhere else, if there is one."""
    regions = Region.objects.filter(Q(countries__contains=[country]) | Q(is_everywhere_else=True))
    return regions.order_by("is_everywhere_else", "code").first()


def route(
    *, country: str, currency: str, mode: str, payment_method_type: str, amount_minor: int, tried: Sequence[str] = ()
) -> tuple[Decision, Gateway | None]:
    """Decide where a payment goes now. Two queries.

    Returns the decision and the chosen gateway (not all of its columns), None where no gateway is eligible.
    """
    region = region_of(country)
    rows = (
        RegionGateway.objects.filter(region=region)
        .select_related("gateway")
        .only(
            "priority",
            *(
                f"gateway__{name}"
                for name in ("code", "adapter", "mode", "status", "health_status", "currencies", "payment_method_types")
            ),
        )
        if region
        else []
    )
    gateways = {row.gateway.code: row.gateway for row in rows}
    decision = decide(
        RoutingQuestion(
            region=region.code if region else "",
            country=country,
            currency=currency,
            mode=mode,
            payment_method_type=payment_method_type,
            amount_minor=amount_minor,
            tried=tuple(tried),
        ),
        [candidate_of(row) for row in rows],
    )
    return decision, gateways.get(decision.chosen) if decision.chosen else None


def route_or_refuse(**question: Any) -> tuple[Decision, Gateway]:
    """As `route`. Refuses: NoRoute."""
    decision, gateway = route(**question)
    if gateway is None:
        raise NoRoute(country=question["country"], currency=question["currency"])
    return decision, gateway


def candidate_of(row: RegionGateway) -> Candidate:
    """What routing needs to know of a gateway in a region."""
    gateway = row.gateway
    return Candidate(
        gateway=gateway.code,
        priority=row.priority,
        mode=gateway.mode,
        status=gateway.status,
        health_status=gateway.health_status,
        currencies=tuple(gateway.currencies),
        payment_method_types=tuple(gateway.payment_method_types),
    )


def gateways_by_id(keys: Iterable[Any]) -> dict[Any, Gateway]:
    """Configured gateways by key, in one query."""
    return Gateway.objects.in_bulk(list(set(keys)))


def enabled_gateways() -> QuerySet[Gateway]:
    """The gateways whose health is watched."""
    return Gateway.objects.filter(status=Gateway.Status.ENABLED)


def health_checks_to_forget(now: datetime | None = None) -> QuerySet[HealthCheck]:
    """Health history older than we keep it."""
    return HealthCheck.objects.filter(
        checked_at__lt=(now or clock.now()) - timedelta(days=policy.HEALTH_HISTORY_DAYS)
    )
