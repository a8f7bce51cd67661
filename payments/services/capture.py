"""How is reserved money taken?"""

from checkout.kit.actors import Actor
from checkout.kit.durable import durable
from checkout.kit.money import Money
from gateways.base import Capability
from gateways.errors import GatewayStopped
from payments import idempotency, selectors
from payments.errors import CaptureExceedsAuthorized, PartialCaptureUnsupported, PaymentNotCapturable
from payments.idempotency import Claim
from payments.models import Payment
from payments.services.attempts import add_follower
from payments.services.changes import Changes
from payments.statuses import PAYMENT, Event, Operation


@durable("capture")
def capture_payment(
    *, payment: Payment, actor: Actor, amount: Money | None = None, claim: Claim | None = None, reason: str = ""
) -> Payment:
    """Commit the intention to take money the issuer has reserved, all that is left by default; then ring for a worker.

    Refuses: PaymentNotCapturable, CaptureExceedsAuthorized, PartialCaptureUnsupported, GatewayStopped, KeyTaken.
    """
    idempotency.claim(claim, object_id=payment.pk)
    payment = selectors.lock_payment(payment.pk)
    capturable = selectors.capturable(payment)
    authorization = selectors.authorization_of(payment)
    if not (PAYMENT.allows(payment.status, Event.CAPTURE) and capturable and authorization):
        raise PaymentNotCapturable(status=payment.status, capturable=capturable)
    if authorization.gateway.is_stopped:
        raise GatewayStopped(gateway=authorization.gateway.name)
    amount = capturable if amount is None else amount
    if amount > capturable:
        raise CaptureExceedsAuthorized(asked=amount, capturable=capturable)
    is_first = capturable.amount_minor == payment.authorized_minor
    if not (amount == capturable and is_first):
        needed = Capability.PARTIAL_CAPTURE if is_first else Capability.MULTIPLE_CAPTURES
        if not selectors.can(authorization, needed):
            raise PartialCaptureUnsupported(capturable=capturable)
    changes = Changes(payment, actor, reason)
    add_follower(changes=changes, operation=Operation.CAPTURE, parent=authorization, amount_minor=amount.amount_minor)
    changes.note("capture_requested")
    changes.write()
    return payment
