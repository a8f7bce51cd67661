"""What can be done about payments? One file per verb."""

from payments.services.adopt import adopt_refund
from payments.services.cancel import cancel_payment
from payments.services.capture import capture_payment
from payments.services.create import PaymentOrder, confirm_payment, create_payment
from payments.services.expire import expire_due, expire_payment
from payments.services.notices import apply_notices, receive_notice
from payments.services.refund import refund_payment
from payments.services.resolve import (
    approve_settlement_by_hand,
    ask_now,
    cancel_by_reference,
    hasten_after_recovery,
    request_settlement_by_hand,
)
from payments.services.run import run_due
from payments.services.self_audit import self_audit

__all__ = [
    "PaymentOrder",
    "adopt_refund",
    "apply_notices",
    "approve_settlement_by_hand",
    "ask_now",
    "cancel_by_reference",
    "cancel_payment",
    "capture_payment",
    "confirm_payment",
    "create_payment",
    "expire_due",
    "expire_payment",
    "hasten_after_recovery",
    "receive_notice",
    "refund_payment",
    "request_settlement_by_hand",
    "run_due",
    "self_audit",
]
