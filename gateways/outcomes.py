"""What came of a call? Five outcomes, and the one list of decline codes that every gateway's own codes map to."""

from dataclasses import dataclass

from django.db.models import TextChoices

NOT_HEALTHY = "not healthy"  # the note of a health check that was answered, but not well


class Outcome(TextChoices):
    """What we may believe after speaking to a gateway."""

    SUCCEEDED = "succeeded"
    DECLINED = "declined"  # the issuer or the gateway said no; decline_code says why
    PENDING = "pending"  # the gateway has it and will tell us later
    NOT_SENT = "not_sent"  # certain that nothing was charged: it never left, or was refused before processing
    UNKNOWN = "unknown"  # sent, and no trustworthy answer; it will be asked about


class DeclineCode(TextChoices):
    """Why the answer was no, in our words. The soft ones may go better at another gateway or another time."""

    DO_NOT_HONOR = "do_not_honor"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    LOST_CARD = "lost_card"
    STOLEN_CARD = "stolen_card"
    EXPIRED_CARD = "expired_card"
    INCORRECT_CVC = "incorrect_cvc"
    INVALID_CARD = "invalid_card"
    FRAUD_SUSPECTED = "fraud_suspected"
    PROCESSING_ERROR = "processing_error"
    LIMIT_EXCEEDED = "limit_exceeded"
    NOT_PERMITTED = "not_permitted"
    AUTHENTICATION_REQUIRED = "authentication_required"
    GENERIC_DECLINE = "generic_decline"

    @property
    def is_soft(self) -> bool:
        """Whether another gateway may be tried: the refusal was technical, not a judgement of card or holder."""
        return self in _SOFT


_SOFT = {DeclineCode.PROCESSING_ERROR}


@dataclass(frozen=True)
class GatewayResult:
    """What an adapter concluded from a gateway's answers.

    `gateway_reference` is the gateway's id of the operation, or "". `captured` is whether an authorization took the
    money too (a sale). `is_found` is False when an inquiry learned that the gateway does not know the reference.
    `amount_minor`, `currency` and `reference` repeat what the gateway claims, where it claims anything.
    `action_url` is where the customer must go before a pending authorization can be decided. `detail` is a short note
    in our own words for people, never the gateway's text.
    """

    outcome: Outcome
    gateway_reference: str = ""
    decline_code: str = ""
    captured: bool = False
    is_found: bool = True
    amount_minor: int | None = None
    currency: str = ""
    reference: str = ""
    action_url: str = ""
    detail: str = ""

    def __post_init__(self) -> None:
        if (self.outcome is Outcome.DECLINED) != bool(self.decline_code):
            raise ValueError("a decline has a decline code, and nothing else has")
        if self.action_url and self.outcome is not Outcome.PENDING:
            raise ValueError("only what is pending can wait for the customer")

    @classmethod
    def unknown(cls, detail: str) -> "GatewayResult":
        """Nothing can be believed; the reason in our own words."""
        return cls(Outcome.UNKNOWN, detail=detail)

    @classmethod
    def not_sent(cls, detail: str) -> "GatewayResult":
        """Certain that nothing was charged; the reason in our own words."""
        return cls(Outcome.NOT_SENT, detail=detail)
