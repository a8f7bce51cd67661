"""How does somebody at the desk give money back? On a page that says, as the amount is typed, what is left and who
decides, and asks again what colleagues have done meanwhile.
"""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import URLPattern, path, reverse

from checkout.kit.actors import Actor
from checkout.kit.admin import AlreadyDone, MoneyField, Verb, VerbAdmin, VerbForm
from checkout.kit.admin.requests import user_of
from checkout.kit.display import money, page_of
from checkout.kit.models import User
from checkout.kit.money import CURRENCY_DECIMALS, Money
from checkout.settings import policy
from payments import selectors, services
from payments.allowance import Allowance, allowance_of
from payments.idempotency import Claim, KeyTaken
from payments.models import Payment
from payments.statuses import AttemptStatus, RefundStatus, Status

_HOURS = policy.APPROVAL_EXPIRY_SECONDS // 3600


def amount_field(at_most: Money) -> MoneyField:
    """An amount of a payment's money, all that is possible by default."""
    return MoneyField(
        currency=at_most.currency,
        label=f"Amount in {at_most.currency}",
        initial=str(at_most.as_decimal()),
        help_text=f"At most {money(at_most)}.",
    )


def claim_of(name: str, payment: Payment, data: dict[str, Any]) -> Claim:
    """One opened form's word for itself: submitted twice, it is refused the second time."""
    return Claim.of(
        merchant_id=payment.merchant_id,
        mode=payment.mode,
        key=f"desk:{data['token']}",
        method="POST",
        path=f"desk:{name}:{payment.public_id}",
        body={"amount": str(data.get("amount", "")), "reason": data["reason"]},
    )


def is_refundable(payment: Payment) -> bool:
    """Whether anything of a payment can be given back now."""
    return payment.status == Status.CAPTURED and bool(selectors.refundable(payment))


def why_not(payment: Payment) -> str:
    """Why nothing of a payment can be given back now, in words that say what helps."""
    match payment.status:
        case Status.CAPTURED if payment.captured_minor == payment.refunded_minor:
            return "All of this payment has been refunded."
        case Status.CAPTURED:
            return "All that is left of this payment is on its way back already, or awaits somebody's approval."
        case Status.AUTHORIZED:
            return "Nothing of this payment has been captured: cancel it, and the customer is never charged."
    unknown = selectors.in_flight(payment).filter(status=AttemptStatus.UNKNOWN).select_related("gateway").first()
    if unknown is not None:
        return (
            f"Nobody knows yet whether {unknown.gateway} took the money, so there is nothing certain to give back. "
            "The gateway is being asked; cancel the payment, and what turns out to have been taken is released."
        )
    return f"This payment is {payment.status}: nothing was taken that could be given back."


class RefundForm(VerbForm):
    """How much to give back, all that is left by default."""

    field_order = ["amount", "reason"]

    def __init__(self, data: Any = None, *, obj: Payment) -> None:
        super().__init__(data, obj=obj)
        self.refundable = selectors.refundable(obj)
        self.fields["amount"] = amount_field(self.refundable)
        self.fields["reason"].help_text = "Kept in the audit with your name, and shown to the merchant."
        self.order_fields(self.field_order)

    @property
    def live(self) -> dict[str, Any]:
        """What the page's script knows, and asks for again."""
        return {
            **standing(self.obj, self.person),
            "decimals": CURRENCY_DECIMALS[self.obj.currency],
            "currency": self.obj.currency,
            "address": reverse("admin:payments_payment_refund_now", args=[self.obj.public_id]),
        }

    def clean(self) -> dict[str, Any] | None:
        data = super().clean() or {}
        if not is_refundable(self.obj):
            raise ValidationError(why_not(self.obj))
        if "amount" in data:
            allowance = allowance_of(self.person, currency=self.obj.currency, mode=self.obj.mode)
            data["needs_second_person"] = not allowance.covers(data["amount"])
        return {**data, "person": self.person}


def standing(payment: Payment, person: User) -> dict[str, Any]:
    """How much can be refunded now and how much of it by this person alone, in minor units and in words."""
    refundable = selectors.refundable(payment)
    allowance = allowance_of(person, currency=payment.currency, mode=payment.mode)
    return {
        "refundable": refundable.amount_minor,
        "alone": allowance.alone.amount_minor,
        "refundable_text": money(refundable),
        "rule": _rule(allowance),
    }


def _rule(allowance: Allowance) -> str:
    if not allowance.at_once:
        return "None of your roles refunds alone: somebody else approves whatever you ask for."
    return (
        f"Up to {money(allowance.at_once)} ({money(allowance.left)} left of {money(allowance.within_a_day)} within 24 "
        "hours, all currencies together) you refund alone; above it somebody else approves."
    )


def _refund(payment: Payment, actor: Actor, data: dict[str, Any]) -> str:
    try:
        refund = services.refund_at_desk(
            payment=payment,
            person=data["person"],
            amount=data["amount"],
            actor=actor,
            reason=data["reason"],
            claim=claim_of("refund", payment, data),
        )
    except KeyTaken:
        raise AlreadyDone from None
    if refund.status == RefundStatus.AWAITING_APPROVAL:
        return (
            f"Asked for: {money(refund.amount)} is kept for this refund, and goes as soon as somebody else approves. "
            f"If nobody does within {_HOURS} hours, nothing is refunded."
        )
    return f"The refund of {money(refund.amount)} is on its way to the gateway."


REFUND = Verb(
    name="refund",
    label="Refund",
    icon="undo",
    permission="payments.refund_payment",
    consequence=lambda payment: (
        "The gateway is asked to give money back to the customer's card. It leaves the merchant's balance now, and "
        "returns there if the gateway refuses."
    ),
    act=_refund,
    is_offered=is_refundable,
    form_class=RefundForm,
    template="admin/desk/refund.html",
    needs_fresh_code=lambda payment, data: bool(data.get("needs_second_person")),
)


class RefundDesk(VerbAdmin):
    """The part of a payment's pages that is about giving money back."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.standing_view)
        return [path("<path:object_id>/refund/now/", view, name="payments_payment_refund_now"), *super().get_urls()]

    def verb_view(self, request: HttpRequest, object_id: str, verb: Verb) -> HttpResponse:
        """Where a refund is not possible, the page says why."""
        if verb is REFUND and request.method != "POST" and request.user.has_perm(verb.permission):
            payment = self.get_object(request, object_id)
            if payment is not None and not is_refundable(payment):
                messages.warning(request, why_not(payment))
                return HttpResponseRedirect(page_of(payment))
        return super().verb_view(request, object_id, verb)

    def standing_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """How much of one payment can be refunded now, for those who may refund it."""
        payment = self.get_object(request, object_id)
        if not request.user.has_perm(REFUND.permission) or not self.has_view_permission(request, payment):
            raise PermissionDenied
        if payment is None:
            return JsonResponse({}, status=404)
        return JsonResponse(standing(payment, user_of(request)))
