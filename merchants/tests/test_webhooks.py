"""Is a merchant told everything that happens to its payments, surely signed, and nothing of anybody else's?"""

import json
import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import IntegrityError, OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from standardwebhooks import WebhookVerificationError

from checkout.kit import clock, failpoints
from checkout.kit.actors import Actor
from checkout.kit.failpoints import Died
from checkout.kit.models import Alert, AuditEntry
from checkout.kit.money import Money
from checkout.settings import policy
from merchants import sender, services, signatures
from merchants.errors import (
    TooManyWebhookEndpoints,
    WebhookEndpointDisabled,
    WebhookEventNotFound,
    WebhookUrlRefused,
)
from merchants.models import Merchant, WebhookDelivery, WebhookEndpoint, WebhookEvent
from merchants.selectors import webhooks_due_since
from merchants.sender import Answer, Message
from merchants.services import deliveries
from merchants.tasks import forget_old_events
from merchants.tests.receiver import Receiver, Reply

ACTOR = Actor.user("ana", "192.0.2.1")
Open = Callable[..., Receiver]
Tell = Callable[..., WebhookEvent]


@pytest.fixture
def tell() -> Tell:
    """`tell(merchant)`: something happened to an object of the merchant's."""
    counts: dict[str, int] = {}

    def tell(merchant: Merchant, type: str = "payment.captured", mode: str = "test", about: str = "pay_1") -> Any:
        counts[about] = counts.get(about, 0) + 1
        return WebhookEvent.objects.create(
            merchant_id=merchant.pk,
            mode=mode,
            type=type,
            object_id=about,
            sequence=counts[about],
            data={"id": about, "status": "captured", "note": "é"},
        )

    return tell


@pytest.fixture
def other_merchant(db: None) -> Merchant:
    """A merchant that has nothing to do with the first."""
    return services.create_merchant(name="Ben", country="PT", default_currency="EUR", actor=ACTOR)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """`later(60)`: let a minute pass."""
    real, passed = clock.now, [0.0]
    monkeypatch.setattr(clock, "now", lambda: real() + timedelta(seconds=passed[0]))

    def pass_by(seconds: float) -> None:
        passed[0] += seconds

    return pass_by


@pytest.fixture(autouse=True)
def _failpoints() -> Any:
    yield
    failpoints.disarm()


def endpoint_at(receiver: Receiver, merchant: Merchant, **fields: Any) -> WebhookEndpoint:
    """An endpoint of the merchant's in test mode, where that receiver listens."""
    return services.create_endpoint(
        merchant=merchant, url=receiver.url, actor=ACTOR, **{"mode": "test", **fields}
    ).endpoint


def told(receiver: Receiver) -> list[str]:
    """The ids of the events that a receiver got, in order."""
    return [request.headers["webhook-id"] for request in receiver.received]


# --- What arrives -------------------------------------------------------------------------------------------------


def test_every_event_of_a_payment_arrives_signed_and_its_sequence_has_no_gap(
    receiver: Open,
    merchant: Merchant,
    captured_payment: Callable[..., Any],
    eur: Callable[[int], Money],
) -> None:
    there = receiver()
    endpoint = endpoint_at(there, merchant)

    payment = captured_payment(eur(50_00))
    services.deliver_due()

    messages = sorted(
        (request.verified(endpoint.secret) for request in there.received), key=lambda each: each["sequence"]
    )
    assert [message["sequence"] for message in messages] == list(range(1, len(messages) + 1))
    assert [message["type"] for message in messages] == [
        "payment.created",
        "payment.processing",
        "payment.authorized",
        "payment.captured",
    ]
    assert {message["data"]["id"] for message in messages} == {payment.public_id}
    assert messages[-1]["data"]["amount_captured"] == 50_00
    assert not WebhookDelivery.objects.exclude(status="delivered").exists()


def test_the_message_is_a_thin_envelope_under_the_three_headers_of_the_specification(
    receiver: Open, merchant: Merchant, tell: Tell
) -> None:
    there = receiver()
    endpoint = endpoint_at(there, merchant)
    event = tell(merchant)

    services.deliver_due()

    (request,) = there.received
    assert request.verified(endpoint.secret) == {
        "id": event.public_id,
        "type": "payment.captured",
        "created_at": event.created_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "sequence": 1,
        "data": {"id": "pay_1", "status": "captured", "note": "é"},
    }
    assert request.headers["webhook-id"] == event.public_id
    assert abs(int(request.headers["webhook-timestamp"]) - time.time()) < 10
    assert request.headers["content-type"] == "application/json"
    with pytest.raises(WebhookVerificationError):
        request.verified(signatures.new_secret())
    delivery = WebhookDelivery.objects.get()
    assert (delivery.status, delivery.attempt_count, delivery.last_http_status) == ("delivered", 1, 200)
    assert delivery.delivered_at is not None
    assert delivery.duration_ms is not None


def test_what_we_check_ourselves_is_what_the_specification_says(receiver: Open, merchant: Merchant, tell: Tell) -> None:
    there = receiver()
    endpoint = endpoint_at(there, merchant)
    tell(merchant)
    services.deliver_due()
    (request,) = there.received

    assert signatures.is_authentic(endpoint.secret, request.headers, request.body, now=time.time())
    assert not signatures.is_authentic(signatures.new_secret(), request.headers, request.body, now=time.time())
    assert not signatures.is_authentic(endpoint.secret, request.headers, request.body + b" ", now=time.time())
    assert not signatures.is_authentic(endpoint.secret, request.headers, request.body, now=time.time() + 400)
    assert not signatures.is_authentic(endpoint.secret, {}, request.body, now=time.time())


def test_while_secrets_overlap_both_sign_and_afterwards_only_the_new_one(
    receiver: Open, merchant: Merchant, tell: Tell
) -> None:
    there = receiver()
    endpoint = endpoint_at(there, merchant)
    old = endpoint.secret
    rotated = services.rotate_secret(endpoint=endpoint, actor=ACTOR)

    tell(merchant)
    services.deliver_due()
    WebhookEndpoint.objects.update(previous_secret_until=clock.now())
    tell(merchant)
    services.deliver_due()

    during, after = there.received
    assert rotated.secret != old
    assert during.verified(old) == during.verified(rotated.secret)
    assert len(during.headers["webhook-signature"].split(" ")) == 2
    assert after.verified(rotated.secret)
    with pytest.raises(WebhookVerificationError):
        after.verified(old)


# --- To whom ------------------------------------------------------------------------------------------------------


def test_nothing_of_another_merchant_or_mode_or_type_goes_to_an_endpoint(
    receiver: Open, merchant: Merchant, other_merchant: Merchant, tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, live, picky, off, others = (receiver() for _ in range(5))
    endpoint_at(here, merchant)
    live_endpoint = endpoint_at(live, merchant)
    WebhookEndpoint.objects.filter(pk=live_endpoint.pk).update(mode="live")
    endpoint_at(picky, merchant, event_types=["payment.voided", "payment.captured"])
    services.disable_endpoint(endpoint=endpoint_at(off, merchant), reason="not needed", actor=ACTOR)
    endpoint_at(others, other_merchant)
    monkeypatch.setattr(deliveries, "may_be_loopback", lambda mode: True)

    authorized = tell(merchant, "payment.authorized").public_id
    captured = tell(merchant).public_id
    in_live = tell(merchant, mode="live", about="pay_2").public_id
    of_other = tell(other_merchant, about="pay_3").public_id
    services.deliver_due()

    assert [sorted(told(each)) for each in (here, live, picky, off, others)] == [
        [authorized, captured],
        [in_live],
        [captured],
        [],
        [of_other],
    ]


def test_a_merchant_without_endpoints_costs_one_statement_for_a_whole_batch(merchant: Merchant, tell: Tell) -> None:
    for _ in range(20):
        tell(merchant)

    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert services.dispatch_events() == 20

    assert len([query for query in queries if "SAVEPOINT" not in query["sql"]]) == 1
    assert not WebhookDelivery.objects.exists()
    assert not WebhookEvent.objects.filter(dispatched_at=None).exists()
    assert services.dispatch_events() == 0


@pytest.mark.django_db(transaction=True)
def test_events_that_somebody_else_is_dispatching_are_left_to_them(
    receiver: Open, merchant: Merchant, tell: Tell
) -> None:
    there = receiver()
    endpoint_at(there, merchant)
    first, second = tell(merchant), tell(merchant)

    with _elsewhere() as elsewhere:
        elsewhere.execute("SELECT 1 FROM merchants_webhookevent WHERE id = %s FOR UPDATE", [first.pk])
        services.deliver_due()
        assert told(there) == [second.public_id]
    services.deliver_due()

    assert told(there) == [second.public_id, first.public_id]


def _elsewhere() -> psycopg.Connection[Any]:
    """Another connection to the test's database, in a transaction until the block ends."""
    wanted = connection.get_connection_params()
    return psycopg.connect(**{name: wanted[name] for name in ("dbname", "user", "password", "host", "port")})


# --- When it fails ------------------------------------------------------------------------------------------------


def test_a_failure_is_tried_again_on_schedule_with_the_same_bytes_and_then_it_arrives(
    receiver: Open, merchant: Merchant, tell: Tell, later: Callable[[float], None]
) -> None:
    there = receiver()
    there.replies = [Reply(500)]
    endpoint_at(there, merchant)
    event = tell(merchant)

    services.deliver_due()
    delivery = WebhookDelivery.objects.get()
    assert (delivery.status, delivery.last_http_status, delivery.last_error) == ("pending", 500, "answered 500")
    assert WebhookEndpoint.objects.get().failure_count == 1
    later(4)
    services.deliver_due()
    assert len(there.received) == 1
    later(2)
    services.deliver_due()

    assert told(there) == [event.public_id] * 2
    assert there.received[0].body == there.received[1].body
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempt_count, delivery.last_error) == ("delivered", 2, "")
    endpoint = WebhookEndpoint.objects.get()
    assert (endpoint.failure_count, endpoint.failing_since) == (0, None)
    assert not Alert.objects.exists()


def test_after_ten_tries_it_has_failed_and_one_alert_speaks_of_the_endpoint(
    receiver: Open, merchant: Merchant, tell: Tell, later: Callable[[float], None]
) -> None:
    there = receiver()
    there.otherwise = Reply(503)
    endpoint = endpoint_at(there, merchant)
    tell(merchant)
    tell(merchant)
    waits: list[float] = []

    for _ in range(20):
        services.deliver_due()
        due = WebhookDelivery.objects.order_by("-next_attempt_at").values_list("next_attempt_at", flat=True).first()
        if due is None:
            break
        waits.append((due - clock.now()).total_seconds())
        later(waits[-1])

    planned = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]
    assert len(waits) == len(planned)
    assert all(plan - 1 <= wait <= plan * 1.1 + 1 for wait, plan in zip(waits, planned, strict=True))
    assert len(there.received) == 20
    assert set(WebhookDelivery.objects.values_list("status", "attempt_count")) == {("failed", 10)}
    alert = Alert.objects.get()
    assert (alert.kind, alert.object_id, alert.seen_count) == ("webhook_not_delivered", endpoint.public_id, 2)


def test_410_disables_the_endpoint_and_cancels_what_was_on_its_way(
    receiver: Open, merchant: Merchant, tell: Tell, later: Callable[[float], None]
) -> None:
    there = receiver()
    endpoint_at(there, merchant)
    there.replies = [Reply(500)]
    waiting = tell(merchant)
    services.deliver_due()
    there.replies = [Reply(410)]
    refused = tell(merchant)
    services.deliver_due()
    later(10)
    tell(merchant)
    services.deliver_due()

    assert told(there) == [waiting.public_id, refused.public_id]
    endpoint = WebhookEndpoint.objects.get()
    assert (endpoint.status, endpoint.disabled_reason) == ("disabled", "It answered 410: it is gone.")
    assert dict(WebhookDelivery.objects.values_list("event_id", "status")) == {
        waiting.pk: "canceled",
        refused.pk: "failed",
    }
    assert Alert.objects.filter(kind="webhook_endpoint_disabled", object_id=endpoint.public_id).exists()
    assert AuditEntry.objects.filter(verb="webhook_endpoint.disable", actor="task:deliver_webhooks").exists()


@pytest.mark.parametrize(("asked", "obeyed"), [("600", 600), ("9999999", 86_400)])
def test_retry_after_holds_for_everything_that_would_go_there(
    receiver: Open, merchant: Merchant, tell: Tell, later: Callable[[float], None], asked: str, obeyed: int
) -> None:
    there = receiver()
    there.replies = [Reply(429, {"Retry-After": asked})]
    endpoint_at(there, merchant)
    first = tell(merchant)
    services.deliver_due()
    second = tell(merchant)
    later(obeyed - 5)
    services.deliver_due()

    assert told(there) == [first.public_id]
    assert webhooks_due_since() is None
    later(10)
    services.deliver_due()
    assert sorted(told(there)) == sorted([first.public_id, first.public_id, second.public_id])


def test_a_redirect_is_a_failure_and_is_not_followed(receiver: Open, merchant: Merchant, tell: Tell) -> None:
    there, elsewhere = receiver(), receiver()
    there.otherwise = Reply(302, {"Location": elsewhere.url})
    endpoint_at(there, merchant)
    tell(merchant)

    services.deliver_due()

    assert elsewhere.received == []
    assert WebhookDelivery.objects.get().last_error == "answered 302; redirects are not followed"


def test_an_endpoint_that_accepted_nothing_for_days_is_disabled(receiver: Open, merchant: Merchant, tell: Tell) -> None:
    there = receiver()
    there.otherwise = Reply(500)
    endpoint_at(there, merchant)
    WebhookEndpoint.objects.update(failure_count=9, failing_since=clock.seconds_from_now(-5 * 86_400 - 60))
    tell(merchant)

    services.deliver_due()

    endpoint = WebhookEndpoint.objects.get()
    assert endpoint.status == "disabled"
    assert endpoint.disabled_reason.startswith("It has accepted nothing since 2")
    assert WebhookDelivery.objects.get().status == "canceled"


def test_a_quiet_endpoint_with_few_failures_long_ago_is_not_disabled(
    receiver: Open, merchant: Merchant, tell: Tell
) -> None:
    there = receiver()
    there.otherwise = Reply(500)
    endpoint_at(there, merchant)
    WebhookEndpoint.objects.update(failure_count=2, failing_since=clock.seconds_from_now(-60 * 86_400))
    tell(merchant)

    services.deliver_due()

    assert WebhookEndpoint.objects.get().is_enabled


# --- At least once ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", ["claim_webhooks.after_commit", "record_webhooks.before_commit"])
def test_whoever_dies_between_claim_and_record_leaves_a_lease_and_it_is_sent_again(
    receiver: Open, merchant: Merchant, tell: Tell, later: Callable[[float], None], point: str
) -> None:
    there = receiver()
    endpoint_at(there, merchant)
    event = tell(merchant)

    failpoints.arm(point, failpoints.die)
    with pytest.raises(Died):
        services.deliver_due()
    failpoints.disarm()
    assert WebhookDelivery.objects.get().status == "pending"
    services.deliver_due()
    before_the_lease_ended = len(there.received)
    later(policy.WEBHOOK_LEASE_SECONDS + 1)
    services.deliver_due()

    assert set(told(there)) == {event.public_id}
    assert len(there.received) == before_the_lease_ended + 1
    delivery = WebhookDelivery.objects.get()
    assert (delivery.status, delivery.attempt_count) == ("delivered", 2)


def test_a_failure_that_comes_after_the_lease_changes_nothing_and_a_success_does(
    receiver: Open, merchant: Merchant, tell: Tell, later: Callable[[float], None]
) -> None:
    endpoint = endpoint_at(receiver(), merchant)
    tell(merchant)
    services.dispatch_events()
    (first,) = deliveries.claim_due(limit=10, in_flight={})
    later(policy.WEBHOOK_LEASE_SECONDS + 1)
    (second,) = deliveries.claim_due(limit=10, in_flight={})
    late = Message(endpoint.pk, endpoint.url, {}, b"", tag=first)

    deliveries.record_answers(answers=[Answer(late, 5, 500, "answered 500")])
    unchanged = WebhookDelivery.objects.get()
    deliveries.record_answers(answers=[Answer(late, 5, 200)])

    assert (unchanged.status, unchanged.next_attempt_at) == ("pending", second.next_attempt_at)
    assert WebhookDelivery.objects.get().status == "delivered"


def test_a_database_that_stumbles_while_recording_is_asked_again(
    receiver: Open, merchant: Merchant, tell: Tell
) -> None:
    there = receiver()
    endpoint_at(there, merchant)
    tell(merchant)
    stumbles = [OperationalError("deadlock detected"), OperationalError("deadlock detected")]

    def stumble() -> None:
        if stumbles:
            raise stumbles.pop()

    failpoints.arm("record_webhooks.before_commit", stumble)

    assert services.deliver_due() == 1
    assert len(there.received) == 1
    assert WebhookDelivery.objects.get().status == "delivered"


def test_a_pending_delivery_is_always_due_at_some_time(receiver: Open, merchant: Merchant, tell: Tell) -> None:
    endpoint_at(receiver(), merchant)
    tell(merchant)
    services.dispatch_events()

    for change in ({"next_attempt_at": None}, {"status": "delivered"}, {"status": "sent", "next_attempt_at": None}):
        with pytest.raises(IntegrityError), transaction.atomic():
            WebhookDelivery.objects.update(**change)


# --- One endpoint is not in the way of another --------------------------------------------------------------------


def test_an_endpoint_that_never_answers_does_not_slow_a_good_one(
    receiver: Open, merchant: Merchant, other_merchant: Merchant, tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "WEBHOOK_TIMEOUT_SECONDS", 3.0)
    monkeypatch.setattr(policy, "WEBHOOK_RUN_SECONDS", 4.0)
    good, silent = receiver(), receiver()
    silent.otherwise = Reply(delay_seconds=6)
    endpoint_at(good, merchant)

    def p99(about: str) -> float:
        good.received.clear()
        for number in range(100):
            tell(merchant, about=f"{about}{number}")
        began = time.monotonic()
        services.deliver_due()
        return sorted(request.at - began for request in good.received)[98]

    alone = p99("alone")
    endpoint_at(silent, other_merchant)
    for number in range(300):
        tell(other_merchant, about=f"silent{number}")
    together = p99("together")

    assert len(good.received) == 100
    assert together < max(2 * alone, alone + 0.5)
    assert WebhookDelivery.objects.filter(last_error="no answer within 3 seconds").count() >= 16


def test_of_each_endpoint_only_so_many_are_in_flight_and_of_a_failing_one_a_single_one(
    receiver: Open, merchant: Merchant, tell: Tell
) -> None:
    good, failing = endpoint_at(receiver(), merchant), endpoint_at(receiver(), merchant)
    WebhookEndpoint.objects.filter(pk=failing.pk).update(failure_count=policy.WEBHOOK_FAILURES_TO_PACE)
    for _ in range(30):
        tell(merchant)
    services.dispatch_events()

    def claim(in_flight: dict[Any, int]) -> tuple[int, int]:
        claimed = [delivery.endpoint_id for delivery in deliveries.claim_due(limit=100, in_flight=in_flight)]
        WebhookDelivery.objects.update(next_attempt_at=clock.now())
        return claimed.count(good.pk), claimed.count(failing.pk)

    assert claim({}) == (16, 1)
    assert claim({good.pk: 10}) == (6, 1)
    assert claim({good.pk: 20, failing.pk: 1}) == (0, 0)


def test_endpoints_that_fail_never_take_more_than_half_of_the_calls(
    receiver: Open, merchant: Merchant, tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "WEBHOOK_MAX_CALLS", 4)
    dead = [endpoint_at(receiver(), merchant) for _ in range(3)]
    WebhookEndpoint.objects.update(failure_count=policy.WEBHOOK_FAILURES_TO_PACE)
    good = endpoint_at(receiver(), merchant)
    tell(merchant)
    services.dispatch_events()

    claimed = deliveries.claim_due(limit=4, in_flight={dead[0].pk: 1, dead[1].pk: 1})

    assert [delivery.endpoint_id for delivery in claimed] == [good.pk]


@pytest.mark.django_db(transaction=True)
def test_while_one_run_claims_another_leaves_at_once(receiver: Open, merchant: Merchant, tell: Tell) -> None:
    there = receiver()
    endpoint_at(there, merchant)
    tell(merchant)

    with _elsewhere() as elsewhere:
        elsewhere.execute("SELECT pg_advisory_lock(%s)", [deliveries._CLAIMER_LOCK])
        assert services.deliver_due() == 0
        assert there.received == []
        elsewhere.execute("SELECT pg_advisory_unlock(%s)", [deliveries._CLAIMER_LOCK])
    assert services.deliver_due() == 1
    with _elsewhere() as elsewhere:
        (is_free,) = elsewhere.execute("SELECT pg_try_advisory_lock(%s)", [deliveries._CLAIMER_LOCK]).fetchone() or ()
    assert is_free


def test_a_run_that_must_end_rings_for_the_next_one(
    receiver: Open, merchant: Merchant, tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    rung: list[str] = []
    monkeypatch.setattr(deliveries, "ring", rung.append)
    endpoint_at(receiver(), merchant)
    tell(merchant)
    services.deliver_due()
    assert rung == []

    monkeypatch.setattr(policy, "WEBHOOK_RUN_SECONDS", 0.0)
    tell(merchant)
    services.deliver_due()

    assert rung == ["merchants.deliver_webhooks"]


# --- Who wakes whom -----------------------------------------------------------------------------------------------


def test_whoever_writes_an_event_rings_once_it_is_committed(
    created_payment: Callable[..., Any],
    eur: Callable[[int], Money],
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Any,
) -> None:
    rung: list[str] = []
    monkeypatch.setattr("checkout.kit.defer._press", lambda name, patience_seconds: rung.append(name))

    with django_capture_on_commit_callbacks(execute=True):
        created_payment(eur(50_00))

    assert "merchants.deliver_webhooks" in rung


# --- Endpoints ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "url", "is_allowed"),
    [
        ("live", "http://127.0.0.1:9000/", True),
        ("live", "https://127.0.0.1:9000/", True),
        ("test", "http://127.0.0.1:9000/", False),
        ("test", "https://localhost:9000/", False),
        ("test", "http://192.168.1.1:9000/", True),
        ("test", "https://169.254.169.254/latest/meta-data", True),
    ],
)
def test_an_address_of_ours_is_refused_and_leaves_no_trace(
    merchant: Merchant, settings: Any, mode: str, url: str, is_allowed: bool
) -> None:
    settings.WEBHOOK_ALLOW_LOOPBACK = is_allowed
    before = AuditEntry.objects.count()

    with pytest.raises(WebhookUrlRefused):
        services.create_endpoint(merchant=merchant, mode=mode, url=url, actor=ACTOR)

    assert not WebhookEndpoint.objects.exists()
    assert AuditEntry.objects.count() == before


def test_an_endpoint_that_was_allowed_on_this_machine_is_not_called_once_that_is_off(
    receiver: Open, merchant: Merchant, tell: Tell, settings: Any
) -> None:
    there = receiver()
    endpoint_at(there, merchant)
    tell(merchant)

    settings.WEBHOOK_ALLOW_LOOPBACK = False
    services.deliver_due()

    assert there.received == []
    assert WebhookDelivery.objects.get().last_error == "the URL does not lead to a public address"


@pytest.mark.parametrize(
    "fields", [{"mode": "real"}, {"event_types": ["payment"]}, {"event_types": ["payment.captured\n"]}]
)
def test_an_endpoint_that_cannot_be_is_refused(merchant: Merchant, fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        services.create_endpoint(
            merchant=merchant, actor=ACTOR, **{"mode": "test", "url": "https://8.8.8.8/", **fields}
        )

    assert not WebhookEndpoint.objects.exists()


def test_there_are_only_so_many_endpoints_per_merchant_and_mode(
    merchant: Merchant, other_merchant: Merchant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "WEBHOOK_MAX_ENDPOINTS", 1)

    def create(merchant: Merchant, mode: str) -> None:
        services.create_endpoint(merchant=merchant, mode=mode, url="https://8.8.8.8/", actor=ACTOR)

    create(merchant, "test")
    create(merchant, "live")
    create(other_merchant, "test")

    with pytest.raises(TooManyWebhookEndpoints):
        create(merchant, "test")
    assert WebhookEndpoint.objects.count() == 3


def test_a_change_of_address_starts_without_a_past_and_is_checked_again(merchant: Merchant, receiver: Open) -> None:
    endpoint = endpoint_at(receiver(), merchant)
    WebhookEndpoint.objects.update(failure_count=9, failing_since=clock.now(), paused_until=clock.now())

    with pytest.raises(WebhookUrlRefused):
        services.update_endpoint(endpoint=endpoint, url="https://10.0.0.1/", actor=ACTOR)
    services.update_endpoint(endpoint=endpoint, description="shop", event_types=["payment.voided"] * 2, actor=ACTOR)
    unmoved = WebhookEndpoint.objects.get()
    services.update_endpoint(endpoint=endpoint, url="https://8.8.8.8/", actor=ACTOR)

    assert (unmoved.failure_count, unmoved.description, unmoved.event_types) == (9, "shop", ["payment.voided"])
    endpoint = WebhookEndpoint.objects.get()
    assert (endpoint.url, endpoint.failure_count, endpoint.failing_since) == ("https://8.8.8.8/", 0, None)
    entry = AuditEntry.objects.filter(verb="webhook_endpoint.update").latest("id")
    assert (entry.before["url"], entry.after["url"]) == (unmoved.url, "https://8.8.8.8/")


def test_disabling_cancels_what_is_on_its_way_and_enabling_starts_afresh(
    receiver: Open, merchant: Merchant, tell: Tell
) -> None:
    there = receiver()
    endpoint = endpoint_at(there, merchant)
    tell(merchant)
    services.dispatch_events()
    WebhookEndpoint.objects.update(failure_count=3, failing_since=clock.now())

    services.disable_endpoint(endpoint=endpoint, reason="moving", actor=ACTOR)
    assert WebhookDelivery.objects.get().status == "canceled"
    assert webhooks_due_since() is None
    services.enable_endpoint(endpoint=endpoint, actor=ACTOR)
    services.deliver_due()
    assert there.received == []
    event = tell(merchant)
    services.deliver_due()

    assert told(there) == [event.public_id]
    endpoint.refresh_from_db()
    assert (endpoint.failure_count, endpoint.disabled_reason) == (0, "")


def test_no_secret_is_in_the_audit_the_alerts_the_logs_or_a_repr(
    receiver: Open, merchant: Merchant, tell: Tell, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    there = receiver()
    there.otherwise = Reply(410)
    created = services.create_endpoint(merchant=merchant, mode="test", url=there.url, actor=ACTOR)
    rotated = services.rotate_secret(endpoint=created.endpoint, actor=ACTOR)
    tell(merchant)
    services.deliver_due()

    written = " ".join(
        [
            *(json.dumps([entry.before, entry.after, entry.reason]) for entry in AuditEntry.objects.all()),
            *(alert.message for alert in Alert.objects.all()),
            *(str(record.__dict__) for record in caplog.records),
            repr([created, rotated, created.endpoint, *WebhookDelivery.objects.all()]),
        ]
    )
    assert there.received
    assert "whsec_" not in written
    for secret in (created.secret, rotated.secret):
        assert secret.removeprefix("whsec_") not in written
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret, previous_secret FROM merchants_webhookendpoint")
        assert "whsec_" not in str(cursor.fetchall())


# --- By hand ------------------------------------------------------------------------------------------------------


def test_a_test_event_goes_to_that_endpoint_alone(receiver: Open, merchant: Merchant) -> None:
    this, that = receiver(), receiver()
    endpoint = endpoint_at(this, merchant, event_types=["payment.voided"])
    endpoint_at(that, merchant)

    event = services.send_test_event(endpoint=endpoint, actor=ACTOR)
    services.deliver_due()

    assert (told(this), told(that)) == ([event.public_id], [])
    message = this.received[0].verified(endpoint.secret)
    assert (message["type"], message["data"]) == (
        "webhook_endpoint.test",
        {"webhook_endpoint": endpoint.public_id},
    )


def test_one_event_is_sent_again_by_hand_whatever_came_of_it(receiver: Open, merchant: Merchant, tell: Tell) -> None:
    there = receiver()
    before = tell(merchant)
    services.deliver_due()
    endpoint = endpoint_at(there, merchant)
    event = tell(merchant)
    services.deliver_due()

    for each in (before, event, event):
        services.redeliver(endpoint=endpoint, event=each, actor=ACTOR)
    services.deliver_due()

    assert sorted(told(there)) == sorted([before.public_id, event.public_id, event.public_id])
    assert set(WebhookDelivery.objects.values_list("status", "attempt_count")) == {("delivered", 1)}


def test_an_event_may_be_redelivered_before_it_was_dispatched_and_goes_out_once(
    receiver: Open, merchant: Merchant, tell: Tell
) -> None:
    there = receiver()
    endpoint = endpoint_at(there, merchant)
    event = tell(merchant)

    services.redeliver(endpoint=endpoint, event=event, actor=ACTOR)
    services.deliver_due()

    assert told(there) == [event.public_id]


def test_what_was_missed_is_sent_and_what_arrived_is_not(receiver: Open, merchant: Merchant, tell: Tell) -> None:
    there = receiver()
    endpoint = endpoint_at(there, merchant, event_types=["payment.captured", "webhook_endpoint.test"])
    long_ago = tell(merchant)
    failed, arrived = tell(merchant), tell(merchant)
    services.deliver_due()
    services.disable_endpoint(endpoint=endpoint, reason="moving", actor=ACTOR)
    while_disabled = tell(merchant)
    tell(merchant, "payment.voided")
    services.dispatch_events()
    services.enable_endpoint(endpoint=endpoint, actor=ACTOR)
    test_event = services.send_test_event(endpoint=endpoint, actor=ACTOR)
    WebhookDelivery.objects.exclude(event=arrived).update(status="failed", next_attempt_at=None, attempt_count=10)
    WebhookEvent.objects.filter(pk=long_ago.pk).update(created_at=clock.seconds_from_now(-86_400))
    there.received.clear()

    def redeliver() -> int:
        asked = services.redeliver_missed(
            endpoint=endpoint, since=clock.seconds_from_now(-3600), until=clock.now(), actor=ACTOR
        )
        services.continue_redelivery()
        asked.refresh_from_db()
        assert asked.finished_at is not None
        return asked.count

    assert redeliver() == 2
    assert redeliver() == 0
    services.deliver_due()

    assert sorted(told(there)) == sorted([failed.public_id, while_disabled.public_id])
    assert test_event.public_id not in told(there)


def test_nothing_is_sent_by_hand_to_a_disabled_endpoint_or_of_somebody_else(
    receiver: Open, merchant: Merchant, other_merchant: Merchant, tell: Tell
) -> None:
    endpoint = endpoint_at(receiver(), merchant)
    foreign, live = tell(other_merchant, about="pay_2"), tell(merchant, mode="live", about="pay_3")
    own = tell(merchant)
    services.dispatch_events()
    WebhookDelivery.objects.all().delete()

    for event in (foreign, live):
        with pytest.raises(WebhookEventNotFound):
            services.redeliver(endpoint=endpoint, event=event, actor=ACTOR)
    services.disable_endpoint(endpoint=endpoint, reason="moving", actor=ACTOR)
    with pytest.raises(WebhookEndpointDisabled):
        services.redeliver(endpoint=endpoint, event=own, actor=ACTOR)
    with pytest.raises(WebhookEndpointDisabled):
        services.send_test_event(endpoint=endpoint, actor=ACTOR)
    with pytest.raises(WebhookEndpointDisabled):
        services.redeliver_missed(endpoint=endpoint, since=own.created_at, until=datetime.max, actor=ACTOR)

    assert not WebhookDelivery.objects.exists()


# --- Forgetting ---------------------------------------------------------------------------------------------------


def test_events_are_forgotten_after_thirty_days_with_what_became_of_them(
    receiver: Open, merchant: Merchant, tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("merchants.services.events._FORGET_COUNT", 2)
    endpoint_at(receiver(), merchant)
    events = [tell(merchant) for _ in range(5)]
    services.deliver_due()
    for event in events[:3]:
        WebhookEvent.objects.filter(pk=event.pk).update(created_at=clock.seconds_from_now(-31 * 86_400))

    forget_old_events()
    connection.check_constraints()

    kept = {event.pk for event in events[3:]}
    assert set(WebhookEvent.objects.values_list("pk", flat=True)) == kept
    assert set(WebhookDelivery.objects.values_list("event_id", flat=True)) == kept


# --- The listener -------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_the_listener_prints_what_is_signed_for_it_and_refuses_what_is_not(merchant: Merchant, tell: Tell) -> None:
    out = StringIO()
    words = ("listen_webhooks", "--port=0", f"--merchant={merchant.public_id}", "--count=2")

    def listen() -> None:
        call_command(*words, stdout=out, no_color=True)
        connection.close()

    listener = threading.Thread(target=listen)
    listener.start()
    deadline = time.monotonic() + 10
    while "hears what happens" not in out.getvalue() and time.monotonic() < deadline:
        time.sleep(0.02)
    endpoint = WebhookEndpoint.objects.get()
    forged = sender.Sender()
    headers = signatures.signed_headers([signatures.new_secret()], message_id="evt_1", timestamp=1, body=b"{}")
    forged.send(Message("forged", endpoint.url, headers, b"{}", True))
    assert [answer.http_status for answer in forged.take(5)] == [400]
    events = [tell(merchant), services.send_test_event(endpoint=endpoint, actor=ACTOR)]
    services.deliver_due()
    listener.join(10)

    assert not listener.is_alive()
    printed = out.getvalue()
    assert "Something came that is not signed with this endpoint's secret." in printed
    for event in events:
        assert f"{event.type}  {event.public_id}  sequence 1  signature good" in printed
    assert '"status": "captured"' in printed
    assert "whsec_" not in printed
    assert WebhookEndpoint.objects.get().disabled_reason == "Nobody listens any more."


def test_the_listener_needs_to_know_whom_to_listen_for(merchant: Merchant, other_merchant: Merchant) -> None:
    with pytest.raises(CommandError, match="Say which merchant"):
        call_command("listen_webhooks", "--port=0")
    with pytest.raises(CommandError, match="There is no merchant"):
        call_command("listen_webhooks", "--port=0", "--merchant=mer_nobody")
