"""Do people get their reports: at the hour, once, with the figures, and only if they may see them?"""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import Group
from django.core import mail
from django.db import close_old_connections, connection, transaction

from checkout.kit import failpoints
from checkout.kit.failpoints import Died, arm, die
from checkout.kit.models import Alert, AuditEntry, User
from checkout.settings import policy
from ledger.models import ReportSubscription
from ledger.reports import REPORTS
from ledger.reports.declaration import Control
from ledger.services.subscriptions import following, send_next_report, send_now, start
from ledger.tests.book import Book, eur, write_book
from tests.desk import at_desk, fill_in, text_of

PAGES = "/admin/ledger/reportsubscription/"
APRIL_1 = datetime(2026, 4, 1, 6, 0, 30, tzinfo=UTC)  # a Wednesday


@pytest.fixture
def book(db: None) -> Book:
    return write_book()


@pytest.fixture
def finance() -> Callable[..., User]:
    """Somebody of Finance; `finance("fay", group="")` has no role."""

    def somebody(name: str, *, group: str = "Finance", email: str | None = None, **about: Any) -> User:
        user = User.objects.create_user(
            name, email=f"{name}@example.com" if email is None else email, **{"is_staff": True, **about}
        )
        if group:
            user.groups.add(Group.objects.get(name=group))
        return user

    return somebody


@pytest.fixture
def subscription(finance: Callable[..., User]) -> Callable[..., ReportSubscription]:
    """Last month's fees as CSV to Fay, due on the first of April at six unless told otherwise."""

    def make(**about: Any) -> ReportSubscription:
        recipients = about.pop("recipients", None) or [finance("fay")]
        due_at = datetime(2026, 4, 1, 6, tzinfo=UTC)
        row = ReportSubscription.objects.create(
            **{
                "report": "fees",
                "period": "last_month",
                "format": "csv",
                "mode": "test",
                "every": "month",
                "hour": 6,
                "due_at": due_at,
                "next_at": due_at,
                **about,
            }
        )
        row.recipients.set(recipients)
        return row

    return make


@pytest.fixture
def on_april_1() -> Iterator[Any]:
    with time_machine.travel(APRIL_1, tick=False) as clock:
        yield clock


@pytest.mark.parametrize(
    ("every", "hour", "after", "expected"),
    [
        ("day", 6, "2026-04-01T05:59", "2026-04-01T06:00"),
        ("day", 6, "2026-04-01T06:00", "2026-04-02T06:00"),
        ("day", 0, "2026-12-31T23:59", "2027-01-01T00:00"),
        ("week", 6, "2026-04-01T05:00", "2026-04-06T06:00"),
        ("week", 6, "2026-04-06T06:00", "2026-04-13T06:00"),
        ("month", 23, "2026-04-01T22:00", "2026-04-01T23:00"),
        ("month", 6, "2026-04-01T06:00", "2026-05-01T06:00"),
        ("month", 6, "2028-02-01T06:30", "2028-03-01T06:00"),
    ],
)
def test_it_is_due_at_its_hour_of_its_day(every: str, hour: int, after: str, expected: str) -> None:
    row = ReportSubscription(every=every, hour=hour)

    assert following(row, datetime.fromisoformat(f"{after}:00+00:00")) == datetime.fromisoformat(f"{expected}:00+00:00")


def test_what_is_due_is_sent_with_its_figures_and_a_file(
    book: Book, subscription: Callable[..., ReportSubscription], on_april_1: Any
) -> None:
    row = subscription()

    assert send_next_report()

    [message] = mail.outbox
    assert message.to == ["fay@example.com"]
    assert message.subject == "Gateway fees, test mode · 1 Mar 2026 to 31 Mar 2026"
    assert "charged: 4.96 EUR" in message.body
    assert "fees tie to account gateway_fee: difference 0.00 EUR" in message.body
    assert "/admin/ledger/account/reports/fees/?mode=test&from=2026-03-01&to=2026-03-31" in message.body
    [(name, content, kind)] = message.attachments
    assert (name, kind) == ("fees_test_2026-03-01_2026-03-31.csv", "text/csv")
    assert content.splitlines()[-1] == "fees tie to account gateway_fee: difference 0 JPY"
    row.refresh_from_db()
    assert row.due_at == row.next_at == datetime(2026, 5, 1, 6, tzinfo=UTC)
    assert row.last_sent_at == APRIL_1
    assert not send_next_report()


def test_a_missed_one_is_sent_once_and_about_the_time_that_it_was_due(
    book: Book, subscription: Callable[..., ReportSubscription], on_april_1: Any
) -> None:
    row = subscription()
    on_april_1.shift(timedelta(days=45))

    while send_next_report():
        pass

    assert [message.subject for message in mail.outbox] == ["Gateway fees, test mode · 1 Mar 2026 to 31 Mar 2026"]
    row.refresh_from_db()
    assert row.next_at == datetime(2026, 6, 1, 6, tzinfo=UTC)


def test_a_worker_that_dies_is_followed_when_its_lease_ends(
    book: Book, subscription: Callable[..., ReportSubscription], on_april_1: Any
) -> None:
    subscription()
    arm("claim_report.after_commit", die)
    with pytest.raises(Died):
        send_next_report()
    failpoints.disarm()

    assert not send_next_report()
    on_april_1.shift(timedelta(seconds=policy.REPORT_SEND_LEASE_SECONDS))
    assert send_next_report()
    assert [message.extra_headers["Message-ID"].partition(".")[2][:15] for message in mail.outbox] == [
        "20260401T060000"
    ]


@pytest.mark.django_db(transaction=True)
def test_two_workers_send_it_once(subscription: Callable[..., ReportSubscription]) -> None:
    write_book()
    rows = [subscription(recipients=[User.objects.create_superuser(f"s{n}", f"s{n}@example.com")]) for n in range(3)]
    together, sent = threading.Barrier(4), []

    def work() -> None:
        together.wait()
        try:
            while send_next_report():
                sent.append(1)
        finally:
            connection.close()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert len(sent) == len(rows)
    assert sorted(address for message in mail.outbox for address in message.to) == [
        f"s{n}@example.com" for n in range(3)
    ]
    close_old_connections()


def test_only_people_who_may_see_reports_get_them(
    book: Book, subscription: Callable[..., ReportSubscription], finance: Callable[..., User], on_april_1: Any
) -> None:
    gone = finance("gone")
    subscription(recipients=[finance("fay"), gone, finance("no-role", group=""), finance("shop", is_staff=False)])
    User.objects.filter(pk=gone.pk).update(is_active=False)

    send_next_report()

    assert [message.to for message in mail.outbox] == [["fay@example.com"]]


def test_one_that_nobody_may_receive_is_not_sent_and_somebody_is_told(
    book: Book, subscription: Callable[..., ReportSubscription], finance: Callable[..., User], on_april_1: Any
) -> None:
    row = subscription(recipients=[finance("no-role", group="")])

    assert send_next_report()

    assert mail.outbox == []
    row.refresh_from_db()
    assert row.last_error == "Nobody is left who may receive it."
    assert row.next_at == APRIL_1 + timedelta(seconds=policy.REPORT_SEND_RETRY_SECONDS)
    assert row.due_at == datetime(2026, 4, 1, 6, tzinfo=UTC)
    assert Alert.objects.get(kind="report_not_sent").object_id == row.public_id


def test_a_mail_server_that_refuses_is_asked_again(
    book: Book, subscription: Callable[..., ReportSubscription], on_april_1: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = subscription()
    with monkeypatch.context() as broken:
        broken.setattr("django.core.mail.backends.locmem.EmailBackend.send_messages", refuse)
        send_next_report()
    row.refresh_from_db()
    assert row.last_error == "ConnectionRefusedError"

    on_april_1.shift(timedelta(seconds=policy.REPORT_SEND_RETRY_SECONDS))
    assert send_next_report()

    assert len(mail.outbox) == 1
    row.refresh_from_db()
    assert row.last_error == ""


def refuse(*args: Any) -> None:
    raise ConnectionRefusedError


def test_without_a_mail_server_nothing_is_sent_and_it_says_so(
    book: Book, subscription: Callable[..., ReportSubscription], on_april_1: Any, settings: Any
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
    row = subscription()

    send_next_report()

    row.refresh_from_db()
    assert row.last_error == "No mail server is configured: EMAIL_URL."


def test_a_large_file_is_not_attached_and_the_message_says_where_it_is(
    book: Book, subscription: Callable[..., ReportSubscription], on_april_1: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "REPORT_ATTACHMENT_BYTES", 100)
    subscription()

    send_next_report()

    [message] = mail.outbox
    assert message.attachments == []
    assert "too large to attach" in message.body
    assert "/admin/ledger/account/reports/fees/" in message.body


def test_one_that_does_not_tie_says_so_first_and_raises_an_alert(
    book: Book, subscription: Callable[..., ReportSubscription], on_april_1: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = [Control("sums tie to the books", eur(2), eur(1))]
    monkeypatch.setattr("ledger.reports.fees.tie", lambda *args: broken)
    row = subscription()

    send_next_report()

    assert mail.outbox[0].subject.startswith("DOES NOT TIE: Gateway fees")
    assert Alert.objects.get(kind="report_does_not_tie").object_id == row.public_id


def test_one_that_is_sent_at_once_stays_due_when_it_was(
    book: Book, subscription: Callable[..., ReportSubscription], on_april_1: Any, operator: Any
) -> None:
    due_at = datetime(2026, 5, 1, 6, tzinfo=UTC)
    row = subscription(due_at=due_at, next_at=due_at)

    send_now(subscription=row, actor=operator)
    assert send_next_report()

    assert mail.outbox[0].subject == "Gateway fees, test mode · 1 Mar 2026 to 31 Mar 2026"
    row.refresh_from_db()
    assert row.due_at == row.next_at == due_at


def test_a_paused_one_is_sent_only_when_it_is_asked_for_and_stays_paused(
    book: Book, subscription: Callable[..., ReportSubscription], on_april_1: Any, operator: Any
) -> None:
    row = subscription(due_at=None, next_at=None)
    assert not send_next_report()

    send_now(subscription=row, actor=operator)
    assert send_next_report()

    row.refresh_from_db()
    assert row.is_paused
    assert row.next_at is None
    start(subscription=row, actor=operator, reason="wanted again")
    assert row.next_at == datetime(2026, 5, 1, 6, tzinfo=UTC)


def test_the_database_refuses_one_that_is_due_and_in_no_queue(
    subscription: Callable[..., ReportSubscription], db: None
) -> None:
    with pytest.raises(Exception, match="subscription_is_queued"), transaction.atomic():
        subscription(next_at=None)


@pytest.mark.parametrize("name", REPORTS)
def test_every_report_can_be_sent(
    name: str, book: Book, subscription: Callable[..., ReportSubscription], on_april_1: Any
) -> None:
    subscription(report=name, format="xlsx")

    send_next_report()

    [message] = mail.outbox
    assert message.subject.startswith(REPORTS[name].title)
    assert message.attachments


# At the desk


@pytest.fixture
def fay(db: None, finance: Callable[..., User]) -> User:
    return finance("fay")


def new(fay: User, **fields: Any) -> dict[str, Any]:
    return {
        **{
            "report": "revenue",
            "period": "yesterday",
            "format": "xlsx",
            "mode": "test",
            "currency": "",
            "merchant": "",
        },
        **{"gateway": "", "every": "day", "hour": "6", "recipients": [str(fay.pk)], **fields},
    }


def test_finance_sets_one_up_and_it_is_due_at_its_hour(fay: User, on_april_1: Any) -> None:
    browser = at_desk("Finance")

    answer = browser.post(f"{PAGES}add/", new(fay))

    assert answer.status_code == 302, text_of(answer)
    row = ReportSubscription.objects.get()
    assert row.next_at == row.due_at == datetime(2026, 4, 2, 6, tzinfo=UTC)
    assert list(row.recipients.all()) == [fay]
    made = AuditEntry.objects.get(verb="report_subscription.create")
    assert made.object_id == row.public_id
    assert made.after["recipients"] == ["fay"]
    assert "Revenue, yesterday every day, at 06:00 UTC fay active".replace("every ", "") in text_of(browser.get(PAGES))


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"recipients": []}, "This field is required."),
        ({"hour": "24"}, "less than or equal to 23"),
        ({"report": "payroll"}, "Select a valid choice"),
        ({"format": "table"}, "Select a valid choice"),
        ({"report": "trial_balance", "gateway": "acme"}, "This report is not told that."),
    ],
)
def test_what_cannot_be_sent_is_refused(fields: dict[str, Any], complaint: str, book: Book, fay: User) -> None:
    if "gateway" in fields:
        fields = {**fields, "gateway": str(book.acme.pk)}

    answer = at_desk("Finance").post(f"{PAGES}add/", new(fay, **fields))

    assert answer.status_code == 200
    assert complaint in text_of(answer)
    assert not ReportSubscription.objects.exists()


def test_nobody_is_offered_who_may_not_see_reports(fay: User, finance: Callable[..., User]) -> None:
    stranger, silent = finance("stranger", group=""), finance("silent", email="")
    browser = at_desk("Finance")

    said = text_of(browser.get(f"{PAGES}add/"))

    assert "fay@example.com" in said
    assert "stranger@example.com" not in said
    for user in (stranger, silent):
        assert browser.post(f"{PAGES}add/", new(user)).status_code == 200
    assert not ReportSubscription.objects.exists()


def test_send_now_by_a_button_is_audited(
    book: Book, subscription: Callable[..., ReportSubscription], on_april_1: Any
) -> None:
    later = datetime(2026, 5, 1, 6, tzinfo=UTC)
    row = subscription(due_at=later, next_at=later)

    answer = fill_in(at_desk("Finance"), f"{PAGES}{row.public_id}/send-now/")

    assert answer.status_code == 302
    assert send_next_report()
    assert len(mail.outbox) == 1
    assert AuditEntry.objects.get(verb="report_subscription.send_now").object_id == row.public_id


def test_a_change_needs_a_reason_and_plans_anew(
    book: Book, subscription: Callable[..., ReportSubscription], on_april_1: Any
) -> None:
    later = datetime(2026, 5, 1, 6, tzinfo=UTC)
    row = subscription(due_at=later, next_at=later)
    fay = row.recipients.get()
    browser, page = at_desk("Finance"), f"{PAGES}{row.public_id}/change/"

    assert browser.post(page, new(fay, report="fees", hour="9")).status_code == 200
    answer = browser.post(page, new(fay, report="fees", hour="9", reason="later in the morning"))

    assert answer.status_code == 302, text_of(answer)
    row.refresh_from_db()
    assert row.next_at == row.due_at == datetime(2026, 4, 1, 9, tzinfo=UTC)
    changed = AuditEntry.objects.get(verb="reportsubscription.change")
    assert (changed.before["hour"], changed.after["hour"]) == (6, 9)


@pytest.mark.parametrize("role", ["Operations", "Read-only"])
def test_others_may_look_and_change_nothing(
    role: str, book: Book, subscription: Callable[..., ReportSubscription], fay: User
) -> None:
    row = subscription(recipients=[fay])
    browser = at_desk(role)

    assert browser.get(PAGES).status_code == 200
    assert browser.get(f"{PAGES}add/").status_code == 403
    assert browser.post(f"{PAGES}{row.public_id}/change/", new(fay)).status_code == 403
    assert browser.post(f"{PAGES}{row.public_id}/send-now/").status_code == 403
    assert browser.post(f"{PAGES}{row.public_id}/delete/").status_code == 403
