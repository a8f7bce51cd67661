"""What was asked, and what is answered? The same few words for both dialects."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

CHARGE, CAPTURE, VOID, REFUND = "charge", "capture", "void", "refund"
INQUIRY, CANCEL, HEALTH = "inquiry", "cancel", "health"
SETTLEMENTS, SETTLEMENT = "settlements", "settlement"  # the list of settlement files, and one of them
MONEY_CALLS = frozenset({CHARGE, CAPTURE, VOID, REFUND})

APPROVED, DECLINED, PENDING, CANCELED = "approved", "declined", "pending", "canceled"
CHALLENGE = "challenge"  # a verdict that is not spoken yet: the card holder has to prove who they are


@dataclass(frozen=True)
class Call:
    """One request, authenticated and well-formed.

    `fingerprint` stands for the whole request: the same reference with another one is another request. A void names
    no amount, and a capture or refund takes its currency from the charge unless it names one. A charge of zero only
    verifies the card. `return_url` is where the card holder goes back to after a challenge.
    """

    kind: str
    reference: str = ""
    charge_id: str = ""
    amount_minor: int = 0
    currency: str = ""
    capture: bool = False
    card_number: str = field(default="", repr=False)
    merchant_reference: str = ""
    return_url: str = ""
    fingerprint: str = ""


@dataclass(frozen=True)
class Operation:
    """One row of the book.

    The three sums and `voided` belong to charges: what was reserved, and how much of it was taken and given back since.
    A `tombstone` stands for a reference that was canceled before anything arrived under it. `at` is when it came,
    `final_at` when it got the status that it has now, empty while that is pending.
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
    final_at: str = ""

    @property
    def needs_action(self) -> bool:
        """Whether it waits for the card holder, and for nothing else."""
        return self.status == PENDING and self.verdict == CHALLENGE


@dataclass(frozen=True)
class Challenge:
    """What the card holder is shown of a charge that waits for them, and where they go afterwards, if anywhere."""

    operation_id: str
    last_digits: str
    return_url: str = ""


@dataclass(frozen=True)
class Notice:
    """A message on its way: which outcome it tells, how often it was tried, when it is due (Unix seconds)."""

    id: int
    gateway: str
    operation_id: str
    status: str
    decline: str
    try_count: int
    due_at: float


@dataclass(frozen=True)
class IssuedFile:
    """A settlement file that was issued; it tells what became final before `until`."""

    id: int
    gateway: str
    number: int
    name: str
    format: str
    until: str
    line_count: int
    size_bytes: int
    sha256: str
    planted_count: int


@dataclass(frozen=True)
class Reply:
    """What goes over the wire."""

    http_status: int
    content_type: str
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)


def moment(at: datetime) -> str:
    """A moment as the book has it: in UTC, to the millisecond, so that moments sort as they follow each other."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds")


class Refused(Exception):
    """The request is refused before anything is done; `reply` says so in the gateway's own dialect."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        super().__init__(f"refused with {reply.http_status}")
