"""Does saving a page change what was changed on it and nothing else, whatever else was done meanwhile?"""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import Model
from django.http import HttpRequest

from checkout.kit.actors import Actor
from checkout.kit.models import AuditEntry, User
from gateways import services
from gateways.models import Gateway, Region
from ledger.models import ReportSubscription
from ledger.services import subscriptions
from merchants.models import Merchant
from merchants.services import set_merchant_status
from tests.desk import at_desk, fill_in, text_of

SOMEBODY = Actor.user("somebody else")


@pytest.fixture
def north(gateways: dict[str, Gateway], regions: dict[str, Region]) -> Gateway:
    return gateways["north"]


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[type[Model], Callable[[], Any]], None]:
    """Something is committed after the page that was sent has read its row, and before it writes it."""

    def arrange(model: type[Model], deed: Callable[[], Any]) -> None:
        page = type(admin.site._registry[model])
        load = page.get_object

        def get_object(self: Any, request: HttpRequest, *arguments: Any) -> Any:
            obj = load(self, request, *arguments)
            if request.method == "POST":
                deed()
            return obj

        monkeypatch.setattr(page, "get_object", get_object)

    return arrange


def page(obj: Any) -> str:
    return f"/admin/{obj._meta.app_label}/{obj._meta.model_name}/{obj.public_id}/change/"


def stop(gateway: Gateway) -> None:
    services.stop_gateway(gateway=gateway, reason="2 captures are missing.", actor=SOMEBODY)


def drain(gateway: Gateway) -> None:
    services.set_gateway_status(gateway=gateway, status="draining", reason="x", actor=SOMEBODY)


def rotate(gateway: Gateway) -> None:
    values = {"notice_secret": "another-secret"}
    services.rotate_credentials(gateway=gateway, values=values, reason="x", actor=SOMEBODY)


@pytest.mark.parametrize(
    ("deed", "is_done"),
    [
        (stop, lambda gateway: gateway.is_stopped),
        (drain, lambda gateway: gateway.status == "draining"),
        (rotate, lambda gateway: gateway.secrets["notice_secret"] == "another-secret"),
    ],
    ids=["stop", "drain", "rotate"],
)
def test_what_was_done_to_a_gateway_meanwhile_stays_done(
    north: Gateway, meanwhile: Any, deed: Callable[[Gateway], None], is_done: Callable[[Gateway], bool]
) -> None:
    browser = at_desk("Operations")
    meanwhile(Gateway, lambda: deed(north))

    fill_in(browser, page(north), name="Norden", reason="its name is German")

    north.refresh_from_db()
    assert north.name == "Norden"
    assert is_done(north)
    latest = north.history.first()
    assert (latest.name, latest.status) == ("Norden", north.status)
    entry = AuditEntry.objects.get(object_id=north.public_id, verb="gateway.change")
    assert (entry.before, entry.after) == ({"name": "North"}, {"name": "Norden"})


@pytest.mark.django_db(transaction=True)
def test_a_save_that_changes_nothing_writes_nothing(north: Gateway) -> None:
    before = Gateway.objects.filter(pk=north.pk).values().get()
    kept = north.history.count(), AuditEntry.objects.filter(object_id=north.public_id).count()

    answer = fill_in(at_desk("Operations"), page(north), reason="only looking")

    assert answer.status_code == 302
    assert Gateway.objects.filter(pk=north.pk).values().get() == before
    assert (north.history.count(), AuditEntry.objects.filter(object_id=north.public_id).count()) == kept


def test_the_address_of_a_gateway_that_was_enabled_meanwhile_is_not_changed(north: Gateway, meanwhile: Any) -> None:
    Gateway.objects.update(mode="live", status="disabled")
    meanwhile(Gateway, lambda: Gateway.objects.update(status="enabled"))

    answer = fill_in(at_desk("Operations"), page(north), base_url="http://elsewhere.example", reason="they moved")

    assert answer.status_code == 403
    assert Gateway.objects.get(pk=north.pk).base_url == north.base_url


def test_a_merchant_that_was_suspended_meanwhile_stays_suspended(merchant: Merchant, meanwhile: Any) -> None:
    browser = at_desk("administrator")

    def suspend() -> None:
        set_merchant_status(merchant=merchant, status="suspended", reason="fraud", actor=SOMEBODY)

    meanwhile(Merchant, suspend)

    fill_in(browser, page(merchant), name="Another name", reason="they were sold")

    merchant.refresh_from_db()
    assert (merchant.name, merchant.status) == ("Another name", "suspended")


@pytest.mark.parametrize("is_paused", [False, True])
def test_another_hour_plans_a_report_anew_unless_it_was_paused_meanwhile(
    db: None, meanwhile: Any, is_paused: bool
) -> None:
    fay = User.objects.create_user("fay", email="fay@example.com", is_staff=True)
    fay.groups.add(Group.objects.get(name="Finance"))
    report = ReportSubscription.objects.create(report="revenue", period="yesterday", format="csv", mode="test")
    subscriptions.start(subscription=report, actor=SOMEBODY, reason="x")
    report.recipients.add(fay)
    if is_paused:
        meanwhile(ReportSubscription, lambda: ReportSubscription.objects.update(due_at=None, next_at=None))

    answer = fill_in(at_desk("Finance"), page(report), hour="9", reason="later in the morning")

    assert answer.status_code == 302, text_of(answer)
    report.refresh_from_db()
    assert report.hour == 9
    assert report.due_at is None if is_paused else report.due_at.hour == 9
