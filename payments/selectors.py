"""What is true of payments now?"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Sum

from checkout.kit import clock
from checkout.kit.ids import parse_public_id
from checkout.kit.money import Money
from checkout.settings import policy
from gateways.base import Capability
from gateways.registry import adapter_class
from gateways.settlements import LineKind
from ledger.models import SettlementLine
from ledger.reconciliation import selectors as settlements
from merchants.models import WebhookDelivery
from merchants.statuses import DeliveryStatus
from payments.models import Attempt, AuditRun, Payment, Refund
from payments.statuses import (
    IN_FLIGHT,
    REFUND_RESERVED,
    AttemptStatus,
    NextAction,
    Operation,
    Status,
)


def lock_payment(pk: Any) -> Payment:
    """Lock one payment, and through it everything it owns. Take this lock first, and only this one."""
    return Payment.objects.select_for_update(no_key=True, of=("self",)).get(pk=pk)


def lock_only(pk: Any) -> None:
    """The same lock for one who reads the payment with other rows afterwards, in a statement that sees what is new."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM payments_payment WHERE id = %s FOR NO KEY UPDATE", [pk])


def payments_of(merchant_id: Any, mode: str) -> QuerySet[Payment]:
    """The payments that a merchant sees in one mode, with what is shown of them and nothing secret."""
    rows = Payment.objects.filter(merchant_id=merchant_id, mode=mode).select_related("card", "gateway")
    return rows.defer("card__number", "gateway__credentials")


def payment_by_key(pk: Any) -> Payment:
    """A payment, whoever's it is, with what is shown of it."""
    return Payment.objects.select_related("card", "gateway", "merchant").get(pk=pk)


def payment_of(merchant_id: Any, mode: str, public_id: str) -> Payment | None:
    """A merchant's payment by its outside name; None if there is none, or it is somebody else's."""
    key = parse_public_id(Payment.PUBLIC_PREFIX, public_id)
    return payments_of(merchant_id, mode).filter(pk=key).first() if key else None


def refunds_of(merchant_id: Any, mode: str) -> QuerySet[Refund]:
    """The refunds that a merchant sees in one mode."""
    return Refund.objects.filter(payment__merchant_id=merchant_id, payment__mode=mode).select_related("payment")


def refund_of(merchant_id: Any, mode: str, public_id: str) -> Refund | None:
    """A merchant's refund by its outside name; None if there is none, or it is somebody else's."""
    key = parse_public_id(Refund.PUBLIC_PREFIX, public_id)
    return refunds_of(merchant_id, mode).filter(pk=key).first() if key else None


def action_url_of(payment: Payment) -> str:
    """Where the customer must go for a payment that waits for them; "" if it does not."""
    waiting = in_flight(payment).exclude(action_url="").values_list("action_url", flat=True)
    return waiting.first() or ""


def attempts_of(payment: Payment) -> QuerySet[Attempt]:
    """What was tried for a payment, in order."""
    return payment.attempts.select_related("gateway", "payment", "refund").order_by("seq")


def in_flight(payment: Payment) -> QuerySet[Attempt]:
    """The attempts of a payment that may still move its money; reversals of what it never asked for do not."""
    return payment.attempts.filter(status__in=IN_FLIGHT, reverses=None)


def authorization_of(payment: Payment) -> Attempt | None:
    """The attempt that holds the customer's money for this payment, if one does."""
    return (
        payment.attempts.filter(operation=Operation.AUTHORIZE, status=AttemptStatus.SUCCEEDED)
        .select_related("gateway")
        .first()
    )


def capturable(payment: Payment) -> Money:
    """What can be captured now: reserved, less captured, less captures in flight; nothing beside a void in flight, and
    nothing once the reservation's time is over.

    One query; expects the payment to be locked where the answer is acted upon.
    """
    flight = in_flight(payment).aggregate(
        captures=Sum("amount_minor", filter=Q(operation=Operation.CAPTURE), default=0),
        voids=Count("id", filter=Q(operation=Operation.VOID)),
    )
    is_over = payment.expires_at is not None and payment.expires_at <= clock.now()
    if flight["voids"] or is_over or payment.status not in (Status.AUTHORIZED, Status.CAPTURED):
        return Money(0, payment.currency)
    return Money(payment.authorized_minor - payment.captured_minor - flight["captures"], payment.currency)


def refundable(payment: Payment) -> Money:
    """What can be refunded now: captured, less refunded, less what is under way or awaits approval. One query."""
    under_way = payment.refunds.filter(status__in=REFUND_RESERVED).aggregate(sum=Sum("amount_minor", default=0))
    return Money(payment.captured_minor - payment.refunded_minor - under_way["sum"], payment.currency)


def can(attempt: Attempt, capability: Capability) -> bool:
    """Whether the gateway of an attempt has a capability."""
    return capability in adapter_class(attempt.gateway.adapter).capabilities


def settled_among(payment_ids: Iterable[uuid.UUID]) -> set[uuid.UUID]:
    """Those of the payments that nothing can be learned of by waiting, in one query whatever their number.

    No attempt is in flight, except one that waits for the customer, or a reversal of what was never asked for.
    """
    ids = list(payment_ids)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM unnest(%s::uuid[]) AS asked(id) WHERE NOT EXISTS (SELECT 1 FROM payments_attempt a"
            " WHERE a.payment_id = asked.id AND a.status = ANY(%s) AND a.action_url = '' AND a.reverses_id IS NULL)",
            [ids, [str(status) for status in IN_FLIGHT]],
        )
        return {row[0] for row in cursor.fetchall()}


def is_settled(payment_id: uuid.UUID) -> bool:
    """Whether nothing can be learned of a payment by waiting."""
    return payment_id in settled_among([payment_id])


def awaits_customer(payment_id: uuid.UUID) -> bool:
    """Whether a payment still waits for its customer, or for what came of their challenge."""
    return Payment.objects.filter(pk=payment_id, status__in=[Status.PROCESSING, Status.REQUIRES_ACTION]).exists()


def attempts_by_id(keys: Iterable[Any]) -> dict[Any, Attempt]:
    """Attempts with all that a call needs: payment, card, card secret, gateway and the attempt they follow."""
    return Attempt.objects.select_related("payment__card", "payment__cardsecret", "gateway", "parent").in_bulk(
        list(keys)
    )


def attempt_by_reference(reference: str) -> Attempt | None:
    """The attempt that a gateway knows by this reference."""
    key = parse_public_id(Attempt.PUBLIC_PREFIX, reference)
    return Attempt.objects.filter(pk=key).first() if key else None


def unknown_attempts() -> QuerySet[Attempt]:
    """The attempts nobody knows the outcome of, the oldest first: the queue that a person looks at."""
    return (
        Attempt.objects.filter(status=AttemptStatus.UNKNOWN)
        .select_related("gateway", "payment__merchant")
        .order_by("sent_at")
    )


def oldest_due_at() -> datetime | None:
    """Since when the longest waiting attempt has been due; None if nothing is due."""
    return (
        Attempt.objects.filter(next_action_at__lte=clock.now())
        .order_by("next_action_at")
        .values_list("next_action_at", flat=True)
        .first()
    )


def attempts_by_reference(references: Iterable[str]) -> dict[str, Attempt]:
    """The attempts that gateways know by these references, by reference; one query."""
    keys = [parse_public_id(Attempt.PUBLIC_PREFIX, reference) for reference in references]
    found = Attempt.objects.in_bulk([key for key in keys if key is not None])
    return {attempt.reference: attempt for attempt in found.values()}


def payment_of_line(line: SettlementLine) -> Payment | None:
    """The payment that a line of a gateway's file seems to be about, by our reference or the gateway's."""
    charge = settlements.item_of(line, kind=LineKind.CHARGE)
    key = parse_public_id(Payment.PUBLIC_PREFIX, charge.entry.payment_reference) if charge else None
    if key is None:
        attempt = attempt_by_reference(line.reference)
        key = attempt.payment_id if attempt and attempt.gateway_id == line.gateway_id else None
    return Payment.objects.filter(pk=key).first() if key else None


def last_audit_run(*, green_in: str = "") -> AuditRun | None:
    """The last run of the self-audit; with `green_in`, the last one in which that invariant held."""
    runs = AuditRun.objects.order_by("-id")
    return runs.exclude(findings__contains=[{"code": green_in}]).first() if green_in else runs.first()


@dataclass(frozen=True)
class SelfAuditSummary:
    """What the desk says first: whether the books balance, and what is still on its way. Never audited is not green."""

    last_run_at: datetime | None
    is_green: bool
    broken: tuple[str, ...]
    unknown_over_15_min: int
    undelivered_count: int


def self_audit_summary() -> SelfAuditSummary:
    """The figures for “books balanced, N unknown over 15 min, M undelivered”. Three queries."""
    run = last_audit_run()
    old = clock.seconds_from_now(-policy.UNKNOWN_OLD_SECONDS)
    return SelfAuditSummary(
        last_run_at=run.started_at if run else None,
        is_green=run is not None and run.is_green,
        broken=tuple(finding["code"] for finding in run.findings) if run else (),
        unknown_over_15_min=unknown_attempts().filter(sent_at__lt=old).count(),
        undelivered_count=WebhookDelivery.objects.filter(status=DeliveryStatus.PENDING, attempt_count__gt=0).count(),
    )


def payments_to_expire() -> QuerySet[Payment]:
    """Payments whose time is over: never confirmed, never captured, or waiting for a customer who never came.

    Those of which something is in flight are left to whoever is at it.
    """
    flight = Attempt.objects.filter(payment=OuterRef("pk"), status__in=IN_FLIGHT, reverses=None)
    waiting = flight.filter(status=AttemptStatus.PENDING, next_action=NextAction.ASK)
    return Payment.objects.filter(
        Q(~Exists(flight), status__in=[Status.CREATED, Status.AUTHORIZED])
        | Q(Exists(waiting), status=Status.REQUIRES_ACTION),
        expires_at__lte=clock.now(),
    ).order_by("expires_at")
