"""What stands in a settlement file, whatever it looks like? Lines of movements, and the payout that ends each batch.

Amounts are minor units, signed as what the gateway owes: a charge positive, a refund negative. Moments are those of the
book (`calls.moment`).
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from gateways.simulator.settings import GatewaySettings

Row = Sequence[object]


@dataclass(frozen=True, slots=True)
class Line:
    """One movement of money. `kind` is charge, refund, or a word that nobody has been told the meaning of.

    `id` is the gateway's own name of the operation and `reference` the caller's, empty if the back office did it; the
    charge that it is about has both, too.
    """

    kind: str
    id: str
    reference: str
    charge_id: str
    charge_reference: str
    currency: str
    gross_minor: int
    fee_minor: int
    at: str

    @property
    def net_minor(self) -> int:
        """What the gateway pays for it."""
        return self.gross_minor - self.fee_minor


@dataclass(frozen=True, slots=True)
class Payout:
    """What ends a batch: the amount that the file says was paid out, positive where it comes to us."""

    batch: str
    currency: str
    amount_minor: int
    at: str


class Format(ABC):
    """How the files of one gateway look: one row per line or payout, below the header."""

    header: ClassVar[Sequence[str]]

    def __init__(self, settings: GatewaySettings) -> None:
        self.settings = settings

    @abstractmethod
    def file_name(self, number: int, on: str) -> str:
        """What the file of a number and a day (ISO 8601) is called: at most 64 of A-Z, a-z, 0-9, _, . and -."""

    @abstractmethod
    def batch(self, number: int, currency: str) -> str:
        """What the file of a number calls its batch in a currency."""

    @abstractmethod
    def line(self, line: Line, payout: Payout) -> Row:
        """The row of a movement that is paid out."""

    @abstractmethod
    def payout(self, payout: Payout) -> Row:
        """The row of a payout."""

    @abstractmethod
    def remittance(self, batch: str, currency: str) -> tuple[str, str]:
        """What the bank is told of a payout: its end-to-end reference, at most 35 characters, and a text."""

    def made_up(self, *words: object, length: int = 24) -> str:
        """Hexadecimal digits that are always the same for the same words, for names that the book does not have."""
        named = ":".join(map(str, (self.settings.code, *words)))
        return hashlib.sha256(named.encode()).hexdigest()[:length]


def seconds(at: str) -> str:
    """A moment as YYYY-MM-DD HH:MM:SS, in UTC."""
    return f"{at[:10]} {at[11:19]}"
