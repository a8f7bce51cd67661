"""Who agrees to a refund that one person alone may not make? Somebody else, in time, to exactly what was asked.

Until then the refund is there and counts, so that the same money is not promised twice; no gateway hears of it.
"""

from typing import Any

from checkout.kit import approvals
from checkout.kit.actors import Actor
from checkout.kit.approvals import ApprovalChanged
from checkout.kit.durable import durable
from checkout.kit.ids import parse_public_id
from checkout.kit.models import Approval, User
from payments import selectors
from payments.errors import RefundExceedsCaptured
from payments.models import Payment, Refund
from payments.services.changes import Changes
from payments.services.refunding import require_captured, send
from payments.statuses import RefundEvent

REFUND = "payment.refund"


def ask(changes: Changes, refund: Refund, *, maker: User) -> Approval:
    """Write a new refund that waits, and ask for somebody's decision. The payload says how its payment stood then."""
    changes.advance_refund(refund, RefundEvent.ASK)
    changes.add(refund)
    changes.write()
    stood = how_it_stands(refund.payment)
    return approvals.request(
        kind=REFUND,
        obj=refund,
        payload={**_asked(refund), "stood": stood},
        reason=changes.reason,
        maker=maker,
        actor=changes.actor,
        before=stood,
    )


def how_it_stands(payment: Payment) -> dict[str, Any]:
    """What somebody who decides about a refund looks at; amounts in minor units, `left` beside what is under way."""
    return {
        "status": payment.status,
        "currency": payment.currency,
        "captured": payment.captured_minor,
        "refunded": payment.refunded_minor,
        "left": selectors.refundable(payment).amount_minor,
    }


@durable("refund.approve")
def approve_refund(*, approval: Approval, checker: User, actor: Actor) -> Refund:
    """Agree to a refund, and let it go to its gateway.

    Refuses: MakerCannotCheck, ApprovalNotOpen, ApprovalChanged, PaymentNotRefundable, RefundExceedsCaptured,
    GatewayStopped, InsufficientBalance.
    """
    refund = _locked(approval)
    approval = approvals.approve(approval=approval, checker=checker)
    if any(approval.payload.get(name) != value for name, value in _asked(refund).items()):
        raise ApprovalChanged()
    authorization = require_captured(refund.payment)
    others_leave = selectors.refundable(refund.payment) + refund.amount
    if refund.amount > others_leave:
        raise RefundExceedsCaptured(asked=refund.amount, refundable=others_leave)
    send(Changes(refund.payment, actor, approval.reason), refund, RefundEvent.APPROVE, authorization)
    return refund


@durable("refund.reject")
def reject_refund(*, approval: Approval, checker: User, reason: str, actor: Actor) -> Approval:
    """Say no: the money may be refunded otherwise. The maker withdraws. Refuses: ApprovalNotOpen."""
    refund = _locked(approval)
    approval = approvals.reject(approval=approval, checker=checker, reason=reason, actor=actor)
    _release(refund, RefundEvent.REJECT, actor, reason)
    return approval


@durable("refund.expire")
def expire_refund_request(*, approval: Approval, actor: Actor) -> bool:
    """Let go of a refund that nobody decided in time; returns whether this was the one who did."""
    refund = _locked(approval)
    is_over = approvals.expire(approval=approval, actor=actor)
    if is_over:
        _release(refund, RefundEvent.EXPIRE, actor)
    return is_over


def _locked(approval: Approval) -> Refund:
    """The refund that is asked for, its payment locked first, as everywhere."""
    key = parse_public_id(Refund.PUBLIC_PREFIX, approval.object_id)
    assert key is not None
    payment = selectors.lock_payment(Refund.objects.values_list("payment", flat=True).get(pk=key))
    refund = Refund.objects.get(pk=key)
    refund.payment = payment
    return refund


def _asked(refund: Refund) -> dict[str, Any]:
    """What exactly is asked for; the amount in minor units."""
    return {"payment": refund.payment.public_id, "amount": refund.amount_minor, "currency": refund.currency}


def _release(refund: Refund, event: RefundEvent, actor: Actor, reason: str = "") -> None:
    changes = Changes(refund.payment, actor, reason)
    changes.advance_refund(refund, event)
    refund.save(update_fields=["status", "updated_at"])
    changes.write()
