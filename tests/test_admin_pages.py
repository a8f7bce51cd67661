"""Does every page of the desk open, for every role, quickly, and without asking anybody else for anything?"""

import json
import re
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.contrib.staticfiles import finders
from django.db import connection
from django.test import Client

from checkout.kit import clock
from checkout.kit.alerts import raise_alert
from checkout.kit.models import Approval, User
from gateways.models import Gateway, GatewayCall, GatewayMaintenance, HealthCheck, Notice
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
from payments.models import Attempt, AuditRun
from payments.services import refund_payment
from tests.desk import EVERYBODY, at_desk, browser_of, queries_of, text_of

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
    user = User.objects.get(username=f"a {role}")
    assert len(details()) == len(lists())  # there is a row of everything, so every kind of page is opened

    for address in [HOME, "/admin/ledger/account/trial-balance/", *lists(), *details()]:
        answer = browser.get(address)
        app, model = (address.split("/")[2:4] + [""])[:2]
        may_see = address == HOME or user.has_perm(f"{app}.view_{model}")
        assert answer.status_code in ((200, 302) if may_see else (403,)), (address, answer.status_code)
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
        *("50.00 EUR", "70.00 USD", "Authorization rate 75.0 % 3 authorized , 1 declined or failed", "Look here"),
        *("authorized 1 25.0 % 20.00 EUR", "captured 2", "declined 1", "North healthy", "Acknowledge"),
        *("Waiting for you 1 1 settlement of an unknown outcome by hand", "Unknown outcomes 0", "Money in flight 1"),
        *("Self-audit balanced", "Webhooks undelivered 1", "Refunds on their way 1 5.00 EUR", "Do not honor 1 100.0 %"),
    ):
        assert expected.lower() in said.lower(), expected


NUMBER = re.compile(r"""<a [^>]*href="([^"#]+)"[^>]*>((?:(?!</a>).)*)</a>""", re.DOTALL)


def numbers_of(html: str) -> dict[str, int]:
    """What the page counts: the address behind each number, and the number."""
    found = {}
    for address, inside in NUMBER.findall(html[html.index('id="main"') :]):
        says = re.sub(r'<span class="(?:name|more)">[^<]*</span>|<[^>]+>', " ", unescape(inside))
        if count := re.match(r"\s*([0-9][0-9,]*)(?![0-9:.])(?:\s|$)", says):
            found[unescape(address)] = int(count[1].replace(",", ""))
    return found


@pytest.mark.parametrize("role", EVERYBODY)
def test_every_number_on_the_home_page_is_the_rows_of_the_list_behind_it(a_day: None, role: str) -> None:
    Attempt.objects.filter(operation="void").delete()
    unknown = Attempt.objects.filter(operation="authorize", status="declined")
    unknown.update(status="unknown", next_action_at=clock.now(), sent_at=clock.seconds_from_now(-3_600))
    GatewayMaintenance.objects.create(
        gateway=Gateway.objects.get(code="south"),
        starts_at=clock.seconds_from_now(-60),
        ends_at=clock.seconds_from_now(60),
        reason="works",
        planned_by="user:olga",
    )
    browser = at_desk(role)

    numbers = numbers_of(browser.get(HOME).content.decode())

    assert len(numbers) >= 8, numbers
    for address, number in numbers.items():
        if "/closedday/" not in address:  # what waits to be closed stands above that list
            page = browser.get(address)
            assert page.status_code == 200, address
            assert page.context["cl"].result_count == number, address


def test_what_waits_for_me_is_what_i_may_decide(a_day: None) -> None:
    asked = Approval.objects.get()

    assert "Waiting for you 1" in text_of(at_desk("Operations").get(HOME))
    assert "Waiting for you 0" in text_of(at_desk("Finance").get(HOME))  # who may not settle attempts
    assert "Waiting for you" not in text_of(at_desk("Read-only").get(HOME))
    browser = browser_of(User.objects.get(username="a Operations"))
    Approval.objects.update(maker=User.objects.get(username="a Operations"))
    assert "Waiting for you 0" in text_of(browser.get(HOME))
    Approval.objects.update(maker=asked.maker, expires_at=clock.seconds_from_now(-1))
    assert "Waiting for you 0" in text_of(browser.get(HOME))


@pytest.mark.parametrize(
    ("role", "first"),
    [
        ("Operations", ["Waiting for you", "Unknown outcomes", "Due work"]),
        ("Finance", ["Waiting for you", "Differences open", "Days to close", "Self-audit"]),
        ("Risk", ["Unknown outcomes", "Refunds on their way"]),
        ("Developer support", ["Webhooks undelivered"]),
    ],
)
def test_home_begins_with_the_work_of_the_role(a_day: None, role: str, first: list[str]) -> None:
    html = at_desk(role).get(HOME).content.decode()

    assert re.findall(r'<span class="name">([^<]+)<', html)[: len(first)] == first


def test_home_draws_the_gateways_hour_by_hour_and_says_the_same_in_a_table(a_day: None, captured_payment: Any) -> None:
    GatewayCall.objects.filter(operation="authorize").update(duration_ms=120)

    answer = at_desk("Operations").get(HOME)

    charts = next(panel.data for panel in answer.context["panels"] if panel.template.endswith("charts.html"))
    volume, rate = json.loads(charts.volume), json.loads(charts.rate)
    assert len(volume["labels"]) == 24
    assert [line["label"] for line in volume["datasets"]] == ["North"]
    assert volume["datasets"][0]["data"] == [0] * 23 + [4]
    assert rate["datasets"][0]["data"] == [None] * 23 + [75.0]
    assert "North 4 3 1 75.0 % 120 ms 120 ms" in text_of(answer)


def test_home_says_which_gateways_take_no_payments_and_since_when(a_day: None) -> None:
    Gateway.objects.filter(code="north").update(health_status="unhealthy", health_changed_at="2026-01-02T03:04:05Z")
    Gateway.objects.filter(code="south").update(stopped_at="2026-01-05T06:07:08Z", stopped_reason="I1")

    said = text_of(at_desk("Operations").get(HOME))

    assert "Gateways down 2 North, South" in said
    assert re.search("North unhealthy since 02 Jan( 2026)?( 03:04)?", said)
    assert re.search("South stopped since 05 Jan( 2026)?( 06:07)?", said)


def test_home_says_what_differs_and_what_waits_to_be_closed_to_who_may_see_it(a_day: None) -> None:
    yesterday = clock.now().date() - timedelta(days=1)
    Discrepancy.objects.update(on=yesterday)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE ledger_journalentry SET occurred_on = %s", [yesterday])
        cursor.execute("SET LOCAL session_replication_role = origin")

    said = text_of(at_desk("Finance").get(HOME))

    assert "Differences open 1 oldest 1 day" in said
    assert "Days to close 2" in said  # in euros and in dollars
    assert "1 day of North in EUR, test mode, waits to be closed" in said
    user = User.objects.create_user("sees payments only", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_payment"))
    said = text_of(browser_of(user).get(HOME))
    assert "Captured" in said
    assert "Differences" not in said
    assert "to close" not in said


def test_home_takes_the_same_number_of_queries_however_much_happened(
    a_day: None, captured_payment: Any, eur: Any
) -> None:
    browser = at_desk("administrator")
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
    assert before <= 30


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


def palette(browser: Client, term: str) -> Any:
    return browser.get("/admin/search/", {"extended": 1, "s": term})


def test_a_command_palette_finds_what_carries_an_id(a_day: None) -> None:
    merchant, browser = Merchant.objects.get(), at_desk("Risk")

    assert (
        f"/admin/merchants/merchant/{merchant.public_id}/change/"
        in palette(browser, merchant.public_id).content.decode()
    )
    user = User.objects.create_user("sees payments only", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_payment"))
    assert merchant.public_id not in palette(browser_of(user), merchant.public_id).content.decode()


def test_a_command_palette_finds_payments_for_who_may_see_them(captured_payment: Any, eur: Any) -> None:
    payment = captured_payment(eur(50_00), merchant_reference="Order-7", customer_email="ana@example.com")
    attempt = payment.attempts.get(operation="authorize")
    browser, nobody = at_desk("Operations"), browser_of(User.objects.create_user("nobody", is_staff=True))

    for term in ("Order-7", "ANA@example.com", "4242", "4242 50.00", "50 EUR 4242", attempt.gateway_reference):
        assert payment.public_id in palette(browser, term).content.decode(), term
        assert payment.public_id not in palette(nobody, term).content.decode(), term
    assert payment.public_id not in palette(browser, "order-7").content.decode()  # two references, not one


@pytest.mark.parametrize("term", ["4242424242424242", "4242 4242 4242 4242", "sk_live_" + "a" * 46])
def test_a_card_number_or_secret_is_looked_for_nowhere_and_not_repeated(
    a_day: None, term: str, caplog: pytest.LogCaptureFixture
) -> None:
    browser = at_desk("Operations")

    for answer in (palette(browser, term), browser.get("/admin/payments/payment/", {"q": term})):
        assert answer.status_code == 400
        assert "what looks like a card number or a key" in answer.content.decode()
        assert term not in answer.content.decode()
    assert term not in caplog.text


@pytest.mark.parametrize("term", ["DE89370400440532013000", "cvv 123", ";4111111111111=99121010000"])
def test_what_else_is_kept_nowhere_is_refused_in_words(a_day: None, term: str) -> None:
    browser = at_desk("Operations")

    found = palette(browser, term).content.decode()
    answer = browser.get("/admin/payments/payment/", {"q": term})

    assert answer["Location"] == "/admin/payments/payment/"
    for said in (found, browser.get(answer["Location"]).content.decode()):
        assert "looks like a card or account number or a secret" in said
        assert term not in said


ODD = ["x" * 10_000, "%", "%_%", "' OR 1=1 --", '"', "\x00", "\ud800x", "a@b\x00c", "42 42", "🙂"]


@pytest.mark.parametrize("term", ODD, ids=range(len(ODD)))
def test_nothing_that_is_typed_into_a_search_breaks_it(a_day: None, term: str) -> None:
    browser = at_desk("Operations")
    text = term.encode("utf-8", "surrogatepass")

    for address in (
        "/admin/payments/payment/?q=",
        "/admin/search/?extended=1&s=",
        "/admin/search/?extended=1&page=x&s=",
    ):
        answer = browser.get(f"{address}{quote(text)}", follow=True)
        assert answer.status_code == 200, address
        if "payment/" in address and term not in ("\x00", "a@b\x00c"):
            assert answer.context["cl"].result_count == 0


def test_no_query_string_breaks_a_list(a_day: None) -> None:
    browser = at_desk("administrator")

    for query in ("p=999999", "p=x", "o=1.2.3", "q=%00", "all=", "e=1", "status__exact=nonsense"):
        for address in lists():
            assert browser.get(f"{address}?{query}", follow=True).status_code == 200, (address, query)
