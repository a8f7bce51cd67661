"""May an operator change how gateways are used, and whoever only looks not?"""

import pytest

from checkout.kit.models import AuditEntry
from gateways.models import Gateway, Region
from gateways.services import stop_gateway
from tests.desk import at_desk, fill_in, text_of

LIST = "/admin/gateways/gateway/"


def page(obj: Gateway | Region) -> str:
    return f"/admin/gateways/{obj._meta.model_name}/{obj.public_id}/change/"


@pytest.fixture
def north(gateways: dict[str, Gateway], regions: dict[str, Region]) -> Gateway:
    return gateways["north"]


def test_a_change_is_kept_in_history_and_audit(north: Gateway) -> None:
    fill_in(at_desk("Operations"), page(north), currencies="EUR usd", reason="only these from now on")

    north.refresh_from_db()
    assert north.currencies == ["EUR", "USD"]
    assert north.history.first().history_change_reason == "only these from now on"
    entry = AuditEntry.objects.get(object_id=north.public_id, verb="gateway.change")
    assert (entry.actor, entry.after) == ("user:a Operations", {"currencies": ["EUR", "USD"]})


def test_a_gateway_that_the_self_audit_stopped_is_resumed_by_a_person(north: Gateway, actor: object) -> None:
    stop_gateway(gateway=north, reason="2 captures are missing in the ledger.", actor=actor)  # type: ignore[arg-type]
    browser = at_desk("Operations")
    assert "2 captures are missing in the ledger." in text_of(browser.get(page(north)))

    fill_in(browser, f"/admin/gateways/gateway/{north.public_id}/resume/", reason="found and posted")

    north.refresh_from_db()
    assert not north.is_stopped


def test_a_new_gateway_starts_disabled_and_asks_for_its_credentials(db: None) -> None:
    browser = at_desk("administrator")

    answer = fill_in(
        browser,
        f"{LIST}add/",
        name="Acme",
        code="acme",
        adapter="simulator_json",
        mode="test",
        base_url="http://127.0.0.1:1",
        currencies="EUR",
    )

    made = Gateway.objects.get(code="acme")
    assert answer["Location"] == page(made)
    assert (made.status, made.data_format, made.payment_method_types) == ("disabled", "json", ["card"])
    assert "Not set yet." in text_of(browser.get(f"{LIST}{made.public_id}/credentials/"))


def test_somebody_who_only_reads_changes_nothing_and_sees_no_button(north: Gateway) -> None:
    reader = at_desk("Read-only")
    html = reader.get(page(north)).content.decode()

    assert "/disable/" not in html
    assert "credential_" not in html
    assert reader.get(f"/admin/gateways/gateway/{north.public_id}/disable/").status_code == 403
    assert reader.post(page(north), {"name": "x", "reason": "x"}).status_code == 403
    assert reader.get(f"{LIST}add/").status_code == 403
    for verb in ("drain", "maintenance", "credentials", "connection"):
        assert reader.post(f"{LIST}{north.public_id}/{verb}/", {"reason": "x"}).status_code == 403
    north.refresh_from_db()
    assert (north.name, north.status) == ("North", "enabled")


@pytest.mark.parametrize("probe", ["credentials__startswith=a", "history__name=x", "regions__code=europe", "secrets=1"])
def test_credentials_cannot_be_probed_by_filters(north: Gateway, probe: str) -> None:
    answer = at_desk("administrator").get(f"{LIST}?{probe}", follow=True)

    assert answer.status_code == 200
    assert "This list has no such filter" in text_of(answer)


def test_a_live_gateways_address_is_changed_only_while_it_is_disabled(north: Gateway) -> None:
    browser = at_desk("Operations")
    assert 'name="base_url"' in browser.get(page(north)).content.decode()
    Gateway.objects.update(mode="live")

    fill_in(browser, page(north), base_url="http://elsewhere.example", reason="they moved")

    assert Gateway.objects.get(pk=north.pk).base_url == north.base_url
    Gateway.objects.update(status="disabled")
    fill_in(browser, page(north), base_url="http://elsewhere.example", reason="they moved")
    assert Gateway.objects.get(pk=north.pk).base_url == "http://elsewhere.example"


def test_what_two_people_agreed_to_is_not_changed_by_one_while_payments_may_go_there(north: Gateway) -> None:
    browser, address = at_desk("Operations"), page(north)
    agreed_to = ("base_url", "currencies", "settle_window_seconds", "supports_cancel_by_reference")
    change = {"currencies": "EUR", "settle_window_seconds": "1", "fee_bps": "7", "reason": "cheaper"}
    html = browser.get(address).content.decode()
    assert all(f'name="{name}"' in html for name in agreed_to)
    assert "disable it first" not in html
    Gateway.objects.update(mode="live", status="draining")

    html = browser.get(address).content.decode()
    assert not [name for name in agreed_to if f'name="{name}"' in html]
    assert "disable it first; whoever agrees to enable it again sees them" in html
    assert ", ".join(north.currencies) in html
    fill_in(browser, address, **change, supports_cancel_by_reference="" if north.supports_cancel_by_reference else "on")

    kept = Gateway.objects.get(pk=north.pk)
    assert [getattr(kept, name) for name in agreed_to] == [getattr(north, name) for name in agreed_to]
    assert kept.fee_bps == 7
    Gateway.objects.update(status="disabled")
    fill_in(browser, address, **change)
    kept.refresh_from_db()
    assert (kept.currencies, kept.settle_window_seconds) == (["EUR"], 1)
