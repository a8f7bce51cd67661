"""Can gateways and regions be configured rightly only, and is every change told without a secret?"""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from checkout.kit.actors import Actor
from checkout.kit.models import AuditEntry
from gateways.models import Gateway, Region, RegionGateway
from gateways.services import set_gateway_status, set_region

ACTOR = Actor.command("test")


def test_credentials_are_readable_by_us_and_shown_nowhere(acme: Gateway) -> None:
    assert Gateway.objects.get().secrets == {"api_key": "key-of-acme", "notice_secret": "notices-of-acme"}

    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(g)::text FROM gateways_gateway g")
        raw = cursor.fetchone()[0]
        cursor.execute("SELECT row_to_json(h)::text FROM gateways_historicalgateway h")
        history = cursor.fetchone()[0]
    audit = repr(list(AuditEntry.objects.values()))
    for text in (raw, history, audit, repr(acme), repr(vars(acme).get("history"))):
        assert "key-of-acme" not in text


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"code": "Has Spaces"}, "code"),
        ({"adapter": "no_such_adapter"}, "adapter"),
        ({"mode": "real"}, "mode"),
        ({"base_url": "not an address"}, "base_url"),
        ({"currencies": ["EUR", "XXX"]}, "currencies"),
        ({"call_timeout_seconds": 60}, "call_timeout_seconds"),
        ({"connect_timeout_seconds": 0}, "connect_timeout_seconds"),
        ({"fee_bps": 10_001}, "fee_bps"),
        ({"code": "acme"}, "code"),
    ],
)
def test_a_gateway_that_cannot_be_is_refused_and_leaves_no_trace(
    make_gateway: Callable[..., Gateway], acme: Gateway, fields: dict[str, Any], param: str
) -> None:
    before = AuditEntry.objects.count()

    with pytest.raises(ValidationError) as refused:
        make_gateway(**{"code": "other", **fields})

    assert list(refused.value.message_dict) == [param]
    assert (Gateway.objects.count(), AuditEntry.objects.count()) == (1, before)


def test_enabling_and_disabling_is_told_with_its_reason(acme: Gateway) -> None:
    set_gateway_status(gateway=acme, status="disabled", reason="they change their API tonight", actor=ACTOR)

    assert Gateway.objects.get().status == "disabled"
    entry = AuditEntry.objects.get(verb="gateway.set_status")
    assert (entry.before, entry.after, entry.reason) == (
        {"status": "enabled"},
        {"status": "disabled"},
        "they change their API tonight",
    )
    with pytest.raises(ValueError, match="gone"):
        set_gateway_status(gateway=acme, status="gone", reason="", actor=ACTOR)


def region(code: str, *countries: str, **options: Any) -> Region:
    return set_region(code=code, name=code.title(), countries=countries, actor=ACTOR, **options)


@pytest.mark.parametrize(
    ("countries", "options", "complaint"),
    [
        (("XX",), {}, "Not ISO 3166-1"),
        (("de",), {}, "Not ISO 3166-1"),
        (("FR", "DE"), {}, "Already in another region: DE"),
        (("BR",), {"is_everywhere_else": True}, "leave this empty"),
    ],
)
def test_a_region_that_cannot_be_is_refused(
    db: None, countries: tuple[str, ...], options: dict[str, Any], complaint: str
) -> None:
    region("europe", "DE")

    with pytest.raises(ValidationError, match=complaint):
        region("other", *countries, **options)

    assert list(Region.objects.values_list("code", flat=True)) == ["europe"]


def test_there_is_one_everywhere_else(db: None) -> None:
    region("elsewhere", is_everywhere_else=True)

    with pytest.raises(ValidationError):
        region("elsewhere-too", is_everywhere_else=True)


def test_the_gateways_of_a_region_are_set_as_a_whole_or_left_alone(make_gateway: Callable[..., Gateway]) -> None:
    make_gateway("north")
    make_gateway("south")
    region("europe", "DE", priorities={"north": 1, "south": 2})
    region("europe", "DE", "FR")

    def places() -> dict[str, int]:
        return dict(RegionGateway.objects.values_list("gateway__code", "priority"))

    assert places() == {"north": 1, "south": 2}
    region("europe", "DE", "FR", priorities={"south": 1})
    assert places() == {"south": 1}
    assert Region.objects.get().countries == ["DE", "FR"]
