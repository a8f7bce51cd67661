"""What would a gateway have said? Answers made by hand, and attempts brought by them to where a test begins."""

from datetime import timedelta
from typing import Any

from checkout.kit import clock
from checkout.kit.actors import Actor
from checkout.kit.models import Alert, AuditEntry
from gateways.client import Account, Answer, Call
from gateways.outcomes import DeclineCode, GatewayResult, Outcome
from ledger.models import JournalEntry
from merchants.models import WebhookEvent
from payments.models import Attempt, Evidence, Payment
from payments.services.record import record_answer
from payments.services.run import claim_due
from payments.statuses import AttemptStatus, NextAction, Operation

RESPONSE, INQUIRY, CANCEL = Evidence.Source.RESPONSE, Evidence.Source.INQUIRY, Evidence.Source.CANCEL
WORKER = Actor.task("run_due")

SUCCEEDED = GatewayResult(Outcome.SUCCEEDED)
SOFT = GatewayResult(Outcome.DECLINED, decline_code=DeclineCode.PROCESSING_ERROR)
HARD = GatewayResult(Outcome.DECLINED, decline_code=DeclineCode.STOLEN_CARD)
PENDING = GatewayResult(Outcome.PENDING)
NOT_SENT = GatewayResult.not_sent("no connection to the gateway")
UNKNOWN = GatewayResult.unknown("no answer in time")
NOT_FOUND = GatewayResult(Outcome.UNKNOWN, is_found=False, detail="the gateway does not know the reference")


def tell(attempt: Attempt, result: GatewayResult, source: str = RESPONSE, **more: Any) -> Attempt:
    """Record an answer about an attempt as its worker would; returns the attempt as it is then."""
    verbs = {INQUIRY: "fetch", CANCEL: "cancel_by_reference"}
    attempt = Attempt.objects.select_related("gateway").get(pk=attempt.pk)
    call = Call(
        account=Account.of(attempt.gateway),
        verb=verbs.get(Evidence.Source(source), attempt.operation),
        tag=(attempt.payment_id, attempt.pk),
    )
    answer = Answer(call=call, result=result, started_at=clock.now(), duration_ms=50, **{"http_status": None, **more})
    record_answer(answer=answer, actor=WORKER)
    return Attempt.objects.select_related("gateway", "payment").get(pk=attempt.pk)


def claim(*, limit: int = 50) -> dict[Any, str]:
    """Take what is due, as a worker would that then dies: nothing is sent."""
    return claim_due(limit=limit, busy=[])


def last(payment: Payment) -> Attempt:
    """A payment's newest attempt."""
    return payment.attempts.select_related("gateway", "payment").latest("seq")


def bring(attempt: Attempt, status: str) -> Attempt:
    """Let an attempt that was just created go, by the ordinary steps, to a status."""
    if status != AttemptStatus.CREATED:
        claim()
    match status:
        case AttemptStatus.SUCCEEDED:
            tell(attempt, approved(attempt))
        case AttemptStatus.DECLINED:
            tell(attempt, HARD)
        case AttemptStatus.NOT_SENT:
            tell(attempt, NOT_SENT)
        case AttemptStatus.PENDING:
            tell(attempt, PENDING)
        case AttemptStatus.UNKNOWN:
            tell(attempt, UNKNOWN)
        case AttemptStatus.ABANDONED:
            tell(attempt, UNKNOWN)
            tell(attempt, SUCCEEDED, CANCEL)
    attempt = Attempt.objects.select_related("gateway", "payment").get(pk=attempt.pk)
    assert attempt.status == status
    return attempt


def approved(attempt: Attempt, **claims: Any) -> GatewayResult:
    """A gateway's approval of exactly what the attempt asks, unless told otherwise."""
    words = {
        "gateway_reference": f"gw_{attempt.seq}_{attempt.reference[-12:]}",
        "reference": attempt.reference,
        "amount_minor": attempt.amount_minor,
        "currency": attempt.currency,
        "captured": attempt.is_sale,
        **claims,
    }
    return GatewayResult(Outcome.SUCCEEDED, **words)


def make_due(attempt: Attempt, *, sent_ago_seconds: float | None = None) -> None:
    """Let the time until its next action pass, and as much since it was sent."""
    changes: dict[str, Any] = {"next_action_at": clock.now() - timedelta(seconds=1)}
    if sent_ago_seconds is not None:
        changes["sent_at"] = clock.now() - timedelta(seconds=sent_ago_seconds)
    Attempt.objects.filter(pk=attempt.pk).update(**changes)


def beyond_settle_window(attempt: Attempt) -> float:
    """So long ago that nothing can still be on its way, in seconds."""
    return float(attempt.gateway.settle_window_seconds + 1)


def attempts(payment: Payment) -> list[tuple[str, str, str]]:
    """Gateway, operation and status of each attempt, in order."""
    return list(payment.attempts.order_by("seq").values_list("gateway__code", "operation", "status"))


def charges(payment: Payment) -> list[tuple[str, str]]:
    """Gateway and status of each authorization attempt, in order."""
    rows = payment.attempts.filter(operation=Operation.AUTHORIZE).order_by("seq")
    return list(rows.values_list("gateway__code", "status"))


def waits_for(attempt: Attempt) -> str | None:
    """What an attempt waits for, or None."""
    return NextAction(attempt.next_action) if attempt.next_action_at else None


def trace(payment: Payment) -> dict[str, int]:
    """How much there is of everything that a payment leaves behind: the same before and after a refusal."""
    return {
        "attempts": payment.attempts.count(),
        "refunds": payment.refunds.count(),
        "entries": JournalEntry.objects.filter(payment_reference=payment.public_id).count(),
        "events": WebhookEvent.objects.filter(object_id=payment.public_id).count(),
        "audit": AuditEntry.objects.filter(object_id=payment.public_id).count(),
        "alerts": Alert.objects.count(),
    }


def events(payment: Payment) -> list[str]:
    """What the merchant is told of a payment, in order."""
    rows = WebhookEvent.objects.filter(object_id=payment.public_id).order_by("sequence")
    assert list(rows.values_list("sequence", flat=True)) == list(range(1, len(rows) + 1))
    return list(rows.values_list("type", flat=True))
