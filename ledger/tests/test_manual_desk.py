"""Can a finance person write into the books and undo an entry by hand, and see who wanted it and why?"""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from checkout.kit import clock
from checkout.kit.models import Approval
from ledger import chart
from ledger.models import JournalEntry
from merchants.models import Merchant
from tests.desk import EVERYBODY, at_desk, fields_of, fill_in, text_of

pytestmark = pytest.mark.django_db(transaction=True)

JOURNAL = "/admin/ledger/journalentry/"
NEW = f"{JOURNAL}new/"
WHY = {"mode": "test", "reason": "the bank's letter", "evidence": "letter 7 of the bank"}


def legs(*rows: dict[str, str]) -> dict[str, str]:
    """What the form sends of its rows: account, whose, holder, currency, debit, credit; what is left out is empty."""
    names = ("account", "whose", "holder", "currency", "debit", "credit")
    typed = {f"legs-{n}-{name}": row.get(name, "") for n, row in enumerate(rows) for name in names}
    return {"legs-TOTAL_FORMS": str(len(rows)), "legs-INITIAL_FORMS": "0", **typed}


def bank_fee(amount: str = "12.50", credit: str = "") -> dict[str, str]:
    """Two legs: a fee that the bank took."""
    return legs(
        {"account": "bank_fee", "currency": "EUR", "debit": amount},
        {"account": "bank", "currency": "EUR", "credit": credit or amount},
    )


def ask(browser: Client, **fields: str) -> Any:
    return fill_in(browser, NEW, **{**WHY, "ask": "yes", **fields})


def agree(browser: Client) -> Approval:
    """Approve the one request that waits."""
    approval = Approval.objects.get(status="requested")
    fill_in(browser, f"/admin/kit/approval/{approval.public_id}/approve/")
    approval.refresh_from_db()
    return approval


def page(entry: JournalEntry) -> str:
    return f"{JOURNAL}{entry.public_id}/change/"


def test_an_entry_is_asked_for_read_by_another_and_posted(db: None) -> None:
    browser = at_desk("Finance")

    answer = ask(browser, **bank_fee())
    approval = Approval.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, f"/admin/kit/approval/{approval.public_id}/change/")
    assert not JournalEntry.objects.exists()
    second = at_desk()
    for address in ("change", "approve"):
        said = text_of(second.get(f"/admin/kit/approval/{approval.public_id}/{address}/"))
        assert "bank fee 12.50 EUR bank 12.50 EUR" in said, address
    agree(second)

    entry = JournalEntry.objects.get()
    assert (entry.public_id, entry.kind, entry.occurred_on) == (approval.object_id, "manual", clock.now().date())
    assert sorted((leg.account.kind, leg.amount_minor) for leg in entry.postings.all()) == [
        ("bank", -12_50),
        ("bank_fee", 12_50),
    ]
    said = text_of(browser.get(page(entry)))
    for expected in ("the bank's letter", "letter 7 of the bank", "a Finance,", "a administrator,", approval.public_id):
        assert expected in said, expected


def test_whoever_asked_cannot_agree(db: None) -> None:
    browser = at_desk("Finance")
    ask(browser, **bank_fee())

    assert agree(browser).status == "requested"
    assert not JournalEntry.objects.exists()


def test_a_merchants_a_gateways_and_a_customers_account_are_named(ana: Merchant, acme: Any) -> None:
    answer = ask(
        at_desk("Finance"),
        **legs(
            {"account": "gateway_receivable", "whose": "acme", "currency": "usd", "debit": "10"},
            {"account": "merchant_pending", "whose": ana.public_id, "currency": "USD", "credit": "7.00"},
            {"account": "wallet", "whose": ana.public_id, "holder": "cus_1", "currency": "USD", "credit": "3.00"},
        ),
    )
    assert answer.status_code == 302, text_of(answer)
    second = at_desk()
    said = text_of(second.get(answer["Location"]))
    assert "gateway receivable · Acme 10.00 USD" in said
    assert "merchant pending · Ana's 7.00 USD" in said
    assert "wallet · Ana's · cus_1 3.00 USD" in said
    agree(second)

    keys = {leg.account.key for leg in JournalEntry.objects.get().postings.select_related("account")}
    assert keys == {chart.gateway_receivable(acme.pk), chart.merchant_pending(ana.pk), chart.wallet(ana.pk, "cus_1")}


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (bank_fee("12.50", "12.49"), "This entry does not balance: debits exceed credits by 0.01 EUR."),
        (bank_fee("12.49", "12.50"), "This entry does not balance: credits exceed debits by 0.01 EUR."),
        (bank_fee() | {"on": f"{clock.now() + timedelta(days=2):%Y-%m-%d}"}, "has not come yet"),
        (bank_fee() | {"legs-0-account": "gateway_fee"}, "gateway_fee is an account of a gateway"),
        (legs({"account": "bank", "currency": "EUR", "debit": "1"}), "it has fewer than two legs"),
        (bank_fee("12,50"), "Write the amount in digits with a point"),
        (bank_fee() | {"legs-0-credit": "1"}, "either as debit or as credit"),
        (bank_fee() | {"legs-0-currency": "EUX"}, "There is no such currency."),
        (bank_fee() | {"legs-0-whose": "nobody"}, "the code of a gateway of this mode"),
        (bank_fee() | {"evidence": ""}, "This field is required."),
        (bank_fee() | {"on": "tomorrow"}, "Enter a valid date."),
    ],
)
def test_a_refusal_is_a_sentence_and_nothing_typed_is_lost(db: None, fields: dict[str, str], sentence: str) -> None:
    answer = ask(at_desk("Finance"), **fields)

    assert answer.status_code == 200
    assert sentence in text_of(answer)
    html = answer.content.decode()
    for typed in {**WHY, **fields}.values():
        assert typed.replace("'", "&#x27;") in html, typed
    assert not Approval.objects.exists()


def test_what_it_comes_to_is_shown_before_anything_is_asked_for(db: None) -> None:
    browser = at_desk("Finance")

    off = text_of(fill_in(browser, NEW, **bank_fee("20.00", "19.00"), check="yes"))
    even = text_of(fill_in(browser, NEW, **bank_fee("20.00"), check="yes"))

    assert "In all, EUR 20.00 EUR 19.00 EUR" in off
    assert "Debits exceed credits by 1.00 EUR." in off
    assert "It balances." in even
    partly = text_of(fill_in(browser, NEW, **bank_fee("20.00", "x"), check="yes"))
    assert "What is wrong above is not in it." in partly
    assert "It balances." not in partly
    assert "This field is required." not in even  # a reason can wait until it is asked for
    assert not Approval.objects.exists()


def test_a_row_is_added_by_the_server_and_the_others_stay(db: None) -> None:
    browser = at_desk("Finance")
    form = {**bank_fee(), **WHY, "on": "2026-01-05"}

    html = browser.post(NEW, {**form, "legs-TOTAL_FORMS": ["2", "3"]}).content.decode()

    assert 'name="legs-2-account"' in html
    assert 'name="legs-3-account"' not in html
    kept = fields_of(html)
    assert {name: kept[name].strip() for name in form if name != "legs-TOTAL_FORMS"} == {
        name: typed for name, typed in form.items() if name != "legs-TOTAL_FORMS"
    }
    assert "<script>" not in html  # the page's policy would refuse it


def test_rows_in_which_nothing_is_written_are_no_legs(db: None) -> None:
    fields = bank_fee() | legs({}, {}, {}) | bank_fee() | {"legs-TOTAL_FORMS": "3"}

    ask(at_desk("Finance"), **fields)

    assert len(Approval.objects.get().payload["legs"]) == 2


def test_a_form_that_is_sent_twice_asks_once(db: None) -> None:
    browser = at_desk("Finance")
    ask(browser, **bank_fee())

    again = ask(browser, **bank_fee())

    assert "has been asked for already" in text_of(again)
    assert Approval.objects.count() == 1


def test_a_card_number_is_not_shown_again(db: None) -> None:
    answer = ask(at_desk("Finance"), **(bank_fee() | {"legs-0-holder": "4242 4242 4242 4242"}))

    assert "is not kept here" in text_of(answer)
    assert "4242" not in answer.content.decode()


def test_an_entry_is_reversed_after_what_will_be_posted_was_shown(sold: Any, balance: Any, ana: Merchant) -> None:
    sold(100_00)
    released = JournalEntry.objects.get(kind="funds_released")
    browser, second = at_desk("Finance"), at_desk()

    shown = text_of(browser.get(f"{JOURNAL}{released.public_id}/reverse/"))
    assert "merchant available · Ana's 100.00 USD" in shown
    answer = fill_in(browser, f"{JOURNAL}{released.public_id}/reverse/", reason="booked twice", evidence="line 9")
    assert answer.status_code == 302, text_of(answer)
    assert "Somebody else has to agree" in text_of(browser.get(page(released)))
    agree(second)

    reversal = JournalEntry.objects.get(kind="reversal")
    assert balance(chart.merchant_available(ana.pk)).amount_minor == 0
    said = text_of(browser.get(page(released)))
    assert "Reversed by" in said
    assert f"{JOURNAL}{released.public_id}/reverse/" not in browser.get(page(released)).content.decode()
    html = browser.get(page(reversal)).content.decode()
    assert page(released) in html
    for expected in ("Reverses", "booked twice", "line 9"):
        assert expected in html, expected


def test_a_reversal_is_asked_for_once_at_a_time(sold: Any) -> None:
    sold(100_00)
    released = JournalEntry.objects.get(kind="funds_released")
    browser = at_desk("Finance")
    words = {"reason": "booked twice", "evidence": "line 9"}
    fill_in(browser, f"{JOURNAL}{released.public_id}/reverse/", **words)

    again = fill_in(browser, f"{JOURNAL}{released.public_id}/reverse/", **words)

    assert "has been asked for already" in text_of(again)


@pytest.mark.parametrize("role", EVERYBODY)
def test_only_finance_writes(sold: Any, role: str) -> None:
    sold(100_00)
    entry = JournalEntry.objects.first()
    assert entry is not None
    browser = at_desk(role)
    may = role in ("Finance", "Administrator", "administrator")

    assert ('href="new/"' in browser.get(JOURNAL).content.decode()) == may
    assert (f"{entry.public_id}/reverse/" in browser.get(page(entry)).content.decode()) == may
    for address in (NEW, f"{JOURNAL}{entry.public_id}/reverse/"):
        assert browser.get(address).status_code == (200 if may else 403)
        assert browser.post(address, {**bank_fee(), **WHY, "ask": "yes"}).status_code == (200 if may else 403) or may
    assert browser.get(f"{JOURNAL}add/").status_code == 403


@pytest.mark.parametrize("count", ["", "x", "-1", "1000000", "9" * 5_000])
def test_a_count_of_rows_that_nobody_could_have_sent_breaks_nothing(db: None, count: str) -> None:
    answer = at_desk("Finance").post(NEW, {**bank_fee(), **WHY, "ask": "yes", "legs-TOTAL_FORMS": count})

    assert answer.status_code == 200
    assert answer.content.decode().count("-account") < 200
    assert not Approval.objects.exists()
