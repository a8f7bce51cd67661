"""Can somebody find out who did what? From the list, from the page of one entry, and from that of what it is about."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from checkout.kit import audit, clock
from checkout.kit.actors import Actor
from checkout.kit.alerts import raise_alert
from checkout.kit.audit_chain import seal_audit
from checkout.kit.models import AuditEntry, User
from checkout.kit.tasks import AUDIT_BROKEN
from gateways.models import Gateway, Region
from merchants.models import Merchant
from tests.desk import at_desk, queries_of, text_of

LIST = "/admin/kit/auditentry/"


@pytest.fixture
def deeds(merchant: Merchant, gateways: dict[str, Gateway]) -> None:
    """What several kinds of actors did to several kinds of things, and one change that nobody accounted for."""
    User.objects.create_user("ana")
    ana = Actor.user("ana", "192.0.2.7")
    audit.record(
        actor=ana,
        verb="merchant.change",
        obj=merchant,
        reason="a new tariff",
        before={"fee_bps": 320, "amount": 12_50, "currency": "EUR"},
        after={"fee_bps": 290, "amount": 13_50, "currency": "EUR"},
    )
    audit.record(actor=Actor.task("health"), verb="gateway.become_unhealthy", obj=gateways["north"])
    audit.record(actor=Actor.key("sk_test_1"), verb="merchant.wave", obj=merchant)
    Region.objects.create(code="asia", name="Asia", countries=["JP"])
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")


def shown(browser: Any, query: str) -> str:
    answer = browser.get(f"{LIST}?{query}")
    assert answer.status_code == 200, query
    table = answer.content.decode().partition('id="result_list"')[2]
    return table.partition("</table>")[0]


@pytest.mark.parametrize(
    ("query", "there", "gone"),
    [
        ("by=user", "merchant: change", "become unhealthy"),
        ("by=task", "become unhealthy", "merchant: wave"),
        ("by=key", "merchant: wave", "become unhealthy"),
        ("by=database", "region: added", "merchant: change"),
        ("by=command", "merchant: create", "merchant: wave"),
        ("person=ana", "merchant: change", "become unhealthy"),
        ("kind=merchant", "merchant: wave", "become unhealthy"),
        ("kind=gateway", "become unhealthy", "merchant: wave"),
        ("told=database", "region: added", "become unhealthy"),
        ("period=day", "merchant: change", "no such thing"),
        ("q=ana", "merchant: change", "become unhealthy"),
        ("q=user:ana", "merchant: change", "become unhealthy"),
    ],
)
@pytest.mark.django_db
def test_the_list_is_narrowed_to_what_somebody_looks_for(deeds: None, query: str, there: str, gone: str) -> None:
    page = shown(at_desk(), query)
    assert there in page
    assert gone not in page


@pytest.mark.django_db
def test_a_period_leaves_out_what_was_before(deeds: None, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = at_desk()
    later = clock.now() + timedelta(days=2)
    monkeypatch.setattr("checkout.kit.admin.audit.clock.seconds_from_now", lambda s: later + timedelta(seconds=s))
    assert "merchant: change" not in shown(browser, "period=day")
    assert "merchant: change" in shown(browser, "period=week")


@pytest.mark.django_db
def test_everything_about_one_thing_is_found_by_its_id(deeds: None, merchant: Merchant) -> None:
    page = shown(at_desk(), f"q={merchant.public_id}")
    assert all(what in page for what in ("merchant: create", "merchant: change", "merchant: wave"))
    assert "gateway" not in page


@pytest.mark.django_db
def test_a_page_tells_one_entry_with_both_sides(deeds: None, merchant: Merchant) -> None:
    entry = AuditEntry.objects.get(verb="merchant.change")
    page = at_desk().get(f"{LIST}{entry.pk}/change/")
    text = text_of(page)
    for words in ("Merchant: change", "ana", "192.0.2.7", "a new tariff", "fee bps 320 290", "12.50 EUR 13.50 EUR"):
        assert words in text, words
    assert f"{LIST}?q={merchant.public_id}" in page.content.decode()
    assert f"/admin/merchants/merchant/{merchant.public_id}/change/" in page.content.decode()
    assert "not through the platform" not in text


@pytest.mark.django_db
def test_what_nobody_accounted_for_stands_out_wherever_it_is_shown(deeds: None) -> None:
    browser = at_desk()
    asia = Region.objects.get(code="asia")
    entry = AuditEntry.objects.get(told_by_database=True, object_id=asia.public_id)
    page = f"/admin/gateways/region/{asia.public_id}/change/"
    for address in (f"{LIST}?told=database", f"{LIST}{entry.pk}/change/", page):
        assert "not through the platform" in text_of(browser.get(address)), address


@pytest.mark.django_db
def test_the_page_of_a_thing_leads_to_all_that_was_done_to_it(deeds: None, merchant: Merchant) -> None:
    address = f"/admin/merchants/merchant/{merchant.public_id}/change/"
    everything = f"{LIST}?q={merchant.public_id}"
    assert everything in at_desk().get(address).content.decode()


@pytest.mark.django_db(transaction=True)
def test_the_list_says_how_far_it_is_sealed_and_when_it_is_not_what_it_was() -> None:
    browser = at_desk()
    assert "Sealed up to" not in text_of(browser.get(LIST))
    seal_audit()
    assert "Sealed up to" in text_of(browser.get(LIST))
    raise_alert(kind=AUDIT_BROKEN, message="Seal 7 covers entries that were changed.", severity="critical")
    assert "Seal 7 covers entries that were changed." in text_of(browser.get(LIST))


@pytest.mark.django_db
def test_a_page_takes_as_many_queries_however_much_was_done(deeds: None, merchant: Merchant) -> None:
    browser = at_desk()
    browser.get(LIST)
    few = queries_of(lambda: browser.get(LIST))
    with transaction.atomic():
        for _ in range(60):
            audit.record(actor=Actor.user("ana"), verb="merchant.wave", obj=merchant)
    assert queries_of(lambda: browser.get(LIST)) == few <= 16
    entry = AuditEntry.objects.latest("id")
    assert queries_of(lambda: browser.get(f"{LIST}{entry.pk}/change/")) <= 12
