"""What does a bank say of our account, whatever the format it says it in?"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One movement on an account, in minor units, credits positive. `line_number` runs through the file, from 1.

    `reference` is what the payer or the bank calls the payment, `text` what else is said of it, for people and for
    finding other references in; where `is_scrubbed`, the file says a card number there, and the text no longer does.
    """

    line_number: int
    account: str
    reference: str
    text: str
    currency: str
    amount_minor: int
    booked_on: date
    is_scrubbed: bool = False


@dataclass(frozen=True, slots=True)
class AccountBalance:
    """An account before and after its movements, in minor units, positive if the bank owes us."""

    account: str
    currency: str
    opening_minor: int
    closing_minor: int


@dataclass(frozen=True)
class Statement:
    """A file of account statements, read while `lines` is iterated over; `balances` fills up with it.

    Iterating raises FileRefused where what spoils the file is met, with lines given by then. Every account's opening
    balance and movements are its closing balance once it is in `balances`.
    """

    lines: Iterator[StatementLine]
    balances: list[AccountBalance] = field(default_factory=list)
