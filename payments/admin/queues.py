"""What waits for somebody on duty? Attempts whose outcome nobody knows, and payments that are stuck."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter, RelatedDropdownFilter
from unfold.decorators import display

from checkout.kit import clock
from checkout.kit.admin import BulkAdmin, BulkVerb, Queue, ReadOnlyAdmin
from checkout.kit.display import EMPTY, age, money, words
from checkout.kit.ids import first_id_at
from checkout.settings import policy
from payments.admin.columns import PartColumns, PaymentColumns
from payments.admin.unknown import ATTEMPT_VERBS
from payments.models import Attempt, Evidence, Payment
from payments.statuses import IN_FLIGHT, AttemptStatus, NextAction, Status

_AGES = {"quarter": ("Over 15 min", 900), "hour": ("Over 1 h", 3_600), "day": ("Over 1 day", 86_400)}
_BY_AGE = tuple((label, f"age={name}") for name, (label, _) in _AGES.items())
_NEXT = {
    NextAction.SEND: "send to {}",
    NextAction.ASK: "ask {}",
    NextAction.CANCEL: "make sure at {} that it never charges",
    NextAction.REPLAY: "send to {} again",
}


class AgeFilter(DropdownFilter):
    """By how long ago it was made; keys are in the order of time."""

    title = "age"
    parameter_name = "age"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, label) for name, (label, _) in _AGES.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        _, seconds = _AGES.get(self.value() or "", ("", 0))
        return queryset.filter(id__lt=first_id_at(clock.seconds_from_now(-seconds))) if seconds else queryset


def next_step(attempt: Attempt) -> str:
    """What is done next about an attempt, and when, in words."""
    if attempt.next_action_at is None:
        return EMPTY
    what = _NEXT[NextAction(attempt.next_action)].format(attempt.gateway)
    if attempt.status == AttemptStatus.SENT:
        what = f"{attempt.gateway} is being called"
        return f"{what}, until {_clock(attempt.next_action_at)} at the latest"
    return f"next: {what} at {_clock(attempt.next_action_at)}{_overdue(attempt.next_action_at)}"


def _overdue(since: datetime) -> str:
    return f", overdue by {age(since)}" if since < clock.seconds_from_now(-1) else ""


def _clock(at: datetime) -> str:
    return f"{at:%H:%M:%S}" if at.date() == clock.now().date() else f"{at:%d %b %H:%M}"


def _age(since: datetime | None) -> SafeString | str:
    return _whole(age(since)) if since else EMPTY


def _whole(text: str) -> SafeString:
    return format_html('<span class="nowrap">{}</span>', text)


def _why_not_asked(attempt: Attempt) -> str:
    if attempt.status not in (AttemptStatus.UNKNOWN, AttemptStatus.PENDING):
        return f"It is {words(attempt.status)} by now."
    return f"Something else is done about it: {next_step(attempt)}."


_ASK = next(verb for verb in ATTEMPT_VERBS if verb.name == "ask")


class UnknownOutcomes(PartColumns, Queue, BulkAdmin, ReadOnlyAdmin):
    """Attempts of which nobody knows what became."""

    queue_name = "unknown"
    title = "Unknown outcomes"
    explanation = "Nobody knows what became of these attempts. Their gateways are asked again and again anyway."
    list_display = ["age", "what", "payment_link", "merchant", "total", "gateway", "last_told", "asked_count", "next"]
    list_display_links = ["what"]
    list_filter = [
        AgeFilter,
        ("gateway", RelatedDropdownFilter),
        ("operation", ChoicesDropdownFilter),
    ]
    list_select_related = ["payment__merchant", "gateway"]
    quick_filters = _BY_AGE
    money_columns = ("total",)
    bulk_verbs = (
        BulkVerb(
            verb=_ASK,
            consequence="Each gateway is asked at once what became of these attempts. That moves no money.",
            why_not=_why_not_asked,
            describe=lambda attempt: f"{attempt.operation} of {money(attempt.amount)} at {attempt.gateway}",
        ),
    )

    @classmethod
    def waiting(cls, rows: Any) -> Any:
        return rows.filter(status=AttemptStatus.UNKNOWN, next_action_at__isnull=False)  # an index holds those in flight

    def completed(self, rows: Sequence[Any]) -> Sequence[Any]:
        told = Evidence.objects.filter(attempt__in=rows).order_by("attempt_id", "-id").distinct("attempt_id")
        last = {evidence.attempt_id: evidence for evidence in told}
        for attempt in rows:
            attempt.last_evidence = last.get(attempt.pk)
        return rows

    @display(description="for")
    def age(self, attempt: Attempt) -> SafeString | str:
        return _age(attempt.sent_at)

    @display(description="attempt")
    def what(self, attempt: Attempt) -> SafeString:
        return _whole(f"{attempt.operation}, no. {attempt.seq}")

    @display(description="merchant")
    def merchant(self, attempt: Attempt) -> str:
        return str(attempt.payment.merchant)

    @display(description="last evidence")
    def last_told(self, attempt: Any) -> str:
        evidence: Evidence | None = attempt.last_evidence
        if evidence is None:
            return EMPTY
        return f"{evidence.source} at {_clock(evidence.at)}: {evidence.detail or words(evidence.outcome)}"

    @display(description="next")
    def next(self, attempt: Attempt) -> str:
        return next_step(attempt).removeprefix("next: ")


class StuckPayments(PaymentColumns, Queue, ReadOnlyAdmin):
    """Payments that should have come to an end by now, and what each of them waits for."""

    queue_name = "stuck"
    title = "Stuck payments"
    explanation = "These should have come to an end by now."
    ordering: Any = ["created_at"]  # by key, the database would begin at the oldest payment of all
    list_display = ["age", "public_code", "merchant", "total", "status_badge", "gateway", "waits_for"]
    list_display_links = ["public_code"]
    list_filter = [
        AgeFilter,
        ("status", ChoicesDropdownFilter),
        ("merchant", RelatedDropdownFilter),
        ("mode", ChoicesDropdownFilter),
    ]
    list_select_related = ["merchant", "gateway"]
    quick_filters = _BY_AGE
    money_columns = ("total",)

    @classmethod
    def waiting(cls, rows: Any) -> Any:
        """Old ones of which something is in flight, or whose status is one that passes by itself."""
        since = first_id_at(clock.seconds_from_now(-policy.STUCK_SECONDS))
        in_flight = Attempt.objects.filter(status__in=IN_FLIGHT, id__lt=since).values("payment")
        undecided = Payment.objects.filter(
            status__in=[Status.CREATED, Status.PROCESSING, Status.REQUIRES_ACTION], id__lt=since
        )
        return rows.filter(pk__in=in_flight.order_by().union(undecided.order_by().values("pk")))

    def completed(self, rows: Sequence[Any]) -> Sequence[Any]:
        flight = Attempt.objects.filter(payment__in=rows, status__in=IN_FLIGHT).select_related("gateway")
        first: dict[Any, Attempt] = {}
        for attempt in flight.order_by("next_action_at"):
            first.setdefault(attempt.payment_id, attempt)
        for payment in rows:
            payment.first_in_flight = first.get(payment.pk)
        return rows

    @display(description="for")
    def age(self, payment: Payment) -> SafeString | str:
        return _age(payment.created_at)

    @display(description="waits for")
    def waits_for(self, payment: Any) -> str:
        attempt: Attempt | None = payment.first_in_flight
        until = payment.expires_at
        if attempt is not None and not (payment.status == Status.REQUIRES_ACTION and attempt.action_url):
            return f"{attempt.operation}, {next_step(attempt)}"
        if until is None:
            return "nothing that we know of: nothing is in flight"
        who = "its customer" if payment.status == Status.REQUIRES_ACTION else "being confirmed"
        return f"{who}, until {_clock(until)}{_overdue(until)}"
