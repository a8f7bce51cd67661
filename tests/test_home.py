"""Does the first page say what happened and what waits, as far as one may know it, in the order of one's job?"""

import json
import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client

from checkout.kit import clock
from checkout.kit.alerts import raise_alert
from checkout.kit.models import Approval, User
from checkout.kit.money import Money
from gateways.models import Gateway, GatewayCall, GatewayMaintenance
from ledger.models import ClearingItem, Discrepancy
from payments.models import Attempt
from payments.services import capture_payment
from tests.desk import EVERYBODY, at_desk, browser_of, queries_of, text_of

HOME = "/admin/"


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


def test_what_was_captured_today_is_told_in_every_currency(a_day: None, captured_payment: Any) -> None:
    amounts = (Money(30_00, "GBP"), Money(9_000, "JPY"), Money(11_000, "KWD"))
    for amount in amounts:
        captured_payment(amount)

    said = text_of(at_desk("Operations").get(HOME))

    captured = said[said.index("Captured today") : said.index("Authorization rate")]
    for expected in ("50.00 EUR", "70.00 USD", "30.00 GBP", "9,000 JPY", "11.000 KWD", "5 payments"):
        assert expected in captured, (expected, captured)


def test_what_is_called_captured_is_what_was_captured_not_what_was_asked_for(
    a_day: None, authorized_payment: Any, carry_out: Any, operator: Any, eur: Any
) -> None:
    payment = authorized_payment(eur(40_00))
    capture_payment(payment=payment, amount=eur(15_00), actor=operator)
    carry_out()

    answer = at_desk("Operations").get(HOME)

    today = next(panel.data for panel in answer.context["panels"] if panel.template.endswith("breakdown.html"))
    in_breakdown = next(group for group in today.groups if group.word == "captured")
    assert in_breakdown.amounts == today.captured.amounts == ["70.00 USD", "65.00 EUR"]


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
