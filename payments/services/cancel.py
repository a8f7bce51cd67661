"""How does a payment end before money is taken?"""

from checkout.kit import clock
from checkout.kit.actors import Actor
from checkout.kit.defer import defer
from checkout.kit.durable import durable
from payments import idempotency, selectors, vault
from payments.errors import PaymentNotCancelable
from payments.idempotency import Claim
from payments.models import Attempt, Payment
from payments.services.attempts import RUN_DUE, add_follower
from payments.services.changes import Changes
from payments.statuses import PAYMENT, AttemptStatus, Event, NextAction, Operation, Status


@durable("cancel")
def cancel_payment(*, payment: Payment, actor: Actor, claim: Claim | None = None, reason: str = "") -> Payment:
    """End a payment: at once before anything is authorized, by a void afterwards, and as soon as the outcome is known
    while it is processing.

    Refuses: PaymentNotCancelable, KeyTaken.
    """
    idempotency.claim(claim, object_id=payment.pk)
    payment = selectors.lock_payment(payment.pk)
    changes = Changes(payment, actor, reason)
    if payment.status == Status.REQUIRES_ACTION:
        payment.cancel_requested_at = payment.cancel_requested_at or clock.now()
        end_challenge(payment)
        changes.note("cancel_requested")
    elif payment.status == Status.PROCESSING:
        payment.cancel_requested_at = payment.cancel_requested_at or clock.now()
        changes.note("cancel_requested")
    elif payment.status == Status.AUTHORIZED:
        authorization = selectors.authorization_of(payment)
        if authorization is None or selectors.in_flight(payment).exists():
            raise PaymentNotCancelable(status=payment.status)
        if payment.authorized_minor:
            add_follower(
                changes=changes, operation=Operation.VOID, parent=authorization, amount_minor=payment.authorized_minor
            )
            changes.note("void_requested")
        else:  # a verification holds no money that could be released
            changes.advance(Event.VOID)
    elif PAYMENT.allows(payment.status, Event.CANCEL):
        changes.advance(Event.CANCEL)
        vault.forget_secret(payment_id=payment.pk)
    else:
        raise PaymentNotCancelable(status=payment.status)
    changes.write()
    return payment


def end_challenge(payment: Payment) -> None:
    """Make sure at the gateway that a payment which waits for its customer never charges; it ends when that is certain.

    Expects the payment to be locked. Where the gateway cannot cancel by reference, it is asked until it knows.
    """
    waiting = selectors.in_flight(payment).filter(status=AttemptStatus.PENDING).select_related("gateway").first()
    if waiting is None:
        return
    action = NextAction.CANCEL if waiting.gateway.supports_cancel_by_reference else NextAction.ASK
    Attempt.objects.filter(pk=waiting.pk).update(next_action=action, next_action_at=clock.now())
    defer(RUN_DUE)
