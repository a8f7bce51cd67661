"""What happens at the desk when what is typed, sent or followed is nonsense, or meant to harm? Words, never a 500."""

import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client

from checkout.kit.display import name_of
from checkout.kit.models import AuditEntry, User
from merchants.models import Merchant, WebhookEndpoint
from merchants.services import endpoints
from tests.access.test_every_address import addresses
from tests.bad_inputs.calls import CARD_NUMBER
from tests.desk import at_desk, fields_of, lists, text_of

SCRIPT = "<script>alert(1)</script>"
HOSTILE = {
    "a card number": CARD_NUMBER,
    "too long": "x" * 10_000,
    "wildcards": "%_\\%'\";--",
    "nothing printable": "\x00\x1b\u202e",
    "markup": SCRIPT,
    "a template": "{{ settings.SECRET_KEY }}{% debug %}",
    "wide digits": "１２．５０",
    "half a surrogate": "%ED%A0%80",
    "a number beyond all": "9" * 400,
    "a path": "../../etc/passwd",
}
# What is asked of many addresses at once: every one of these names is read somewhere.
NAMES = (
    *("q", "p", "o", "e", "all", "job", "state", "by", "created", "mode", "from", "to", "on", "amount", "reason"),
    *("name", "token", "action", "_selected_action", "select_across", "currency", "gateway", "code", "id"),
    *("countries", "priorities", "version", "ids", "filter", "s", "extended", "period", "format", "starts_at"),
)


@pytest.mark.timeout(600)
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("turn", range(2))
def test_no_nonsense_in_any_field_of_any_page_is_answered_by_a_500(
    a_day: None,
    turn: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    browser = at_desk()
    browser.raise_request_exception = False
    caplog.set_level(logging.DEBUG)
    texts = list(HOSTILE.values())

    for place, (name, address, _) in enumerate(addresses()):
        if name == "logout" or "second-factor" in address:
            continue
        # Every field has another text each time: over all pages of a kind, each has met each.
        about = {field: texts[(place + turn + number) % len(texts)] for number, field in enumerate(NAMES)}
        asked = {field: text for field, text in about.items() if text != CARD_NUMBER}  # such addresses are refused
        for answer in (browser.get(address, asked), browser.post(address, about)):
            said = b"".join(answer.streaming_content) if answer.streaming else answer.content
            assert answer.status_code < 500, (address, answer.status_code, about)
            assert SCRIPT.encode() not in said, address
            assert settings.SECRET_KEY.encode() not in said, address
            assert CARD_NUMBER.encode() not in said, address
    assert CARD_NUMBER not in caplog.text


def columns_of(row: Any) -> dict[str, Any]:
    """Everything that the database holds of a row."""
    with connection.cursor() as cursor:
        cursor.execute(
            f'SELECT * FROM "{row._meta.db_table}" WHERE "{row._meta.pk.column}" = %s',  # noqa: S608
            [row.pk],
        )
        return dict(zip((column.name for column in cursor.description), cursor.fetchone(), strict=True))


def change_pages() -> Iterator[tuple[Any, str]]:
    """A row of each kind, and the address of its page."""
    for model in admin.site._registry:
        row: Any = model._default_manager.first()
        if row is not None:
            yield row, f"/admin/{model._meta.app_label}/{model._meta.model_name}/{name_of(row)}/change/"


@pytest.mark.django_db(transaction=True)
def test_a_form_takes_its_own_fields_and_no_column_beside_them(a_day: None) -> None:
    browser = at_desk()
    tried = []
    for row, address in change_pages():
        page = browser.get(address)
        shown = fields_of(page.content.decode()) if page.status_code == 200 and b"<form" in page.content else {}
        before = columns_of(row)
        own = set(re.findall(r'name="([^"]+)"', page.content.decode()))
        columns = {name for field in row._meta.concrete_fields for name in (field.name, field.attname)}
        smuggled = dict.fromkeys(columns - own, "1")
        posted = {**smuggled, **shown, "reason": "no reason at all"}

        answer = browser.post(address, posted)

        assert answer.status_code in (200, 302, 403, 405), (address, answer.status_code)
        after = columns_of(row)
        changed = {name for name in before if before[name] != after[name]}
        assert changed <= {"updated_at", "last_login"}, (address, changed)
        tried.append(row._meta.model_name)
    assert {"payment", "refund", "attempt", "journalentry", "gateway", "merchant", "user", "auditentry"} <= set(tried)


PROBES = (
    "merchant__api_keys__hash__startswith=a",
    "merchant__webhook_endpoints__secret__startswith=w",
    "payment__card__secrets__number__startswith=4",
    "gateway__credentials__contains=a",
    "maker__password__startswith=a",
    "id__gt=0",
)


@pytest.mark.parametrize("probe", PROBES)
def test_no_list_is_filtered_by_what_it_does_not_show(a_day: None, probe: str) -> None:
    browser = at_desk()
    for address in lists():
        answer = browser.get(f"{address}?{probe}", follow=True)
        assert answer.status_code == 200
        assert answer.redirect_chain, address
        assert "no such filter" in text_of(answer), address


def test_what_merchants_and_customers_write_is_text_on_every_page(
    a_day: None,
    captured_payment: Any,
    eur: Any,
) -> None:
    hostile = f'"><{SCRIPT[1:]}'
    paid = captured_payment(eur(9_00), merchant_reference=hostile[:60], customer_email="x+<img>@example.com")
    Merchant.objects.update(name=hostile)
    browser = at_desk()
    read = []

    for _, address, _ in addresses():
        if address.endswith("/logout/"):
            continue
        answer = browser.get(address, follow=True)
        said = b"".join(answer.streaming_content) if answer.streaming else answer.content
        if not answer.get("Content-Type", "").startswith("text/html"):
            continue
        assert SCRIPT.encode() not in said, address
        assert b"<img>" not in said, address
        read.append(b"&lt;script&gt;alert(1)" in said)
    assert sum(read) >= 5  # it was there to be read
    assert hostile[:20] in text_of(browser.get(f"/admin/payments/payment/{paid.public_id}/change/"))


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/",
        "https://127.0.0.1/hooks",
        "https://[::1]/hooks",
        "https://10.0.0.7/hooks",
        "https://localhost/hooks",
        "file:///etc/passwd",
        "https://user:password@shop.example/hooks",
    ],
)
def test_there_is_no_way_around_what_an_endpoints_address_may_be(a_day: None, url: str) -> None:
    before = list(WebhookEndpoint.objects.values_list("url", flat=True))
    browser = at_desk()
    endpoint = WebhookEndpoint.objects.get()
    page = f"/admin/merchants/webhookendpoint/{endpoint.public_id}/change/"

    for address in (page, "/admin/merchants/webhookendpoint/add/"):
        browser.post(address, {"url": url, "mode": "live", "merchant": endpoint.merchant_id, "reason": "x"})

    assert list(WebhookEndpoint.objects.values_list("url", flat=True)) == before
    assert endpoints.__name__  # the desk makes none: the API's own rules are the only ones


def test_history_is_read_only_for_everybody(a_day: None) -> None:
    browser = at_desk()
    entry = AuditEntry.objects.first()
    assert entry is not None
    address = f"/admin/kit/auditentry/{entry.pk}"

    assert browser.post(f"{address}/change/", {"reason": "something else"}).status_code == 403
    assert browser.post(f"{address}/delete/", {"post": "yes"}).status_code == 403
    assert browser.get("/admin/kit/auditentry/add/").status_code == 403
    assert browser.get("/admin/admin/logentry/").status_code in (302, 404)
    entry_now = AuditEntry.objects.get(pk=entry.pk)
    assert entry_now.reason == entry.reason


def test_nobody_logs_in_as_somebody_else(a_day: None) -> None:
    assert not [name for name, _, _ in addresses() if re.search("impersonate|login_as|hijack|su_", name)]


@pytest.mark.parametrize("role", ["Read-only", "Developer support"])
def test_what_completes_names_completes_nothing_else(a_day: None, role: str) -> None:
    browser = at_desk(role)
    for model, field in (("user", "groups"), ("apikey", "merchant"), ("gateway", "credentials")):
        query = {"app_label": "kit", "model_name": model, "field_name": field, "term": "a"}
        assert browser.get("/admin/autocomplete/", query).status_code in (403, 404)
    assert Client().get("/admin/autocomplete/").status_code == 302
    assert Client().get("/admin/jsi18n/").status_code == 302


@pytest.mark.django_db(transaction=True)
def test_what_breaks_shows_a_page_without_a_word_of_the_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    user = User.objects.create_user("maria", is_staff=True)
    user.groups.add(Group.objects.get(name="Operations"))

    def breaks(*args: Any, **options: Any) -> Any:
        raise RuntimeError(f"a secret: {settings.SECRET_KEY}")

    browser = at_desk()
    browser.raise_request_exception = False
    monkeypatch.setattr(type(admin.site.get_model_admin(Merchant)), "get_queryset", breaks)
    answer = browser.get("/admin/merchants/merchant/")

    assert answer.status_code == 500
    said = answer.content.decode()
    assert settings.SECRET_KEY not in said
    assert "Traceback" not in said
    assert "RuntimeError" not in said
