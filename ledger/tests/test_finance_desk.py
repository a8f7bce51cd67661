"""Can a finance person bring a file in, see what differs, explain it and close the day, without a terminal?"""

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection

from checkout.kit import clock
from checkout.kit.actors import Actor
from checkout.kit.models import Approval, AuditEntry, User
from checkout.settings import policy
from gateways.models import Gateway
from ledger.admin import discrepancies
from ledger.admin.files import facts_of
from ledger.models import ClearingItem, ClosedDay, Discrepancy, SettlementFile
from ledger.services.discrepancies import carry, lock_discrepancies, resolve
from ledger.services.files import import_due
from ledger.tests.settling import ACTOR, Settling, line, payout
from merchants.models import Merchant
from tests.desk import at_desk, browser_of, fields_of, fill_in, queries_of, text_of

pytestmark = pytest.mark.django_db(transaction=True)

DESK = "/admin/ledger"
EXPLAIN_ALL = f"{DESK}/discrepancy/explain-all/?kind=missing_in_ledger&gateway=acme&mode=test&currency=USD"
HEADER = "kind,gateway_reference,reference,currency,gross_minor,fee_minor,net_minor,occurred_on,batch\n"


@pytest.fixture
def item(captured_payment: Any, eur: Any) -> ClearingItem:
    """What we expect to be settled of one payment of 50 euros, made yesterday."""
    captured_payment(eur(50_00))
    item = ClearingItem.objects.select_related("gateway").get()
    Gateway.objects.filter(pk=item.gateway_id).update(currencies=["EUR"])
    return item


@pytest.fixture
def settling(acme: Gateway, ana: Merchant) -> Settling:
    acme.currencies = ["USD", "EUR"]
    acme.save()
    return Settling(acme, ana)


def file_of(item: ClearingItem, *, fee_minor: int | None = None) -> SimpleUploadedFile:
    """A settlement file that tells of the item."""
    fee = item.fee_minor if fee_minor is None else fee_minor
    net = item.gross_minor - fee
    row = (
        f"charge,{item.gateway_reference},{item.reference},EUR,{item.gross_minor},{fee},{net},{item.occurred_on},b-1\n"
    )
    payout = f"payout,po-1,,EUR,{-net},0,{-net},{item.occurred_on},b-1\n"
    return SimpleUploadedFile("day.csv", (HEADER + row + payout).encode())


def bring_in(browser: Any, item: ClearingItem, file: SimpleUploadedFile) -> SettlementFile:
    answer = fill_in(browser, f"{DESK}/settlementfile/upload/", sender=item.gateway.code, file=file)
    assert answer.status_code == 302, text_of(answer)
    import_due(actor=Actor.task("import_files"))
    return SettlementFile.objects.latest("id")


def confirm(browser: Any, shown: Any, **fields: str) -> Any:
    """Send the form below what was shown, to have it booked."""
    return browser.post(EXPLAIN_ALL, {**fields_of(shown.content.decode()), **fields, "confirmed": "yes"})


def resolved() -> list[int | None]:
    """The gateway's figures of what is explained."""
    return sorted(Discrepancy.objects.filter(status="resolved").values_list("theirs_minor", flat=True))


def test_a_file_is_brought_in_and_its_page_says_what_it_holds(item: ClearingItem) -> None:
    browser = at_desk("Finance")

    file = bring_in(browser, item, file_of(item))
    said = text_of(browser.get(f"{DESK}/settlementfile/{file.public_id}/change/"))

    assert file.status == "imported"
    assert "day.csv" in said
    assert "50.00 EUR" in said
    assert not Discrepancy.objects.exists()


def test_the_same_file_is_not_taken_twice(item: ClearingItem) -> None:
    browser = at_desk("Finance")
    bring_in(browser, item, file_of(item))

    answer = fill_in(browser, f"{DESK}/settlementfile/upload/", sender=item.gateway.code, file=file_of(item))

    assert "was received before" in text_of(answer)
    assert SettlementFile.objects.count() == 1


def test_a_refused_file_says_which_line(item: ClearingItem) -> None:
    browser = at_desk("Finance")
    wrong = SimpleUploadedFile("wrong.csv", (HEADER + "charge,c,r,EUR,1e3,0,1000,2026-01-01,b\n").encode())

    file = bring_in(browser, item, wrong)
    said = text_of(browser.get(f"{DESK}/settlementfile/{file.public_id}/change/"))

    assert file.status == "refused"
    assert "Why it was refused" in said
    assert " 2 gross_minor " in said


def test_only_finance_brings_files_in(item: ClearingItem) -> None:
    assert at_desk("Read-only").get(f"{DESK}/settlementfile/upload/").status_code == 403
    assert at_desk("Operations").get(f"{DESK}/discrepancy/explain-all/").status_code == 403


def test_another_fee_is_shown_on_both_sides_explained_and_booked(item: ClearingItem) -> None:
    browser = at_desk("Finance")
    bring_in(browser, item, file_of(item, fee_minor=item.fee_minor + 11))
    discrepancy = Discrepancy.objects.get()
    page = f"{DESK}/discrepancy/{discrepancy.public_id}"

    assert "fee differs" in text_of(browser.get(f"{DESK}/discrepancy/"))
    said = text_of(browser.get(f"{page}/change/"))
    assert "Our books" in said
    assert "Would be booked on" in said
    assert Discrepancy.objects.get().status == "open"  # looking at it books nothing
    answer = fill_in(browser, f"{page}/resolve/", resolution="fee_true_up", reason="their tariff")

    discrepancy.refresh_from_db()
    assert answer.status_code == 302
    assert (discrepancy.status, discrepancy.resolution) == ("resolved", "fee_true_up")
    assert AuditEntry.objects.get(verb="discrepancy.resolve").reason == "their tariff"


def test_a_difference_is_carried_by_somebody_who_may_explain_it(item: ClearingItem) -> None:
    browser = at_desk("Finance")
    for role in ("Read-only", "Developer support", "Operations", "administrator"):
        at_desk(role)
    gone = User.objects.create_user("gone", is_staff=True, is_active=False)
    gone.groups.add(Group.objects.get(name="Finance"))
    bring_in(browser, item, file_of(item, fee_minor=item.fee_minor + 11))
    page = f"{DESK}/discrepancy/{Discrepancy.objects.get().public_id}/carry/"

    offered = [str(person) for person in browser.get(page).context["form"].fields["owner"].queryset]

    assert offered == ["a Finance", "a administrator"]
    for name in ("a Read-only", "a Developer support", "gone"):
        refused = fill_in(browser, page, owner=User.objects.get(username=name).pk, reason="theirs")
        assert "Select a valid choice" in text_of(refused)
    assert Discrepancy.objects.get().status == "open"
    fill_in(browser, page, owner=User.objects.get(username="a administrator").pk, reason="theirs")
    assert Discrepancy.objects.get().owner.username == "a administrator"


def test_more_than_one_person_may_book_waits_for_another(item: ClearingItem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "RESOLUTION_LIMITS", (0, 1_000))
    browser = at_desk("Finance")
    bring_in(browser, item, file_of(item, fee_minor=item.fee_minor + 11))
    discrepancy = Discrepancy.objects.get()

    fill_in(
        browser, f"{DESK}/discrepancy/{discrepancy.public_id}/resolve/", resolution="fee_true_up", reason="their tariff"
    )
    approval = Approval.objects.get()
    mine = fill_in(browser, f"/admin/kit/approval/{approval.public_id}/approve/")
    assert "Somebody else has to decide this" in text_of(mine)
    fill_in(at_desk(), f"/admin/kit/approval/{approval.public_id}/approve/")

    discrepancy.refresh_from_db()
    assert discrepancy.status == "resolved"


def test_all_of_a_kind_are_explained_after_their_totals_were_shown(item: ClearingItem) -> None:
    browser = at_desk("Finance")
    bring_in(browser, item, file_of(item, fee_minor=item.fee_minor + 11))
    address = f"{DESK}/discrepancy/explain-all/?kind=fee_differs&gateway={item.gateway.code}&mode=test&currency=EUR"

    unseen = fill_in(browser, address, resolution="fee_true_up", reason="their tariff", confirmed="yes")
    assert "This is what it comes to" in text_of(unseen)
    shown = fill_in(browser, address, resolution="fee_true_up", reason="their tariff")
    assert "This is what it comes to" in text_of(shown)
    assert Discrepancy.objects.get().status == "open"
    browser.post(address, {**fields_of(shown.content.decode()), "confirmed": "yes"})

    assert Discrepancy.objects.get().status == "resolved"


def test_what_came_after_the_totals_were_shown_is_not_booked_unseen(settling: Settling) -> None:
    browser = at_desk("Finance")
    settling.settle(line("charge", "ch_1", "", 5_00))
    shown = fill_in(browser, EXPLAIN_ALL, resolution="write_off", reason="nobody's")
    settling.settle(line("charge", "ch_2", "", 90_00, batch="batch-2"))

    again = confirm(browser, shown)
    assert "no longer what you were shown" in text_of(again)
    assert "95.00 USD" in text_of(again)
    assert resolved() == []
    assert confirm(browser, again).status_code == 302
    assert resolved() == [5_00, 90_00]


def test_what_was_told_otherwise_after_the_totals_were_shown_is_not_booked_unseen(settling: Settling) -> None:
    browser = at_desk("Finance")
    settling.settle(line("charge", "ch_1", "", 5_00), line("charge", "ch_2", "", 7_00))
    shown = fill_in(browser, EXPLAIN_ALL, resolution="write_off", reason="nobody's")
    Discrepancy.objects.filter(theirs_minor=5_00).update(theirs_minor=6_00, difference_minor=6_00)
    again = confirm(browser, shown)
    assert "13.00 USD" in text_of(again)
    carry(discrepancy=Discrepancy.objects.get(theirs_minor=7_00), owner=User.objects.get(), reason="", actor=ACTOR)

    assert "no longer what you were shown" in text_of(confirm(browser, again))
    assert resolved() == []


def test_another_resolution_than_the_one_that_was_shown_is_shown_first(settling: Settling) -> None:
    browser = at_desk("Finance")
    settling.settle(line("charge", "ch_1", "", 5_00))
    shown = fill_in(browser, EXPLAIN_ALL, resolution="write_off", reason="nobody's")

    again = confirm(browser, shown, resolution="park_in_suspense")
    assert "no longer what you were shown" in text_of(again)
    assert resolved() == []
    confirm(browser, again)
    assert Discrepancy.objects.get().resolution == "park_in_suspense"


def test_what_reconciliation_changes_while_somebody_confirms_is_not_booked_unseen(
    settling: Settling, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = at_desk("Finance")
    settling.settle(line("charge", "ch_1", "", 5_00))
    shown = fill_in(browser, EXPLAIN_ALL, resolution="write_off", reason="nobody's")

    def lock_late(rows: Any) -> Any:
        Discrepancy.objects.update(theirs_minor=6_00, difference_minor=6_00)
        return lock_discrepancies(rows)

    monkeypatch.setattr(discrepancies, "lock_discrepancies", lock_late)

    assert "no longer what you were shown" in text_of(confirm(browser, shown))
    assert resolved() == []


def test_the_totals_of_many_take_as_many_queries_as_those_of_few(settling: Settling) -> None:
    browser = at_desk("Finance")

    def queries(count: int, batch: str) -> int:
        settling.settle(*(line("charge", f"ch_{batch}_{n}", "", 5_00, batch=batch) for n in range(count)))
        asked = {**fields_of(browser.get(EXPLAIN_ALL).content.decode()), "resolution": "write_off", "reason": "why"}
        answers: list[Any] = []
        found = queries_of(lambda: answers.append(browser.post(EXPLAIN_ALL, asked)))
        assert "This is what it comes to" in text_of(answers[0])
        return found

    assert queries(2, "batch-1") == queries(20, "batch-2")


@pytest.fixture
def of_yesterday(item: ClearingItem) -> ClearingItem:
    """The same payment, made yesterday in the books too."""
    yesterday = clock.now().date() - timedelta(days=1)
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("UPDATE ledger_journalentry SET occurred_on = %s", [yesterday])
        cursor.execute("SET session_replication_role = origin")
    ClearingItem.objects.update(occurred_on=yesterday)
    item.refresh_from_db()
    return item


def day_of(item: ClearingItem, *, ago: int = 1) -> str:
    """The page of the day so many days ago."""
    on = clock.now().date() - timedelta(days=ago)
    return f"{DESK}/closedday/day/?gateway={item.gateway.code}&mode=test&currency=EUR&on={on}"


BEHIND = re.compile(r'<a class="link" href="([^"]+)">([^<]+)</a>')


def behind(answer: Any) -> dict[str, str]:
    """Where the page leads to what keeps its day open, by the words of the link."""
    return {words: unescape(address) for address, words in BEHIND.findall(answer.content.decode())}


def test_what_stands_in_the_way_of_closing_a_day_is_told_before_the_click(of_yesterday: ClearingItem) -> None:
    browser = at_desk("Finance")
    bring_in(browser, of_yesterday, file_of(of_yesterday, fee_minor=of_yesterday.fee_minor + 11))
    address = day_of(of_yesterday)

    answer = browser.get(address)

    assert "1 discrepancies are neither resolved nor carried" in text_of(answer)
    assert "Close this day" not in text_of(answer)
    assert "✓" not in text_of(answer)
    rows = browser.get(behind(answer)["Look at them"])
    assert [row.kind for row in rows.context["cl"].result_list] == ["fee_differs"]
    refused = browser.post(address)
    assert text_of(refused).count("1 discrepancies are neither resolved nor carried") == 1
    assert not ClosedDay.objects.exists()
    found = Discrepancy.objects.get()
    fill_in(browser, f"{DESK}/discrepancy/{found.public_id}/resolve/", resolution="fee_true_up", reason="their tariff")
    assert "Close this day" in text_of(browser.get(address))
    assert not browser.get(behind(answer)["Look at them"]).context["cl"].result_count


def test_a_day_without_its_file_and_one_that_is_not_over_say_so(of_yesterday: ClearingItem) -> None:
    browser = at_desk("Finance")

    without = browser.get(day_of(of_yesterday))
    today = browser.get(day_of(of_yesterday, ago=0))

    assert "no file of it that covers the day has been imported" in text_of(without)
    assert browser.get(behind(without)["Movements that are open"]).context["cl"].result_count == 1
    assert browser.get(behind(without)["Files of the gateway"]).context["cl"].result_count == 0
    assert "is not over" in text_of(today)
    assert behind(today)["Look at that day"] == day_of(of_yesterday)
    for answer in (without, today):
        assert "Close this day" not in text_of(answer)


def test_lines_of_an_unknown_kind_and_files_that_are_not_read_keep_a_day_open(of_yesterday: ClearingItem) -> None:
    browser = at_desk("Finance")
    novelty = f"novelty,nv-1,,EUR,100,0,100,{of_yesterday.occurred_on},b-1\n"
    bring_in(browser, of_yesterday, SimpleUploadedFile("novel.csv", (HEADER + novelty).encode()))
    fill_in(browser, f"{DESK}/settlementfile/upload/", sender=of_yesterday.gateway.code, file=file_of(of_yesterday))

    answer = browser.get(day_of(of_yesterday))

    assert "1 lines are of a kind" in text_of(answer)
    assert browser.get(behind(answer)["Look at them"]).context["cl"].result_count == 1
    assert "The file day.csv has been received and is not matched yet" in text_of(answer)
    assert browser.get(behind(answer)["Files of the gateway"]).context["cl"].result_count == 2


@pytest.mark.parametrize(
    ("value", "count"),
    [("EUR.2026-01-01", 0), ("EUR", 1), ("EUR.2026-02-30", 1), ("XXX.2026-01-01", 1), (".", 1)],
)
def test_what_names_no_day_narrows_no_list(item: ClearingItem, value: str, count: int) -> None:
    browser = at_desk("Finance")
    bring_in(browser, item, file_of(item, fee_minor=item.fee_minor + 11))

    answer = browser.get(f"{DESK}/discrepancy/", {"keeps_open": value})

    assert answer.status_code == 200
    assert answer.context["cl"].result_count == count


def test_a_day_is_looked_at_and_closed(of_yesterday: ClearingItem) -> None:
    item, yesterday = of_yesterday, of_yesterday.occurred_on
    browser = at_desk("Finance")
    bring_in(browser, item, file_of(item))
    address = day_of(item)

    assert "Waiting to be closed" in text_of(browser.get(f"{DESK}/closedday/"))
    assert "ties out to the minor unit" in text_of(browser.get(address))
    answer = browser.post(address)

    assert answer.status_code == 302, text_of(answer)
    day = ClosedDay.objects.get()
    assert day.on == yesterday
    statement = f"{DESK}/closedday/{day.public_id}/change/"
    assert "Statement of the day" in text_of(browser.get(statement))
    again = browser.get(address)
    assert "is closed already" in text_of(again)
    assert "Close this day" not in text_of(again)
    assert behind(again)["Its statement"] == statement


def test_the_queue_takes_a_fixed_number_of_queries(item: ClearingItem) -> None:
    browser = at_desk("Finance")
    browser.get(f"{DESK}/discrepancy/")
    none = queries_of(lambda: browser.get(f"{DESK}/discrepancy/"))
    bring_in(browser, item, file_of(item, fee_minor=item.fee_minor + 11))

    assert queries_of(lambda: browser.get(f"{DESK}/discrepancy/")) <= none + 1  # the gateways' names


def rows_behind(browser: Any, address: str) -> int:
    """How many rows the list at an address has."""
    answer = browser.get(address)
    assert answer.status_code == 200, (address, answer.status_code)
    return int(answer.context["cl"].result_count)


def test_the_open_lines_of_a_file_are_as_many_as_its_page_says(settling: Settling) -> None:
    browser = at_desk("Finance")
    settling.charge("a")
    file = settling.import_lines(line("charge", "ch_a", "att_a", 100_00, 3_20), line("charge", "ch_x"), payout(196_80))
    settling.settle()
    (sums,) = facts_of(file)["sums"]
    lines = f"{DESK}/settlementline/?file={file.public_id}&currency=USD"

    assert (sums["open"], sums["matched"]) == (1, 1)
    assert rows_behind(browser, f"{lines}&state=open") == sums["open"]
    assert rows_behind(browser, f"{lines}&state=matched") == sums["matched"]
    assert rows_behind(browser, lines) == sums["count"] + 1  # the payout is neither


def test_the_open_items_are_those_that_no_file_has_named(settling: Settling) -> None:
    browser = at_desk("Finance")
    settling.charge("a")
    settling.charge("b")
    settling.settle(line("charge", "ch_a", "att_a", 100_00, 3_20))

    assert [rows_behind(browser, f"{DESK}/clearingitem/?state={state}") for state in ("open", "matched")] == [1, 1]


def test_a_group_of_the_queue_counts_the_rows_behind_its_link(settling: Settling) -> None:
    olivia = User.objects.create_user("olivia", is_staff=True, is_superuser=True)
    browser = browser_of(olivia)
    settling.charge("a", ago=9)
    settling.settle(
        *(line("charge", f"ch_usd_{n}", "", 5_00) for n in range(3)),
        *(line("charge", f"ch_eur_{n}", "", 7_00, currency="EUR") for n in range(5)),
        line("refund", "re_z", "", -5_00),
    )
    ended, carried, *_ = Discrepancy.objects.filter(currency="EUR").order_by("pk")
    resolve(discrepancy=ended, resolution="write_off", reason="", actor=ACTOR)
    carry(discrepancy=carried, owner=olivia, reason="", actor=ACTOR)
    groups = browser.get(f"{DESK}/discrepancy/").context["groups"]

    counts = {(group["found"].kind, group["found"].currency): group["found"].count for group in groups}
    assert counts == {
        ("missing_in_ledger", "USD"): 4,
        ("missing_in_ledger", "EUR"): 4,
        ("missing_at_gateway", "USD"): 1,
    }
    for group in groups:
        assert rows_behind(browser, group["address"]) == group["found"].count
