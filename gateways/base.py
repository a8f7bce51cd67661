"""What may an adapter implement? A gateway is one file in `gateways/adapters/` with one subclass of `Gateway`.

A verb is a generator and does no I/O: it yields an `HttpRequest`, is sent the `HttpReply`, may yield again, and returns
a `GatewayResult`. Whoever drives it (`gateways.client`) owns deadline, connection, redaction and record. A transport
failure is never sent into the generator: the driver decides what it means.
"""

import json
import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from gateways.outcomes import DeclineCode, GatewayResult


class Capability(StrEnum):
    """What a gateway can do beyond authorizing."""

    SALE = "sale"  # authorize and capture in one call
    CAPTURE = "capture"
    PARTIAL_CAPTURE = "partial_capture"
    MULTIPLE_CAPTURES = "multiple_captures"
    VOID = "void"
    REFUND = "refund"
    PARTIAL_REFUND = "partial_refund"
    CANCEL_BY_REFERENCE = "cancel_by_reference"
    VERIFICATION = "verification"  # an authorization of zero
    CHALLENGE = "challenge"  # send the customer to the card's bank (3-D Secure) or another page
    SETTLEMENT_FILES = "settlement_files"  # list its settlement files and hand them out


@dataclass(frozen=True)
class Credential:
    """A field of a gateway's credentials; a secret one is write-only everywhere, an optional one may be empty."""

    name: str
    is_secret: bool = True
    is_required: bool = True


@dataclass(frozen=True)
class CardData:
    """A card on its way to a gateway. Its repr shows nothing (PCI DSS v4.0.1, 3.3)."""

    number: str = field(repr=False)
    exp_month: int = field(repr=False)
    exp_year: int = field(repr=False)
    cvv: str = field(repr=False, default="")
    holder_name: str = field(repr=False, default="")


@dataclass(frozen=True)
class GatewayRequest:
    """One operation for a gateway to do, in the platform's terms.

    `reference` is ours, unique per attempt: idempotency key and merchant reference in one. `parent_reference` is our
    reference of the authorization that a capture, void or refund is about, `gateway_reference` the gateway's own id of
    it. `amount_minor` counts minor units of `currency`; an authorization of zero only verifies the card. `capture` asks
    an authorization to take the money at once. `return_url` is where a customer comes back to after a challenge.
    """

    operation: str
    reference: str
    amount_minor: int
    currency: str
    capture: bool = False
    card: CardData | None = field(default=None, repr=False)
    parent_reference: str = ""
    gateway_reference: str = ""
    merchant_reference: str = ""
    country: str = ""
    return_url: str = ""


@dataclass(frozen=True)
class HttpRequest:
    """What to send. `path` is relative to the gateway's base URL."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class HttpReply:
    """What came back, complete and within the size cap. Header names are in lower case."""

    http_status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)

    def json(self) -> dict[str, Any]:
        """The body as a JSON object, or an empty one if it is anything else."""
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}


@dataclass(frozen=True)
class ListedFile:
    """A settlement file that a gateway offers, by its own name. `sha256` is hexadecimal; None is what it does not say.

    Raises ValueError for a name that is no plain file name of at most 120 ASCII characters.
    """

    name: str
    size_bytes: int | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        if not _FILE_NAME.fullmatch(self.name):
            raise ValueError("not a plain file name")


@dataclass(frozen=True)
class Notice:
    """One message of a gateway, verified and understood.

    `notice_id` is the gateway's own id of the message, the same when it is sent again. `reference` is ours.
    """

    notice_id: str
    reference: str
    result: GatewayResult


class NoticeRefused(Exception):
    """A notice that is not authentic, stale, or not in the gateway's format. The message is ours and safe to log."""


Verb = Generator[HttpRequest, HttpReply, GatewayResult]
HealthVerb = Generator[HttpRequest, HttpReply, bool]
ListVerb = Generator[HttpRequest, HttpReply, list[ListedFile] | None]

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}", re.ASCII)


class Gateway:
    """What an adapter is. Subclasses fill in the class attributes and the verbs they are capable of.

    An instance is made per call or batch with the decrypted credentials of one configured gateway; it holds no other
    state, reads no settings, touches no model and writes no log.
    """

    code: ClassVar[str]
    display_name: ClassVar[str]
    data_format: ClassVar[str]  # "json" or "xml"
    capabilities: ClassVar[frozenset[Capability]]
    currencies: ClassVar[frozenset[str]]
    payment_method_types: ClassVar[frozenset[str]] = frozenset({"card"})
    credentials: ClassVar[tuple[Credential, ...]]
    decline_codes: ClassVar[Mapping[str, DeclineCode]]

    def __init__(self, credentials: Mapping[str, str]) -> None:
        self.secrets = dict(credentials)

    def authorize(self, request: GatewayRequest) -> Verb:
        """Reserve the amount on the card; take it too if `request.capture` and the gateway is capable of SALE."""
        raise NotImplementedError

    def capture(self, request: GatewayRequest) -> Verb:
        """Take all or a part of what is reserved."""
        raise NotImplementedError

    def void(self, request: GatewayRequest) -> Verb:
        """Release an authorization."""
        raise NotImplementedError

    def refund(self, request: GatewayRequest) -> Verb:
        """Give back all or a part of what was captured."""
        raise NotImplementedError

    def fetch(self, request: GatewayRequest) -> Verb:
        """Ask what became of `request.reference`. Not known there: outcome UNKNOWN with `is_found=False`."""
        raise NotImplementedError

    def cancel_by_reference(self, request: GatewayRequest) -> Verb:
        """Make sure that `request.reference` never charges.

        SUCCEEDED: it is dead now, and a late arrival of it will be refused. Anything else: not certain.
        """
        raise NotImplementedError

    def health(self) -> HealthVerb:
        """Ask whether the gateway is up. Returns True or False."""
        raise NotImplementedError

    def list_settlements(self) -> ListVerb:
        """Ask which settlement files there are, and return them oldest first; None if no answer can be believed."""
        raise NotImplementedError

    def settlement_request(self, name: str) -> HttpRequest:
        """What to send for one settlement file. Only an answer of status 200 is the file: its body, byte for byte."""
        raise NotImplementedError

    def parse_notice(self, headers: Mapping[str, str], body: bytes, now: float) -> list[Notice]:
        """Verify and read one message. Header names are in lower case, `now` is Unix seconds.

        Raises NoticeRefused. Compares signatures in constant time, over the raw bytes.
        """
        raise NotImplementedError
