"""How may something be refused?"""

from checkout.kit.errors import Refusal
from checkout.kit.money import Money


class PaymentNotConfirmable(Refusal):
    """The payment's status allows no confirmation."""

    code = "payment_not_confirmable"

    def __init__(self, *, status: str) -> None:
        super().__init__(f"A payment that is {status} cannot be confirmed.")


class PaymentMethodMissing(Refusal):
    """A confirmation needs a card, and none was given."""

    code = "payment_method_required"
    http_status = 400
    param = "payment_method"

    def __init__(self) -> None:
        super().__init__("A payment method is needed to confirm a payment.")


class PaymentNotCapturable(Refusal):
    """Nothing is reserved that could be taken, or something in flight forbids it."""

    code = "payment_not_capturable"

    def __init__(self, *, status: str, capturable: Money) -> None:
        self.capturable = capturable
        super().__init__(f"The payment is {status} and {capturable} of it can be captured now.")


class CaptureExceedsAuthorized(Refusal):
    """More was asked than is still reserved."""

    code = "capture_exceeds_authorized"
    http_status = 422
    param = "amount"

    def __init__(self, *, asked: Money, capturable: Money) -> None:
        self.asked, self.capturable = asked, capturable
        super().__init__(f"Asked to capture {asked}, but only {capturable} can be captured.")


class PartialCaptureUnsupported(Refusal):
    """The gateway that holds the authorization takes all of it or nothing, or takes it once."""

    code = "partial_capture_unsupported"
    http_status = 400
    param = "amount"

    def __init__(self, *, capturable: Money) -> None:
        super().__init__(f"This payment's gateway captures the whole {capturable} at once.")


class PaymentNotCancelable(Refusal):
    """Nothing is left to cancel or to void, or something in flight forbids it."""

    code = "payment_not_cancelable"

    def __init__(self, *, status: str) -> None:
        super().__init__(f"A payment that is {status} cannot be canceled now.")


class PaymentNotRefundable(Refusal):
    """Nothing was captured that could be given back."""

    code = "payment_not_refundable"

    def __init__(self, *, status: str) -> None:
        super().__init__(f"A payment that is {status} has nothing to refund.")


class RefundExceedsCaptured(Refusal):
    """More was asked than was captured and not yet given back."""

    code = "refund_exceeds_captured"
    http_status = 422
    param = "amount"

    def __init__(self, *, asked: Money, refundable: Money) -> None:
        self.asked, self.refundable = asked, refundable
        super().__init__(f"Asked to refund {asked}, but only {refundable} can be refunded.")


class IdempotencyKeyReused(Refusal):
    """The key was used for another request."""

    code = "idempotency_key_reused"
    http_status = 422

    def __init__(self) -> None:
        super().__init__("This Idempotency-Key was used for a different request.")


class RequestInFlight(Refusal):
    """The first request with this key has not been answered yet."""

    code = "idempotency_key_in_flight"
    retry_after_seconds = 1

    def __init__(self) -> None:
        super().__init__("The first request with this Idempotency-Key is still being answered. Try again shortly.")


class AttemptNotUnknown(Refusal):
    """Its outcome is known, or still on its way: there is nothing to settle."""

    code = "attempt_not_unknown"

    def __init__(self, *, status: str) -> None:
        super().__init__(f"This attempt is {status}; only an unknown outcome can be settled.")


class CannotCancelByReference(Refusal):
    """The gateway has no way to make sure that a reference never charges."""

    code = "cannot_cancel_by_reference"

    def __init__(self, *, gateway: str) -> None:
        super().__init__(f"{gateway} cannot cancel this operation by its reference. Settle it by hand.")


class GatewayReferenceTaken(Refusal):
    """The gateway's id is that of another operation: the books were read in the wrong line."""

    code = "gateway_reference_taken"

    def __init__(self, *, gateway_reference: str) -> None:
        super().__init__(f"{gateway_reference} is another attempt's operation at this gateway. Look again.")


class RefundNotAdoptable(Refusal):
    """What a settlement line says cannot be a refund of this payment, or is known already."""

    code = "refund_not_adoptable"
    http_status = 422

    def __init__(self, *, reason: str) -> None:
        super().__init__(f"This refund cannot be adopted: {reason}.")


class NoticeNotBelieved(Refusal):
    """A message that is not signed by its gateway, is stale, or is not in the gateway's format."""

    code = "notice_refused"
    http_status = 401

    def __init__(self) -> None:
        super().__init__("The message is not authentic, or not of this gateway's format.")
