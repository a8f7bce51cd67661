"""What does a monitoring system see? One page in the Prometheus text format.

What the platform counts comes from the database, the same from every process (`figures.py`); how long requests took is
known to each web process alone, and labelled with its `pid`. Whoever scrapes must be near, or show METRICS_TOKEN.
"""

import hmac
import ipaddress
import os
import time
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from django.views.decorators.http import require_GET
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from checkout.figures import Figures

disable_created_metrics()
REGISTRY = CollectorRegistry()
FIGURES = Figures()
REGISTRY.register(FIGURES)
_REQUEST_SECONDS = Histogram(
    "checkout_request_seconds",
    "How long requests took in one web process, waiting for outcomes included.",
    ("method", "route", "http_status", "pid"),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 27),
    registry=REGISTRY,
)
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_FORWARDED = ("HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP")


class RequestTimer:
    """Times every request, by the template of its route: ids in addresses would make a series of each."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        began = time.perf_counter()
        response = self.get_response(request)
        method = request.method if request.method in _METHODS else "other"
        route = request.resolver_match.route if request.resolver_match else ""
        _REQUEST_SECONDS.labels(method, route, response.status_code, os.getpid()).observe(time.perf_counter() - began)
        return response


@require_GET
def metrics(request: HttpRequest) -> HttpResponse:
    """The page; 403 for whoever is neither near nor knows the token."""
    if not _may_scrape(request):
        return HttpResponseForbidden(
            "Metrics are for the own network, or for METRICS_TOKEN.\n", content_type="text/plain"
        )
    return HttpResponse(generate_latest(REGISTRY), content_type=CONTENT_TYPE_LATEST)


def _may_scrape(request: HttpRequest) -> bool:
    """By the token; else by the address, unless a proxy stands between: its own address says nothing of who asks."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if settings.METRICS_TOKEN and scheme.lower() == "bearer":
        return hmac.compare_digest(token.strip().encode(), settings.METRICS_TOKEN.encode())
    if any(name in request.META for name in _FORWARDED):
        return False
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_private
    except ValueError:
        return False
