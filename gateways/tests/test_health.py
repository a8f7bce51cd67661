"""Does a gateway become unhealthy when it fails, and only then, and well again once it has proved itself?"""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from checkout.kit import clock
from checkout.kit.models import Alert, AuditEntry
from checkout.settings import policy
from gateways.models import Gateway, HealthCheck
from gateways.services import check_health, forget_old_health_checks, note_call, note_check
from gateways.tests.conftest import answer
from tests.simulation import Simulation


def told(gateway: Gateway, *kinds: str) -> str:
    """What is concluded after calls and checks of these kinds; a check is one with "check " in front."""
    for kind in kinds:
        if kind.startswith("check "):
            note_check(answer=answer(gateway, kind.removeprefix("check "), verb="health"))
        else:
            note_call(answer=answer(gateway, kind))
    gateway.refresh_from_db()
    return gateway.health_status


def turns(gateway: Gateway) -> list[str]:
    """The audit of its health, oldest first."""
    verbs = AuditEntry.objects.filter(object_id=gateway.public_id).exclude(verb="gateway.create").order_by("id")
    return [verb.removeprefix("gateway.become_") for verb in verbs.values_list("verb", flat=True)]


@pytest.mark.parametrize("kind", ["refused", "timeout", "500", "check refused", "check 500", "check ill"])
def test_three_failures_in_a_row_make_it_unhealthy_with_one_alert_and_one_entry(acme: Gateway, kind: str) -> None:
    assert told(acme, kind, kind) == "healthy"
    assert not Alert.objects.exists()

    assert told(acme, kind) == "unhealthy"
    told(acme, kind, kind)

    alert = Alert.objects.get()
    assert (alert.kind, alert.object_id, alert.severity) == ("gateway_unhealthy", acme.public_id, "critical")
    assert (alert.seen_count, alert.message) == (1, "Acme failed 3 times in a row; payments avoid it.")
    entry = AuditEntry.objects.get(verb="gateway.become_unhealthy")
    assert (entry.reason, entry.before, entry.after) == (
        "3 failures in a row",
        {"health_status": "healthy"},
        {"health_status": "unhealthy"},
    )
    assert acme.health_changed_at is not None


def test_calls_and_checks_are_witnesses_of_the_same(acme: Gateway) -> None:
    assert told(acme, "refused", "check ill", "timeout") == "unhealthy"


@pytest.mark.parametrize("kind", ["declined", "400", "good"])
def test_an_answer_of_any_kind_never_counts(acme: Gateway, kind: str) -> None:
    assert told(acme, *[kind] * 20) == "healthy"
    assert acme.failure_count == 0


@pytest.mark.parametrize("kind", ["declined", "400", "good", "check good"])
def test_an_answer_ends_a_row_of_failures(acme: Gateway, kind: str) -> None:
    assert told(acme, "timeout", "timeout", kind, "timeout", "timeout") == "healthy"
    assert told(acme, "timeout") == "unhealthy"


def test_two_good_checks_in_a_row_bring_it_back(acme: Gateway) -> None:
    assert told(acme, *["refused"] * 3, "check good") == "unhealthy"
    assert told(acme, "check good") == "healthy"
    assert turns(acme) == ["unhealthy", "healthy"]
    assert (acme.failure_count, told(acme, "refused", "refused")) == (0, "healthy")


@pytest.mark.parametrize("failure", ["refused", "check ill"])
def test_a_failure_starts_that_count_anew(acme: Gateway, failure: str) -> None:
    assert told(acme, *["refused"] * 3, "check good", failure, "check good") == "unhealthy"
    assert told(acme, "check good") == "healthy"


def test_a_good_call_alone_does_not_bring_it_back(acme: Gateway) -> None:
    assert told(acme, *["refused"] * 3, *["good"] * 5) == "unhealthy"


def test_it_may_fall_ill_again_and_that_is_told_again(acme: Gateway) -> None:
    told(acme, *["refused"] * 3, "check good", "check good", *["refused"] * 3)

    assert turns(acme) == ["unhealthy", "healthy", "unhealthy"]
    assert Alert.objects.get().seen_count == 2


def test_a_call_to_a_gateway_that_is_well_costs_no_query(acme: Gateway, django_assert_num_queries: Any) -> None:
    good = answer(acme, "good")
    with django_assert_num_queries(0):
        note_call(answer=good)


def test_each_check_is_kept_with_its_conclusion(acme: Gateway) -> None:
    told(acme, "check good", "check ill", "check 500", "check refused")

    rows = HealthCheck.objects.order_by("id").values_list("is_good", "http_status", "error", "health_status")
    assert list(rows) == [
        (True, 200, "", "healthy"),
        (False, 200, "", "healthy"),
        (False, 500, "", "healthy"),
        (False, None, "ClientConnectorError", "unhealthy"),
    ]
    assert acme.last_checked_at is not None


@pytest.mark.django_db(transaction=True)
def test_of_several_witnesses_at_once_exactly_one_raises_the_alarm(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    told(gateway, "refused", "refused")
    failures = [answer(gateway, "refused") for _ in range(4)] + [answer(gateway, "ill", "health") for _ in range(4)]
    start = threading.Barrier(len(failures))

    def witness(number: int) -> None:
        start.wait()
        (note_call if number < 4 else note_check)(answer=failures[number])
        connection.close()

    threads = [threading.Thread(target=witness, args=[number]) for number in range(len(failures))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert told(gateway) == "unhealthy"
    assert turns(gateway) == ["unhealthy"]
    assert Alert.objects.get().seen_count == 1
    assert gateway.failure_count >= 3


def test_old_history_is_forgotten_and_the_rest_kept(acme: Gateway) -> None:
    told(acme, "check good", "check good")
    old = HealthCheck.objects.earliest("id")
    HealthCheck.objects.filter(pk=old.pk).update(
        checked_at=clock.now() - timedelta(days=policy.HEALTH_HISTORY_DAYS, seconds=1)
    )

    assert forget_old_health_checks() == 1
    assert HealthCheck.objects.count() == 1


def test_gateways_that_are_up_and_down_are_seen_so_over_http(
    gateways: dict[str, Gateway], simulation: Simulation
) -> None:
    simulation.change("north", behaviour="down")
    Gateway.objects.filter(code="spare").update(status="disabled")

    for _ in range(3):
        checks = {check.gateway.code: check.is_good for check in check_health()}

    assert checks == {"north": False, "south": True}  # a disabled one is left alone
    statuses = dict(Gateway.objects.values_list("code", "health_status"))
    assert statuses == {"north": "unhealthy", "south": "healthy", "spare": "healthy"}

    simulation.change("north", behaviour="healthy")
    for _ in range(2):
        check_health(gateways=[gateways["north"]])
    assert Gateway.objects.get(code="north").is_healthy
