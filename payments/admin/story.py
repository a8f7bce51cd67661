"""What happened to a payment, and why? Everything known of it, in the order in which it happened. A fixed number of
queries, however long the story.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.db.models import Prefetch, QuerySet

from checkout.kit.display import badge, deed, differences, duration, money, person, unaccounted, words
from checkout.kit.ids import first_id_at, moment_of
from checkout.kit.models import AuditEntry, PublicModel
from checkout.kit.money import Money
from gateways.models import GatewayCall, Notice
from ledger import selectors as ledger_selectors
from ledger.admin import account_name
from ledger.models import JournalEntry, Posting
from ledger.reconciliation.tracing import Traced, trace
from merchants.models import WebhookDelivery, WebhookEvent
from payments import selectors
from payments.models import Attempt, Evidence, Payment, Refund
from payments.statuses import AttemptStatus

_OUTCOME_TONES = {"succeeded": "good", "declined": "bad", "pending": "busy", "unknown": "warn", "not_sent": "warn"}

_DEEDS = {
    "payment.create": ("add_circle", "quiet", "Created"),
    "payment.confirm": ("play_circle", "busy", "Confirmed: to be charged now"),
    "payment.authorize": ("lock", "busy", "Authorized: the money is reserved"),
    "payment.capture": ("paid", "good", "Captured: the money is taken"),
    "payment.capture_requested": ("schedule", "busy", "Capture asked for"),
    "payment.void_requested": ("schedule", "busy", "Release of the authorization asked for"),
    "payment.cancel_requested": ("schedule", "warn", "Cancellation asked for, once the outcome is known"),
    "payment.void": ("lock_open", "quiet", "Voided: the authorization is released"),
    "payment.cancel": ("cancel", "quiet", "Canceled"),
    "payment.expire": ("hourglass_disabled", "quiet", "Expired"),
    "payment.decline": ("block", "bad", "Declined"),
    "payment.fail": ("error", "bad", "Failed: certain that nothing was charged"),
    "refund.process": ("undo", "busy", "Refund asked for: the money is set aside"),
    "refund.ask": ("how_to_reg", "warn", "Refund asked for: somebody else has to approve it"),
    "refund.approve": ("undo", "busy", "Refund approved: the money is set aside"),
    "refund.reject": ("undo", "quiet", "Refund rejected: nothing was given back"),
    "refund.expire": ("undo", "quiet", "Refund let go: nobody approved it in time"),
    "refund.succeed": ("undo", "good", "Refunded"),
    "attempt.ask": ("contact_support", "busy", "The gateway is to be asked at once"),
    "attempt.cancel_by_reference": ("contact_support", "warn", "The gateway is to make sure that it never charges"),
    "attempt.settle_by_hand.request": ("gavel", "warn", "Settlement by hand asked for"),
    "attempt.settle_by_hand": ("gavel", "warn", "Settled by hand"),
    "refund.fail": ("undo", "bad", "Refund failed: the money is back with the merchant"),
}

_MOST = 500  # rows of one kind on the page: a gateway that was asked for days is asked more often than anybody reads

_DELIVERIES = WebhookDelivery.objects.select_related("endpoint").defer("endpoint__secret", "endpoint__previous_secret")
_DELIVERY_TONES = {"delivered": "good", "failed": "bad", "pending": "busy"}

_QUESTIONS = {"fetch": "asked what became of it", "cancel_by_reference": "asked to make sure it never charges"}


@dataclass(frozen=True)
class Moment:
    """One line of the timeline. `group` is whose part of the story it is: payment, gateway, money or merchant.

    Keys that are UUIDv7 are made in the order of the deeds, so `order` is exact even within one transaction.
    """

    at: datetime
    order: int
    group: str
    icon: str
    tone: str
    title: str
    detail: str = ""


@dataclass(frozen=True)
class Tried:
    """An attempt with what was learned of it, and why it went where it went."""

    attempt: Attempt
    took: str
    decline: str
    candidates: list[dict[str, Any]]


@dataclass(frozen=True)
class Leg:
    """One posting on the page: its entry, its account in words, and the amount on its side."""

    entry: JournalEntry
    is_first: bool
    account: str
    debit: Money | None
    credit: Money | None


@dataclass(frozen=True)
class Settled:
    """One movement that the gateway settles: what we expect, what it paid and kept, and how far its money has come."""

    traced: Traced
    gross: Money
    fee: Money
    fee_charged: Money | None


@dataclass(frozen=True)
class Story:
    """A payment's page: what it shows beyond the payment's own columns."""

    timeline: list[Moment]
    tried: list[Tried]
    refunds: list[tuple[Refund, Money]]
    legs: list[Leg]
    settlement: list[Settled]
    debit: Money
    credit: Money
    is_moving: bool
    sums: list[tuple[str, str]]
    is_cut_off: bool

    @property
    def is_balanced(self) -> bool:
        """Whether the postings of this payment tie."""
        return self.debit == self.credit


def story_of(payment: Payment) -> Story:
    """Everything about one payment; of what there may be without end, the newest. At most 13 queries."""
    attempts = list(selectors.attempts_of(payment).defer("gateway__credentials").prefetch_related("evidence"))
    refunds = list(payment.refunds.order_by("id"))
    references = [attempt.reference for attempt in attempts]
    names = [payment.public_id, *references, *(refund.public_id for refund in refunds)]
    entries = list(ledger_selectors.entries_of_payment(payment.public_id))
    postings = [posting for entry in entries for posting in entry.postings.all()]
    payment_events = WebhookEvent.objects.filter(object_id=payment.public_id)
    told = [
        _newest(AuditEntry.objects.filter(object_id__in=names)),
        _newest(_at_gateway(GatewayCall, references)),
        _newest(_at_gateway(Notice, references)),
        _newest(payment_events.prefetch_related(Prefetch("deliveries", _DELIVERIES))),
    ]
    deeds, calls, notices, events = told
    moments = [
        *(_deed(entry, payment) for entry in deeds),
        *(moment for attempt in attempts for moment in _of_attempt(attempt)),
        *(_call(call) for call in calls),
        *(_notice(notice) for notice in notices),
        *(_event(event) for event in events),
        *(_entry(entry) for entry in entries),
    ]
    return Story(
        timeline=sorted(moments, key=lambda moment: moment.order),
        tried=[_tried(attempt) for attempt in attempts],
        refunds=[(refund, Money(refund.amount_minor, refund.currency)) for refund in refunds],
        legs=[leg for entry in entries for leg in _legs(entry)],
        settlement=list(_settlement(entries)),
        debit=_sum(postings, payment.currency, 1),
        credit=_sum(postings, payment.currency, -1),
        is_moving=any(attempt.status in (AttemptStatus.CREATED, AttemptStatus.SENT) for attempt in attempts),
        sums=_sums(payment),
        is_cut_off=any(len(rows) == _MOST for rows in told),
    )


def _newest(rows: QuerySet[Any]) -> list[Any]:
    return list(rows.order_by("-id")[:_MOST])


def _at_gateway(model: Any, references: list[str]) -> Any:
    """What was said to a gateway, or by it, about these; without its secrets."""
    return model.objects.filter(reference__in=references).select_related("gateway").defer("gateway__credentials")


def _line(when: datetime | PublicModel | AuditEntry, *what: str) -> Moment:
    key = first_id_at(when) if isinstance(when, datetime) else when.pk
    at = when if isinstance(when, datetime) else moment_of(key)
    return Moment(at, key.int, *what)


def _sums(payment: Payment) -> list[tuple[str, str]]:
    parts = {
        "Authorized": payment.authorized_minor,
        "Captured": payment.captured_minor,
        "Refunded": payment.refunded_minor,
    }
    return [(name, money(Money(amount, payment.currency))) for name, amount in parts.items()]


def _deed(entry: AuditEntry, payment: Payment) -> Moment:
    if entry.told_by_database:
        return _unaccounted(entry)
    icon, tone, title = _DEEDS.get(entry.verb, ("edit_note", "quiet", words(entry.verb).capitalize()))
    facts = [f"by {person(entry.actor)}"]
    if entry.verb == "payment.decline" and entry.after.get("decline_code"):
        facts.insert(0, words(entry.after["decline_code"]))
    if entry.verb.startswith("refund.") and "amount" in entry.after:
        facts.insert(0, money(Money(entry.after["amount"], entry.after["currency"])))
    if entry.verb == "payment.capture":
        facts.insert(0, f"{money(Money(entry.after['amount_captured'], payment.currency))} in all")
    if entry.reason:
        facts.append(f"“{entry.reason}”")
    return _line(entry, "payment", icon, tone, title, ", ".join(facts))


def _unaccounted(entry: AuditEntry) -> Moment:
    """A change that no deed explains, with what it did to which column of a row that was there."""
    facts = [f"by {person(entry.actor)}"]
    if entry.before:
        facts += [f"{name}: {was} → {becomes}" for name, was, becomes in differences(entry.before, entry.after)]
    title = f"{deed(entry).capitalize()}, {unaccounted(entry)}"
    return _line(entry, "payment", "gpp_maybe", "warn", title, ", ".join(facts))


def _of_attempt(attempt: Attempt) -> Iterable[Moment]:
    chosen = next((row for row in (attempt.decision or {}).get("considered", []) if row["is_chosen"]), None)
    yield _line(
        attempt,
        "gateway",
        "route" if chosen else "arrow_forward",
        "busy",
        f"Attempt {attempt.seq}: {attempt.operation} {money(attempt.amount)} at {attempt.gateway}",
        chosen["reason"] if chosen else "",
    )
    for item in attempt.evidence.all():
        detail = [words(item.decline_code), item.detail, item.gateway_reference and f"its id {item.gateway_reference}"]
        yield _line(
            item.at,
            "gateway",
            "fact_check",
            _OUTCOME_TONES.get(item.outcome, "quiet"),
            f"Attempt {attempt.seq} {words(item.outcome)}{_after(attempt, item)}, by {_source(item.source)}",
            ", ".join(filter(None, detail)),
        )


def _after(attempt: Attempt, item: Evidence) -> str:
    if attempt.sent_at is None or item.at < attempt.sent_at:
        return ""
    return f" after {duration((item.at - attempt.sent_at).total_seconds() * 1000)}"


def _source(source: str) -> str:
    return {
        Evidence.Source.RESPONSE: "the gateway's answer",
        Evidence.Source.INQUIRY: "asking the gateway",
        Evidence.Source.CANCEL: "the answer to canceling it",
        Evidence.Source.LEASE: "the silence of whoever sent it",
        Evidence.Source.OPERATOR: "two people who read the gateway's books",
        Evidence.Source.SETTLEMENT: "the gateway's settlement file",
    }.get(Evidence.Source(source), words(source))


def _call(call: GatewayCall) -> Moment:
    asked = _QUESTIONS.get(call.operation, f"asked to {call.operation}")
    answer = f"HTTP {call.http_status}" if call.http_status else call.error or "no answer"
    title = f"{call.gateway} {asked}: {words(call.outcome)} after {duration(call.duration_ms)}"
    detail = ", ".join(filter(None, [answer, call.detail]))
    return _line(call.started_at, "gateway", "sync_alt", _OUTCOME_TONES.get(call.outcome, "quiet"), title, detail)


def _notice(notice: Notice) -> Moment:
    title = f"Notice from {notice.gateway}: {words(notice.outcome)}"
    return _line(
        notice.received_at,
        "gateway",
        "mark_email_unread",
        _OUTCOME_TONES.get(notice.outcome, "quiet"),
        title,
        notice.status,
    )


def _event(event: WebhookEvent) -> Moment:
    deliveries = list(event.deliveries.all())
    tones = {_DELIVERY_TONES.get(delivery.status, "quiet") for delivery in deliveries}
    tone = next((tone for tone in ("bad", "busy", "good") if tone in tones), "quiet")
    if deliveries:
        told = "; ".join(_delivery(delivery) for delivery in deliveries)
    else:
        told = "nobody listens" if event.dispatched_at else "not on its way yet"
    return _line(
        event, "merchant", "campaign", tone, f"For the merchant: {event.type}", f"event {event.sequence}, {told}"
    )


def _delivery(delivery: WebhookDelivery) -> str:
    tries = f"after {delivery.attempt_count} tries" if delivery.attempt_count > 1 else ""
    answer = f"HTTP {delivery.last_http_status}" if delivery.last_http_status else delivery.last_error
    went = " ".join(filter(None, [words(delivery.status), tries]))
    host = urlsplit(delivery.endpoint.url).netloc
    return ", ".join(filter(None, [f"{went} to {host}", answer]))


def _entry(entry: JournalEntry) -> Moment:
    legs = [
        f"{'debit' if posting.amount_minor > 0 else 'credit'} {account_name(posting.account)} "
        f"{money(Money(abs(posting.amount_minor), posting.currency))}"
        for posting in entry.postings.all()
    ]
    return _line(entry, "money", "menu_book", "quiet", f"Ledger: {words(entry.kind)}", "; ".join(legs))


def _legs(entry: JournalEntry) -> Iterable[Leg]:
    for number, posting in enumerate(entry.postings.all()):
        is_debit = posting.amount_minor > 0
        yield Leg(
            entry=entry,
            is_first=number == 0,
            account=account_name(posting.account),
            debit=posting.amount if is_debit else None,
            credit=None if is_debit else -posting.amount,
        )


def _settlement(entries: Iterable[JournalEntry]) -> Iterable[Settled]:
    """What became of each movement. A fee that was charged once for several stands with the first of them."""
    told: set[int | None] = set()
    for traced in trace(entries):
        item = traced.item
        charged = sum(line.fee_minor for line in traced.lines)
        is_told = not traced.lines or item.match_id in told
        told.add(item.match_id)
        yield Settled(
            traced=traced,
            gross=Money(item.gross_minor, item.currency),
            fee=Money(item.fee_minor, item.currency),
            fee_charged=None if is_told else Money(charged, item.currency),
        )


def _tried(attempt: Attempt) -> Tried:
    decision = attempt.decision or {}
    known = {candidate["gateway"]: candidate for candidate in decision.get("candidates", [])}
    ended_at = attempt.finished_at
    return Tried(
        attempt=attempt,
        took=duration((ended_at - attempt.sent_at).total_seconds() * 1000) if ended_at and attempt.sent_at else "",
        decline=words(attempt.decline_code),
        candidates=[
            {**row, "health": badge(known[row["gateway"]]["health_status"]), "status": known[row["gateway"]]["status"]}
            for row in decision.get("considered", [])
        ],
    )


def _sum(postings: Iterable[Posting], currency: str, sign: int) -> Money:
    return Money(sum(max(sign * posting.amount_minor, 0) for posting in postings), currency)


def facts_of(payment: Payment) -> list[tuple[str, Any]]:
    """What is known of the payment itself, in words: a label and a value. None of it is a secret."""
    card = payment.card
    rows = [
        ("Merchant's reference", payment.merchant_reference),
        ("Description", payment.description),
        ("Customer", payment.customer_email),
        ("Country", payment.country),
        ("Card", f"{card.brand} •••• {card.last4}, until {card.exp_month:02}/{card.exp_year}" if card else ""),
        ("Card holder", card.holder_name if card else ""),
        ("Capture", payment.capture_mode),
        ("Why declined", words(payment.decline_code)),
        ("Expires", payment.expires_at if payment.status in ("created", "authorized") else None),
        *((str(name), str(value)) for name, value in payment.metadata.items()),
    ]
    return [(label, value) for label, value in rows if value]
