"""What do we answer? Plain dictionaries for speed, and serializers that describe them for the schema."""

import json
from typing import Any

from rest_framework import serializers

from checkout.kit.money import CURRENCY_DECIMALS
from payments import selectors
from payments.models import Attempt, Card, Payment, Refund
from payments.statuses import AttemptStatus, Operation, RefundStatus, Status

DECLINE_MESSAGES = {
    "do_not_honor": "The card's bank declined without saying why.",
    "insufficient_funds": "The card has not enough money for this payment.",
    "lost_card": "The card's bank declined.",
    "stolen_card": "The card's bank declined.",
    "expired_card": "The card has expired.",
    "incorrect_cvc": "The verification value is wrong.",
    "invalid_card": "The card number is not valid.",
    "fraud_suspected": "The card's bank declined.",
    "processing_error": "A technical problem at the card's bank; trying again may help.",
    "limit_exceeded": "The payment is above the card's limit.",
    "not_permitted": "The card may not be used for this kind of payment.",
    "authentication_required": "The card's bank wants the customer to authenticate.",
    "generic_decline": "The card's bank declined.",
}


def dumps(document: Any) -> str:
    """A document as compact JSON."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def payment_json(payment: Payment) -> dict[str, Any]:
    """A payment as its merchant sees it. Expects `card` and `gateway` to be fetched along."""
    return {
        "id": payment.public_id,
        "object": "payment",
        "mode": payment.mode,
        "status": payment.status,
        "amount": payment.amount_minor,
        "currency": payment.currency,
        "amount_authorized": payment.authorized_minor,
        "amount_captured": payment.captured_minor,
        "amount_refunded": payment.refunded_minor,
        "capture": payment.capture_mode,
        "country": payment.country,
        "payment_method": card_json(payment.card) if payment.card else None,
        "gateway": payment.gateway.code if payment.gateway else None,
        "merchant_reference": payment.merchant_reference,
        "description": payment.description,
        "customer_email": payment.customer_email,
        "metadata": payment.metadata,
        "decline_code": payment.decline_code or None,
        "decline_message": DECLINE_MESSAGES.get(payment.decline_code),
        "next_action": _next_action(payment),
        "cancel_requested": payment.cancel_requested_at is not None,
        "created_at": _time(payment.created_at),
        "expires_at": _time(payment.expires_at),
    }


def _next_action(payment: Payment) -> dict[str, str] | None:
    """Where the customer must go, while the payment waits for them. One query, for such payments only."""
    if payment.status != Status.REQUIRES_ACTION:
        return None
    return {"type": "redirect", "url": selectors.action_url_of(payment)}


def card_json(card: Card) -> dict[str, Any]:
    """A card, masked: the scheme and the last four digits (PCI DSS v4.0.1, 3.4.1)."""
    return {
        "type": "card",
        "card": {
            "brand": card.brand,
            "number": f"•••• {card.last4}",
            "last4": card.last4,
            "exp_month": card.exp_month,
            "exp_year": card.exp_year,
            "holder_name": card.holder_name,
        },
    }


def refund_json(refund: Refund) -> dict[str, Any]:
    """A refund as its merchant sees it. Expects `payment` to be fetched along."""
    return {
        "id": refund.public_id,
        "object": "refund",
        "payment": refund.payment.public_id,
        "status": refund.status,
        "amount": refund.amount_minor,
        "currency": refund.currency,
        "reason": refund.reason,
        "created_at": _time(refund.created_at),
    }


def attempt_json(attempt: Attempt) -> dict[str, Any]:
    """One try, and why it went to that gateway. Expects `gateway` and `refund` to be fetched along."""
    decision = attempt.decision
    return {
        "id": attempt.public_id,
        "object": "attempt",
        "operation": attempt.operation,
        "status": attempt.status,
        "gateway": attempt.gateway.code,
        "gateway_reference": attempt.gateway_reference or None,
        "amount": attempt.amount_minor,
        "currency": attempt.currency,
        "refund": attempt.refund.public_id if attempt.refund else None,
        "decline_code": attempt.decline_code or None,
        "routing": decision
        and {
            "region": decision["question"]["region"],
            "chosen": decision["chosen"],
            "considered": decision["considered"],
            "configuration_version": decision["configuration_version"],
            "propensity": decision["propensity"],
        },
        "created_at": _time(attempt.created_at),
        "sent_at": _time(attempt.sent_at),
        "finished_at": _time(attempt.finished_at),
    }


def _time(moment: Any) -> str | None:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z") if moment else None


class MaskedCardOutput(serializers.Serializer):
    """A masked card."""

    brand = serializers.CharField()
    number = serializers.CharField(help_text="Masked.")
    last4 = serializers.CharField()
    exp_month = serializers.IntegerField()
    exp_year = serializers.IntegerField()
    holder_name = serializers.CharField(allow_blank=True)


class MaskedMethodOutput(serializers.Serializer):
    """How the customer pays, masked."""

    type = serializers.ChoiceField(choices=["card"])
    card = MaskedCardOutput()


class NextActionOutput(serializers.Serializer):
    """What the customer has to do before the payment can go on."""

    type = serializers.ChoiceField(choices=["redirect"])
    url = serializers.CharField()


class PaymentOutput(serializers.Serializer):
    """A payment."""

    id = serializers.CharField()
    object = serializers.ChoiceField(choices=["payment"])
    mode = serializers.ChoiceField(choices=["test", "live"])
    status = serializers.ChoiceField(choices=Status.choices)
    amount = serializers.IntegerField(help_text="Minor units.")
    currency = serializers.ChoiceField(choices=sorted(CURRENCY_DECIMALS))
    amount_authorized = serializers.IntegerField()
    amount_captured = serializers.IntegerField()
    amount_refunded = serializers.IntegerField()
    capture = serializers.ChoiceField(choices=["automatic", "manual"])
    country = serializers.CharField()
    payment_method = MaskedMethodOutput(allow_null=True)
    gateway = serializers.CharField(allow_null=True)
    merchant_reference = serializers.CharField(allow_blank=True)
    description = serializers.CharField(allow_blank=True)
    customer_email = serializers.CharField(allow_blank=True)
    metadata = serializers.DictField(child=serializers.CharField(allow_blank=True))
    decline_code = serializers.ChoiceField(choices=sorted(DECLINE_MESSAGES), allow_null=True)
    decline_message = serializers.CharField(allow_null=True)
    next_action = NextActionOutput(allow_null=True)
    cancel_requested = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)


class PaymentListOutput(serializers.Serializer):
    """A page of payments, newest first."""

    data = PaymentOutput(many=True)  # type: ignore[assignment]
    has_more = serializers.BooleanField()


class RefundOutput(serializers.Serializer):
    """A refund."""

    id = serializers.CharField()
    object = serializers.ChoiceField(choices=["refund"])
    payment = serializers.CharField()
    status = serializers.ChoiceField(choices=RefundStatus.choices)
    amount = serializers.IntegerField()
    currency = serializers.CharField()
    reason = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()


class RefundListOutput(serializers.Serializer):
    """A page of refunds, newest first."""

    data = RefundOutput(many=True)  # type: ignore[assignment]
    has_more = serializers.BooleanField()


class ConsideredOutput(serializers.Serializer):
    """One gateway's place in a routing decision."""

    gateway = serializers.CharField()
    priority = serializers.IntegerField()
    rank = serializers.IntegerField(help_text="1 is first; 0 was left out.")
    is_chosen = serializers.BooleanField()
    reason = serializers.CharField()


class RoutingOutput(serializers.Serializer):
    """Why an attempt went where it went."""

    region = serializers.CharField()
    chosen = serializers.CharField()
    considered = ConsideredOutput(many=True)
    configuration_version = serializers.CharField()
    propensity = serializers.FloatField()


class AttemptOutput(serializers.Serializer):
    """One try of one operation at one gateway."""

    id = serializers.CharField()
    object = serializers.ChoiceField(choices=["attempt"])
    operation = serializers.ChoiceField(choices=Operation.choices)
    status = serializers.ChoiceField(choices=AttemptStatus.choices)
    gateway = serializers.CharField()
    gateway_reference = serializers.CharField(allow_null=True)
    amount = serializers.IntegerField()
    currency = serializers.CharField()
    refund = serializers.CharField(allow_null=True)
    decline_code = serializers.CharField(allow_null=True)
    routing = RoutingOutput(allow_null=True)
    created_at = serializers.DateTimeField()
    sent_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)


class AttemptListOutput(serializers.Serializer):
    """All attempts of a payment, in order."""

    data = AttemptOutput(many=True)  # type: ignore[assignment]
    has_more = serializers.BooleanField()


class FieldErrorOutput(serializers.Serializer):
    """One field that is not valid."""

    param = serializers.CharField(allow_blank=True)
    code = serializers.CharField()
    message = serializers.CharField()


class ProblemOutput(serializers.Serializer):
    """What went wrong (RFC 9457). `code` is stable."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField()
    detail = serializers.CharField()
    instance = serializers.CharField()
    request_id = serializers.CharField()
    errors = FieldErrorOutput(many=True, required=False)  # type: ignore[assignment]


def problems(*codes: int) -> dict[tuple[int, str], type[ProblemOutput]]:
    """The problem responses of an endpoint, for the schema."""
    return {(code, "application/problem+json"): ProblemOutput for code in codes}
