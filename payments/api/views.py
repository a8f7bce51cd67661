"""How does a merchant ask? Parse, one look-up within the merchant, one verb, serialise."""

import re
from datetime import datetime
from typing import Any

from django.http import Http404, HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from checkout.kit.card_numbers import holds_card_number
from checkout.kit.money import CURRENCY_DECIMALS, Money
from payments import selectors, services
from payments.api import inputs, outputs
from payments.api.requests import MerchantView, page
from payments.models import Payment, Refund
from payments.statuses import Status

_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)

KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    required=True,
    description="One word per intention; the same word again gives the same answer again.",
)
PREFER = OpenApiParameter(
    "Prefer",
    str,
    OpenApiParameter.HEADER,
    description="`wait=N` seconds for the outcome (10 by default, 20 at most), or `respond-async`.",
)
LIST = [
    OpenApiParameter("limit", int, description="1 to 100, 10 by default."),
    OpenApiParameter("starting_after", str, description="The last id of the page before."),
    OpenApiParameter("ending_before", str, description="The first id of the page after."),
]
MONEY = [KEY, PREFER]


class PaymentsView(MerchantView):
    """/v1/payments"""

    scopes = {"GET": "payments:read", "POST": "payments:write"}
    parameters = (
        "limit",
        "starting_after",
        "ending_before",
        "status",
        "gateway",
        "currency",
        "merchant_reference",
        "created_at_from",
        "created_at_to",
    )

    @extend_schema(
        operation_id="create_payment",
        summary="Create a payment, and process it if it has a payment method",
        request=inputs.CreatePaymentInput,
        responses={
            201: outputs.PaymentOutput,
            202: outputs.PaymentOutput,
            **outputs.problems(400, 401, 403, 409, 411, 413, 415, 422, 503),
        },
        parameters=MONEY,
    )
    def post(self, request: Request) -> HttpResponse:
        parsed = self.parse(inputs.CreatePaymentInput)
        card = inputs.card_of(parsed.validated_data)
        return self.once(
            verb=lambda claim: services.create_payment(
                merchant=self.merchant,
                mode=self.mode,
                order=parsed.order(self.merchant.country),  # type: ignore[attr-defined]
                card=card,
                confirm=parsed.validated_data.get("confirm", card is not None),
                actor=self.actor,
                claim=claim,
            ),
            load=self.load_payment,
            document=outputs.payment_json,
            http_status=201,
        )

    @extend_schema(
        operation_id="list_payments",
        summary="List payments, newest first",
        parameters=[
            *LIST,
            OpenApiParameter("status", str, enum=Status.values),
            OpenApiParameter("gateway", str, description="A gateway's code."),
            OpenApiParameter("currency", str),
            OpenApiParameter("merchant_reference", str),
            OpenApiParameter("created_at_from", OpenApiTypes.DATETIME, description="This moment or later."),
            OpenApiParameter("created_at_to", OpenApiTypes.DATETIME, description="Before this moment."),
        ],
        responses={200: outputs.PaymentListOutput, **outputs.problems(400, 401, 403, 503)},
    )
    def get(self, request: Request) -> Response:
        rows = selectors.payments_of(self.merchant.pk, self.mode).filter(**payment_filters(request))
        payments, has_more = page(rows, Payment.PUBLIC_PREFIX, request)
        return Response({"data": [outputs.payment_json(payment) for payment in payments], "has_more": has_more})


class PaymentView(MerchantView):
    """/v1/payments/{id}"""

    scopes = {"GET": "payments:read"}

    @extend_schema(
        operation_id="get_payment",
        summary="Get a payment",
        responses={200: outputs.PaymentOutput, **outputs.problems(400, 401, 403, 404, 503)},
    )
    def get(self, request: Request, public_id: str) -> Response:
        return Response(outputs.payment_json(self.payment(public_id)))


class PaymentVerbView(MerchantView):
    """What all verbs on one payment share."""

    scopes = {"POST": "payments:write"}

    def perform(self, verb: Any, payment: Payment, **arguments: Any) -> HttpResponse:
        """One verb on one payment, once per key."""
        return self.once(
            verb=lambda claim: verb(payment=payment, actor=self.actor, claim=claim, **arguments),
            load=self.load_payment,
            document=outputs.payment_json,
            http_status=200,
        )


VERB_RESPONSES: dict[Any, Any] = {
    200: outputs.PaymentOutput,
    202: outputs.PaymentOutput,
    **outputs.problems(400, 401, 403, 404, 409, 411, 413, 415, 422, 503),
}


class ConfirmView(PaymentVerbView):
    """/v1/payments/{id}/confirm"""

    @extend_schema(
        operation_id="confirm_payment",
        summary="Process a created payment, or try a declined one with another card",
        request=inputs.ConfirmPaymentInput,
        responses=VERB_RESPONSES,
        parameters=MONEY,
    )
    def post(self, request: Request, public_id: str) -> HttpResponse:
        card = inputs.card_of(self.parse(inputs.ConfirmPaymentInput).validated_data)
        return self.perform(services.confirm_payment, self.payment(public_id), card=card)


class CaptureView(PaymentVerbView):
    """/v1/payments/{id}/capture"""

    @extend_schema(
        operation_id="capture_payment",
        summary="Take all or a part of what is authorized",
        request=inputs.AmountInput,
        responses=VERB_RESPONSES,
        parameters=MONEY,
    )
    def post(self, request: Request, public_id: str) -> HttpResponse:
        parsed = self.parse(inputs.AmountInput)
        payment = self.payment(public_id)
        return self.perform(services.capture_payment, payment, amount=amount_of(parsed, payment))


class CancelView(PaymentVerbView):
    """/v1/payments/{id}/cancel"""

    @extend_schema(
        operation_id="cancel_payment",
        summary="Cancel a payment, or void its authorization",
        request=inputs.EmptyInput,
        responses=VERB_RESPONSES,
        parameters=MONEY,
    )
    def post(self, request: Request, public_id: str) -> HttpResponse:
        self.parse(inputs.EmptyInput)
        return self.perform(services.cancel_payment, self.payment(public_id))


class RefundsView(MerchantView):
    """/v1/payments/{id}/refunds"""

    scopes = {"GET": "refunds:read", "POST": "refunds:write"}
    parameters = ("limit", "starting_after", "ending_before")

    @extend_schema(
        operation_id="create_refund",
        summary="Give back all or a part of what was captured",
        request=inputs.RefundInput,
        responses={
            201: outputs.RefundOutput,
            202: outputs.RefundOutput,
            **outputs.problems(400, 401, 403, 404, 409, 411, 413, 415, 422, 503),
        },
        parameters=MONEY,
    )
    def post(self, request: Request, public_id: str) -> HttpResponse:
        parsed = self.parse(inputs.RefundInput)
        payment = self.payment(public_id)
        return self.once(
            verb=lambda claim: services.refund_payment(
                payment=payment,
                amount=amount_of(parsed, payment),
                reason=parsed.validated_data["reason"],
                actor=self.actor,
                claim=claim,
            ),
            load=self.load,
            document=outputs.refund_json,
            http_status=201,
        )

    def load(self, key: Any) -> Refund:
        """A refund with what is shown of it."""
        return selectors.refunds_of(self.merchant.pk, self.mode).get(pk=key)

    @extend_schema(
        operation_id="list_refunds",
        summary="List a payment's refunds, newest first",
        parameters=LIST,
        responses={200: outputs.RefundListOutput, **outputs.problems(400, 401, 403, 404, 503)},
    )
    def get(self, request: Request, public_id: str) -> Response:
        rows = selectors.refunds_of(self.merchant.pk, self.mode).filter(payment=self.payment(public_id))
        refunds, has_more = page(rows, Refund.PUBLIC_PREFIX, request)
        return Response({"data": [outputs.refund_json(refund) for refund in refunds], "has_more": has_more})


class RefundView(MerchantView):
    """/v1/refunds/{id}"""

    scopes = {"GET": "refunds:read"}

    @extend_schema(
        operation_id="get_refund",
        summary="Get a refund",
        responses={200: outputs.RefundOutput, **outputs.problems(400, 401, 403, 404, 503)},
    )
    def get(self, request: Request, public_id: str) -> Response:
        refund = selectors.refund_of(self.merchant.pk, self.mode, public_id)
        if refund is None:
            raise Http404
        return Response(outputs.refund_json(refund))


class AttemptsView(MerchantView):
    """/v1/payments/{id}/attempts"""

    scopes = {"GET": "payments:read"}

    @extend_schema(
        operation_id="list_attempts",
        summary="List what was tried, where, why there, and with what outcome",
        responses={200: outputs.AttemptListOutput, **outputs.problems(400, 401, 403, 404, 503)},
    )
    def get(self, request: Request, public_id: str) -> Response:
        attempts = selectors.attempts_of(self.payment(public_id))
        return Response({"data": [outputs.attempt_json(attempt) for attempt in attempts], "has_more": False})


def amount_of(parsed: Any, payment: Payment) -> Money | None:
    """The amount in a body, in the payment's currency; None if the body leaves it open."""
    amount = parsed.validated_data.get("amount")
    return None if amount is None else Money(amount, payment.currency)


def payment_filters(request: Request) -> dict[str, Any]:
    """The list's filters as look-ups of ours. Raises ValidationError naming every wrong one."""
    query = request.query_params
    filters: dict[str, Any] = {}
    errors: dict[str, Any] = {}

    def refuse(name: str, message: str) -> None:
        errors[name] = ValidationError(message, "invalid_filter").detail

    if (status := query.get("status")) is not None:
        filters["status"] = status
        if status not in Status.values:
            refuse("status", "Is not a status.")
    if (currency := query.get("currency")) is not None:
        filters["currency"] = currency
        if currency not in CURRENCY_DECIMALS:
            refuse("currency", "Is not an ISO 4217 code of a payable currency, in capital letters.")
    for name, lookup in (("gateway", "gateway__code"), ("merchant_reference", "merchant_reference")):
        if (value := query.get(name)) is not None:
            filters[lookup] = value
            if not re.fullmatch(r"[A-Za-z0-9_\-.:/#]{1,100}", value, re.ASCII):
                refuse(name, "Only ASCII letters, digits and - _ . : / # are allowed.")
            elif holds_card_number(value):
                refuse(name, "Holds a card number, which nothing can be found by.")
    for name, lookup in (("created_at_from", "created_at__gte"), ("created_at_to", "created_at__lt")):
        if (value := query.get(name)) is not None:
            moment = _moment(value)
            filters[lookup] = moment
            if moment is None:
                refuse(name, "Is not a time with a zone, such as 2026-01-31T12:00:00Z.")
    if errors:
        raise ValidationError(errors)
    return filters


def _moment(text: str) -> datetime | None:
    """A time as RFC 3339 writes it, which says its zone."""
    try:
        return datetime.fromisoformat(text) if _TIME.fullmatch(text) else None
    except ValueError:
        return None
