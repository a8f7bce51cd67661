"""Is a gateway's message a reason to ask, once, about the right attempt, and never more than that?"""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection, transaction

from checkout.kit import clock
from checkout.kit.actors import Actor
from checkout.kit.models import Alert
from gateways.base import NoticeRefused
from gateways.models import Gateway, Notice
from gateways.simulator.calls import Operation as Told
from gateways.simulator.calls import Reply
from gateways.simulator.json_dialect import JsonDialect
from gateways.simulator.settings import GatewaySettings
from payments import services
from payments.models import Attempt, Payment
from payments.services import apply_notices, notices, receive_notice
from payments.statuses import Status
from payments.tests.answers import attempts, bring, events, last, trace, waits_for
from tests.simulation import their_credentials

Pay = Callable[..., Payment]
Listening = Callable[[], AbstractContextManager[list[str]]]
Tell = Callable[..., Notice]
FAR = timedelta(hours=1)


@pytest.fixture
def attempt(created_payment: Pay, eur: Any) -> Callable[[str], Attempt]:
    """`attempt("pending")`: a charge of 50 euros at north that got that far, and is looked at again in an hour."""

    def attempt(status: str) -> Attempt:
        made = bring(last(created_payment(eur(50_00), confirm=True)), status)
        if made.next_action_at:
            Attempt.objects.filter(pk=made.pk).update(next_action_at=clock.now() + FAR)
        return again(made)

    return attempt


@pytest.fixture
def tell(gateways: dict[str, Gateway]) -> Tell:
    """`tell(attempt)`: a notice of its success, received by us and acted upon by nobody yet; otherwise by name."""

    def tell(attempt: Attempt, **changes: Any) -> Notice:
        words = {
            "gateway": gateways["north"],
            "notice_id": f"ntc_{Notice.objects.count()}",
            "reference": attempt.reference,
            "outcome": "succeeded",
            "amount_minor": attempt.amount_minor,
            "currency": attempt.currency,
            "body": "{}",
            "received_at": clock.now(),
        }
        return Notice.objects.create(**{**words, **changes})

    return tell


def written(reference: str, *, code: str = "north", at: float | None = None, **changes: Any) -> dict[str, Any]:
    """What a JSON gateway would send of a charge that it approved, as `receive_notice` takes it."""
    settings = GatewaySettings(code=code, name=code, dialect="json", **their_credentials(code))
    operation = {"id": "ch_1", "kind": "charge", "at": "", "status": "approved", "amount_minor": 50_00}
    told = Told(gateway=code, reference=reference, **{"currency": "EUR", **operation, **changes})
    reply: Reply = JsonDialect(settings).notice(told, int(at or time.time()))
    return {"headers": {name.lower(): value for name, value in reply.headers.items()}, "body": reply.body}


def again(attempt: Attempt) -> Attempt:
    """The attempt as it is now."""
    return Attempt.objects.select_related("gateway", "payment").get(pk=attempt.pk)


def is_due(attempt: Attempt) -> bool:
    at = again(attempt).next_action_at
    return at is not None and at <= clock.now()


# Receiving.


def test_a_new_notice_is_kept_and_waits_for_a_worker_who_is_rung_for(
    gateways: dict[str, Gateway], listening: Listening
) -> None:
    with listening() as rung:
        assert receive_notice(gateway=gateways["north"], **written("att_1")) == 1

    notice = Notice.objects.get()
    assert (notice.gateway, notice.notice_id, notice.reference) == (gateways["north"], "ntc_ch_1", "att_1")
    assert (notice.outcome, notice.amount_minor, notice.currency) == ("succeeded", 50_00, "EUR")
    assert (notice.status, notice.applied_at, rung) == ("waiting", None, ["payments.apply_notices"])
    assert '"reference": "att_1"' in notice.body


def test_a_notice_sent_again_is_not_new_even_if_it_is_signed_afresh_or_was_acted_upon(
    gateways: dict[str, Gateway],
) -> None:
    north = gateways["north"]
    receive_notice(gateway=north, **written("att_1"))
    apply_notices()
    before = Notice.objects.values().get()

    assert receive_notice(gateway=north, **written("att_1")) == 0
    assert receive_notice(gateway=north, **written("att_1", at=time.time() - 30)) == 0

    assert Notice.objects.values().get() == before


def test_two_gateways_may_number_their_notices_alike(gateways: dict[str, Gateway]) -> None:
    for code in ("north", "spare"):
        assert receive_notice(gateway=gateways[code], **written("att_1", code=code)) == 1

    assert Notice.objects.filter(notice_id="ntc_ch_1").count() == 2


@pytest.mark.parametrize(
    "how",
    [{"code": "spare"}, {"at": time.time() - 3600}, {"at": time.time() + 3600}, {"reference": ""}, {"id": "x" * 90}],
    ids=["another gateway's", "stale", "from the future", "about nothing", "an endless id"],
)
def test_what_is_not_certainly_a_notice_of_this_gateway_leaves_no_trace(
    gateways: dict[str, Gateway], listening: Listening, how: dict[str, Any]
) -> None:
    with listening() as rung, pytest.raises(NoticeRefused):
        receive_notice(gateway=gateways["north"], **written(**{"reference": "att_1", **how}))

    assert (Notice.objects.count(), rung) == (0, [])


def test_a_notice_that_was_kept_for_too_long_by_somebody_is_stale(gateways: dict[str, Gateway]) -> None:
    recorded = written("att_1")

    with time_machine.travel(clock.now() + timedelta(seconds=301)), pytest.raises(NoticeRefused, match="stale"):
        receive_notice(gateway=gateways["north"], **recorded)

    assert not Notice.objects.exists()


# Acting upon what was received.


@pytest.mark.parametrize(
    ("status", "outcome", "is_asked"),
    [
        ("pending", "succeeded", True),
        ("pending", "declined", True),
        ("unknown", "succeeded", True),
        ("unknown", "declined", True),
        ("created", "succeeded", False),  # somebody is about to send it
        ("sent", "succeeded", False),  # its answer is on its way
        ("succeeded", "succeeded", False),
        ("succeeded", "declined", False),
        ("declined", "succeeded", True),  # money may have moved after all
        ("not_sent", "succeeded", True),
        ("abandoned", "succeeded", True),
        ("declined", "declined", False),
        ("abandoned", "declined", False),
    ],
)
def test_what_a_notice_tells_is_asked_about_where_it_would_be_news(
    attempt: Callable[[str], Attempt],
    tell: Tell,
    listening: Listening,
    status: str,
    outcome: str,
    is_asked: bool,
) -> None:
    charge = attempt(status)
    notice = tell(charge, outcome=outcome)
    before = trace(charge.payment)

    with listening() as rung:
        assert apply_notices() == 1

    notice.refresh_from_db()
    assert (notice.status, notice.applied_at is not None) == ("applied", True)
    assert (is_due(charge), rung) == (is_asked, ["payments.run_due"] if is_asked else [])
    assert (again(charge).status, trace(charge.payment)) == (status, before)
    assert is_asked or again(charge).next_action_at == charge.next_action_at


@pytest.mark.parametrize("action", ["cancel", "replay"])
def test_what_waits_to_be_canceled_or_sent_again_is_not_asked_about_instead(
    attempt: Callable[[str], Attempt], tell: Tell, action: str
) -> None:
    charge = attempt("unknown")
    Attempt.objects.filter(pk=charge.pk).update(next_action=action)
    tell(charge)

    apply_notices()

    assert (waits_for(again(charge)), is_due(charge)) == (action, False)


def test_what_a_notice_claims_is_not_believed_but_asked_about(
    attempt: Callable[[str], Attempt], tell: Tell, carry_out: Callable[[], int], operator: Actor, simulation: Any
) -> None:
    charge = attempt("unknown")
    services.cancel_by_reference(attempt=charge, actor=operator, reason="too old")
    carry_out()
    assert attempts(charge.payment)[0] == ("north", "authorize", "abandoned")
    before, told = trace(charge.payment), events(charge.payment)
    tell(charge)

    apply_notices()
    assert carry_out() == 1

    assert charge.evidence.latest("id").source == "inquiry"
    assert (trace(charge.payment), events(charge.payment)) == (before, told)
    assert (again(charge).status, waits_for(again(charge))) == ("abandoned", None)
    assert again(charge).payment.status == Status.CAPTURED


def test_a_notice_of_nothing_that_we_know_waits_as_unmatched_and_is_no_obstacle(
    attempt: Callable[[str], Attempt], gateways: dict[str, Gateway], tell: Tell
) -> None:
    charge = attempt("pending")
    strange = [
        tell(charge, reference="att_019ab0c0de007000800000000000dead"),
        tell(charge, reference="order-7"),
        tell(charge, reference=charge.payment.public_id),
        tell(charge, gateway=gateways["spare"]),
    ]

    assert apply_notices() == 4
    assert not is_due(charge)
    known = tell(charge)
    assert apply_notices() == 1

    assert {Notice.objects.get(pk=notice.pk).status for notice in strange} == {"unmatched"}
    known.refresh_from_db()
    assert (known.status, is_due(charge)) == ("applied", True)


@pytest.mark.parametrize(
    ("claims", "is_alert"),
    [
        ({}, False),
        ({"amount_minor": 49_99}, True),
        ({"currency": "USD"}, True),
        ({"amount_minor": None, "currency": ""}, False),
        ({"amount_minor": 49_99, "outcome": "declined"}, False),
        ({"amount_minor": 49_99, "outcome": "pending"}, False),
    ],
    ids=str,
)
def test_a_success_of_another_amount_is_shown_to_a_person_and_asked_about(
    attempt: Callable[[str], Attempt], tell: Tell, claims: dict[str, Any], is_alert: bool
) -> None:
    charge = attempt("pending")
    tell(charge, **claims)

    apply_notices()

    alerts = Alert.objects.filter(kind="notice_differs", object_id=charge.public_id, severity="critical")
    assert (alerts.exists(), is_due(charge)) == (is_alert, True)


def test_the_notice_of_a_void_may_name_the_whole_authorization(
    authorized_payment: Pay, tell: Tell, operator: Actor, eur: Any
) -> None:
    payment = services.cancel_payment(payment=authorized_payment(eur(50_00)), actor=operator)
    void = bring(last(payment), "pending")
    tell(void, amount_minor=99_00)

    apply_notices()

    assert is_due(void)
    assert not Alert.objects.exists()


def test_notices_are_dealt_with_a_batch_at_a_time_the_oldest_first(
    attempt: Callable[[str], Attempt], tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "_BATCH_COUNT", 2)
    charge = attempt("pending")
    told = [tell(charge) for _ in range(3)]

    assert apply_notices() == 2
    assert [Notice.objects.get(pk=notice.pk).status for notice in told] == ["applied", "applied", "waiting"]
    assert (apply_notices(), apply_notices()) == (1, 0)


@pytest.mark.django_db(transaction=True)
def test_two_who_act_upon_notices_at_once_share_them(attempt: Callable[[str], Attempt], tell: Tell) -> None:
    charge = attempt("pending")
    first, second = tell(charge), tell(charge)
    counts: list[int] = []

    def act() -> None:
        counts.append(apply_notices())
        connection.close()

    with transaction.atomic():
        Notice.objects.select_for_update().get(pk=first.pk)
        other = threading.Thread(target=act)
        other.start()
        other.join(20)

    assert counts == [1]
    assert [Notice.objects.get(pk=notice.pk).status for notice in (first, second)] == ["waiting", "applied"]
