"""How does a refund come to be, whoever asked for it? The steps that all such verbs share; each expects the payment to
be locked.
"""

import uuid

from checkout.kit import clock
from checkout.kit.ids import uuid7
from checkout.kit.money import Money
from gateways.errors import GatewayStopped
from ledger import services as ledger
from payments import selectors
from payments.errors import PaymentNotRefundable, RefundExceedsCaptured
from payments.models import Attempt, Payment, Refund
from payments.services.attempts import add_follower
from payments.services.changes import Changes
from payments.statuses import Operation, RefundEvent, Status


def require_refundable(payment: Payment, amount: Money | None) -> tuple[Money, Attempt]:
    """The amount, all that is left by default, and the attempt that took it.

    Refuses: PaymentNotRefundable, RefundExceedsCaptured, GatewayStopped.
    """
    refundable = selectors.refundable(payment)
    authorization = require_captured(payment)
    if not (refundable or amount):
        raise PaymentNotRefundable(status="refunded")
    amount = refundable if amount is None else amount
    if amount > refundable:
        raise RefundExceedsCaptured(asked=amount, refundable=refundable)
    return amount, authorization


def require_captured(payment: Payment) -> Attempt:
    """The attempt that took the payment's money. Refuses: PaymentNotRefundable, GatewayStopped."""
    authorization = selectors.authorization_of(payment)
    if payment.status != Status.CAPTURED or authorization is None:
        raise PaymentNotRefundable(status="refunded" if payment.captured_minor else payment.status)
    if authorization.gateway.is_stopped:
        raise GatewayStopped(gateway=authorization.gateway.name)
    return authorization


def new_refund(payment: Payment, amount: Money, *, reason: str, key: uuid.UUID | None = None) -> Refund:
    """A refund that nothing has come of yet."""
    return Refund(
        id=key or uuid7(),
        payment=payment,
        amount_minor=amount.amount_minor,
        currency=amount.currency,
        reason=reason,
        created_at=clock.now(),
    )


def send(changes: Changes, refund: Refund, event: RefundEvent, authorization: Attempt) -> None:
    """Let a refund go to its gateway: its attempt written, and the money set aside. Refuses: InsufficientBalance."""
    payment = changes.payment
    changes.advance_refund(refund, event)
    if refund._state.adding:
        changes.add(refund)
    else:
        refund.save(update_fields=["status", "updated_at"])
    attempt = add_follower(
        changes=changes,
        operation=Operation.REFUND,
        parent=authorization,
        amount_minor=refund.amount_minor,
        refund=refund,
    )
    changes.write()
    ledger.reserve_refund(
        merchant_id=payment.merchant_id,
        gateway_id=attempt.gateway_id,
        mode=payment.mode,
        reference=refund.public_id,
        payment_reference=payment.public_id,
        amount=refund.amount,
    )
