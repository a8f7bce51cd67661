"""How does a payment end before money is taken?"""

from django.db import transaction

from checkout.kit import clock
from checkout.kit.actors import Actor
from payments import idempotency, selectors, vault
from payments.errors import PaymentNotCancelable
from payments.idempotency import Claim
from payments.models import Payment
from payments.services.attempts import add_follower
from payments.services.changes import Changes
from payments.statuses import PAYMENT, Event, Operation, Status


@transaction.atomic(durable=True)
def cancel_payment(*, payment: Payment, actor: Actor, claim: Claim | None = None, reason: str = "") -> Payment:
    """End a payment: at once before anything is authorized, by a void afterwards, and as soon as the outcome is known
    while it is processing.

    Refuses: PaymentNotCancelable, KeyTaken.
    """
    idempotency.claim(claim, object_id=payment.pk)
    payment = selectors.lock_payment(payment.pk)
    changes = Changes(payment, actor, reason)
    if payment.status == Status.PROCESSING:
        payment.cancel_requested_at = payment.cancel_requested_at or clock.now()
        changes.note("cancel_requested")
    elif payment.status == Status.AUTHORIZED:
        authorization = selectors.authorization_of(payment)
        if authorization is None or selectors.in_flight(payment).exists():
            raise PaymentNotCancelable(status=payment.status)
        add_follower(
            changes=changes, operation=Operation.VOID, parent=authorization, amount_minor=payment.authorized_minor
        )
        changes.note("void_requested")
    elif PAYMENT.allows(payment.status, Event.CANCEL):
        changes.advance(Event.CANCEL)
        vault.forget_secret(payment_id=payment.pk)
    else:
        raise PaymentNotCancelable(status=payment.status)
    changes.write()
    return payment
