"""Do reports at the desk show what they say, link to what is behind it, and keep out whoever may not see them?"""

import json
import re
from datetime import UTC, datetime
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client

from checkout.kit.models import AuditEntry, User
from checkout.settings import policy
from ledger import recipes
from ledger.models import JournalEntry, Posting
from ledger.reports import REPORTS
from ledger.reports.scope import read_scope
from ledger.tests.book import MAR_2, MAR_3, Book, capture, eur, record, write_book
from tests.desk import EVERYBODY, at_desk, queries_of, text_of

REPORTS_PAGE = "/admin/ledger/account/reports/"
MARCH = {"mode": "test", "from": "2026-03-01", "to": "2026-03-31"}


@pytest.fixture
def book(db: None) -> Book:
    return write_book()


def page_of(name: str) -> str:
    return f"{REPORTS_PAGE}{name}/"


def words_for(name: str) -> dict[str, str]:
    return MARCH if "period" in REPORTS[name].asks else {"mode": "test"}


def links_of(answer: Any) -> list[str]:
    """The addresses that the table of a page links to."""
    table = answer.content.decode().partition('<table class="sheet figures">')[2].partition("</table>")[0]
    return [unescape(found) for found in re.findall(r'class="link" href="([^"]+)"', table)]


def test_the_index_says_which_question_each_report_answers(book: Book) -> None:
    said = text_of(at_desk("Finance").get(REPORTS_PAGE))

    for report in REPORTS.values():
        assert report.title in said
        assert report.question in said


@pytest.mark.parametrize("role", [role for role in EVERYBODY if role not in ("Risk", "Developer support")])
@pytest.mark.parametrize("name", REPORTS)
def test_every_report_opens_and_says_that_it_ties(name: str, role: str, book: Book) -> None:
    answer = at_desk(role).get(page_of(name), {**words_for(name), "currency": "EUR"})

    assert answer.status_code == 200
    assert re.search(r"✓ [^✓]* tie [^✓]*: difference 0\.00 EUR", text_of(answer))
    assert "✗" not in text_of(answer)


def test_figures_are_shown_with_their_currency_and_totals(book: Book) -> None:
    said = text_of(at_desk("Finance").get(page_of("revenue"), {**MARCH, "currency": "EUR"}))

    assert "3 Mar 2026 Ana -0.05 EUR -0.01 EUR 1.17 EUR -1.22 EUR" in said
    assert "Total in EUR 4.07 EUR 0.81 EUR 4.96 EUR -0.89 EUR" in said


def test_a_figure_leads_to_the_entries_that_make_it_up(book: Book) -> None:
    browser = at_desk("Finance")
    [*_, gateway_fees] = [
        link
        for link in links_of(browser.get(page_of("revenue"), {**MARCH, "currency": "EUR"}))
        if "gateway_fee" in link
    ]

    said = text_of(browser.get(gateway_fees))

    entry = JournalEntry.objects.get(kind="gateway_fee", reference="att_3")
    assert parse_qs(urlsplit(gateway_fees).query)["days"] == ["2026-03-02..2026-03-02"]
    assert "gateway fee 0.59 EUR Ben Bolt" in said
    assert said.count("gateway fee 0.") == 1
    assert entry.occurred_on == MAR_2


def behind(browser: Client, name: str, column: str, account: str, **words: str) -> list[tuple[int, int | None]]:
    """Each figure of a column of a report beside what the entries that it leads to moved on accounts of a kind."""
    report = REPORTS[name]
    scope = read_scope({**MARCH, "currency": "EUR", **words}, report.asks)
    link = next(each.link for each in report.columns if each.name == column)
    assert link
    found = []
    for row in report.rows(scope):
        entries = browser.get(address).context["cl"].queryset if (address := link(row, scope)) else None
        moved = Posting.objects.filter(entry__in=entries, account__kind=account) if entries is not None else None
        found.append((row[column], abs(sum(leg.amount_minor for leg in moved)) if moved is not None else None))
    return found


def test_refunds_lead_to_those_asked_for_here_and_those_made_at_the_gateway_each_by_itself(book: Book) -> None:
    fact = book.fact(book.ana, book.acme, MAR_3, "rfd_adopted")
    record(recipes.refund_adopted(from_available=eur(12_34), from_receivable=eur(0), **fact))
    browser = at_desk("Finance")

    [row, *_] = REPORTS["refunds_and_chargebacks"].rows(
        read_scope({**MARCH, "currency": "EUR"}, REPORTS["refunds_and_chargebacks"].asks)
    )
    assert (row["refunds"], row["refunded"]) == (2, 52_34)
    about = {"name": "refunds_and_chargebacks", "account": "gateway_receivable", "gateway": "acme"}
    assert behind(browser, column="requested", **about) == [(40_00, 40_00)]
    assert behind(browser, column="adopted", **about) == [(12_34, 12_34)]


def test_what_belongs_to_no_merchant_does_not_lead_to_entries_of_others(book: Book) -> None:
    fact = {
        "mode": "test",
        "gateway_id": book.acme.pk,
        "reference": "fee_9",
        "occurred_at": datetime(2026, 3, 2, 12, tzinfo=UTC),
    }
    record(recipes.gateway_fee_line(fee=eur(36_12), **fact))

    found = behind(at_desk("Finance"), "revenue", "gateway_fees", "gateway_fee")

    assert sorted(found, key=str) == sorted([(1_17, 1_17), (3_20, 3_20), (59, 59), (36_12, None)], key=str)


@pytest.mark.parametrize("name", REPORTS)
def test_every_link_of_a_report_leads_to_a_page_that_understands_it(name: str, book: Book) -> None:
    browser = at_desk("administrator")

    for address in links_of(browser.get(page_of(name), words_for(name))):
        answer = browser.get(address)
        assert answer.status_code == 200, address
        assert "no such filter" not in text_of(answer)


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_takes_a_fixed_number_of_queries(name: str, book: Book) -> None:
    browser = at_desk("Finance")
    browser.get(page_of(name), words_for(name))
    before = queries_of(lambda: browser.get(page_of(name), words_for(name)))
    for number in range(3):
        capture(book, book.ben, book.acme, MAR_2, f"att_more_{number}", 7_00 + number, gateway_fee=11, our_fee=13)

    assert queries_of(lambda: browser.get(page_of(name), words_for(name))) == before
    assert before <= 18


@pytest.mark.parametrize("form", ["csv", "xlsx", "json", "jsonl"])
def test_an_export_is_a_file_and_is_audited(form: str, book: Book) -> None:
    answer = at_desk("Finance").get(f"{page_of('fees')}{form}/", MARCH)

    assert answer.status_code == 200
    assert answer["Content-Disposition"] == f'attachment; filename="fees_test_2026-03-01_2026-03-31.{form}"'
    assert b"".join(answer.streaming_content)
    entry = AuditEntry.objects.get(verb="report.export")
    assert entry.actor == "user:a Finance"
    assert entry.after == {
        "report": "fees",
        "format": form,
        "scope": {"mode": "test", "from": "2026-03-01", "to": "2026-03-31"},
        "rows": 4,
        "ties": True,
    }


def test_a_page_offers_its_report_as_a_file_about_the_same(book: Book) -> None:
    html = at_desk("Finance").get(page_of("fees"), {**MARCH, "gateway": "bolt"}).content.decode()

    [address] = [unescape(found) for found in re.findall(r'href="([^"]+/json/[^"]*)"', html)]
    answer = at_desk("Read-only").get(address)
    rows = json.loads(b"".join(answer.streaming_content))["rows"]
    assert [row["gateway_code"] for row in rows] == ["bolt"]


def test_whoever_may_not_see_reports_gets_none_and_an_export_that_was_refused_is_audited(book: Book) -> None:
    User.objects.create_user("nobody", is_staff=True)
    browser = Client()
    browser.force_login(User.objects.get(username="nobody"))

    assert browser.get(REPORTS_PAGE).status_code == 403
    assert browser.get(page_of("fees"), MARCH).status_code == 403
    assert browser.get(f"{page_of('fees')}csv/", MARCH).status_code == 403
    refused = AuditEntry.objects.get(verb="report.export_refused")
    assert refused.actor == "user:nobody"
    assert refused.after["report"] == "fees"
    assert not AuditEntry.objects.filter(verb="report.export").exists()


def test_nobody_sees_a_report_without_logging_in(book: Book, client: Any) -> None:
    for address in (REPORTS_PAGE, page_of("fees"), f"{page_of('fees')}csv/"):
        assert client.get(address).status_code == 302


def test_an_export_of_too_many_rows_says_how_to_get_all_of_them(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "REPORT_DOWNLOAD_ROWS", 3)

    answer = at_desk("Finance").get(f"{page_of('fees')}csv/", MARCH, follow=True)

    assert answer.redirect_chain
    assert "There are more than 3 rows. Ask for less, or have `manage.py report fees` write all of them." in text_of(
        answer
    )


def test_a_page_shows_the_first_rows_and_the_totals_of_all(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "REPORT_PAGE_ROWS", 1)

    said = text_of(at_desk("Finance").get(page_of("revenue"), {**MARCH, "currency": "EUR"}))

    assert "Ben" not in said.partition("Total in EUR")[0].rpartition("Margin")[2]
    assert "Total in EUR 4.07 EUR" in said
    assert "The first 1 of 3 rows." in said


@pytest.mark.parametrize(
    "words",
    [
        {"mode": "both"},
        {"from": "01.03.2026"},
        {"from": "2026-03-02", "to": "2026-03-01"},
        {"from": "2020-01-01", "to": "2026-03-01"},
        {"period": "yesterday", "from": "2026-03-01"},
        {"period": "next_week"},
        {"currency": "EURO"},
        {"gateway": "nowhere"},
        {"gateway": "a\x00b"},
        {"merchant": "mer_0"},
        {"account__kind__startswith": "b"},
    ],
)
def test_words_that_say_nothing_are_refused_in_words_by_page_and_file(words: dict[str, str], book: Book) -> None:
    browser = at_desk("Finance")

    answer = browser.get(page_of("revenue"), {"mode": "test", **words})

    assert answer.status_code == 200
    assert 'class="note note-bad"' in answer.content.decode()
    assert '<table class="sheet figures">' not in answer.content.decode()
    assert browser.get(f"{page_of('revenue')}csv/", {"mode": "test", **words}).status_code == 302


@pytest.mark.parametrize("word", ["merchant", "gateway", "from", "4242424242424242"])
def test_what_cannot_be_understood_is_not_shown_again(word: str, book: Book) -> None:
    answer = at_desk("Finance").get(page_of("revenue"), {"mode": "test", word: "4242424242424242"})

    assert "4242424242424242" not in answer.content.decode().replace(f"{word}:".capitalize(), "")


@pytest.mark.parametrize("at", ["yesterday", "2026-13-01T00:00", "9999-12-31T23:59-12:00", "'"])
def test_an_instant_that_is_none_is_refused(at: str, book: Book) -> None:
    assert "At: Write it as" in text_of(at_desk("Finance").get(page_of("trial_balance"), {"mode": "test", "at": at}))


@pytest.mark.parametrize("address", ["nothing/", "fees/exe/", "fees/table/"])
def test_what_there_is_not_is_not_found(address: str, book: Book) -> None:
    assert at_desk("Finance").get(f"{REPORTS_PAGE}{address}").status_code == 404


def test_names_are_shown_as_text(book: Book) -> None:
    book.ana.name = "<script>alert(1)</script>"
    book.ana.save()

    html = at_desk("Finance").get(page_of("revenue"), MARCH).content.decode()

    assert "<script>alert(1)" not in html
    assert "&lt;script&gt;alert(1)" in html


def test_a_drawing_has_every_day_of_the_period(book: Book) -> None:
    html = at_desk("Finance").get(page_of("revenue"), {**MARCH, "currency": "EUR"}).content.decode()

    data = json.loads(unescape(re.search(r'data-value="([^"]+)"', html)[1]))
    fees, charged = data["datasets"]
    assert data["labels"][:3] == ["1 Mar", "2 Mar", "3 Mar"]
    assert len(data["labels"]) == 31
    assert fees["data"][:4] == [0.0, 4.12, -0.05, 0.0]
    assert charged["data"][:4] == [0.0, 3.79, 1.17, 0.0]
