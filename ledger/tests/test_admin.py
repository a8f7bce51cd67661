"""Do the books at the desk show what the ledger holds, and let nobody touch it?"""

from typing import Any

import pytest

from ledger.admin import sheets
from ledger.models import Account, JournalEntry
from ledger.selectors import trial_balance
from tests.desk import at_desk, queries_of, text_of

TRIAL_BALANCE = "/admin/ledger/account/trial-balance/"


@pytest.fixture
def paid(captured_payment: Any, eur: Any) -> Any:
    return captured_payment(eur(50_00))


def test_the_trial_balance_ties_and_says_so(paid: Any) -> None:
    said = text_of(at_desk("Finance").get(TRIAL_BALANCE))

    [sheet] = sheets(trial_balance(mode="test"), "test")
    assert sheet.is_balanced
    assert sheet.debit.amount_minor > 0
    assert f"Debits and credits tie {sheet.debit} {sheet.credit}" in said
    assert "gateway receivable" in said


def test_the_trial_balance_is_of_one_mode(paid: Any) -> None:
    said = text_of(at_desk("Finance").get(TRIAL_BALANCE, {"mode": "live"}))

    assert "Nothing has been posted in live mode yet." in said


def test_the_trial_balance_takes_a_fixed_number_of_queries(captured_payment: Any, eur: Any, usd: Any) -> None:
    browser = at_desk("Finance")
    captured_payment(eur(50_00))
    browser.get(TRIAL_BALANCE)
    one = queries_of(lambda: browser.get(TRIAL_BALANCE))
    captured_payment(usd(50_00))
    captured_payment(eur(60_00))

    assert queries_of(lambda: browser.get(TRIAL_BALANCE)) == one


def test_an_account_shows_its_balance_on_its_normal_side(paid: Any) -> None:
    said = text_of(at_desk("Finance").get("/admin/ledger/account/"))

    receivable = next(b for b in trial_balance(mode="test") if b.account.kind == "gateway_receivable")
    available = next(b for b in trial_balance(mode="test") if b.account.kind == "merchant_available")
    assert f"gateway receivable North {receivable.amount}" in said
    assert f"merchant available Ana's Books {available.amount}" in said
    assert available.amount.amount_minor > 0


def test_an_entry_shows_its_postings_on_either_side(paid: Any) -> None:
    entry = JournalEntry.objects.get(kind="capture")

    said = text_of(at_desk("Finance").get(f"/admin/ledger/journalentry/{entry.public_id}/change/"))

    assert "gateway receivable · North" in said
    assert said.count("50.00 EUR") == 2
    assert paid.public_id in said


@pytest.mark.parametrize("name", ["journalentry", "account"])
def test_nobody_writes_into_the_books_here(paid: Any, name: str) -> None:
    administrator = at_desk("administrator")
    row: Any = (JournalEntry if name == "journalentry" else Account).objects.first()
    key = getattr(row, "public_id", row.pk)

    assert administrator.get(f"/admin/ledger/{name}/add/").status_code == 403
    assert administrator.get(f"/admin/ledger/{name}/{key}/delete/").status_code == 403
    assert administrator.post(f"/admin/ledger/{name}/{key}/change/", {"mode": "live"}).status_code == 403


def test_the_journal_is_searched_by_payment(paid: Any, captured_payment: Any, eur: Any) -> None:
    other = captured_payment(eur(60_00))

    said = text_of(at_desk("Finance").get("/admin/ledger/journalentry/", {"q": paid.public_id}))

    assert paid.public_id in said
    assert other.public_id not in said
