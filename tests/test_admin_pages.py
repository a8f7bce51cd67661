"""Does every page of the desk open, for every role, quickly, and without asking anybody else for anything?"""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.contrib.staticfiles import finders
from django.db import connection
from django.test import Client

from checkout.kit import clock
from checkout.kit.alerts import raise_alert
from checkout.kit.models import Approval, User
from gateways.models import Gateway, HealthCheck, Notice
from ledger.models import (
    BankLine,
    ClearingItem,
    ClosedDay,
    Discrepancy,
    ReportSubscription,
    SettlementBatch,
    SettlementFile,
    SettlementLine,
)
from merchants.models import Merchant, WebhookDelivery, WebhookEndpoint, WebhookEvent
from payments.models import AuditRun
from payments.services import refund_payment
from tests.desk import EVERYBODY, at_desk, queries_of, text_of

HOME = "/admin/"


def lists() -> list[str]:
    """The address of every list."""
    return [f"/admin/{m._meta.app_label}/{m._meta.model_name}/" for m in admin.site._registry]


def details() -> list[str]:
    """The address of one page of each kind that there is a row for."""
    found = []
    for model in admin.site._registry:
        row: Any = model._default_manager.first()
        if row is not None:
            key = getattr(row, "public_id", row.pk) if hasattr(model, "PUBLIC_PREFIX") else row.pk
            found.append(f"/admin/{model._meta.app_label}/{model._meta.model_name}/{key}/change/")
    return found


@pytest.fixture
def a_day(
    captured_payment: Any,
    authorized_payment: Any,
    processed_payment: Any,
    api_key: Any,
    operator: Any,
    eur: Any,
    usd: Any,
) -> None:
    """A day at the desk: captured, authorized and declined payments, a refund, and one row of everything rarer."""
    captured = captured_payment(eur(50_00))
    captured_payment(usd(70_00))
    authorized_payment(eur(20_00))
    processed_payment(eur(10_00), number="4000000000000002")
    refund_payment(payment=captured, amount=eur(5_00), reason="one came back", actor=operator)
    raise_alert(kind="test", message="Look here", severity="critical")
    now, gateway = clock.now(), Gateway.objects.get(code="north")
    HealthCheck.objects.create(gateway=gateway, checked_at=now, is_good=True, duration_ms=3, health_status="healthy")
    Notice.objects.create(
        gateway=gateway, notice_id="n1", reference="att_x", outcome="succeeded", body="{}", received_at=now
    )
    AuditRun.objects.create(started_at=now, duration_ms=12, result="green", counts={"I1": 7})
    endpoint = WebhookEndpoint.objects.create(
        merchant=captured.merchant, mode="test", url="https://shop.example/hooks", secret="whsec_never-shown"
    )
    event = WebhookEvent.objects.first()
    assert event is not None
    WebhookDelivery.objects.create(event=event, endpoint=endpoint, next_attempt_at=now)
    Approval.objects.create(
        kind="attempt.settle_by_hand",
        object_id=captured.attempts.first().public_id,
        payload={"outcome": "declined"},
        payload_hash="x",
        reason="by phone",
        maker=User.objects.create_user("maker"),
        expires_at=clock.seconds_from_now(60),
    )
    ReportSubscription.objects.create(report="revenue", period="yesterday", format="csv", mode="test")
    settle(gateway)


def settle(gateway: Gateway) -> None:
    """A file with a line that nobody expected, its payout, a booking at the bank, and a day that is closed."""
    about: dict[str, Any] = {"gateway": gateway, "mode": "test", "currency": "EUR"}
    today = clock.now().date()
    received = {"source": "upload", "size_bytes": 9, "status": "imported", "line_count": 1, "received_by": "user:frank"}
    file, statement = (
        SettlementFile.objects.create(gateway=sender, mode="test", name=name, sha256=name, **received)
        for sender, name in ((gateway, "day.csv"), (None, "day.xml"))
    )
    line = SettlementLine.objects.create(
        **{**about, "file": file, "line_number": 2, "kind": "charge", "raw_type": "charge", "occurred_on": today},
        **{
            "gateway_reference": "ch_1",
            "gross_minor": 500,
            "fee_minor": 20,
            "net_minor": 480,
            "batch_reference": "b-1",
        },
    )
    bank_line = BankLine.objects.create(
        file=statement, line_number=1, account="DE00", text="b-1", currency="EUR", amount_minor=480, booked_on=today
    )
    SettlementBatch.objects.create(
        **about, file=file, reference="b-1", net_minor=480, line_count=1, paid_on=today, bank_line=bank_line
    )
    Discrepancy.objects.create(
        **about,
        kind="missing_in_ledger",
        on=today,
        line=line,
        theirs_minor=500,
        difference_minor=480,
        found_at=clock.now(),
    )
    figures = ("opening_minor", "movement_minor", "matched_minor", "closing_minor", "file_minor", "exceptions_minor")
    ClosedDay.objects.create(**about, on=today, closed_by="user:frank", **dict.fromkeys(figures, 0))


@pytest.mark.parametrize("role", EVERYBODY)
def test_every_page_opens_for_who_may_see_it(a_day: None, role: str) -> None:
    browser = at_desk(role)
    allowed = (200, 302) if role == "administrator" else (200, 302, 403)
    assert len(details()) == len(lists())  # there is a row of everything, so every kind of page is opened

    for address in [HOME, "/admin/ledger/account/trial-balance/", *lists(), *details()]:
        answer = browser.get(address)
        assert answer.status_code in allowed, (address, answer.status_code)
        if answer.status_code == 403:
            assert "/auth/group/" in address, f"{role} should see {address}"
        assert "whsec_never-shown" not in answer.content.decode()


def test_nobody_comes_in_without_logging_in(a_day: None, client: Any) -> None:
    for address in [HOME, "/admin/ledger/account/trial-balance/", *lists(), *details()]:
        assert client.get(address).status_code == 302, address


def test_no_page_asks_another_host_for_anything(a_day: None) -> None:
    browser = at_desk("administrator")
    loaded = re.compile(r"""<(?:script|link|img|iframe|source)[^>]+(?:src|href)=["']([^"']+)""")

    for address in [HOME, "/admin/ledger/account/trial-balance/", *lists(), *details()]:
        answer = browser.get(address, follow=True)
        for found in loaded.findall(answer.content.decode()):
            assert re.match("/[^/]", found), (address, found)
        policy = answer["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "script-src 'self' 'unsafe-eval'" in policy
        assert "style-src 'self' 'unsafe-inline'" in policy


def test_the_policy_is_for_the_desk_only(api: Any) -> None:
    assert "Content-Security-Policy" not in api.get("/v1/payments")


@pytest.mark.parametrize("name", ["desk/desk.css", "desk/icon.svg"])
def test_what_the_pages_look_like_is_among_the_static_files(name: str) -> None:
    assert finders.find(name)


def test_home_says_what_happened_today(a_day: None) -> None:
    said = text_of(at_desk("Operations").get(HOME))

    for expected in (
        *("50.00 EUR", "70.00 USD", "Authorization rate 75.0 % 3 of 4 decided", "0 unknown", "Look here"),
        *("authorized 1 20.00 EUR", "captured 2", "declined 1 10.00 EUR", "North healthy", "Acknowledge"),
    ):
        assert expected in said, expected


def test_home_says_what_differs_and_what_waits_to_be_closed_to_who_may_see_it(a_day: None) -> None:
    yesterday = clock.now().date() - timedelta(days=1)
    Discrepancy.objects.update(on=yesterday)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE ledger_journalentry SET occurred_on = %s", [yesterday])
        cursor.execute("SET LOCAL session_replication_role = origin")

    html = at_desk("Finance").get(HOME).content.decode()

    assert "1 difference open, oldest 1 day<" in html
    assert "/admin/ledger/discrepancy/?state=unresolved" in html
    assert "2 days wait to be closed" in html  # in euros and in dollars
    assert 'href="/admin/ledger/closedday/"' in html
    user = User.objects.create_user("sees payments only", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_payment"))
    browser = Client()
    browser.force_login(user)
    said = text_of(browser.get(HOME))
    assert "books" in said
    assert "difference" not in said
    assert "to be closed" not in said


def test_home_takes_the_same_number_of_queries_however_much_happened(
    a_day: None, captured_payment: Any, eur: Any
) -> None:
    browser = at_desk("Operations")
    browser.get(HOME)
    before = queries_of(lambda: browser.get(HOME))
    for number in range(5):
        captured_payment(eur(1_00 + number))
        raise_alert(kind="test", object_id=str(number), message="Look here too")
        Discrepancy.objects.create(
            **{"gateway": Gateway.objects.get(code="south"), "mode": "test", "currency": "EUR"},
            **{"kind": "missing_at_gateway", "on": clock.now().date(), "found_at": clock.now()},
            **{"ours_minor": 1, "difference_minor": -1, "item": ClearingItem.objects.latest("pk")},
        )

    assert queries_of(lambda: browser.get(HOME)) == before
    assert before <= 20


def test_home_tells_a_newcomer_what_to_do(db: None) -> None:
    said = text_of(at_desk("Operations").get(HOME))

    assert "No payment yet" in said
    assert "API documentation" in said


def test_home_keeps_from_people_without_a_role_what_they_may_not_see(a_day: None) -> None:
    user = User.objects.create_user("nobody", is_staff=True)
    browser = Client()
    browser.force_login(user)

    said = text_of(browser.get(HOME))

    assert "You have no role yet." in said
    assert "50.00 EUR" not in said
    assert "Look here" not in said


def test_a_command_palette_finds_what_carries_an_id(a_day: None) -> None:
    merchant = Merchant.objects.get()

    html = at_desk("Operations").get("/admin/search/", {"extended": 1, "s": merchant.public_id}).content.decode()

    assert f"/admin/merchants/merchant/{merchant.public_id}/change/" in html


def test_no_query_string_breaks_a_list(a_day: None) -> None:
    browser = at_desk("administrator")

    for query in ("p=999999", "p=x", "o=1.2.3", "q=%00", "all=", "e=1", "status__exact=nonsense"):
        for address in lists():
            assert browser.get(f"{address}?{query}", follow=True).status_code == 200, (address, query)
