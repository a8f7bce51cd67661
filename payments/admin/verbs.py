"""What may an operator ask of a payment? The same verbs as its merchant, with a reason, and each opened form once."""

from collections.abc import Callable
from typing import Any

from checkout.kit.actors import Actor
from checkout.kit.admin import AlreadyDone, Verb, VerbForm
from checkout.kit.display import money
from checkout.kit.money import Money
from payments import selectors, services
from payments.admin.refunding import REFUND, amount_field, claim_of
from payments.idempotency import KeyTaken
from payments.models import Payment
from payments.statuses import PAYMENT, Event, Status


class CaptureForm(VerbForm):
    """How much to take, all that is left by default."""

    field_order = ["amount", "reason"]

    def __init__(self, data: Any = None, *, obj: Payment) -> None:
        super().__init__(data, obj=obj)
        self.fields["amount"] = amount_field(selectors.capturable(obj))
        self.order_fields(self.field_order)


def _once(
    verb: Callable[..., Any], name: str, payment: Payment, actor: Actor, data: dict[str, Any], **more: Any
) -> None:
    try:
        verb(payment=payment, actor=actor, reason=data["reason"], claim=claim_of(name, payment, data), **more)
    except KeyTaken:
        raise AlreadyDone from None


def _capture(payment: Payment, actor: Actor, data: dict[str, Any]) -> str:
    _once(services.capture_payment, "capture", payment, actor, data, amount=data["amount"])
    return f"The capture of {money(data['amount'])} is on its way to the gateway."


def _cancel(payment: Payment, actor: Actor, data: dict[str, Any]) -> str:
    _once(services.cancel_payment, "cancel", payment, actor, data)
    return "The payment is being canceled."


def _is_capturable(payment: Payment) -> bool:
    return PAYMENT.allows(payment.status, Event.CAPTURE) and bool(selectors.capturable(payment))


def _is_cancelable(payment: Payment) -> bool:
    if payment.status == Status.PROCESSING:
        return payment.cancel_requested_at is None
    if PAYMENT.allows(payment.status, Event.VOID):
        return not selectors.in_flight(payment).exists()
    return PAYMENT.allows(payment.status, Event.CANCEL)


def _what_cancel_does(payment: Payment) -> str:
    match payment.status:
        case Status.AUTHORIZED:
            held = money(Money(payment.authorized_minor, payment.currency))
            return (
                f"The gateway is asked to release the {held} that it holds on the customer's card. "
                "Nothing can be captured afterwards."
            )
        case Status.PROCESSING:
            return (
                "Its outcome is not known yet. If the gateway turns out to have authorized it, that is released "
                "at once; no other gateway is tried."
            )
    return "The payment ends here. No gateway has been asked for money."


VERBS = (
    Verb(
        name="capture",
        label="Capture",
        icon="download",
        permission="payments.capture_payment",
        consequence=lambda payment: (
            f"The gateway is asked to take money that it holds on the customer's card: up to "
            f"{money(selectors.capturable(payment))}."
        ),
        act=_capture,
        is_offered=_is_capturable,
        form_class=CaptureForm,
    ),
    REFUND,
    Verb(
        name="cancel",
        label="Cancel",
        icon="close",
        permission="payments.cancel_payment",
        consequence=_what_cancel_does,
        act=_cancel,
        is_offered=_is_cancelable,
        is_grave=True,
    ),
)
