"""Are credentials written and never read, by two people where real money goes, and forgotten where nobody agreed?"""

import json
from collections.abc import Callable
from typing import Any

import pytest
import time_machine
from django.db import connection

from checkout.kit import clock
from checkout.kit.actors import Actor
from checkout.kit.approvals import AlreadyRequested, ApprovalChanged, ApprovalNotOpen, MakerCannotCheck
from checkout.kit.models import Approval, AuditEntry, User
from checkout.settings import policy
from gateways import services
from gateways.errors import NothingToChange, SecondPersonNeeded
from gateways.models import Gateway, PendingCredentials

OLIVIA, OSCAR = Actor.user("olivia"), Actor.user("oscar")
NEW = {"api_key": "brand-new-key-0451"}


@pytest.fixture
def people(db: None) -> tuple[User, User]:
    """Who asks, and somebody else; both may do everything."""
    return tuple(User.objects.create_user(name, is_superuser=True) for name in ("olivia", "oscar"))  # type: ignore[return-value]


@pytest.fixture
def live(make_gateway: Callable[..., Gateway]) -> Gateway:
    return make_gateway("alps", mode="live")


def secrets_of(gateway: Gateway) -> dict[str, str]:
    return Gateway.objects.get(pk=gateway.pk).secrets


def rotate(gateway: Gateway, values: dict[str, str] = NEW) -> Gateway:
    return services.rotate_credentials(gateway=gateway, values=values, reason="yearly", actor=OLIVIA)


def ask(gateway: Gateway, maker: User, values: dict[str, str] = NEW) -> Approval:
    return services.request_rotation(gateway=gateway, values=values, reason="yearly", maker=maker, actor=OLIVIA)


def agree(approval: Approval, checker: User) -> Gateway:
    return services.approve_rotation(approval=approval, checker=checker, actor=OSCAR)


def everything_written() -> str:
    """Every row of every table that could hold a credential, as the database has it."""
    tables = ["gateways_gateway", "gateways_historicalgateway", "gateways_pendingcredentials", "kit_approval"]
    with connection.cursor() as cursor:
        found = []
        for table in [*tables, "kit_auditentry", "django_admin_log"]:
            cursor.execute(f"SELECT row_to_json(t)::text FROM {table} t")  # noqa: S608
            found += [row[0] for row in cursor.fetchall()]
    return "\n".join(found)


def test_one_person_rotates_those_of_a_test_gateway(acme: Gateway) -> None:
    rotate(acme)

    assert secrets_of(acme)["api_key"] == "brand-new-key-0451"
    entry = AuditEntry.objects.get(verb="gateway.rotate_credentials")
    assert (entry.after, entry.reason) == ({"credentials_written": ["api_key"]}, "yearly")
    assert "brand-new-key-0451" not in everything_written()


def test_a_notice_secret_overlaps_with_the_one_before_until_somebody_ends_that(acme: Gateway) -> None:
    rotate(acme, {"notice_secret": "new-notices"})
    assert secrets_of(acme)["notice_secret_previous"] == "notices-of-acme"
    rotate(acme)
    assert secrets_of(acme)["notice_secret_previous"] == "notices-of-acme"  # another field has nothing to do with it

    services.end_overlap(gateway=acme, reason="they all switched", actor=OLIVIA)

    assert secrets_of(acme) == {**NEW, "notice_secret": "new-notices"}
    assert AuditEntry.objects.get(verb="gateway.end_overlap").after == {
        "credentials_removed": ["notice_secret_previous"]
    }
    with pytest.raises(NothingToChange):
        services.end_overlap(gateway=acme, reason="again", actor=OLIVIA)


def test_the_same_again_is_refused(acme: Gateway) -> None:
    with pytest.raises(NothingToChange):
        rotate(acme, {"api_key": "key-of-acme"})


def test_a_live_gateway_that_was_never_enabled_is_set_up_by_one(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway("alps", mode="live", status="disabled", credentials={})

    rotate(gateway)

    assert secrets_of(gateway) == NEW


@pytest.mark.parametrize("status", ["draining", "disabled"])
def test_one_that_was_enabled_once_is_not(live: Gateway, status: str) -> None:
    services.set_gateway_status(gateway=live, status=status, reason="for now", actor=OLIVIA)

    with pytest.raises(SecondPersonNeeded):
        rotate(live)


def test_two_people_rotate_those_of_a_live_gateway_once(live: Gateway, people: tuple[User, User]) -> None:
    olivia, oscar = people
    approval = ask(live, olivia)
    assert secrets_of(live)["api_key"] == "key-of-acme"
    assert "brand-new-key-0451" not in everything_written()
    assert approval.payload["fields"] == ["api_key"]
    with pytest.raises(MakerCannotCheck):
        agree(approval, olivia)
    with pytest.raises(AlreadyRequested):
        ask(live, oscar)

    agree(approval, oscar)

    assert secrets_of(live)["api_key"] == "brand-new-key-0451"
    assert not PendingCredentials.objects.exists()
    entry = AuditEntry.objects.get(verb="gateway.rotate_credentials")
    assert entry.after == {
        "credentials_written": ["api_key"],
        "approval": approval.public_id,
        "asked_by": "user:olivia",
    }
    assert "brand-new-key-0451" not in everything_written()
    with pytest.raises(ApprovalNotOpen):
        agree(approval, oscar)


def test_what_was_rejected_is_forgotten(live: Gateway, people: tuple[User, User]) -> None:
    approval = ask(live, people[0])

    services.reject_rotation(approval=approval, checker=people[1], reason="not today", actor=OSCAR)

    assert not PendingCredentials.objects.exists()
    assert secrets_of(live)["api_key"] == "key-of-acme"


def test_what_nobody_decided_in_time_is_forgotten_and_what_waits_is_kept(
    live: Gateway, make_gateway: Callable[..., Gateway], people: tuple[User, User]
) -> None:
    late = ask(live, people[0])
    with time_machine.travel(clock.seconds_from_now(policy.APPROVAL_EXPIRY_SECONDS), tick=False):
        waiting = ask(make_gateway("dunes", mode="live"), people[0])
        assert services.forget_decided_credentials() == 0  # whoever asked next has done it
        assert PendingCredentials.objects.get().approval == waiting
        with pytest.raises(ApprovalNotOpen):
            agree(late, people[1])


def test_the_periodic_task_forgets_it_too(live: Gateway, people: tuple[User, User]) -> None:
    ask(live, people[0])
    with time_machine.travel(clock.seconds_from_now(policy.APPROVAL_EXPIRY_SECONDS), tick=False):
        assert services.forget_decided_credentials() == 1


def change_pending(approval: Approval, live: Gateway) -> None:
    PendingCredentials.objects.update(values=json.dumps({"api_key": "somebody-else's"}))


def change_gateway(approval: Approval, live: Gateway) -> None:
    live.credentials = json.dumps({"api_key": "changed-meanwhile"})  # type: ignore[assignment]
    live.save()


def forget_pending(approval: Approval, live: Gateway) -> None:
    PendingCredentials.objects.all().delete()


def change_address(approval: Approval, live: Gateway) -> None:
    Gateway.objects.filter(pk=live.pk).update(base_url="https://elsewhere.example")


@pytest.mark.parametrize("meddle", [change_pending, change_gateway, change_address, forget_pending])
def test_only_what_was_asked_for_is_written_over_what_was_there(
    live: Gateway, people: tuple[User, User], meddle: Callable[[Any, Any], None]
) -> None:
    approval = ask(live, people[0])
    meddle(approval, live)
    before = secrets_of(live)

    with pytest.raises(ApprovalChanged):
        agree(approval, people[1])
    assert secrets_of(live) == before
