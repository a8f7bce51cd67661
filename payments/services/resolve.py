"""What can a person do about an outcome that nobody knows? Ask, make sure it never charges, or settle it by hand.

Settling by hand needs two people, a reason, and what the gateway's own books say.
"""

from typing import Any

from django.db import connection

from checkout.kit import approvals, audit, clock
from checkout.kit.actors import Actor
from checkout.kit.defer import defer
from checkout.kit.durable import durable
from checkout.kit.models import Approval, User
from checkout.settings import policy
from gateways.outcomes import DeclineCode, GatewayResult, Outcome
from payments import selectors
from payments.errors import AttemptNotUnknown, CannotCancelByReference, GatewayReferenceTaken
from payments.models import Attempt, Evidence
from payments.services.attempts import RUN_DUE
from payments.services.record import record_result
from payments.statuses import IN_FLIGHT, AttemptStatus, NextAction

SETTLE_BY_HAND = "attempt.settle_by_hand"

_RECOVERED = """
UPDATE payments_attempt AS attempt SET next_action_at = now() + random() * %(spread)s * interval '1 second'
FROM gateways_gateway AS gateway
WHERE gateway.id = attempt.gateway_id AND gateway.health_status = 'healthy'
    AND gateway.health_changed_at > now() - %(window)s * interval '1 second'
    AND attempt.status = ANY(%(statuses)s) AND attempt.next_action = 'ask'
    AND attempt.next_action_at > now() + %(window)s * interval '1 second'
"""


@durable("ask_now")
def ask_now(*, attempt: Attempt, actor: Actor | None = None, reason: str = "") -> Attempt:
    """Let the gateway be asked about an attempt at once, unless somebody is at it. `actor` is a person, if one asks."""
    asked = Attempt.objects.filter(
        pk=attempt.pk, status__in=[AttemptStatus.PENDING, AttemptStatus.UNKNOWN], next_action=NextAction.ASK
    ).update(next_action_at=clock.now())
    if actor is not None:
        audit.record(actor=actor, verb="attempt.ask", obj=attempt, reason=reason)
    if asked:
        defer(RUN_DUE)
    return attempt


@durable("cancel_by_reference")
def cancel_by_reference(*, attempt: Attempt, actor: Actor, reason: str) -> Attempt:
    """Make sure at the gateway that an unknown attempt never charges; then the payment goes on without it.

    Refuses: AttemptNotUnknown, CannotCancelByReference.
    """
    selectors.lock_payment(attempt.payment_id)
    attempt = Attempt.objects.select_related("gateway").get(pk=attempt.pk)
    if attempt.status != AttemptStatus.UNKNOWN:
        raise AttemptNotUnknown(status=attempt.status)
    if not attempt.gateway.supports_cancel_by_reference or attempt.operation != "authorize":
        raise CannotCancelByReference(gateway=attempt.gateway.name)
    attempt.next_action, attempt.next_action_at = NextAction.CANCEL, clock.now()
    attempt.save(update_fields=["next_action", "next_action_at"])
    audit.record(actor=actor, verb="attempt.cancel_by_reference", obj=attempt, reason=reason)
    defer(RUN_DUE)
    return attempt


@durable("settle_by_hand.request")
def request_settlement_by_hand(
    *, attempt: Attempt, outcome: str, gateway_reference: str, reason: str, evidence: str, maker: User, actor: Actor
) -> Approval:
    """Ask a second person to settle an unknown attempt as `succeeded` or `declined`, as the gateway's books show it.

    Refuses: AttemptNotUnknown, AlreadyRequested, GatewayReferenceTaken.
    """
    attempt = Attempt.objects.get(pk=attempt.pk)
    if attempt.status != AttemptStatus.UNKNOWN:
        raise AttemptNotUnknown(status=attempt.status)
    _require_free(attempt, gateway_reference)
    payload = {
        "outcome": Outcome(outcome).value,
        "gateway_reference": gateway_reference,
        "amount": attempt.amount_minor,
        "currency": attempt.currency,
    }
    return approvals.request(
        kind=SETTLE_BY_HAND,
        obj=attempt,
        payload=payload,
        reason=reason,
        evidence=evidence,
        maker=maker,
        actor=actor,
    )


@durable("settle_by_hand.approve")
def approve_settlement_by_hand(*, approval: Approval, checker: User, actor: Actor) -> Attempt:
    """Agree that an unknown attempt ended as somebody found in the gateway's books, and record it so.

    Refuses: MakerCannotCheck, ApprovalNotOpen, ApprovalChanged, AttemptNotUnknown, GatewayReferenceTaken.
    """
    attempt = selectors.attempt_by_reference(approval.object_id)
    assert attempt is not None
    payment = selectors.lock_payment(attempt.payment_id)
    attempt = selectors.attempts_of(payment).get(pk=attempt.pk)
    if attempt.status != AttemptStatus.UNKNOWN:
        raise AttemptNotUnknown(status=attempt.status)
    approval = approvals.approve(approval=approval, checker=checker)
    _require_free(attempt, approval.payload["gateway_reference"])
    result = _result(approval.payload, is_sale=attempt.is_sale)
    audit.record(
        actor=actor,
        verb=SETTLE_BY_HAND,
        obj=attempt,
        reason=approval.reason,
        before={"status": attempt.status},
        after={**approval.payload, "approval": approval.public_id, "evidence": approval.evidence},
    )
    record_result(
        payment=payment,
        attempt=attempt,
        result=result,
        source=Evidence.Source.OPERATOR,
        actor=actor,
        reason=approval.reason,
    )
    return attempt


def hasten_after_recovery() -> int:
    """Let what is unknown or pending at a gateway that has just recovered be asked about within seconds, spread out.

    Returns how many attempts were hastened.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _RECOVERED,
            {
                "spread": policy.RECOVERY_SECONDS / 6,
                "window": policy.RECOVERY_SECONDS / 3,
                "statuses": [str(status) for status in IN_FLIGHT if status in ("pending", "unknown")],
            },
        )
        return int(cursor.rowcount)


def _require_free(attempt: Attempt, gateway_reference: str) -> None:
    others = Attempt.objects.filter(gateway_id=attempt.gateway_id, operation=attempt.operation).exclude(pk=attempt.pk)
    if gateway_reference and others.filter(gateway_reference=gateway_reference).exists():
        raise GatewayReferenceTaken(gateway_reference=gateway_reference)


def _result(payload: dict[str, Any], *, is_sale: bool) -> GatewayResult:
    outcome = Outcome(payload["outcome"])
    return GatewayResult(
        outcome,
        gateway_reference=payload["gateway_reference"],
        decline_code=DeclineCode.GENERIC_DECLINE.value if outcome is Outcome.DECLINED else "",
        captured=is_sale and outcome is Outcome.SUCCEEDED,
        detail="settled by hand",
    )
