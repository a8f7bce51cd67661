"""Does a search find what carries a name, only for who may see it, and nothing that is kept nowhere?"""

from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from checkout.kit.models import User
from merchants.models import Merchant
from tests.desk import at_desk, browser_of


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
