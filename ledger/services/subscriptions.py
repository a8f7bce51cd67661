"""How do people get reports by e-mail? One after the other, from rows that say when each is due.

Whoever claims a report moves its next date to the end of a lease, so two workers never send the same one; if the
worker dies, the lease ends and another follows. A message carries an id made of the subscription and its due time.
"""

from datetime import datetime, timedelta
from smtplib import SMTPException
from tempfile import TemporaryFile
from typing import IO

import structlog
from django.conf import settings
from django.core.mail import DNS_NAME, EmailMessage
from django.db import DatabaseError
from django.db.models import QuerySet

from checkout.kit import audit, clock
from checkout.kit.actors import Actor
from checkout.kit.alerts import raise_alert
from checkout.kit.defer import defer
from checkout.kit.display import money
from checkout.kit.durable import durable
from checkout.kit.models import User
from checkout.kit.money import Money
from checkout.settings import policy
from ledger.models import ReportSubscription
from ledger.reports import REPORTS, links
from ledger.reports.declaration import Type
from ledger.reports.formats import FORMATS
from ledger.reports.running import Run, running
from ledger.reports.scope import ScopeRefused, read_scope

log = structlog.get_logger(__name__)

SEND_REPORTS = "ledger.send_reports"
PERMISSION = "ledger.view_report"
Every = ReportSubscription.Every

_NO_MAIL = "django.core.mail.backends.dummy.EmailBackend"


class NotSent(Exception):
    """A report could not be sent; the text says why, for people."""


def may_receive() -> QuerySet[User]:
    """The people whom reports may be sent to: at the desk, allowed to see reports, and with an address."""
    return User.objects.with_perm(PERMISSION).filter(is_staff=True).exclude(email="")


def following(subscription: ReportSubscription, after: datetime) -> datetime:
    """When it is due next after an instant: at its hour, of any day, of a Monday or of the first of a month."""
    at = after.replace(hour=subscription.hour, minute=0, second=0, microsecond=0)
    while at <= after or not _is_its_day(subscription, at):
        at += timedelta(days=1)
    return at


def plan(subscription: ReportSubscription) -> None:
    """Set when it is due next, from now on. It is saved by whoever calls."""
    subscription.due_at = subscription.next_at = following(subscription, clock.now())


@durable("start_subscription")
def start(*, subscription: ReportSubscription, actor: Actor, reason: str) -> None:
    """Send it from now on, at its hour: what was missed is not sent."""
    plan(subscription)
    subscription.save(update_fields=["due_at", "next_at"])
    audit.record(actor=actor, verb="report_subscription.start", obj=subscription, reason=reason)


@durable("pause_subscription")
def pause(*, subscription: ReportSubscription, actor: Actor, reason: str) -> None:
    """Send it no more until it is started again."""
    ReportSubscription.objects.filter(pk=subscription.pk).update(due_at=None, next_at=None)
    audit.record(actor=actor, verb="report_subscription.pause", obj=subscription, reason=reason)


@durable("send_report_now")
def send_now(*, subscription: ReportSubscription, actor: Actor) -> None:
    """Send it once, at once, also if it is paused. When it is due by the clock stays as it is."""
    ReportSubscription.objects.filter(pk=subscription.pk).update(next_at=clock.now())
    audit.record(actor=actor, verb="report_subscription.send_now", obj=subscription)
    defer(SEND_REPORTS)


def send_next_report() -> bool:
    """Send the report that is due for longest; False if none is.

    One that cannot be sent is tried again after a while, for as long as it takes, and raises an alert.
    """
    claimed = _claim()
    if claimed is None:
        return False
    try:
        run = _send(claimed)
    except (NotSent, ScopeRefused) as refused:
        _record_failure(claimed, str(refused))
    except (SMTPException, OSError, DatabaseError) as failure:
        _record_failure(claimed, type(failure).__name__)
    else:
        _record_sent(claimed, run)
    return True


@durable("claim_report")
def _claim() -> ReportSubscription | None:
    now = clock.now()
    due = ReportSubscription.objects.filter(next_at__lte=now).order_by("next_at")
    row = due.select_for_update(skip_locked=True).first()
    if row is not None:
        row.next_at = now + timedelta(seconds=policy.REPORT_SEND_LEASE_SECONDS)
        row.save(update_fields=["next_at"])
    return row


def _send(subscription: ReportSubscription) -> Run:
    """Write the report and send it. One that was missed is about the day on which it was due."""
    if settings.EMAIL_BACKEND == _NO_MAIL:
        raise NotSent("No mail server is configured: EMAIL_URL.")
    recipients = may_receive().filter(pk__in=subscription.recipients.values("pk"))
    addresses = sorted(recipients.values_list("email", flat=True))
    if not addresses:
        raise NotSent("Nobody is left who may receive it.")
    report = REPORTS[subscription.report]
    now = clock.now()
    due_at = subscription.due_at if subscription.due_at and subscription.due_at <= now else now
    scope = read_scope(subscription.words, report.asks, due_at.date())
    with TemporaryFile() as file:
        with running(report, scope, seconds=policy.REPORT_SECONDS) as run:
            FORMATS[subscription.format].write(run, file)
        message = _message(run, addresses)
        message.extra_headers["Message-ID"] = f"<{subscription.public_id}.{due_at:%Y%m%dT%H%M%S}@{DNS_NAME}>"
        _attach(message, run, subscription.format, file)
    message.send()
    return run


def _message(run: Run, addresses: list[str]) -> EmailMessage:
    """The report in a few lines: what it is about, its totals, and what it ties to."""
    report, scope = run.report, run.scope
    titles = {column.name: column.title for column in report.columns if column.type is Type.MONEY}
    totals = [
        f"{titles[name]}: {money(Money(amount, currency))}"
        for currency, sums in run.totals.items()
        for name, amount in sums.items()
        if name in titles
    ]
    about = scope.in_words(report.asks)
    where = f"{settings.PUBLIC_URL}{links.report(report.name, scope.as_words(report.asks))}"
    parts = [[report.question, about], totals, run.last_lines, [where]]
    subject = f"{report.title}, {about}" if run.ties else f"DOES NOT TIE: {report.title}, {about}"
    body = "\n\n".join("\n".join(lines) for lines in parts if lines)
    return EmailMessage(" ".join(subject.split()), body, to=addresses)


def _attach(message: EmailMessage, run: Run, form: str, file: IO[bytes]) -> None:
    """Attach the file unless mail servers would refuse it; then the message says where to get it."""
    if file.tell() > policy.REPORT_ATTACHMENT_BYTES:
        message.body += "\n\nThe file is too large to attach. Get it there"
        if run.row_count > policy.REPORT_DOWNLOAD_ROWS:
            message.body += f", for fewer days at once, or in one piece by manage.py report {run.report.name}"
        message.body += "."
        return
    file.seek(0)
    name = f"{run.scope.file_name(run.report.name, run.report.asks)}.{form}"
    message.attach(name, file.read(), FORMATS[form].content_type.partition(";")[0])


def _record_sent(subscription: ReportSubscription, run: Run) -> None:
    if not run.ties:
        raise_alert(
            kind="report_does_not_tie",
            object_id=subscription.public_id,
            message=f"The report {run.report.title} does not tie to the books.",
            severity="critical",
        )
    now = clock.now()
    due_at = subscription.due_at
    if due_at and due_at <= now:
        due_at = following(subscription, now)
    _held(subscription).update(due_at=due_at, next_at=due_at, last_sent_at=now, last_error="")


def _record_failure(subscription: ReportSubscription, error: str) -> None:
    log.warning("report_not_sent", subscription=subscription.public_id, error=error)
    raise_alert(
        kind="report_not_sent",
        object_id=subscription.public_id,
        message=f"The report {subscription.report} could not be sent: {error}",
    )
    next_at = clock.now() + timedelta(seconds=policy.REPORT_SEND_RETRY_SECONDS)
    _held(subscription).update(next_at=next_at, last_error=error[:200])


def _held(subscription: ReportSubscription) -> QuerySet[ReportSubscription]:
    """The row, if the lease on it is still ours."""
    return ReportSubscription.objects.filter(pk=subscription.pk, next_at=subscription.next_at)


def _is_its_day(subscription: ReportSubscription, at: datetime) -> bool:
    match subscription.every:
        case Every.WEEK:
            return at.weekday() == 0
        case Every.MONTH:
            return at.day == 1
    return True
