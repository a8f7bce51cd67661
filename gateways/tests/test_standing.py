"""Is traffic taken away by one person at once, given to a live gateway by two, and left out during maintenance?"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from checkout.kit import clock
from checkout.kit.actors import Actor
from checkout.kit.approvals import AlreadyRequested, ApprovalChanged, ApprovalNotOpen, MakerCannotCheck
from checkout.kit.models import AuditEntry, User
from checkout.settings import policy
from gateways import selectors, services
from gateways.errors import MaintenanceNotPossible, MaintenanceOver, NothingToChange, SecondPersonNeeded
from gateways.models import Gateway, GatewayMaintenance
from gateways.routing import recompute

QUESTION = {"country": "DE", "currency": "EUR", "mode": "live", "payment_method_type": "card", "amount_minor": 1}
OLIVIA, OSCAR = Actor.user("olivia"), Actor.user("oscar")


@pytest.fixture
def people(db: None) -> tuple[User, User]:
    """Who asks, and somebody else; both may do everything."""
    return tuple(User.objects.create_user(name, is_superuser=True) for name in ("olivia", "oscar"))  # type: ignore[return-value]


@pytest.fixture
def live(make_gateway: Callable[..., Gateway]) -> Gateway:
    """A live gateway, first in Germany; the second one is there to fall back to."""
    gateway = make_gateway("alps", mode="live")
    make_gateway("dunes", mode="live")
    services.set_region(
        code="germany", name="Germany", countries=["DE"], priorities={"alps": 1, "dunes": 2}, actor=OLIVIA
    )
    return gateway


def chosen() -> str | None:
    return selectors.route(**QUESTION)[0].chosen


def why_not(code: str) -> str:
    """What the decision says of a gateway."""
    return next(row.reason for row in selectors.route(**QUESTION)[0].considered if row.gateway == code)


def set_status(gateway: Gateway, status: str) -> Gateway:
    return services.set_gateway_status(gateway=gateway, status=status, reason="they work on it", actor=OLIVIA)


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        ("draining", "Left out: draining, so it takes no new payments."),
        ("disabled", "Left out: disabled by an operator."),
    ],
)
def test_one_person_takes_live_traffic_away_at_once(live: Gateway, status: str, sentence: str) -> None:
    set_status(live, status)

    assert chosen() == "dunes"
    assert why_not("alps") == sentence
    entry = AuditEntry.objects.get(verb="gateway.set_status")
    assert (entry.actor, entry.before, entry.after) == ("user:olivia", {"status": "enabled"}, {"status": status})
    assert entry.reason == "they work on it"


def test_a_draining_gateway_is_watched_and_a_disabled_one_is_not(live: Gateway) -> None:
    set_status(live, "draining")
    assert "alps" in {gateway.code for gateway in selectors.watched_gateways()}
    set_status(live, "disabled")
    assert "alps" not in {gateway.code for gateway in selectors.watched_gateways()}


def test_what_is_like_that_already_is_refused(live: Gateway) -> None:
    set_status(live, "draining")
    with pytest.raises(NothingToChange):
        set_status(live, "draining")


def test_nobody_enables_a_live_gateway_alone(live: Gateway) -> None:
    set_status(live, "draining")
    with pytest.raises(SecondPersonNeeded):
        set_status(live, "enabled")
    assert chosen() == "dunes"


def test_a_test_gateway_is_enabled_by_one(make_gateway: Callable[..., Gateway]) -> None:
    assert set_status(make_gateway("north", status="disabled"), "enabled").status == "enabled"


def request_enable(gateway: Gateway, maker: User) -> Any:
    return services.request_enable(gateway=gateway, reason="they are back", maker=maker, actor=OLIVIA)


def test_two_people_enable_a_live_gateway_once(live: Gateway, people: tuple[User, User]) -> None:
    olivia, oscar = people
    set_status(live, "draining")
    approval = request_enable(live, olivia)
    assert chosen() == "dunes"
    with pytest.raises(AlreadyRequested):
        request_enable(live, oscar)
    with pytest.raises(MakerCannotCheck):
        services.approve_enable(approval=approval, checker=olivia, actor=OLIVIA)

    services.approve_enable(approval=approval, checker=oscar, actor=OSCAR)

    assert chosen() == "alps"
    entry = AuditEntry.objects.filter(verb="gateway.set_status").latest("id")
    assert (entry.actor, entry.before, entry.reason) == ("user:oscar", {"status": "draining"}, "they are back")
    assert entry.after == {"status": "enabled", "approval": approval.public_id, "asked_by": "user:olivia"}
    with pytest.raises(ApprovalNotOpen):
        services.approve_enable(approval=approval, checker=oscar, actor=OSCAR)


def test_what_was_taken_further_away_meanwhile_is_not_enabled(live: Gateway, people: tuple[User, User]) -> None:
    set_status(live, "draining")
    approval = request_enable(live, people[0])
    set_status(live, "disabled")

    with pytest.raises(ApprovalChanged):
        services.approve_enable(approval=approval, checker=people[1], actor=OSCAR)
    assert chosen() == "dunes"


@pytest.mark.parametrize(
    "change",
    [
        {"base_url": "https://elsewhere.example"},
        {"currencies": ["EUR", "JPY"]},
        {"settle_window_seconds": 1},
        {"supports_cancel_by_reference": True},
        {"adapter": "simulator_xml"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_gateway_that_was_set_up_differently_meanwhile_is_not_enabled(
    live: Gateway, people: tuple[User, User], change: dict[str, Any]
) -> None:
    set_status(live, "disabled")
    approval = request_enable(live, people[0])
    Gateway.objects.filter(pk=live.pk).update(**change)

    with pytest.raises(ApprovalChanged):
        services.approve_enable(approval=approval, checker=people[1], actor=OSCAR)
    assert chosen() == "dunes"


def test_a_new_gateway_is_enabled_with_the_credentials_that_it_had_when_somebody_asked(
    make_gateway: Callable[..., Gateway], people: tuple[User, User]
) -> None:
    gateway = make_gateway("alps", mode="live", status="disabled")
    approval = request_enable(gateway, people[0])
    assert "key-of-acme" not in str(approval.payload)
    services.rotate_credentials(gateway=gateway, values={"api_key": "of-somebody-else"}, reason="x", actor=OLIVIA)

    with pytest.raises(ApprovalChanged):
        services.approve_enable(approval=approval, checker=people[1], actor=OSCAR)
    assert Gateway.objects.get(pk=gateway.pk).status == "disabled"


def test_nothing_is_enabled_by_a_request_that_is_a_day_old(live: Gateway, people: tuple[User, User]) -> None:
    set_status(live, "draining")
    approval = request_enable(live, people[0])

    with (
        time_machine.travel(clock.seconds_from_now(policy.APPROVAL_EXPIRY_SECONDS), tick=False),
        pytest.raises(ApprovalNotOpen),
    ):
        services.approve_enable(approval=approval, checker=people[1], actor=OSCAR)
    assert chosen() == "dunes"


def test_two_people_resume_a_live_gateway_that_the_self_audit_stopped(live: Gateway, people: tuple[User, User]) -> None:
    services.stop_gateway(gateway=live, reason="1 capture is missing.", actor=OLIVIA)
    with pytest.raises(SecondPersonNeeded):
        services.resume_gateway(gateway=live, reason="found", actor=OLIVIA)
    approval = services.request_resume(gateway=live, reason="found", maker=people[0], actor=OLIVIA)
    assert chosen() == "dunes"

    services.approve_resume(approval=approval, checker=people[1], actor=OSCAR)

    assert chosen() == "alps"


def test_a_gateway_that_was_stopped_for_something_else_meanwhile_stays_stopped(
    live: Gateway, people: tuple[User, User]
) -> None:
    services.stop_gateway(gateway=live, reason="1 capture is missing.", actor=OLIVIA)
    approval = services.request_resume(gateway=live, reason="found", maker=people[0], actor=OLIVIA)
    Gateway.objects.filter(pk=live.pk).update(stopped_reason="2 refunds are missing.")

    with pytest.raises(ApprovalChanged):
        services.approve_resume(approval=approval, checker=people[1], actor=OSCAR)
    assert chosen() == "dunes"


NOON = datetime(2026, 3, 5, 12, tzinfo=UTC)


def plan(gateway: Gateway, start: datetime, hours: float = 2, reason: str = "new certificates") -> GatewayMaintenance:
    return services.plan_maintenance(
        gateway=gateway, starts_at=start, ends_at=start + timedelta(hours=hours), reason=reason, actor=OLIVIA
    )


def test_maintenance_leaves_a_gateway_out_from_its_beginning_to_its_end_and_no_longer(live: Gateway) -> None:
    with time_machine.travel(NOON - timedelta(hours=1), tick=False) as now:
        plan(live, NOON)
        assert chosen() == "alps"
        now.move_to(NOON)
        assert chosen() == "dunes"
        assert why_not("alps") == "Left out: planned maintenance until 2026-03-05 14:00 UTC: new certificates"
        now.move_to(NOON + timedelta(hours=2) - timedelta(microseconds=1))
        assert chosen() == "dunes"
        now.move_to(NOON + timedelta(hours=2))
        assert chosen() == "alps"


def test_of_windows_that_overlap_the_one_that_ends_last_is_named(live: Gateway) -> None:
    with time_machine.travel(NOON, tick=False):
        plan(live, NOON - timedelta(hours=1), 3, "the longer one")
        plan(live, NOON - timedelta(hours=2), 3, "the shorter one")
        assert why_not("alps").endswith("14:00 UTC: the longer one")
        assert selectors.maintenance_now()[live.pk].reason == "the longer one"


def test_a_decision_of_before_there_was_maintenance_can_be_made_again(live: Gateway) -> None:
    with time_machine.travel(NOON, tick=False):
        plan(live, NOON)
        decision = selectors.route(**QUESTION)[0]
    assert recompute(decision.as_json()) == decision

    old = decision.as_json()
    old["candidates"] = [
        {name: fact for name, fact in candidate.items() if not name.startswith(("maintenance_", "stopped_"))}
        for candidate in old["candidates"]
    ]
    assert recompute(old).chosen == "alps"


def test_routing_takes_one_query_with_maintenance_too(live: Gateway, django_assert_num_queries: Any) -> None:
    plan(live, clock.now() - timedelta(minutes=1))
    with django_assert_num_queries(1):
        selectors.route(**QUESTION)


@pytest.mark.parametrize(("start", "hours"), [(1, 0), (1, -1), (-3, 2)])
def test_a_window_that_is_no_time_to_come_is_refused(live: Gateway, start: int, hours: int) -> None:
    with pytest.raises(MaintenanceNotPossible):
        plan(live, clock.now() + timedelta(hours=start), hours)
    assert not GatewayMaintenance.objects.exists()


def test_what_has_not_begun_is_called_off_by_one(live: Gateway) -> None:
    window = plan(live, clock.now() + timedelta(hours=1))

    services.cancel_maintenance(window=window, reason="they moved it", actor=OLIVIA)

    assert not selectors.maintenances_to_come().exists()
    entry = AuditEntry.objects.get(verb="gateway.cancel_maintenance")
    assert (entry.reason, entry.before["maintenance_because"]) == ("they moved it", "new certificates")
    with pytest.raises(MaintenanceOver):
        services.cancel_maintenance(window=window, reason="again", actor=OLIVIA)


def test_what_has_begun_at_a_live_gateway_is_ended_early_by_two(live: Gateway, people: tuple[User, User]) -> None:
    window = plan(live, clock.now() - timedelta(minutes=1))
    with pytest.raises(SecondPersonNeeded):
        services.cancel_maintenance(window=window, reason="they are done", actor=OLIVIA)
    asked = {"window": window, "reason": "they are done", "maker": people[0], "actor": OLIVIA}
    approval = services.request_end_of_maintenance(**asked)
    assert chosen() == "dunes"

    services.approve_end_of_maintenance(approval=approval, checker=people[1], actor=OSCAR)

    assert chosen() == "alps"


def test_what_ended_by_itself_meanwhile_is_not_ended_again(live: Gateway, people: tuple[User, User]) -> None:
    window = plan(live, clock.now() - timedelta(minutes=1), 1)
    asked = {"window": window, "reason": "they are done", "maker": people[0], "actor": OLIVIA}
    approval = services.request_end_of_maintenance(**asked)

    with time_machine.travel(clock.now() + timedelta(hours=2)), pytest.raises(MaintenanceOver):
        services.approve_end_of_maintenance(approval=approval, checker=people[1], actor=OSCAR)
