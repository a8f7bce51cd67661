"""Does every list leave as a file: all of it, as it was filtered, in plain and harmless values, and not unseen?"""

import csv
import io
from typing import Any

import pytest
from django.contrib import admin
from django.db import OperationalError, connection
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext

from checkout.kit.admin import exports
from checkout.kit.admin.lists import LISTED_COUNT, DeskAdmin
from checkout.kit.display import AmountShown
from checkout.kit.models import AuditEntry, User
from checkout.kit.spreadsheets import FILE_FORMATS
from checkout.kit.tests.test_spreadsheets import HOSTILE, sheets_of
from checkout.settings import policy
from merchants.models import Merchant
from payments.models import Attempt, Payment
from tests.desk import at_desk, browser_of, lists, text_of

PAYMENTS = "/admin/payments/payment/"


def table(answer: Any) -> list[dict[str, str]]:
    """The rows of a CSV file by column."""
    assert answer.status_code == 200, answer.status_code
    return list(csv.DictReader(io.StringIO(answer.getvalue().decode(), newline="")))


def cut_off(answer: Any) -> None:
    """Take the first piece of a file, and go away."""
    pieces = answer._iterator
    next(pieces)
    pieces.close()


def pages() -> list[tuple[str, DeskAdmin]]:
    """Every list with its address, the queues too."""
    found: list[tuple[str, Any]] = []
    for model, page in admin.site._registry.items():
        address = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        found.append((address, page))
        found += [(f"{address}{kind.queue_name}/", kind(model, admin.site)) for kind in page.queues]  # type: ignore[attr-defined]
    return found


@pytest.mark.parametrize("form", FILE_FORMATS)
def test_every_list_can_be_taken_away(a_day: None, form: str) -> None:
    browser = at_desk("administrator")

    for address, page in pages():
        answer = browser.get(f"{address}export/{form}/")
        assert answer.status_code == 200, address
        assert "attachment" in answer["Content-Disposition"]
        rows = list(csv.reader(io.StringIO(answer.getvalue().decode(), newline=""))) if form == "csv" else None
        rows = rows if rows is not None else next(iter(sheets_of(answer.getvalue()).values()))  # type: ignore[assignment]
        listed = page.get_changelist_instance(answer.wsgi_request).queryset.count()
        assert len(rows) - 1 == listed - (page.label == "audit entries"), (
            address
        )  # this very export is audited after it


def test_every_amount_of_every_list_leaves_as_a_number(a_day: None) -> None:
    """Whoever adds a column of amounts names it in `money_columns`."""
    browser = at_desk("administrator")
    for address, page in pages():
        request = browser.get(address).wsgi_request
        for row in page.completed(list(page.get_queryset(request)[:20])):
            for name in page.list_display:
                shown = getattr(page, str(name), None) if name != "__str__" else None
                if callable(shown) and isinstance(shown(row), AmountShown):
                    assert name in page.money_columns, (address, name)


def test_names_of_lists_are_their_own(db: None) -> None:
    labels = [page.label for _, page in pages()]
    assert len(labels) == len(set(labels))


def test_a_payment_leaves_in_plain_values(captured_payment: Any, eur: Any) -> None:
    payment = captured_payment(eur(1234_50), merchant_reference="order-1")

    [row] = table(at_desk("Finance").get(f"{PAYMENTS}export/csv/"))

    assert row["payment"] == payment.public_id
    assert (row["amount"], row["amount, minor units"], row["amount, currency"]) == ("1234.50", "123450", "EUR")
    assert row["created at"] == payment.created_at.isoformat()
    assert row["created at"].endswith("+00:00")
    assert (row["status"], row["merchant"], row["reference"]) == ("captured", "Ana's Books", "order-1")
    assert "4242424242424242" not in str(row)


def test_the_filter_and_the_search_of_the_list_are_kept_and_its_pages_are_not(
    captured_payment: Any, authorized_payment: Any, eur: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    captured, _ = captured_payment(eur(5_00)), captured_payment(eur(6_00), merchant_reference="wanted")
    authorized_payment(eur(7_00))
    browser = at_desk("Read-only")
    monkeypatch.setattr(exports.policy, "EXPORT_ROWS_AT_ONCE", 1)

    amounts = [row["amount"] for row in table(browser.get(f"{PAYMENTS}export/csv/?status__exact=captured&p=7"))]
    [found] = table(browser.get(f"{PAYMENTS}export/csv/?q=wanted"))

    assert amounts == ["6.00", "5.00"]
    assert found["amount"] == "6.00"
    assert len(table(browser.get(f"{PAYMENTS}export/csv/"))) == 3
    assert captured.public_id in browser.get(f"{PAYMENTS}export/csv/").getvalue().decode()


def test_a_list_longer_than_is_shown_leaves_whole_in_short_queries(merchant: Merchant) -> None:
    count = LISTED_COUNT + 500
    AuditEntry.objects.bulk_create(
        AuditEntry(actor="user:ana", verb="test", object_type="x", object_id=f"x_{number}") for number in range(count)
    )
    browser = at_desk("administrator")

    with CaptureQueriesContext(connection) as queries:
        rows = table(browser.get("/admin/kit/auditentry/export/csv/"))

    assert len({row["about"] for row in rows if row["about"].startswith("x_")}) == count
    read = [query["sql"] for query in queries if 'FROM "kit_auditentry"' in query["sql"]]
    assert len(read) == len(rows) // policy.EXPORT_ROWS_AT_ONCE + 1
    assert all(f"LIMIT {policy.EXPORT_ROWS_AT_ONCE}" in sql for sql in read)


def test_what_merchants_write_is_never_a_formula(captured_payment: Any, eur: Any) -> None:
    payments = [captured_payment(eur(100 + number)) for number in range(len(HOSTILE[:9]))]
    for payment, text in zip(payments, HOSTILE[:9], strict=True):
        Payment.objects.filter(pk=payment.pk).update(merchant_reference=text)
    Merchant.objects.update(name='=HYPERLINK("http://192.0.2.1","x")')
    browser = at_desk("Finance")

    rows = table(browser.get(f"{PAYMENTS}export/csv/"))
    [sheet] = sheets_of(browser.get(f"{PAYMENTS}export/xlsx/").getvalue()).values()

    cells = [cell for row in rows for cell in row.values()]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝"))]
    assert {kind for row in sheet for kind, _ in row} == {"inlineStr", "n"}
    assert all(float(text or 0) >= 0 for row in sheet for kind, text in row if kind == "n")


def test_no_card_number_leaves_whatever_was_kept(captured_payment: Any, eur: Any) -> None:
    payment = captured_payment(eur(5_00))
    Payment.objects.filter(pk=payment.pk).update(merchant_reference="card 4111 1111 1111 1111")
    browser = at_desk("Finance")

    for form in FILE_FORMATS:
        file = browser.get(f"{PAYMENTS}export/{form}/").getvalue()
        assert b"4111 1111" not in file
        assert form == "xlsx" or "…1111" in file.decode()


def test_an_export_is_audited_with_what_left_and_how_much_even_if_it_was_cut_off(
    captured_payment: Any, eur: Any
) -> None:
    captured_payment(eur(5_00))
    captured_payment(eur(6_00))
    browser = at_desk("Finance")

    browser.get(f"{PAYMENTS}export/csv/?status__exact=captured").getvalue()
    whole = AuditEntry.objects.get(verb="payment.export")
    cut_off(browser.get(f"{PAYMENTS}export/xlsx/"))

    assert (whole.actor, whole.object_id) == ("user:a Finance", "user:a Finance")
    assert whole.after == {
        **{"list": "payments", "filter": "status__exact=captured", "format": "csv"},
        **{"rows": 2, "complete": True},
    }
    assert AuditEntry.objects.filter(verb="payment.export", after__complete=False).count() == 1


def test_whoever_may_not_see_a_list_gets_no_file_and_the_attempt_is_told(captured_payment: Any, eur: Any) -> None:
    captured_payment(eur(5_00))
    browser = browser_of(User.objects.create_user("nobody", is_staff=True))

    for address, _ in pages():
        assert browser.get(f"{address}export/csv/").status_code == 403, address
    assert AuditEntry.objects.filter(verb="payment.export_refused").exists()
    assert at_desk("Finance").get(f"{PAYMENTS}export/pdf/").status_code == 404
    assert at_desk("Risk").post(f"{PAYMENTS}export/csv/").status_code == 405


def test_a_filter_that_the_list_does_not_have_gives_no_file(captured_payment: Any, eur: Any) -> None:
    captured_payment(eur(5_00))

    answer = at_desk("Finance").get(f"{PAYMENTS}export/csv/?card__number__startswith=4")

    assert answer.status_code == 302
    assert answer["Location"].startswith(PAYMENTS)


def test_too_many_at_once_and_too_slow_ones_are_refused_in_words(
    captured_payment: Any, eur: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    captured_payment(eur(5_00))
    browser, *others = (at_desk(role) for role in ("Finance", "Operations", "Risk", "Read-only"))
    address = f"{PAYMENTS}export/csv/"
    held = [browser.get(address)]
    assert "is being written" in text_of(browser.get(address, follow=True))  # one of a person
    held += [other.get(address) for other in others[: policy.EXPORTS_AT_ONCE - 1]]

    refused = others[-1].get(address, follow=True)
    for answer in held:
        assert answer.status_code == 200
        cut_off(answer)

    assert "is being written" in text_of(refused)

    def too_slow(page: Any, rows: QuerySet[Any]) -> Any:
        raise OperationalError
        yield

    monkeypatch.setattr(exports, "rows_by_key", too_slow)
    slow = browser.get(f"{PAYMENTS}export/csv/", follow=True)
    assert "Narrow the list down first." in text_of(slow)
    monkeypatch.undo()
    assert browser.get(f"{PAYMENTS}export/csv/").status_code == 200  # nothing is held any more


def test_a_list_offers_its_files_with_its_filter(captured_payment: Any, eur: Any) -> None:
    browser = at_desk("Read-only")

    html = browser.get(f"{PAYMENTS}?status__exact=captured").content.decode()

    assert f'href="{PAYMENTS}export/csv/?status__exact=captured"' in html
    assert f'href="{PAYMENTS}export/xlsx/?status__exact=captured"' in html
    for address in lists():
        answer = browser.get(address)
        assert answer.status_code == 403 or "export/csv/" in answer.content.decode(), address
    assert Attempt.objects.count() == 0
