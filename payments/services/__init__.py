"""What can be done about payments? One file per verb."""

from collections.abc import Callable, Mapping
from typing import Any

from payments.services.adopt import adopt_refund
from payments.services.cancel import cancel_payment
from payments.services.capture import capture_payment
from payments.services.create import PaymentOrder, confirm_payment, create_payment
from payments.services.expire import expire_due, expire_payment
from payments.services.notices import apply_notices, receive_notice
from payments.services.refund import refund_at_desk, refund_payment
from payments.services.refund_requests import (
    REFUND,
    approve_refund,
    expire_refund_request,
    how_it_stands,
    reject_refund,
)
from payments.services.resolve import (
    SETTLE_BY_HAND,
    approve_settlement_by_hand,
    ask_now,
    cancel_by_reference,
    hasten_after_recovery,
    request_settlement_by_hand,
)
from payments.services.run import run_due
from payments.services.self_audit import self_audit

__all__ = [
    "APPROVED",
    "REFUND",
    "REJECTED",
    "SETTLE_BY_HAND",
    "PaymentOrder",
    "adopt_refund",
    "apply_notices",
    "approve_refund",
    "approve_settlement_by_hand",
    "ask_now",
    "cancel_by_reference",
    "cancel_payment",
    "capture_payment",
    "confirm_payment",
    "create_payment",
    "expire_due",
    "expire_payment",
    "expire_refund_request",
    "hasten_after_recovery",
    "how_it_stands",
    "receive_notice",
    "refund_at_desk",
    "refund_payment",
    "reject_refund",
    "request_settlement_by_hand",
    "run_due",
    "self_audit",
]

# What is carried out when a second person agrees, by kind of request; told `approval`, `checker` and `actor`.
APPROVED: Mapping[str, Callable[..., Any]] = {
    SETTLE_BY_HAND: approve_settlement_by_hand,
    REFUND: approve_refund,
}

# What is carried out when somebody says no, where that is more than the request's end; told `reason` as well.
REJECTED: Mapping[str, Callable[..., Any]] = {REFUND: reject_refund}
