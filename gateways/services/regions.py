"""Where are payments sent, and in which order? A change is looked at before it is saved, and again when it is."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import transaction

from checkout.kit import approvals, audit
from checkout.kit.actors import Actor
from checkout.kit.durable import durable
from checkout.kit.ids import parse_public_id
from checkout.kit.models import Approval, User
from checkout.kit.modes import Mode
from gateways import selectors
from gateways.errors import NothingToChange, RegionChanged, SecondPersonNeeded
from gateways.models import Gateway, Region, RegionGateway
from gateways.reach import Preview, compare, count_countries
from gateways.regions import RegionPlan
from gateways.services.standing import agreed

CHANGE = "region.change"


@transaction.atomic
def set_region(
    *,
    code: str,
    name: str,
    actor: Actor,
    countries: Iterable[str] = (),
    is_everywhere_else: bool = False,
    priorities: Mapping[str, int] | None = None,
) -> Region:
    """Set a region up: its countries (ISO 3166-1 alpha-2) and the priority of each gateway, by code.

    Whoever has the machine may; people at the desk use `change_region`. Refuses: django ValidationError for a country
    that is no country or belongs to another region.
    """
    region = Region.objects.filter(code=code).first() or Region(code=code)
    places = RegionPlan.of(region).priorities if priorities is None else dict(priorities)
    _write(region, RegionPlan(name, tuple(sorted(countries)), is_everywhere_else, places))
    audit.record(
        actor=actor, verb="region.set", obj=region, after={"countries": region.countries, "priorities": priorities}
    )
    return region


@transaction.atomic
def create_region(*, code: str, name: str, actor: Actor) -> Region:
    """Make a region that names no country and no gateway yet, so no payment goes elsewhere by it.

    Refuses: django ValidationError.
    """
    return set_region(code=code, name=name, actor=actor)


@transaction.atomic
def change_region(*, region: Region, plan: RegionPlan, base_version: str, reason: str, actor: Actor) -> Region:
    """Change a region from what was looked at, which `base_version` names, to what is planned.

    Refuses: RegionChanged, NothingToChange, SecondPersonNeeded, django ValidationError.
    """
    region = _locked(region)
    _require_version(region, base_version)
    if needs_second_person(region, plan):
        raise SecondPersonNeeded(what=f"Changing {region}")
    return _change(region, plan, reason, actor)


@durable("region_change.request")
def request_region_change(
    *, region: Region, plan: RegionPlan, base_version: str, reason: str, maker: User, actor: Actor
) -> Approval:
    """Ask a second person for a change of a region that concerns live traffic.

    Refuses: RegionChanged, NothingToChange, AlreadyRequested, django ValidationError.
    """
    region = _locked(region)
    _require_version(region, base_version)
    before = RegionPlan.of(region)
    _require_change(region, before, plan)
    _check(region, plan)
    seen = preview(region, plan)
    payload = {
        **plan.as_json(),
        "instead_of": {name: value for name, value in before.as_json().items() if value != plan.as_json()[name]},
        "base_version": base_version,
        "countries_with_another_first_gateway": count_countries(seen.moved),
        "countries_left_with_none": sorted({country for effect in seen.lost for country in effect.countries}),
    }
    return approvals.request(kind=CHANGE, obj=region, payload=payload, reason=reason, maker=maker, actor=actor)


@durable("region_change.approve")
def approve_region_change(*, approval: Approval, checker: User, actor: Actor) -> Region:
    """Agree to a change of a region, and make it if the region is still what it was.

    Refuses: MakerCannotCheck, ApprovalNotOpen, ApprovalChanged, RegionChanged, django ValidationError.
    """
    key = parse_public_id(Region.PUBLIC_PREFIX, approval.object_id)
    assert key is not None
    region = _locked(Region(id=key))  # before the request itself, as whoever asks does
    approval = approvals.approve(approval=approval, checker=checker)
    _require_version(region, approval.payload["base_version"])
    return _change(region, RegionPlan.from_json(approval.payload), approval.reason, actor, approval)


@transaction.atomic
def require_changeable(*, region: Region, plan: RegionPlan, base_version: str) -> None:
    """Refuse what could not be saved: RegionChanged, NothingToChange, django ValidationError."""
    region = _locked(region)
    _require_version(region, base_version)
    _require_change(region, RegionPlan.of(region), plan)
    _check(region, plan)


def preview(region: Region, plan: RegionPlan) -> Preview:
    """Which countries would first go elsewhere, or nowhere. Four queries."""
    network = selectors.network()
    return compare(network, network.with_area(region.code, plan.area))


def needs_second_person(region: Region, plan: RegionPlan, seen: Preview | None = None) -> bool:
    """Whether a change concerns live traffic: it would go elsewhere, or an enabled live gateway has a place here.

    `seen` is the preview of the very same, where whoever asks has it already.
    """
    before = RegionPlan.of(region)
    if before.area == plan.area:
        return False
    places = {*before.priorities, *plan.priorities}
    live = Gateway.objects.filter(code__in=places, mode=Mode.LIVE, status=Gateway.Status.ENABLED)
    return live.exists() or (seen or preview(region, plan)).is_live


def _locked(region: Region) -> Region:
    """The region as it is now, with nobody changing this or another one."""
    regions = {row.pk: row for row in Region.objects.select_for_update().order_by("pk")}
    return regions[region.pk]


def _require_version(region: Region, base_version: str) -> None:
    """Refuse (RegionChanged) a region that is not what was looked at."""
    if RegionPlan.of(region).version != base_version:
        raise RegionChanged(region=region.name)


def _require_change(region: Region, before: RegionPlan, plan: RegionPlan) -> None:
    if before == plan:
        raise NothingToChange(what=region.name)


def _change(region: Region, plan: RegionPlan, reason: str, actor: Actor, approval: Approval | None = None) -> Region:
    before = RegionPlan.of(region)
    _require_change(region, before, plan)
    region._change_reason = reason[:100]  # type: ignore[attr-defined]
    _write(region, plan)
    was, becomes = before.as_json(), plan.as_json()
    changed = [name for name in was if was[name] != becomes[name]]
    audit.record(
        actor=actor,
        verb=CHANGE,
        obj=region,
        reason=reason,
        before={name: was[name] for name in changed},
        after={**{name: becomes[name] for name in changed}, **agreed(approval)},
    )
    return region


def _check(region: Region, plan: RegionPlan) -> None:
    region.name, region.countries, region.is_everywhere_else = plan.name, [*plan.countries], plan.is_everywhere_else
    region.full_clean()


def _write(region: Region, plan: RegionPlan) -> None:
    """Save a region with its places; those that stay keep their rows, and so their history."""
    _check(region, plan)
    region.save()
    places: dict[str, Any] = {place.gateway.code: place for place in region.regiongateway_set.select_related("gateway")}
    for code in places.keys() - plan.priorities.keys():
        places[code].delete()
    for gateway in Gateway.objects.filter(code__in=plan.priorities):
        place = places.get(gateway.code) or RegionGateway(region=region, gateway=gateway, priority=0)
        if place.priority != plan.priorities[gateway.code]:
            place.priority = plan.priorities[gateway.code]
            place.save()
