"""May an operator see merchants and their keys, and change them, without any secret ever being shown twice?"""

import pytest

from checkout.kit.models import AuditEntry
from merchants.models import ApiKey, Merchant
from merchants.selectors import api_key_of
from merchants.services import NewKey
from tests.desk import at_desk, fill_in, text_of


def page(merchant: Merchant) -> str:
    return f"/admin/merchants/merchant/{merchant.public_id}/change/"


def test_suspending_takes_a_reason_and_activating_undoes_it(merchant: Merchant) -> None:
    browser = at_desk("administrator")
    address = f"/admin/merchants/merchant/{merchant.public_id}/"

    fill_in(browser, f"{address}suspend/", reason="chargebacks above 2 %")
    merchant.refresh_from_db()
    assert not merchant.is_active
    entry = AuditEntry.objects.get(object_id=merchant.public_id, verb="merchant.set_status")
    assert (entry.reason, entry.actor) == ("chargebacks above 2 %", "user:a administrator")

    fill_in(browser, f"{address}activate/", reason="they are down again")
    merchant.refresh_from_db()
    assert merchant.is_active


def test_a_change_is_audited_with_what_differs_and_why(merchant: Merchant) -> None:
    browser = at_desk("administrator")

    answer = fill_in(browser, page(merchant), fee_bps="290", reason="new contract")

    assert answer.status_code == 302, text_of(answer)
    entry = AuditEntry.objects.get(object_id=merchant.public_id, verb="merchant.change")
    assert (entry.before, entry.after, entry.reason) == ({"fee_bps": 320}, {"fee_bps": 290}, "new contract")


def test_a_change_without_a_reason_is_refused_and_leaves_no_trace(merchant: Merchant) -> None:
    answer = fill_in(at_desk("administrator"), page(merchant), fee_bps="290", reason="")

    merchant.refresh_from_db()
    assert answer.status_code == 200
    assert merchant.fee_bps == 320
    assert not AuditEntry.objects.filter(verb="merchant.change").exists()


def test_a_new_merchant_is_made_by_the_verb(db: None) -> None:
    browser = at_desk("administrator")

    answer = fill_in(
        browser,
        "/admin/merchants/merchant/add/",
        name="Bo's Bikes",
        country="DK",
        default_currency="DKK",
        fee_bps="250",
    )

    made = Merchant.objects.get(name="Bo's Bikes")
    assert answer.status_code == 302
    assert (made.country, made.fee_bps) == ("DK", 250)
    assert AuditEntry.objects.get(object_id=made.public_id).verb == "merchant.create"


def test_a_new_keys_secret_is_shown_on_one_page_and_never_again(merchant: Merchant) -> None:
    browser = at_desk("administrator")

    shown = fill_in(browser, f"/admin/merchants/merchant/{merchant.public_id}/new-key/", name="till", mode="test")

    key = ApiKey.objects.get(name="till")
    secret = secret_on(shown.content.decode())
    assert api_key_of(secret).pk == key.pk
    assert "no-store" in shown["Cache-Control"]
    assert secret not in str(browser.cookies) + str(dict(browser.session))
    later = [page(merchant), f"/admin/merchants/apikey/{key.public_id}/change/", "/admin/merchants/apikey/"]
    for address in [*later, "/admin/kit/auditentry/"]:
        html = browser.get(address).content.decode()
        assert secret not in html
        assert key.hash not in html


def test_nobody_alone_makes_a_live_key_that_refunds(merchant: Merchant) -> None:
    browser, address = at_desk("administrator"), f"/admin/merchants/merchant/{merchant.public_id}/new-key/"
    harmless = ["payments:read", "payments:write", "refunds:read"]

    refused = fill_in(browser, address, name="shop", mode="live", scopes=[*harmless, "refunds:write"])
    assert "A live key made here cannot have refunds:write: it would" in text_of(refused)
    assert not ApiKey.objects.exists()

    fill_in(browser, address, name="shop", mode="live", scopes=harmless)
    fill_in(browser, address, name="trial", mode="test", scopes=[*harmless, "refunds:write"])
    assert {key.name: set(key.scopes) for key in ApiKey.objects.all()} == {
        "shop": set(harmless),
        "trial": {*harmless, "refunds:write"},
    }


def test_revoking_a_key_takes_a_reason_and_ends_it(api_key: NewKey) -> None:
    browser = at_desk("administrator")
    address = f"/admin/merchants/apikey/{api_key.key.public_id}/"

    fill_in(browser, f"{address}revoke/", reason="found in a public repository")

    api_key.key.refresh_from_db()
    assert api_key.key.revoked_at is not None
    assert "revoked" in text_of(browser.get(f"{address}change/"))
    assert f"{address}revoke/" not in browser.get(f"{address}change/").content.decode()


@pytest.mark.parametrize("role", ["Operations", "Finance", "Read-only"])
def test_roles_that_may_only_look_see_no_button_and_are_kept_out(
    merchant: Merchant, api_key: NewKey, role: str
) -> None:
    browser = at_desk(role)
    verbs = {
        f"/admin/merchants/merchant/{merchant.public_id}/{verb}/": page(merchant) for verb in ("suspend", "new-key")
    } | {
        f"/admin/merchants/apikey/{api_key.key.public_id}/revoke/": (
            f"/admin/merchants/apikey/{api_key.key.public_id}/change/"
        )
    }

    for verb, where in verbs.items():
        assert verb not in browser.get(where).content.decode()
        assert browser.get(verb).status_code == 403
        assert browser.post(verb, {"reason": "x", "name": "x", "mode": "test"}).status_code == 403
    assert browser.post(page(merchant), {"fee_bps": 1}).status_code == 403
    assert list(ApiKey.objects.values_list("revoked_at", flat=True)) == [None]


def secret_on(html: str) -> str:
    """The one secret on a page."""
    start = html.index('id="secret">') + len('id="secret">')
    return html[start : html.index("<", start)]
