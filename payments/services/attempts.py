"""How does an attempt come to be? Committed with the intention, due at once, and the bell is rung for a worker."""

from typing import Any

from checkout.kit import clock
from checkout.kit.defer import defer
from gateways.base import Capability
from gateways.models import Gateway
from gateways.registry import adapter_class
from gateways.routing import Decision
from payments.models import Attempt, Payment, Refund
from payments.services.changes import Changes
from payments.statuses import Operation

RUN_DUE = "payments.run_due"


def add_charge(*, changes: Changes, gateway: Gateway, decision: Decision) -> Attempt:
    """Add the next authorization attempt, at the gateway that routing chose, to what is being written."""
    payment = changes.payment
    payment.gateway = gateway
    is_automatic = payment.capture_mode == Payment.CaptureMode.AUTOMATIC
    return _add(
        changes,
        operation=Operation.AUTHORIZE,
        gateway_id=gateway.pk,
        amount_minor=payment.amount_minor,
        decision=decision.as_json(),
        is_sale=is_automatic and Capability.SALE in adapter_class(gateway.adapter).capabilities,
    )


def add_follower(
    *,
    changes: Changes,
    operation: Operation,
    parent: Attempt,
    amount_minor: int,
    refund: Refund | None = None,
    delay_seconds: float = 0,
    retry_count: int = 0,
    reverses: Attempt | None = None,
) -> Attempt:
    """Add a capture, void or refund attempt, at the gateway that holds the authorization, to what is being written."""
    return _add(
        changes,
        operation=operation,
        gateway_id=parent.gateway_id,
        amount_minor=amount_minor,
        parent=parent,
        refund=refund,
        delay_seconds=delay_seconds,
        retry_count=retry_count,
        reverses=reverses,
    )


def _add(changes: Changes, *, delay_seconds: float = 0, **fields: Any) -> Attempt:
    """Expects the payment to be locked or new: it counts its attempts."""
    payment = changes.payment
    payment.attempt_count += 1
    attempt = Attempt(
        payment=payment,
        seq=payment.attempt_count,
        confirmation=payment.confirmation,
        currency=payment.currency,
        actor=str(changes.actor),
        created_at=clock.now(),
        next_action_at=clock.seconds_from_now(delay_seconds),
        **fields,
    )
    changes.add(attempt)
    if not delay_seconds:
        defer(RUN_DUE)
    return attempt
