"""Can somebody at the desk have messages sent again: one, many, or all that were missed in a time?"""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from checkout.kit import clock
from checkout.kit.models import AuditEntry
from checkout.settings import policy
from merchants import services
from merchants.models import UNDELIVERED, Merchant, WebhookDelivery, WebhookEndpoint, WebhookEvent, WebhookRedelivery
from merchants.selectors import webhooks_due_since
from tests.desk import at_desk, fields_of, fill_in, queries_of, text_of

FAILED = "/admin/merchants/webhookdelivery/failed/"


@pytest.fixture
def endpoint(merchant: Merchant) -> WebhookEndpoint:
    return WebhookEndpoint.objects.create(
        merchant=merchant, mode="test", url="https://shop.example/hooks", secret="whsec_never-shown"
    )


def tell(endpoint: WebhookEndpoint, count: int, status: str = "failed", tries: int = 10) -> list[WebhookDelivery]:
    """So many messages that came to this."""
    events = [
        WebhookEvent.objects.create(
            merchant_id=endpoint.merchant_id,
            mode="test",
            type="payment.captured",
            object_id=f"pay_{WebhookEvent.objects.count()}",
            sequence=1,
            data={"id": "pay_1"},
            dispatched_at=clock.now(),
        )
        for _ in range(count)
    ]
    due = clock.seconds_from_now(3600) if status == "pending" else None
    return [
        WebhookDelivery.objects.create(
            **{"event": event, "endpoint": endpoint, "status": status, "attempt_count": tries},
            **{"next_attempt_at": due, "last_error": "answered 500"},
        )
        for event in events
    ]


def page(obj: Any, verb: str) -> str:
    return f"/admin/merchants/{obj._meta.model_name}/{getattr(obj, 'public_id', obj.pk)}/{verb}/"


def test_the_queue_holds_what_was_given_up_and_what_is_refused_again_and_again(endpoint: WebhookEndpoint) -> None:
    [given_up], [refused] = tell(endpoint, 1), tell(endpoint, 1, "pending", policy.DELIVERY_TRIES_TO_LOOK)
    [young], [arrived] = tell(endpoint, 1, "pending", 1), tell(endpoint, 1, "delivered", 1)

    listed = at_desk("Read-only").get(FAILED)

    for delivery, is_there in ((given_up, True), (refused, True), (young, False), (arrived, False)):
        assert (f"webhookdelivery/{delivery.pk}/change/" in listed.content.decode()) is is_there
    for words in ("Failed webhooks", "https://shop.example/hooks", "answered 500", "none, unless it is redelivered"):
        assert words in text_of(listed), words


@pytest.mark.parametrize("role", ["Operations", "Developer support"])
def test_one_is_sent_again_with_a_reason_under_the_same_id(endpoint: WebhookEndpoint, role: str) -> None:
    [delivery] = tell(endpoint, 1)

    answer = fill_in(at_desk(role), page(delivery, "redeliver"), reason="they fixed it")

    assert answer.status_code == 302, text_of(answer)
    again = WebhookDelivery.objects.get()
    assert (again.pk, again.event_id, again.status, again.attempt_count) == (
        *(delivery.pk, delivery.event_id, "pending", 0),
    )
    told = AuditEntry.objects.get(verb="webhook_endpoint.redeliver")
    assert (told.reason, told.actor) == ("they fixed it", f"user:a {role}")
    assert told.before == {"status": "failed", "tries": 10, "last_error": "answered 500"}


def test_many_are_sent_again_and_those_of_a_disabled_endpoint_are_not(endpoint: WebhookEndpoint) -> None:
    deliveries = tell(endpoint, 3)
    gone = WebhookEndpoint.objects.create(
        merchant=endpoint.merchant, mode="test", url="https://gone.example", secret="x", status="disabled"
    )
    deliveries += tell(gone, 1)
    browser = at_desk("Developer support")

    keys = [str(delivery.pk) for delivery in deliveries]
    shown = browser.post(FAILED, {"action": "bulk-redeliver", "_selected_action": keys, "index": 0})
    answer = browser.post(f"{FAILED}bulk-redeliver/", {**fields_of(shown.content.decode()), "reason": "well again"})

    assert "Left out. Its endpoint is disabled." in text_of(shown)
    assert "3 done, 1 refused" in text_of(browser.get(answer["Location"]))
    assert WebhookDelivery.objects.filter(status="pending").count() == 3


def test_whoever_may_only_look_sends_nothing_again(endpoint: WebhookEndpoint) -> None:
    [delivery] = tell(endpoint, 1)
    browser = at_desk("Read-only")

    for address in (page(delivery, "redeliver"), page(endpoint, "redeliver-missed")):
        assert browser.get(address).status_code == 403
        assert browser.post(address, {"reason": "x"}).status_code == 403
    assert WebhookDelivery.objects.get().status == "failed"


def test_a_time_is_sent_again_after_its_number_was_seen(endpoint: WebhookEndpoint) -> None:
    tell(endpoint, 3)
    tell(endpoint, 2, "delivered", 1)
    browser, address = at_desk("Developer support"), page(endpoint, "redeliver-missed")

    counted = fill_in(browser, address, reason="they were down")

    assert "3 messages were missed between these times. Press again to send them." in text_of(counted)
    assert not WebhookRedelivery.objects.exists()
    answer = browser.post(address, {**fields_of(counted.content.decode())})
    assert answer.status_code == 302, text_of(answer)
    assert WebhookDelivery.objects.filter(status="pending").count() == 0  # a worker does it
    while services.continue_redelivery():
        pass
    assert sorted(WebhookDelivery.objects.values_list("status", flat=True)) == ["delivered"] * 2 + ["pending"] * 3
    told = AuditEntry.objects.get(verb="webhook_endpoint.redeliver_missed")
    assert told.reason == "they were down"
    assert "3 messages made since" in text_of(browser.get(page(endpoint, "change")))


def test_another_time_than_was_seen_is_counted_first(endpoint: WebhookEndpoint) -> None:
    tell(endpoint, 3)
    browser, address = at_desk("Developer support"), page(endpoint, "redeliver-missed")
    counted = fields_of(fill_in(browser, address, reason="x").content.decode())

    earlier = f"{clock.now() - timedelta(days=3):%Y-%m-%d %H:%M}"
    again = browser.post(address, {**counted, "since": earlier})

    assert "3 messages were missed" in text_of(again)
    assert not WebhookRedelivery.objects.exists()


@pytest.mark.parametrize(
    ("since", "until", "words"),
    [
        ("1600-01-01 00:00", "", "Messages are kept for 30 days."),
        ("", "9999-12-31 23:59", "Must be a time of these days."),
        ("", "1999-12-31 23:59", "Must be a time of these days."),
        ("tomorrow", "", "Enter a valid date/time."),
    ],
)
def test_a_time_that_cannot_be_meant_is_refused_in_words(
    endpoint: WebhookEndpoint, since: str, until: str, words: str
) -> None:
    asked = {name: value for name, value in (("since", since), ("until", until)) if value}

    answer = fill_in(at_desk("Operations"), page(endpoint, "redeliver-missed"), reason="x", **asked)

    assert words in text_of(answer)


def test_a_long_time_is_gone_through_in_batches_and_survives_whoever_dies(
    endpoint: WebhookEndpoint, operator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "WEBHOOK_DISPATCH_COUNT", 4)
    tell(endpoint, 10)
    asked = services.redeliver_missed(
        endpoint=endpoint, since=clock.seconds_from_now(-60), until=clock.now(), actor=operator, reason="x"
    )
    assert webhooks_due_since() is not None  # whoever looks finds it, without any bell

    sent = []
    while services.continue_redelivery():
        sent.append(WebhookDelivery.objects.filter(status="pending").count())

    asked.refresh_from_db()
    assert sent == [4, 8, 10]
    assert (asked.count, asked.finished_at is not None) == (10, True)


def test_it_ends_when_its_endpoint_is_disabled(endpoint: WebhookEndpoint, operator: Any) -> None:
    tell(endpoint, 3)
    asked = services.redeliver_missed(
        endpoint=endpoint, since=clock.seconds_from_now(-60), until=clock.now(), actor=operator
    )
    services.disable_endpoint(endpoint=endpoint, reason="moving", actor=operator)

    services.continue_redelivery()

    asked.refresh_from_db()
    assert (asked.count, asked.finished_at is not None) == (0, True)
    assert not WebhookDelivery.objects.filter(status="pending").exists()


def test_the_queue_is_read_by_its_index(endpoint: WebhookEndpoint) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        query, values = WebhookDelivery.objects.filter(UNDELIVERED).order_by("pk").query.sql_with_params()
        cursor.execute(f"EXPLAIN {query}", values)
        plan = str(cursor.fetchall())

    assert "webhook_delivery_undelivered" in plan


def test_the_queue_takes_the_same_number_of_queries_however_long_it_is(endpoint: WebhookEndpoint) -> None:
    browser = at_desk("Operations")
    tell(endpoint, 1)
    browser.get(FAILED)
    before = queries_of(lambda: browser.get(FAILED))

    tell(endpoint, 20)

    assert queries_of(lambda: browser.get(FAILED)) == before


def test_a_long_one_keeps_nobody_waiting_for_its_end(
    endpoint: WebhookEndpoint, operator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "WEBHOOK_DISPATCH_COUNT", 4)
    others = WebhookEndpoint.objects.create(
        merchant=services.create_merchant(
            name="Bo's Bikes", country="DK", default_currency="DKK", fee_bps=0, actor=operator
        ),
        **{"mode": "test", "url": "https://bikes.example/hooks", "secret": "whsec_never-shown"},
    )
    tell(endpoint, 12)
    tell(others, 6)
    long, short = (
        services.redeliver_missed(
            endpoint=each, since=clock.seconds_from_now(-60), until=clock.seconds_from_now(60), actor=operator
        )
        for each in (endpoint, others)
    )

    served = []
    while services.continue_redelivery():
        served.append(WebhookRedelivery.objects.order_by("-served_at").exclude(served_at=None).first())

    assert served == [long, short, long, short, long, long]  # the last of them finds that nothing is left
    assert list(WebhookRedelivery.objects.order_by("id").values_list("count", flat=True)) == [12, 6]
