"""How does an attempt come to be? Committed with the intention, due at once, and the bell rung for whoever carries it out."""

from typing import Any

from checkout.kit import clock
from checkout.kit.actors import Actor
from checkout.kit.defer import defer
from gateways.base import Capability
from gateways.models import Gateway
from gateways.registry import adapter_class
from gateways.routing import Decision
from payments.models import Attempt, Payment, Refund
from payments.statuses import Operation

RUN_DUE = "payments.run_due"


def add_charge(*, payment: Payment, gateway: Gateway, decision: Decision, actor: Actor) -> Attempt:
    """Insert the next authorization attempt at the gateway that routing chose."""
    is_automatic = payment.capture_mode == Payment.CaptureMode.AUTOMATIC
    return _add(
        payment=payment,
        operation=Operation.AUTHORIZE,
        gateway_id=gateway.pk,
        amount_minor=payment.amount_minor,
        actor=actor,
        decision=decision.as_json(),
        is_sale=is_automatic and Capability.SALE in adapter_class(gateway.adapter).capabilities,
    )


def add_follower(
    *,
    payment: Payment,
    operation: Operation,
    parent: Attempt,
    amount_minor: int,
    actor: Actor,
    refund: Refund | None = None,
    delay_seconds: float = 0,
    retry_count: int = 0,
) -> Attempt:
    """Insert a capture, void or refund attempt at the gateway that holds the authorization."""
    return _add(
        payment=payment,
        operation=operation,
        gateway_id=parent.gateway_id,
        amount_minor=amount_minor,
        actor=actor,
        parent=parent,
        refund=refund,
        delay_seconds=delay_seconds,
        retry_count=retry_count,
    )


def _add(*, payment: Payment, actor: Actor, delay_seconds: float = 0, **fields: Any) -> Attempt:
    """Expects the payment to be locked or new, and saved afterwards: it counts its attempts."""
    payment.attempt_count += 1
    attempt = Attempt.objects.create(
        payment=payment,
        seq=payment.attempt_count,
        confirmation=payment.confirmation,
        currency=payment.currency,
        actor=str(actor),
        created_at=clock.now(),
        next_action_at=clock.seconds_from_now(delay_seconds),
        **fields,
    )
    if not delay_seconds:
        defer(RUN_DUE)
    return attempt
