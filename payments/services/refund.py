"""How is captured money given back?"""

import uuid

from checkout.kit import clock
from checkout.kit.actors import Actor
from checkout.kit.durable import durable
from checkout.kit.ids import uuid7
from checkout.kit.money import Money
from gateways.errors import GatewayStopped
from ledger import services as ledger
from payments import idempotency, selectors
from payments.errors import PaymentNotRefundable, RefundExceedsCaptured
from payments.idempotency import Claim
from payments.models import Attempt, Payment, Refund
from payments.services.attempts import add_follower
from payments.services.changes import Changes
from payments.statuses import Operation, RefundEvent, Status


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
    refundable = selectors.refundable(payment)
    authorization = selectors.authorization_of(payment)
    if payment.status != Status.CAPTURED or authorization is None or not (refundable or amount):
        raise PaymentNotRefundable(status="refunded" if payment.captured_minor else payment.status)
    if authorization.gateway.is_stopped:
        raise GatewayStopped(gateway=authorization.gateway.name)
    amount = refundable if amount is None else amount
    if amount > refundable:
        raise RefundExceedsCaptured(asked=amount, refundable=refundable)
    return _refund(
        changes=Changes(payment, actor, reason), authorization=authorization, key=key, amount=amount, reason=reason
    )


def _refund(
    *, changes: Changes, authorization: Attempt, amount: Money, reason: str, key: uuid.UUID | None = None
) -> Refund:
    """The inner step: the refund and its attempt written, and the money set aside. Expects the payment to be locked."""
    payment = changes.payment
    refund = Refund(
        id=key or uuid7(),
        payment=payment,
        amount_minor=amount.amount_minor,
        currency=amount.currency,
        reason=reason,
        created_at=clock.now(),
    )
    changes.advance_refund(refund, RefundEvent.PROCESS)
    changes.add(refund)
    attempt = add_follower(
        changes=changes,
        operation=Operation.REFUND,
        parent=authorization,
        amount_minor=amount.amount_minor,
        refund=refund,
    )
    changes.write()
    ledger.reserve_refund(
        merchant_id=payment.merchant_id,
        gateway_id=attempt.gateway_id,
        mode=payment.mode,
        reference=refund.public_id,
        payment_reference=payment.public_id,
        amount=amount,
    )
    return refund
