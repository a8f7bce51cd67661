"""What was asked, and what is answered? The same few words for both dialects."""

from collections.abc import Mapping
from dataclasses import dataclass, field

CHARGE, CAPTURE, VOID, REFUND = "charge", "capture", "void", "refund"
INQUIRY, CANCEL, HEALTH = "inquiry", "cancel", "health"
MONEY_CALLS = frozenset({CHARGE, CAPTURE, VOID, REFUND})

APPROVED, DECLINED, PENDING, CANCELED = "approved", "declined", "pending", "canceled"


@dataclass(frozen=True)
class Call:
    """One request, authenticated and well-formed.

    `fingerprint` stands for the whole request: the same reference with another one is another request. A void names
    no amount, and a capture or refund takes its currency from the charge unless it names one.
    """

    kind: str
    reference: str = ""
    charge_id: str = ""
    amount_minor: int = 0
    currency: str = ""
    capture: bool = False
    card_number: str = field(default="", repr=False)
    merchant_reference: str = ""
    fingerprint: str = ""


@dataclass(frozen=True)
class Operation:
    """One row of the book.

    The three sums and `voided` belong to charges: what was reserved, and how much of it was taken and given back since.
    A `tombstone` stands for a reference that was canceled before anything arrived under it.
    """

    id: str
    gateway: str
    reference: str
    kind: str
    at: str
    parent_id: str = ""
    parent_reference: str = ""
    amount_minor: int = 0
    currency: str = ""
    capture: bool = False
    merchant_reference: str = ""
    status: str = PENDING
    decline: str = ""
    authorized_minor: int = 0
    captured_minor: int = 0
    refunded_minor: int = 0
    voided: bool = False
    canceled: bool = False
    fingerprint: str = field(default="", repr=False)
    verdict: str = field(default="", repr=False)
    decide_at: float | None = None


@dataclass(frozen=True)
class Reply:
    """What goes over the wire."""

    http_status: int
    content_type: str
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)


class Refused(Exception):
    """The request is refused before anything is done; `reply` says so in the gateway's own dialect."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        super().__init__(f"refused with {reply.http_status}")
