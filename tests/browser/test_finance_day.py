"""Does a finance person get through the day with nothing but the desk: files, differences, the close, the reports?"""

import csv
import io
from decimal import Decimal
from pathlib import Path

import pytest

from checkout.kit.actors import Actor
from checkout.settings import policy
from ledger.admin.discrepancies import MEANINGS, Resolution
from ledger.models import ClosedDay, Discrepancy, SettlementFile
from ledger.services.files import import_due
from ledger.tests.test_reports_formats import cells
from tests.browser.conftest import SitDown
from tests.browser.person import Person
from tests.browser.trade import CURRENCY, PLANTED, Trade, trade

WORKER = Actor.task("import_files")
SUMS = ("our fees", "taxes", "gateway fees", "margin")


@pytest.fixture
def a_day(transactional_db: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trade:
    monkeypatch.setattr(policy, "RECORD_LAG_SECONDS", 0)  # what was recorded a moment ago is complete
    return trade(tmp_path)


def test_a_finance_day(a_day: Trade, sit_down: SitDown) -> None:
    fiona, frank = sit_down("fiona", "Finance"), sit_down("frank", "Finance")

    brings_the_files_in(fiona, a_day)
    follows_a_payout_to_a_payment(fiona, a_day)
    looks_at_both_sides(fiona)
    explains_one_as_suggested(fiona)
    sees_what_keeps_the_day_open(fiona)
    carries_what_is_missing(fiona)
    explains_the_fees_together(fiona)
    asks_for_what_is_above_the_limit(fiona)
    agrees(frank, "Resolution of differences")
    closes_the_day(fiona, a_day)
    opens_it_again(fiona, frank, a_day)
    follows_a_figure_and_takes_it_away(fiona, a_day)


def brings_the_files_in(fiona: Person, day: Trade) -> None:
    bring_in(fiona, f"{day.northgate.name} (test)", day.settlement)
    fiona.see("matched", CURRENCY, "Payouts", "not yet")
    fiona.look("finance-file", phone=True)
    fiona.click("Look at its lines")
    fiona.see("charge", "payout")
    assert "Southbank" not in fiona.page.locator("#result_list").inner_text()
    fiona.look("finance-lines", phone=True)

    bring_in(fiona, "Our bank (test)", day.statement)
    fiona.see("Bookings", "camt.053")
    fiona.look()

    fiona.go_to("Payouts")
    fiona.see("Northgate", "Eastern Acquiring")
    fiona.look()


def bring_in(fiona: Person, sender: str, path: Path) -> None:
    """Bring a file in and watch until it is read; the worker comes a moment after the page."""
    fiona.go_to("Files")
    fiona.click("Bring in a file")
    fiona.choose("From", sender)
    fiona.hand_over("File", path)
    if path.suffix == ".xml":
        fiona.look("finance-upload")
    fiona.click("Bring it in")
    fiona.see(f"{path.name} is received and will be read now.", "Being read")
    if path.suffix == ".xml":
        fiona.look()
    import_due(actor=WORKER)
    fiona.see("imported")  # the page looks again by itself
    assert SettlementFile.objects.get(name=path.name).status == "imported"


def follows_a_payout_to_a_payment(fiona: Person, day: Trade) -> None:
    """Over its file, a line of that, and what was expected; the payment says the same."""
    fiona.row("Northgate").get_by_role("link").first.click()
    fiona.click(day.settlement.name)
    fiona.click("Look at its lines")
    fiona.row("charge", "matched").get_by_role("link").first.click()
    fiona.see("Settles", "charge att_")
    main = fiona.page.locator("#main")
    main.get_by_role("link", name="charge att_").click()
    fiona.see("Settled by", "at the bank on")
    fiona.page.go_back()
    main.get_by_role("link", name="pay_").click()
    fiona.page.get_by_role("heading", name="Settlement").scroll_into_view_if_needed()
    fiona.see("Fee, charged", "at the bank on")
    fiona.look("finance-settlement", phone=True)


def looks_at_both_sides(fiona: Person) -> None:
    fiona.go_to("Discrepancies")
    fiona.see("To be explained")
    fiona.look("finance-discrepancies", phone=True)
    groups = fiona.page.locator("tbody").first
    for kind, count in (("fee differs", PLANTED["wrong_fee"]), ("missing at gateway", 1), ("missing in ledger", 1)):
        assert groups.locator("tr", has_text=kind).locator("td").nth(2).inner_text() == str(count)
    open_the_first(fiona, "amount differs")
    fiona.see("Our books", "The gateway", "What would explain it", "Would be booked on")
    fiona.look("finance-discrepancy", phone=True)


def explains_one_as_suggested(fiona: Person) -> None:
    fiona.click("Explain")
    fiona.fill("Reason", "their tariff of this month")
    fiona.look()
    fiona.click("Explain")
    fiona.see("Explained and booked.", "resolved")
    assert Discrepancy.objects.get(kind="amount_differs").status == "resolved"


def sees_what_keeps_the_day_open(fiona: Person) -> None:
    fiona.go_to("Days")
    fiona.click("Look and close", within=fiona.row("Northgate"))
    fiona.see("What keeps this day open", "discrepancies are neither resolved nor carried by anybody")
    assert not fiona.page.get_by_role("button", name="Close this day").count()
    fiona.look("finance-day-open", phone=True)
    fiona.click("Look at them")
    fiona.see("missing at gateway")


def carries_what_is_missing(fiona: Person) -> None:
    fiona.go_to("Discrepancies")
    open_the_first(fiona, "missing at gateway")
    fiona.click("Carry")
    fiona.choose("Owner", "frank")
    fiona.fill("Reason", "asked Northgate on the phone")
    fiona.click("Carry")
    fiona.see("frank carries it now; its day can be closed.", "carried")


def explains_the_fees_together(fiona: Person) -> None:
    fiona.go_to("Discrepancies")
    fiona.click("Explain all", within=fiona.row("fee differs", "Northgate"))
    fiona.choose("What explains it", MEANINGS[Resolution.FEE_TRUE_UP])
    fiona.fill("Reason", "their new tariff")
    fiona.click("Show what it comes to")
    fiona.see("Nothing is booked before you confirm", "Sum of amounts")
    assert Discrepancy.objects.filter(kind="fee_differs", status="open").count() == PLANTED["wrong_fee"]
    fiona.look("finance-explain-all")
    fiona.click(f"Book all {PLANTED['wrong_fee']}")
    fiona.see(f"{PLANTED['wrong_fee']} explained and booked.")


def asks_for_what_is_above_the_limit(fiona: Person) -> None:
    open_the_first(fiona, "missing in ledger")
    fiona.click("Explain")
    fiona.choose("What explains it", MEANINGS[Resolution.PARK_IN_SUSPENSE])
    fiona.fill("Reason", "nobody here made this charge")
    fiona.click("Explain")
    fiona.see("This is more than one person may book alone.", "requested")


def agrees(person: Person, about: str) -> None:
    """A second person finds what waits on their home page, reads it and agrees."""
    person.go_to("Today")
    person.page.get_by_role("link", name="Waiting for you").click()
    person.click(about)
    person.see("fiona")
    person.look("finance-approval" if "differences" in about else "")
    person.click("Approve")
    person.see("fiona asked for this")
    person.click("Approve")
    person.see("Agreed, and carried out.", "approved")


def closes_the_day(fiona: Person, day: Trade) -> None:
    fiona.go_to("Days")
    fiona.see("Waiting to be closed")
    fiona.look(phone=True)
    fiona.click("Look and close", within=fiona.row("Northgate"))
    fiona.see("ties out to the minor unit")
    fiona.click("Close this day")
    fiona.see(f"{day.on:%d %b %Y} is closed for Northgate in EUR.")
    fiona.go_to("Days")
    fiona.click("Look and close", within=fiona.row("Northgate"))
    fiona.see(f"{day.settled_on:%d %b %Y}", "ties out to the minor unit")
    fiona.look("finance-day", phone=True)
    fiona.click("Close this day")
    fiona.see(f"{day.settled_on:%d %b %Y} is closed for Northgate in EUR.", "Statement of the day")
    fiona.look()
    assert set(ClosedDay.objects.values_list("on", flat=True)) == {day.on, day.settled_on}


def opens_it_again(fiona: Person, frank: Person, day: Trade) -> None:
    fiona.click("Open again")
    fiona.fill("Reason", "a file came late")
    fiona.click("Open again")
    fiona.see("Asked for. Somebody else has to agree")
    agrees(frank, "Reopening of a closed day")
    fiona.page.reload()
    fiona.see("opened again", "by frank")
    assert ClosedDay.objects.get(on=day.settled_on).reopened_by == "user:frank"


def follows_a_figure_and_takes_it_away(fiona: Person, day: Trade) -> None:
    fiona.go_to("Reports")
    fiona.look(phone=True)
    fiona.page.get_by_role("link", name="Revenue").click()
    for end in ("From", "To"):
        fiona.fill(end, day.on.isoformat())
    fiona.click("Show")
    fiona.see("tie to account platform_fee")
    fiona.look("finance-report", phone=True, dark=True)
    _, *totals = [text for text in fiona.page.locator("tfoot td").all_inner_texts() if text]  # first: what they are
    shown = [number_in(text) for text in totals]
    assert sums_of(list(csv.reader(io.StringIO(fiona.download("CSV").decode("utf-8-sig"))))) == shown
    workbook = cells(fiona.download("XLSX"))
    assert sums_of([[text for text, _ in row] for row in workbook]) == shown

    row = fiona.page.locator("tbody tr").first
    merchant, our_fees, taxes = (row.locator("td").nth(number).inner_text() for number in (1, 2, 3))
    row.get_by_role("link", name=our_fees).click()
    fiona.see("platform fee", merchant)
    fiona.look()
    entries = fiona.page.locator("#result_list .amount").all_inner_texts()
    assert sum(map(number_in, entries)) == number_in(our_fees) + number_in(taxes)


def number_in(text: str) -> Decimal:
    """The number of an amount as the desk shows it."""
    return Decimal(text.split()[0].replace(",", ""))


def sums_of(rows: list[list[str]]) -> list[Decimal]:
    """A report's columns of money, added up as in a spreadsheet."""
    head, *body = ([cell.replace("_", " ") for cell in row] for row in rows)
    days = [row for row in body if len(row) == len(head) and row[1] != "total"]
    return [sum((Decimal(row[head.index(name)]) for row in days), Decimal(0)) for name in SUMS]


def open_the_first(person: Person, kind: str) -> None:
    """The first discrepancy of a kind in the list."""
    person.page.locator("#result_list").get_by_role("link", name=kind, exact=True).first.click()
