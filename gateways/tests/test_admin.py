"""May an operator see how gateways are doing and change how they are used, without ever seeing a credential?"""

import json

import pytest

from checkout.kit.models import AuditEntry
from gateways.models import Gateway, Region, RegionGateway
from gateways.services import stop_gateway
from tests.desk import at_desk, fields_of, fill_in, queries_of, text_of

LIST = "/admin/gateways/gateway/"


def page(obj: Gateway | Region) -> str:
    return f"/admin/gateways/{obj._meta.model_name}/{obj.public_id}/change/"


@pytest.fixture
def north(gateways: dict[str, Gateway], regions: dict[str, Region]) -> Gateway:
    return gateways["north"]


def test_the_board_says_how_each_gateway_does(north: Gateway, captured_payment: object, eur: object) -> None:
    captured_payment(eur(50_00))  # type: ignore[operator]

    said = text_of(at_desk("Read-only").get(LIST))

    assert "North healthy enabled Europe 1 1 100.0 %" in said


def test_the_board_takes_as_many_queries_for_three_gateways_as_for_one(north: Gateway) -> None:
    browser = at_desk("administrator")
    browser.get(LIST)
    three = queries_of(lambda: browser.get(LIST))
    RegionGateway.objects.exclude(gateway=north).delete()
    Gateway.objects.exclude(pk=north.pk).delete()

    assert queries_of(lambda: browser.get(LIST)) == three


def test_credentials_are_written_and_never_read_back(north: Gateway) -> None:
    browser = at_desk("administrator")
    before = north.secrets

    answer = fill_in(browser, page(north), credential_api_key="brand-new-key", reason="rotated")

    north.refresh_from_db()
    assert answer.status_code == 302, text_of(answer)
    assert north.secrets == {**before, "api_key": "brand-new-key"}
    entry = AuditEntry.objects.get(object_id=north.public_id, verb="gateway.change")
    assert (entry.after, entry.reason) == ({"credentials_written": ["api_key"]}, "rotated")
    everywhere = browser.get(page(north)).content.decode() + str(list(north.history.values()))
    for secret in [*before.values(), "brand-new-key"]:
        assert secret not in everywhere
        assert secret not in json.dumps(list(AuditEntry.objects.values("before", "after", "reason")))


def test_a_form_sent_back_with_empty_credentials_keeps_them(north: Gateway) -> None:
    browser = at_desk("Operations")
    before = north.secrets
    form = fields_of(browser.get(page(north)).content.decode())
    assert {form[f"credential_{name}"] for name in before} == {""}

    fill_in(browser, page(north), name="Northern lights", reason="renamed")

    north.refresh_from_db()
    assert (north.name, north.secrets) == ("Northern lights", before)


def test_a_change_is_kept_in_history_and_audit(north: Gateway) -> None:
    fill_in(at_desk("Operations"), page(north), currencies="EUR usd", reason="only these from now on")

    north.refresh_from_db()
    assert north.currencies == ["EUR", "USD"]
    assert north.history.first().history_change_reason == "only these from now on"
    entry = AuditEntry.objects.get(object_id=north.public_id, verb="gateway.change")
    assert (entry.actor, entry.after) == ("user:a Operations", {"currencies": ["EUR", "USD"]})


def test_disabling_takes_a_reason_and_enabling_undoes_it(north: Gateway) -> None:
    browser = at_desk("Operations")

    fill_in(browser, f"/admin/gateways/gateway/{north.public_id}/disable/", reason="maintenance tonight")
    north.refresh_from_db()
    assert north.status == Gateway.Status.DISABLED

    fill_in(browser, f"/admin/gateways/gateway/{north.public_id}/enable/", reason="they are back")
    north.refresh_from_db()
    assert north.status == Gateway.Status.ENABLED
    said = text_of(browser.get(page(north)))
    assert "maintenance tonight" in said
    assert "they are back" in said


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
    assert "Not set yet." in text_of(browser.get(page(made)))


def test_a_regions_order_of_gateways_is_set_by_its_rows(
    regions: dict[str, Region], gateways: dict[str, Gateway]
) -> None:
    europe = regions["europe"]
    browser = at_desk("Operations")
    form = fields_of(browser.get(page(europe)).content.decode())
    rows = [name for name in form if name.endswith("-priority") and "__prefix__" not in name]

    # As the rows' dragging leaves them: counted from 0, the last one first.
    places = {name: str(2 - place) for place, name in enumerate(rows)}
    answer = browser.post(page(europe), {**form, **places, "reason": "spare is cheaper"})

    assert answer.status_code == 302, text_of(answer)
    order = RegionGateway.objects.filter(region=europe).values_list("gateway__code", "priority")
    assert list(order) == [("spare", 1), ("south", 2), ("north", 3)]
    entry = AuditEntry.objects.get(object_id=europe.public_id, verb="region.change")
    assert entry.before["priorities"] == {"north": 1, "south": 2, "spare": 3}
    assert entry.reason == "spare is cheaper"


@pytest.mark.parametrize(
    ("countries", "why"), [("DE XX", "There is no such code: XX"), ("D3", "There is no such code")]
)
def test_a_country_that_is_none_is_refused(regions: dict[str, Region], countries: str, why: str) -> None:
    europe = regions["europe"]

    answer = fill_in(at_desk("Operations"), page(europe), countries=countries, reason="test")

    europe.refresh_from_db()
    assert why in text_of(answer)
    assert europe.countries == ["DE", "ES", "FR", "PT"]


def test_somebody_who_only_reads_changes_nothing_and_sees_no_button(north: Gateway) -> None:
    reader = at_desk("Read-only")
    html = reader.get(page(north)).content.decode()

    assert "/disable/" not in html
    assert "credential_" not in html
    assert reader.get(f"/admin/gateways/gateway/{north.public_id}/disable/").status_code == 403
    assert reader.post(page(north), {"name": "x", "reason": "x"}).status_code == 403
    assert reader.get(f"{LIST}add/").status_code == 403
    north.refresh_from_db()
    assert (north.name, north.status) == ("North", "enabled")


@pytest.mark.parametrize("probe", ["credentials__startswith=a", "history__name=x", "regions__code=europe", "secrets=1"])
def test_credentials_cannot_be_probed_by_filters(north: Gateway, probe: str) -> None:
    answer = at_desk("administrator").get(f"{LIST}?{probe}", follow=True)

    assert answer.status_code == 200
    assert "This list has no such filter" in text_of(answer)
