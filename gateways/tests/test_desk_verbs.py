"""Can an operator drain, plan, rotate, test and reroute, with the effect said before and no secret shown after?"""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry

from checkout.kit import clock
from checkout.kit.models import Approval, AuditEntry, User
from gateways.models import Gateway, GatewayMaintenance, HealthCheck, Region, RegionGateway
from gateways.regions import RegionPlan
from tests.desk import at_desk, browser_of, fields_of, fill_in, queries_of, text_of
from tests.simulation import Simulation


def verb(obj: Gateway | Region, name: str) -> str:
    return f"/admin/gateways/{obj._meta.model_name}/{obj.public_id}/{name}/"


@pytest.fixture
def north(gateways: dict[str, Gateway], regions: dict[str, Region]) -> Gateway:
    return gateways["north"]


@pytest.fixture
def live(north: Gateway) -> Gateway:
    """North, as if all gateways took real payments and always had."""
    Gateway.objects.update(mode="live")
    north.refresh_from_db()
    return north


def decide(approval: Approval, role: str = "administrator") -> Any:
    """Somebody else agrees on the page of the request."""
    return fill_in(at_desk(role), f"/admin/kit/approval/{approval.public_id}/approve/")


def test_draining_and_disabling_say_what_they_do_before_and_differ(north: Gateway) -> None:
    browser = at_desk("Operations")

    drain, disable = (text_of(browser.get(verb(north, name))) for name in ("drain", "disable"))

    assert "It is still asked whether it is up. 4 countries would first go to another gateway." in drain
    assert "nobody asks whether it is up any more" in disable
    Gateway.objects.exclude(pk=north.pk).update(status="disabled")
    assert "4 countries would be left without any gateway: DE, ES, FR, PT." in text_of(
        browser.get(verb(north, "drain"))
    )


def test_draining_takes_a_reason_and_enabling_undoes_it(north: Gateway) -> None:
    browser = at_desk("Operations")
    assert "This field is required." in text_of(fill_in(browser, verb(north, "drain")))

    fill_in(browser, verb(north, "drain"), reason="new certificates tonight")
    north.refresh_from_db()
    assert north.status == "draining"
    fill_in(browser, verb(north, "enable"), reason="they are back")

    north.refresh_from_db()
    assert north.status == "enabled"
    said = text_of(browser.get(verb(north, "change")))
    assert "new certificates tonight" in said
    assert "they are back" in said


def test_a_live_gateway_is_disabled_at_once_and_enabled_by_two(live: Gateway) -> None:
    browser = at_desk("Operations")
    fill_in(browser, verb(live, "disable"), reason="it charges twice")
    live.refresh_from_db()
    assert live.status == "disabled"
    assert "a second person has to agree" in text_of(browser.get(verb(live, "enable")))

    fill_in(browser, verb(live, "enable"), reason="found and mended")
    live.refresh_from_db()
    assert live.status == "disabled"
    decide(Approval.objects.get())

    live.refresh_from_db()
    assert live.status == "enabled"


def test_credentials_are_never_sent_to_another_address(live: Gateway) -> None:
    browser = at_desk("Operations")
    page = verb(live, "change")
    assert 'name="base_url"' not in browser.get(page).content.decode()  # while payments go there
    fill_in(browser, verb(live, "disable"), reason="they move")

    fill_in(browser, page, base_url="https://elsewhere.example/", reason="they moved")

    live.refresh_from_db()
    assert live.base_url == "https://elsewhere.example/"
    assert live.secrets == {}
    assert "credentials removed" in text_of(browser.get(page))


def test_a_gateway_that_was_stopped_is_resumed_by_two_where_it_is_live(live: Gateway) -> None:
    Gateway.objects.filter(pk=live.pk).update(stopped_at=clock.now(), stopped_reason="1 capture is missing.")

    fill_in(at_desk("Operations"), verb(live, "resume"), reason="found")
    assert Gateway.objects.get(pk=live.pk).is_stopped
    decide(Approval.objects.get())

    assert not Gateway.objects.get(pk=live.pk).is_stopped


def test_maintenance_is_planned_shown_and_called_off(north: Gateway) -> None:
    browser = at_desk("Operations")
    start = (clock.now() + timedelta(hours=5)).replace(second=0, microsecond=0)
    times = {"starts_at": f"{start:%Y-%m-%dT%H:%M}", "ends_at": f"{start + timedelta(hours=2):%Y-%m-%dT%H:%M}"}

    fill_in(browser, verb(north, "maintenance"), **times, reason="new certificates")

    window = GatewayMaintenance.objects.get()
    assert (window.starts_at, window.ends_at) == (start, start + timedelta(hours=2))
    assert f"Maintenance is planned: {window}" in text_of(browser.get(verb(north, "change")))
    fill_in(browser, verb(north, "cancel-maintenance"), window=window.public_id, reason="they moved it")
    assert "Maintenance is planned" not in text_of(browser.get(verb(north, "change")))


def test_maintenance_that_ends_before_it_begins_is_refused_in_words(north: Gateway) -> None:
    times = {"starts_at": "2099-01-01T10:00", "ends_at": "2099-01-01T09:00"}

    answer = fill_in(at_desk("Operations"), verb(north, "maintenance"), **times, reason="x")

    assert "It has to end after it begins." in text_of(answer)


def test_testing_the_connection_says_how_it_went_and_is_kept(north: Gateway, simulation: Simulation) -> None:
    browser = at_desk("Operations")

    answer = browser.post(
        verb(north, "connection"), fields_of(browser.get(verb(north, "connection")).content.decode()), follow=True
    )

    assert re.search(r"North answered in \d+ ms\.", text_of(answer))
    assert HealthCheck.objects.get().is_good

    simulation.change("north", behaviour="down")
    answer = fill_in(browser, verb(north, "connection"))
    assert "North refused the connection." in text_of(answer) or "North closed the connection" in text_of(answer)
    assert [check.is_good for check in HealthCheck.objects.all()] == [False, True]


def seen_anywhere(browser: Any, north: Gateway) -> str:
    """All that people can read about a gateway: its pages, requests, audit, history and the admin's own log."""
    pages = [verb(north, name) for name in ("change", "credentials", "history")]
    pages += ["/admin/kit/approval/?turn=all", "/admin/kit/auditentry/"]
    pages += [f"/admin/kit/approval/{approval.public_id}/change/" for approval in Approval.objects.all()]
    kept = [list(AuditEntry.objects.values()), list(LogEntry.objects.values()), list(north.history.values())]
    kept.append(list(Approval.objects.values()))
    return "\n".join([browser.get(address, follow=True).content.decode() for address in pages]) + repr(kept)


def test_credentials_are_written_and_never_read_back(north: Gateway) -> None:
    browser = at_desk()
    before = north.secrets
    form = fields_of(browser.get(verb(north, "credentials")).content.decode())
    assert {form[f"credential_{name}"] for name in before if not name.endswith("_previous")} == {""}

    del form["try_first"]  # the simulator knows the old key only

    answer = browser.post(
        verb(north, "credentials"), {**form, "credential_api_key": "brand-new-key", "reason": "yearly"}
    )

    north.refresh_from_db()
    assert answer.status_code == 302, text_of(answer)
    assert north.secrets == {**before, "api_key": "brand-new-key"}
    everywhere = seen_anywhere(browser, north)
    for secret in [*before.values(), "brand-new-key"]:
        assert secret not in everywhere


def test_a_live_gateways_credentials_are_replaced_by_two_and_seen_by_neither(live: Gateway) -> None:
    browser = at_desk()
    before = live.secrets

    answer = fill_in(browser, verb(live, "credentials"), credential_notice_secret="brand-new-secret", reason="yearly")

    assert answer.status_code == 302, text_of(answer)
    assert Gateway.objects.get(pk=live.pk).secrets == before
    assert "brand-new-secret" not in seen_anywhere(browser, live)
    decide(Approval.objects.get(), "Operations")
    after = Gateway.objects.get(pk=live.pk).secrets
    assert after == {
        **before,
        "notice_secret": "brand-new-secret",
        "notice_secret_previous": before["notice_secret"],
    }
    assert "brand-new-secret" not in seen_anywhere(browser, live)


def test_credentials_are_not_saved_if_the_gateway_gives_no_good_answer_to_them(
    north: Gateway, simulation: Simulation
) -> None:
    browser = at_desk()
    before = north.secrets
    simulation.change("north", behaviour="down")

    answer = fill_in(
        browser, verb(north, "credentials"), credential_api_key="brand-new-key", try_first="on", reason="x"
    )

    assert "so nothing was saved." in text_of(answer)
    assert "brand-new-key" not in answer.content.decode()
    assert Gateway.objects.get(pk=north.pk).secrets == before
    assert not HealthCheck.objects.exists()  # what was tried says nothing of what is used

    form = fields_of(browser.get(verb(north, "credentials")).content.decode())
    form.pop("try_first", None)
    browser.post(verb(north, "credentials"), {**form, "credential_api_key": "brand-new-key", "reason": "x"})
    assert Gateway.objects.get(pk=north.pk).secrets["api_key"] == "brand-new-key"


def test_rotating_asks_for_a_fresh_code(north: Gateway) -> None:
    browser = at_desk("Operations", is_fresh=False)

    answer = fill_in(browser, verb(north, "credentials"), credential_api_key="brand-new-key", reason="x")

    assert answer.status_code == 200
    assert Gateway.objects.get(pk=north.pk).secrets["api_key"] == "key-of-north"


def test_a_rotation_of_nothing_is_refused(north: Gateway) -> None:
    answer = fill_in(at_desk(), verb(north, "credentials"), reason="x")

    assert "Write at least one of them." in text_of(answer)


def routing(browser: Any, region: Region, **fields: Any) -> Any:
    """Fill in the form of a region's routing and look at what it would do."""
    return fill_in(browser, verb(region, "routing"), reason="spare is cheaper", **fields)


def go_on(browser: Any, region: Region, preview: Any) -> Any:
    """Send what was looked at."""
    return browser.post(verb(region, "routing"), fields_of(preview.content.decode()), follow=True)


def test_a_region_is_saved_after_its_effects_were_shown(regions: dict[str, Region]) -> None:
    europe, browser = regions["europe"], at_desk("Operations")

    preview = routing(browser, europe, countries="DE ES", places_north="3", places_spare="1")

    said = text_of(preview)
    assert "4 countries first at another gateway" in said
    assert "test North Spare DE ES FR PT" in said
    assert RegionPlan.of(europe).priorities == {"north": 1, "south": 2, "spare": 3}
    answer = go_on(browser, europe, preview)
    assert "Europe is changed." in text_of(answer)
    europe.refresh_from_db()
    assert RegionPlan.of(europe) == RegionPlan("Europe", ("DE", "ES"), False, {"north": 3, "south": 2, "spare": 1})
    assert AuditEntry.objects.get(verb="region.change").reason == "spare is cheaper"


def test_countries_left_with_none_are_shown_first_and_in_red(regions: dict[str, Region]) -> None:
    europe, browser = regions["europe"], at_desk("Operations")

    html = routing(browser, europe, places_north="", places_south="", places_spare="").content.decode()

    assert html.index("left with none") < html.index("Then")
    assert re.search(r'<details class="effects" open>\s*<summary><span class="badge badge-bad">4</span>', html)


def test_what_is_written_otherwise_after_looking_is_looked_at_again(regions: dict[str, Region]) -> None:
    europe, browser = regions["europe"], at_desk("Operations")
    seen = fields_of(routing(browser, europe, places_north="9").content.decode())

    answer = browser.post(verb(europe, "routing"), {**seen, "places_spare": "1", "places_south": "8"})

    assert "What it would do" in text_of(answer)
    assert RegionPlan.of(europe).priorities == {"north": 1, "south": 2, "spare": 3}


def test_a_region_that_somebody_changed_after_it_was_looked_at_is_not_saved(regions: dict[str, Region]) -> None:
    europe, browser = regions["europe"], at_desk("Operations")
    preview = routing(browser, europe, places_north="9")
    RegionGateway.objects.filter(region=europe, gateway__code="spare").update(priority=7)

    answer = go_on(browser, europe, preview)

    assert "Somebody changed Europe meanwhile, so nothing was saved." in text_of(answer)
    assert RegionPlan.of(europe).priorities == {"north": 1, "south": 2, "spare": 7}


def test_what_concerns_live_traffic_is_asked_for_and_made_by_somebody_else(
    live: Gateway, regions: dict[str, Region]
) -> None:
    europe, browser = regions["europe"], at_desk("Operations")
    preview = routing(browser, europe, places_north="9")
    assert "This concerns live traffic, so a second person has to agree." in text_of(preview)

    go_on(browser, europe, preview)

    approval = Approval.objects.get()
    assert RegionPlan.of(europe).priorities["north"] == 1
    maker = User.objects.get(username="a Operations")
    assert approval.maker == maker
    decide(approval)
    assert RegionPlan.of(europe).priorities["north"] == 9


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"countries": "DE XX"}, "There is no such code: XX"),
        ({"countries": "D3"}, "There is no such code"),
        ({"places_north": "0"}, "Priorities are whole numbers from 1 to 999."),
        ({"places_north": "first"}, "Priorities are whole numbers from 1 to 999."),
        ({"places_nowhere": "1"}, "Priorities are whole numbers from 1 to 999."),
        ({"name": ""}, "This field is required."),
        ({}, "Europe is like that already."),
        ({"is_everywhere_else": "on"}, "leave this empty"),
    ],
)
def test_a_region_that_cannot_be_is_refused_in_words(
    regions: dict[str, Region], fields: dict[str, str], why: str
) -> None:
    answer = routing(at_desk("Operations"), regions["europe"], **fields)

    assert why in text_of(answer)
    assert RegionPlan.of(regions["europe"]).countries == ("DE", "ES", "FR", "PT")


def test_there_is_no_other_way_to_change_a_region(regions: dict[str, Region]) -> None:
    europe = regions["europe"]
    browser = at_desk()

    answer = browser.post(verb(europe, "change"), {"name": "x", "code": "x", "countries": "DE", "reason": "x"})

    assert answer.status_code == 403
    assert 'name="countries"' not in browser.get(verb(europe, "change")).content.decode()


def test_a_new_region_is_empty_and_leads_to_its_page(db: None) -> None:
    answer = fill_in(at_desk(), "/admin/gateways/region/add/", name="Asia", code="asia")

    made = Region.objects.get()
    assert answer["Location"] == verb(made, "change")
    assert RegionPlan.of(made) == RegionPlan("Asia")


def test_a_preview_takes_as_many_queries_for_all_countries_as_for_one(regions: dict[str, Region]) -> None:
    europe, browser = regions["europe"], at_desk("Operations")
    form = fields_of(browser.get(verb(europe, "routing")).content.decode())

    def look(countries: str) -> int:
        return queries_of(
            lambda: browser.post(verb(europe, "routing"), {**form, "countries": countries, "reason": "x"})
        )

    look("DE")
    assert look("DE AD AE AF AG AI AL AM AO AQ AR AS AT AU AW") == look("DE") <= 40


def test_somebody_who_only_reads_sees_no_form_of_a_region(regions: dict[str, Region]) -> None:
    reader = at_desk("Read-only")

    assert reader.get(verb(regions["europe"], "routing")).status_code == 403
    assert "Edit routing" not in text_of(reader.get(verb(regions["europe"], "change")))


def test_who_agrees_to_enable_a_live_gateway_sees_where_cards_go_and_what_changed(live: Gateway) -> None:
    fill_in(at_desk("Operations"), verb(live, "disable"), reason="their certificate expired")
    fill_in(browser_of(User.objects.get(username="a Operations")), verb(live, "enable"), reason="it is renewed")
    approval, browser = Approval.objects.get(), at_desk("administrator")
    address = f"/admin/kit/approval/{approval.public_id}/approve/"

    said = text_of(browser.get(address))
    assert f"Address {live.base_url} {live.base_url}" in said
    assert f"Currencies {', '.join(live.currencies)}" in said
    assert "Credentials as they were as they were" in said
    assert "Something has changed" not in said
    Gateway.objects.filter(pk=live.pk).update(base_url="https://elsewhere.example")

    said = text_of(browser.get(address))
    assert f"Address {live.base_url} https://elsewhere.example" in said
    assert "Something has changed since this was asked for. Look twice." in said
    assert "This request is no longer what was asked for." in text_of(fill_in(browser, address))
    assert Gateway.objects.get(pk=live.pk).status == "disabled"
