"""Is a region changed as it was looked at, by one person or by two, or not at all?"""

from collections.abc import Callable
from typing import Any

import pytest
import time_machine
from django.core.exceptions import ValidationError

from checkout.kit import approvals, clock
from checkout.kit.actors import Actor
from checkout.kit.approvals import AlreadyRequested, ApprovalNotOpen, MakerCannotCheck
from checkout.kit.models import Approval, AuditEntry, User
from checkout.settings import policy
from gateways import services
from gateways.errors import NothingToChange, RegionChanged, SecondPersonNeeded
from gateways.models import Gateway, Region, RegionGateway
from gateways.regions import RegionPlan

OLIVIA, OSCAR = Actor.user("olivia"), Actor.user("oscar")


@pytest.fixture
def people(db: None) -> tuple[User, User]:
    """Who asks, and somebody else; both may do everything."""
    return tuple(User.objects.create_user(name, is_superuser=True) for name in ("olivia", "oscar"))  # type: ignore[return-value]


@pytest.fixture
def europe(make_gateway: Callable[..., Gateway]) -> Region:
    """A region of test gateways; live ones are there, but nowhere in it."""
    for code, mode in (("north", "test"), ("south", "test"), ("alps", "live"), ("dunes", "live")):
        make_gateway(code, mode=mode)
    services.set_region(code="rest", name="Rest", is_everywhere_else=True, actor=OLIVIA)
    return services.set_region(
        code="europe", name="Europe", countries=["DE", "FR"], priorities={"north": 1, "south": 2}, actor=OLIVIA
    )


def plan(**changes: Any) -> RegionPlan:
    """Europe as it is, but for what is said."""
    now = RegionPlan.of(Region.objects.get(code="europe"))
    return RegionPlan(**{**vars(now), **changes})


def change(region: Region, wanted: RegionPlan, version: str | None = None) -> Region:
    return services.change_region(
        region=region, plan=wanted, base_version=version or plan().version, reason="cheaper", actor=OLIVIA
    )


def ask(region: Region, wanted: RegionPlan, maker: User) -> Approval:
    return services.request_region_change(
        region=region, plan=wanted, base_version=plan().version, reason="cheaper", maker=maker, actor=OLIVIA
    )


def agree(approval: Approval, checker: User) -> Region:
    return services.approve_region_change(approval=approval, checker=checker, actor=OSCAR)


def test_one_person_changes_what_concerns_no_live_traffic(europe: Region) -> None:
    change(europe, plan(countries=("DE", "PT"), priorities={"south": 1, "north": 1}))

    assert plan() == RegionPlan("Europe", ("DE", "PT"), False, {"north": 1, "south": 1})
    entry = AuditEntry.objects.get(verb="region.change")
    assert entry.before == {"countries": ["DE", "FR"], "priorities": {"north": 1, "south": 2}}
    assert entry.after == {"countries": ["DE", "PT"], "priorities": {"north": 1, "south": 1}}
    assert entry.reason == "cheaper"
    assert Region.history.filter(code="europe").first().history_change_reason == "cheaper"


def test_a_place_that_stays_keeps_its_row_and_its_history(europe: Region) -> None:
    row = RegionGateway.objects.get(region=europe, gateway__code="north")

    change(europe, plan(priorities={"north": 3}))

    row.refresh_from_db()
    assert row.priority == 3
    assert [h.priority for h in row.history.all()] == [3, 1]
    assert not RegionGateway.objects.filter(region=europe, gateway__code="south").exists()


def test_what_somebody_changed_meanwhile_is_not_overwritten(europe: Region) -> None:
    seen = plan().version
    change(europe, plan(priorities={"south": 1}))

    with pytest.raises(RegionChanged) as refused:
        change(europe, plan(countries=("DE",)), version=seen)

    assert refused.value.message == "Somebody changed Europe meanwhile, so nothing was saved. Look at it as it is now."
    assert plan().countries == ("DE", "FR")


def test_what_changes_nothing_is_refused(europe: Region) -> None:
    with pytest.raises(NothingToChange):
        change(europe, plan())


@pytest.mark.parametrize(
    ("changes", "needed"),
    [
        ({"priorities": {"south": 1}}, False),
        ({"name": "Old Europe"}, False),
        ({"priorities": {"north": 1, "alps": 2}}, True),  # a live gateway comes in
    ],
)
def test_a_second_person_is_needed_where_live_traffic_comes_in(europe: Region, changes: Any, needed: bool) -> None:
    if needed:
        with pytest.raises(SecondPersonNeeded):
            change(europe, plan(**changes))
    else:
        change(europe, plan(**changes))


def test_a_second_person_is_needed_to_take_a_live_gateway_out_and_not_to_rename_its_region(europe: Region) -> None:
    services.set_region(code="europe", name="Europe", countries=["DE"], priorities={"alps": 1}, actor=OLIVIA)

    with pytest.raises(SecondPersonNeeded):
        change(europe, plan(priorities={}))
    assert change(europe, plan(name="Germany")).name == "Germany"


def test_a_second_person_is_needed_where_a_country_leaves_the_live_gateways_of_everywhere_else(europe: Region) -> None:
    services.set_region(code="rest", name="Rest", is_everywhere_else=True, priorities={"dunes": 1}, actor=OLIVIA)

    with pytest.raises(SecondPersonNeeded):
        change(europe, plan(countries=("BR", "DE", "FR")))
    with pytest.raises(SecondPersonNeeded):
        change(europe, plan(countries=("DE",)))


def test_a_live_gateway_that_is_not_enabled_concerns_nobody_yet(europe: Region) -> None:
    Gateway.objects.filter(code="alps").update(status="disabled")

    assert change(europe, plan(priorities={"north": 1, "alps": 2}))


def test_two_people_change_what_concerns_live_traffic_once_and_exactly_as_asked(
    europe: Region, people: tuple[User, User]
) -> None:
    olivia, oscar = people
    wanted = plan(countries=("DE", "ES"), priorities={"north": 2, "alps": 1})
    approval = ask(europe, wanted, olivia)
    assert plan().priorities == {"north": 1, "south": 2}
    with pytest.raises(MakerCannotCheck):
        agree(approval, olivia)
    with pytest.raises(AlreadyRequested):
        ask(europe, plan(name="E"), oscar)

    agree(approval, oscar)

    assert plan() == wanted
    entry = AuditEntry.objects.get(verb="region.change")
    assert (entry.actor, entry.after["approval"], entry.after["asked_by"]) == (
        "user:oscar",
        approval.public_id,
        "user:olivia",
    )
    with pytest.raises(ApprovalNotOpen):
        agree(approval, oscar)


def test_the_request_says_what_it_would_do(europe: Region, people: tuple[User, User]) -> None:
    services.set_region(code="rest", name="Rest", is_everywhere_else=True, priorities={"dunes": 1}, actor=OLIVIA)

    payload = ask(europe, plan(countries=("BR", "DE", "FR")), people[0]).payload

    assert payload["countries"] == ["BR", "DE", "FR"]
    assert payload["instead_of"] == {"countries": ["DE", "FR"]}
    assert payload["countries_left_with_none"] == ["BR"]  # whose real payments went to Dunes
    assert payload["countries_with_another_first_gateway"] == 0


def test_a_request_about_a_region_that_was_changed_meanwhile_is_refused(
    europe: Region, people: tuple[User, User]
) -> None:
    approval = ask(europe, plan(priorities={"alps": 1}), people[0])
    change(europe, plan(priorities={"south": 1}))

    with pytest.raises(RegionChanged):
        agree(approval, people[1])

    assert plan().priorities == {"south": 1}
    approval.refresh_from_db()
    assert approval.status == "requested"  # to be rejected, and asked again


def test_nothing_is_changed_by_a_request_that_is_a_day_old(europe: Region, people: tuple[User, User]) -> None:
    approval = ask(europe, plan(priorities={"alps": 1}), people[0])

    with (
        time_machine.travel(clock.seconds_from_now(policy.APPROVAL_EXPIRY_SECONDS), tick=False),
        pytest.raises(ApprovalNotOpen),
    ):
        agree(approval, people[1])
    assert plan().priorities == {"north": 1, "south": 2}


def test_what_was_rejected_changes_nothing(europe: Region, people: tuple[User, User]) -> None:
    approval = ask(europe, plan(priorities={"alps": 1}), people[0])
    approvals.reject(approval=approval, checker=people[1], reason="not today", actor=OSCAR)

    with pytest.raises(ApprovalNotOpen):
        agree(approval, people[1])
    assert plan().priorities == {"north": 1, "south": 2}


def test_what_could_not_be_saved_cannot_be_asked_for(europe: Region, people: tuple[User, User]) -> None:
    services.set_region(code="asia", name="Asia", countries=["JP"], actor=OLIVIA)

    with pytest.raises(ValidationError, match="Already in another region: JP"):
        ask(europe, plan(countries=("DE", "JP"), priorities={"alps": 1}), people[0])


def test_a_new_region_names_nothing(europe: Region) -> None:
    made = services.create_region(code="asia", name="Asia", actor=OLIVIA)

    assert RegionPlan.of(made) == RegionPlan("Asia")
