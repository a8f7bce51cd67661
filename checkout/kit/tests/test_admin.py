"""Do the parts that every page of the desk is made of keep their promises?"""

from datetime import UTC, datetime

import pytest
from django.core.exceptions import ValidationError

from checkout.kit import clock
from checkout.kit.admin import CodesField, MoneyField
from checkout.kit.alerts import raise_alert
from checkout.kit.display import differences, duration, moment, percentage
from checkout.kit.models import Alert, AuditEntry, User
from checkout.kit.money import Money
from tests.desk import at_desk, fill_in, text_of


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [("12.50", "EUR", 12_50), ("12", "EUR", 12_00), ("0.01", "EUR", 1), ("1200", "JPY", 1200), ("1.234", "KWD", 1_234)],
)
def test_an_amount_is_read_to_the_minor_unit(text: str, currency: str, minor: int) -> None:
    assert MoneyField(currency=currency).clean(text) == Money(minor, currency)


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        *(
            ("12,50", "EUR"),
            ("1.234", "EUR"),
            ("1.0", "JPY"),
            ("1e3", "EUR"),
            ("１２", "EUR"),
            ("٣", "EUR"),
            ("0", "EUR"),
        ),
        *(("-1", "EUR"), ("+1", "EUR"), (".5", "EUR"), ("5.", "EUR"), ("1 000", "EUR"), ("inf", "EUR"), ("", "EUR")),
        *(("1_000", "EUR"), ("0x10", "EUR"), ("1" * 13, "EUR")),
    ],
)
def test_what_is_not_plainly_an_amount_is_refused(text: str, currency: str) -> None:
    with pytest.raises(ValidationError):
        MoneyField(currency=currency).clean(text)


def test_codes_are_sorted_known_and_each_once() -> None:
    assert CodesField(allowed={"DE", "FR", "PT"}).clean("pt, de;DE\nFR") == ["DE", "FR", "PT"]
    with pytest.raises(ValidationError, match="XX, YY"):
        CodesField(allowed={"DE"}).clean("DE XX YY")


def test_of_a_list_only_what_differs_is_told() -> None:
    assert differences({"countries": ["DE", "FR"]}, {"countries": ["DE", "PT"]}) == [("countries", "FR", "PT")]
    assert differences({"places": {"a": 1, "b": 2}}, {"places": {"a": 2, "b": 2}}) == [("places", "a: 1", "a: 2")]
    assert differences({"name": "A"}, {"name": "A"}) == []


def test_figures_read_well() -> None:
    read = [duration(milliseconds) for milliseconds in (None, 56, 2_400, 180_000, 36_000_000)]
    assert read == ["–", "56 ms", "2.4 s", "3 min", "10 h"]
    assert (percentage(19, 21), percentage(0, 0)) == ("90.5 %", "–")
    now = clock.now()
    assert f">{now:%H:%M:%S}<" in moment(now)
    assert ">31 Dec 2019<" in moment(datetime(2019, 12, 31, 23, 59, tzinfo=UTC))


@pytest.mark.django_db
def test_an_alert_is_acknowledged_once_by_who_may() -> None:
    raise_alert(kind="test", message="Look here", severity="critical")
    alert = Alert.objects.get()
    address = f"/admin/kit/alert/{alert.pk}/acknowledge/"
    reader, operations = at_desk("Read-only"), at_desk("Operations")

    assert reader.post(address).status_code == 403
    assert operations.get(address).status_code == 405
    assert Alert.objects.filter(acknowledged_at=None).exists()

    answer = operations.post(address, follow=True)
    alert.refresh_from_db()

    assert "Acknowledged." in text_of(answer)
    assert alert.acknowledged_by == User.objects.get(username="a Operations")
    seen_at = alert.acknowledged_at
    operations.post(address)
    alert.refresh_from_db()
    assert alert.acknowledged_at == seen_at


@pytest.mark.django_db
@pytest.mark.parametrize("page", ["add/", "{}/delete/"])
def test_nobody_adds_to_or_takes_from_the_audit(page: str) -> None:
    entry = AuditEntry.objects.create(actor="user:ana", verb="test", object_type="x", object_id="y")
    browser = at_desk("administrator")

    assert browser.get("/admin/kit/auditentry/" + page.format(entry.pk)).status_code == 403


@pytest.mark.django_db
def test_making_and_changing_people_is_audited_without_their_password() -> None:
    administrator = at_desk("administrator")

    fill_in(
        administrator,
        "/admin/kit/user/add/",
        username="nora",
        password1="a-long-Secret-9",
        password2="a-long-Secret-9",
        usable_password="true",
    )
    nora = User.objects.get(username="nora")
    fill_in(administrator, f"/admin/kit/user/{nora.pk}/change/", first_name="Nora", is_staff="on")

    entries = AuditEntry.objects.filter(object_id="user:nora").order_by("id")
    assert [entry.verb for entry in entries] == ["user.create", "user.change"]
    assert "Secret" not in str([entry.after for entry in entries])
    assert administrator.get(f"/admin/kit/user/{nora.pk}/delete/").status_code == 403


@pytest.mark.django_db
def test_somebody_who_only_reads_sees_no_trace_of_a_password() -> None:
    somebody = User.objects.create_user("nora", password="a-long-Secret-9")

    page = at_desk("Read-only").get(f"/admin/kit/user/{somebody.pk}/change/")

    assert page.status_code == 200
    assert somebody.password not in page.content.decode()
    assert "password" not in text_of(page).lower().replace("change password", "")
