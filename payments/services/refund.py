"""How is captured money given back?"""

from checkout.kit.actors import Actor
from checkout.kit.durable import durable
from checkout.kit.ids import uuid7
from checkout.kit.models import User
from checkout.kit.money import Money
from payments import idempotency, selectors
from payments.allowance import allowance_of, lock_allowance
from payments.idempotency import Claim
from payments.models import Payment, Refund
from payments.services import refund_requests
from payments.services.changes import Changes
from payments.services.refunding import new_refund, require_refundable, send
from payments.statuses import RefundEvent


@durable("refund")
def refund_payment(
    *, payment: Payment, actor: Actor, amount: Money | None = None, reason: str = "", claim: Claim | None = None
) -> Refund:
    """Commit the intention to give captured money back, all that is left by default; then ring for a worker.

    The money leaves the merchant's balance now and comes back if the gateway refuses.
    Refuses: PaymentNotRefundable, RefundExceedsCaptured, GatewayStopped, InsufficientBalance, KeyTaken.
    """
    key = uuid7()
    idempotency.claim(claim, object_id=key)
    payment = selectors.lock_payment(payment.pk)
    amount, authorization = require_refundable(payment, amount)
    refund = new_refund(payment, amount, reason=reason, key=key)
    send(Changes(payment, actor, reason), refund, RefundEvent.PROCESS, authorization)
    return refund


@durable("refund_at_desk")
def refund_at_desk(
    *, payment: Payment, person: User, amount: Money, actor: Actor, reason: str, claim: Claim | None = None
) -> Refund:
    """The same by somebody at the desk: carried out as far as one person may, otherwise asked for.

    The refund's status says which. One that awaits approval keeps its money from being promised again; nothing is
    posted or sent until somebody agrees. Refuses as `refund_payment`.
    """
    key = uuid7()
    idempotency.claim(claim, object_id=key)
    payment = selectors.lock_payment(payment.pk)
    amount, authorization = require_refundable(payment, amount)
    lock_allowance(person)
    changes = Changes(payment, actor, reason)
    refund = new_refund(payment, amount, reason=reason, key=key)
    if allowance_of(person, currency=payment.currency, mode=payment.mode).covers(amount):
        refund.alone = person
        send(changes, refund, RefundEvent.PROCESS, authorization)
    else:
        refund_requests.ask(changes, refund, maker=person)
    return refund
