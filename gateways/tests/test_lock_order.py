"""Does whoever agrees lock things in the order of whoever asks, so that neither ever waits for the other?"""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from checkout.kit import clock
from checkout.kit.actors import Actor
from checkout.kit.models import User
from gateways import services
from gateways.models import Gateway, Region
from gateways.regions import RegionPlan

OLIVIA, OSCAR = Actor.user("olivia"), Actor.user("oscar")
LOCKED = re.compile(r'FROM "(\w+)".* FOR (?:NO KEY )?UPDATE')


@pytest.fixture
def asked(make_gateway: Callable[..., Gateway]) -> dict[str, Any]:
    """What every request is told."""
    return {"reason": "as agreed", "maker": User.objects.create_user("olivia"), "actor": OLIVIA}


@pytest.fixture
def alps(make_gateway: Callable[..., Gateway]) -> Gateway:
    gateway = make_gateway("alps", mode="live")
    services.set_region(code="germany", name="Germany", countries=["DE"], priorities={"alps": 1}, actor=OLIVIA)
    return gateway


def enabling(alps: Gateway, asked: dict[str, Any]) -> Any:
    services.set_gateway_status(gateway=alps, status="draining", reason="x", actor=OLIVIA)
    return services.request_enable(gateway=alps, **asked)


def resuming(alps: Gateway, asked: dict[str, Any]) -> Any:
    services.stop_gateway(gateway=alps, reason="x", actor=OLIVIA)
    return services.request_resume(gateway=alps, **asked)


def rotating(alps: Gateway, asked: dict[str, Any]) -> Any:
    return services.request_rotation(gateway=alps, values={"api_key": "another-key"}, **asked)


def ending(alps: Gateway, asked: dict[str, Any]) -> Any:
    now = clock.now()
    window = services.plan_maintenance(
        gateway=alps, starts_at=now, ends_at=now + timedelta(hours=1), reason="x", actor=OLIVIA
    )
    return services.request_end_of_maintenance(window=window, **asked)


def rerouting(alps: Gateway, asked: dict[str, Any]) -> Any:
    region = Region.objects.get()
    before = RegionPlan.of(region)
    plan = RegionPlan("Germany", ("AT", "DE"), False, before.priorities)
    return services.request_region_change(region=region, plan=plan, base_version=before.version, **asked)


@pytest.mark.parametrize("request_it", [enabling, resuming, rotating, ending, rerouting])
def test_what_a_request_is_about_is_locked_before_the_request(
    alps: Gateway, asked: dict[str, Any], request_it: Callable[[Gateway, dict[str, Any]], Any]
) -> None:
    approval = request_it(alps, asked)
    checker = User.objects.create_user("oscar")

    with CaptureQueriesContext(connection) as queries:
        services.APPROVED[approval.kind](approval=approval, checker=checker, actor=OSCAR)

    locked = [found[1] for query in queries if (found := LOCKED.search(query["sql"]))]
    assert locked[0] in ("gateways_gateway", "gateways_region")
    assert "kit_approval" in locked[1:]
