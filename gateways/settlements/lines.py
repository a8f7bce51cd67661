"""What does a gateway say of one movement of money, whatever the format it says it in?"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class LineKind(StrEnum):
    """What a line is about, in our words. Unmapped is a word of theirs that we have never been told the meaning of."""

    CHARGE = "charge"
    REFUND = "refund"
    REFUND_REVERSED = "refund_reversed"
    CHARGEBACK = "chargeback"
    CHARGEBACK_REVERSED = "chargeback_reversed"
    FEE = "fee"
    RESERVE_HELD = "reserve_held"
    RESERVE_RELEASED = "reserve_released"
    ADJUSTMENT = "adjustment"
    PAYOUT = "payout"
    UNMAPPED = "unmapped"


@dataclass(frozen=True, slots=True)
class SettlementLine:
    """One line. Amounts are minor units, signed as what the gateway owes us: a charge positive, a refund negative.

    `net_minor` is gross - fee; a fee is positive when it is charged. A line of kind payout is the payout itself,
    negative, and no part of its batch. A fee without a charge has its amount in the gross, negative. `reference` is
    ours, where the gateway repeats it; `gateway_reference` is its own name of the operation. Texts are printable and on
    one line, of at most 60 (`raw_type`), 64 (`reference`) and 100 characters.
    """

    line_number: int
    kind: LineKind
    raw_type: str
    gateway_reference: str
    reference: str
    currency: str
    gross_minor: int
    fee_minor: int
    net_minor: int
    occurred_on: date
    batch_reference: str
