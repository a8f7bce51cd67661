"""How do we speak to the simulator's XML gateways? One endpoint, signed documents, decimal major units.

The format is described in `gateways/simulator/xml_dialect.py`. An answer is believed only if it is signed, about our
reference and our operation, and its result code is listed here; everything else is `unknown`. There is no sale: a
request to capture at once is authorized only, and says so.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from xml.etree import ElementTree as ET

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from checkout.kit.money import Money
from gateways.base import (
    Capability,
    Credential,
    Gateway,
    GatewayRequest,
    HealthVerb,
    HttpReply,
    HttpRequest,
    ListedFile,
    ListVerb,
    Notice,
    NoticeRefused,
    Verb,
)
from gateways.outcomes import DeclineCode, GatewayResult, Outcome

_NAMESPACE = "urn:simulator:acquirer:1"
_REQUEST_SIGNED = (
    "operation",
    "merchant-id",
    "order-ref",
    "original-transaction-id",
    "amount",
    "currency",
    "return-url",
)
_RESPONSE_SIGNED = (
    "operation",
    "order-ref",
    "subject",
    "transaction-id",
    "result-code",
    "amount",
    "currency",
    "action-url",
)
_SETTLEMENTS_SIGNED = ("order-ref", "result-code", "files")
_NOTICE_SIGNED = ("notification-id", "timestamp", "merchant-id", *_RESPONSE_SIGNED[1:])

_OPERATIONS = {"authorize": "authorization", "capture": "capture", "void": "reversal", "refund": "refund"}
# Documented as refused before processing: unknown merchant, format error, wrong signature; and, where an original
# transaction is named, that there is none such.
_REFUSED_BEFORE_PROCESSING = {"03", "30", "63"}
_REFUSED_FOLLOW_UPS = _REFUSED_BEFORE_PROCESSING | {"25"}
_TOLERANCE_SECONDS = 300
_LARGEST_DOCUMENT_BYTES = 256 * 1024
_DEEPEST_ELEMENT = 8
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,80}", re.ASCII)
_LISTED_FILE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,63}) ([0-9]{1,15}) ([0-9a-f]{64})", re.ASCII)
_ADDRESS = re.compile(r"https?://[A-Za-z0-9._-]+(:[0-9]{1,5})?([/?#][!-~]*)?", re.ASCII)
_LONGEST_ADDRESS = 2000
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, production 2


class SimulatorXml(Gateway):
    """A gateway of the simulator that speaks XML."""

    code = "simulator_xml"
    display_name = "Simulator (XML)"
    data_format = "xml"
    capabilities = frozenset(
        {
            Capability.CAPTURE,
            Capability.PARTIAL_CAPTURE,
            Capability.VOID,
            Capability.REFUND,
            Capability.PARTIAL_REFUND,
            Capability.CANCEL_BY_REFERENCE,
            Capability.VERIFICATION,
            Capability.CHALLENGE,
            Capability.SETTLEMENT_FILES,
        }
    )
    currencies = frozenset(
        ["EUR", "GBP", "CHF", "SEK", "NOK", "DKK", "PLN", "CZK", "HUF", "RON", "RSD", "ISK", "USD", "JPY", "KWD"]
    )
    credentials = (
        Credential("merchant_id", is_secret=False),
        Credential("signing_key"),
        Credential("notice_secret"),
        Credential("notice_secret_previous", is_required=False),  # believed too while the secret is being changed
    )
    decline_codes = {
        "05": DeclineCode.DO_NOT_HONOR,
        "12": DeclineCode.NOT_PERMITTED,
        "13": DeclineCode.NOT_PERMITTED,
        "14": DeclineCode.INVALID_CARD,
        "17": DeclineCode.PROCESSING_ERROR,  # dead by our own cancel: not charged, and no judgement of the card
        "41": DeclineCode.LOST_CARD,
        "43": DeclineCode.STOLEN_CARD,
        "51": DeclineCode.INSUFFICIENT_FUNDS,
        "54": DeclineCode.EXPIRED_CARD,
        "82": DeclineCode.INCORRECT_CVC,
        "88": DeclineCode.AUTHENTICATION_REQUIRED,
        "96": DeclineCode.PROCESSING_ERROR,
    }

    def authorize(self, request: GatewayRequest) -> Verb:
        """Reserve the amount. Zero verifies the card."""
        if request.card is None:
            return GatewayResult.not_sent("there is no card to charge")
        if request.capture and request.amount_minor == 0:
            return GatewayResult.not_sent("there is nothing to take")
        card = request.card
        extra = {
            "return-url": request.return_url,
            "merchant-reference": request.merchant_reference,
            "country": request.country,
            "card": {
                "number": card.number,
                "expiry": f"{card.exp_year:04}-{card.exp_month:02}",
                "cvv": card.cvv,
                "name": card.holder_name,
            },
        }
        return (yield from self._money(request, has_amount=True, extra=extra))

    def capture(self, request: GatewayRequest) -> Verb:
        """Take all or a part of what is reserved, once."""
        return (yield from self._follow_up(request, has_amount=True))

    def void(self, request: GatewayRequest) -> Verb:
        """Release an authorization as a whole."""
        return (yield from self._follow_up(request, has_amount=False))

    def refund(self, request: GatewayRequest) -> Verb:
        """Give back all or a part of what was captured."""
        return (yield from self._follow_up(request, has_amount=True))

    def fetch(self, request: GatewayRequest) -> Verb:
        """Ask what became of `request.reference`."""
        fields = self._answer((yield self._ask("inquiry", request.reference)), "inquiry", request.reference)
        if fields is None:
            return GatewayResult.unknown("the inquiry had no authentic answer")
        if fields["result-code"] == "25":
            return GatewayResult(Outcome.UNKNOWN, is_found=False, detail="the gateway does not know the reference")
        return self._result(request, fields)

    def cancel_by_reference(self, request: GatewayRequest) -> Verb:
        """Make sure that `request.reference` never charges."""
        fields = self._answer((yield self._ask("cancel", request.reference)), "cancel", request.reference)
        if fields is None:
            return GatewayResult.unknown("the cancel had no authentic answer")
        if fields["result-code"] == "00":
            return GatewayResult(Outcome.SUCCEEDED, fields["transaction-id"], reference=request.reference)
        return GatewayResult.unknown("the cancel came too late or was not understood")

    def health(self) -> HealthVerb:
        """Ask whether the gateway is up."""
        fields = self._answer((yield self._ask("ping", "ping")), "ping", "ping")
        return fields is not None and fields["result-code"] == "00"

    def list_settlements(self) -> ListVerb:
        """Ask which settlement files there are: the newest thousand."""
        reply = yield self._ask("settlements", "settlements")
        fields = _read(reply.body, "settlements", _SETTLEMENTS_SIGNED, self.secrets["signing_key"])
        if reply.http_status != 200 or fields is None:
            return None
        if (fields["order-ref"], fields["result-code"]) != ("settlements", "00"):
            return None
        lines = fields["files"].splitlines()
        files = [ListedFile(match[1], int(match[2]), match[3]) for match in map(_LISTED_FILE.fullmatch, lines) if match]
        return files if len(files) == len(lines) else None

    def settlement_request(self, name: str) -> HttpRequest:
        """What to send for one settlement file. It comes unsigned: the list has its SHA-256."""
        return self._ask("settlement-file", name)

    def parse_notice(self, headers: Mapping[str, str], body: bytes, now: float) -> list[Notice]:
        """Verify and read one message, signed under the notice secret or the previous one. Raises NoticeRefused."""
        secrets = (self.secrets["notice_secret"], self.secrets.get("notice_secret_previous", ""))
        fields = _read(body, "notification", _NOTICE_SIGNED, *secrets)
        if fields is None:
            raise NoticeRefused("the notice is not an authentic document")
        if not re.fullmatch("[0-9]{1,12}", fields["timestamp"], re.ASCII):
            raise NoticeRefused("the notice has no time")
        if abs(now - int(fields["timestamp"])) > _TOLERANCE_SECONDS:
            raise NoticeRefused("the notice is stale, or from the future")
        if not hmac.compare_digest(fields["merchant-id"].encode(), self.secrets["merchant_id"].encode()):
            raise NoticeRefused("the notice is for another merchant")
        if not _ID.fullmatch(fields["notification-id"]) or not _ID.fullmatch(fields["order-ref"]):
            raise NoticeRefused("the notice names no message or no operation")
        return [Notice(fields["notification-id"], fields["order-ref"], self._told(fields, lowest_minor=1))]

    def _follow_up(self, request: GatewayRequest, *, has_amount: bool) -> Verb:
        if not request.gateway_reference:
            return GatewayResult.not_sent("the authorization's id at the gateway is not known")
        original = {"original-transaction-id": request.gateway_reference}
        return (yield from self._money(request, has_amount=has_amount, extra=original))

    def _money(self, request: GatewayRequest, *, has_amount: bool, extra: Mapping[str, Any]) -> Verb:
        if request.currency not in self.currencies:
            return GatewayResult.not_sent("the currency is not one of this gateway")
        if any(_NOT_XML.search(text) for text in _texts(extra)):
            return GatewayResult.not_sent("a text has a character that XML cannot carry")
        operation = _OPERATIONS[request.operation]
        amount = Money(request.amount_minor, request.currency) if has_amount else None
        reply = yield self._ask(operation, request.reference, amount, extra)
        fields = self._answer(reply, operation, request.reference)
        if fields is None:
            return GatewayResult.unknown(f"no authentic answer to our request, with status {reply.http_status}")
        refused = _REFUSED_BEFORE_PROCESSING if request.operation == "authorize" else _REFUSED_FOLLOW_UPS
        if fields["result-code"] in refused:
            return GatewayResult.not_sent(f"refused before processing with code {fields['result-code']}")
        return self._result(request, fields)

    def _ask(
        self, operation: str, reference: str, amount: Money | None = None, extra: Mapping[str, Any] | None = None
    ) -> HttpRequest:
        fields = {
            "operation": operation,
            "merchant-id": self.secrets["merchant_id"],
            "order-ref": reference,
            **({"amount": f"{amount.as_decimal():f}", "currency": amount.currency} if amount is not None else {}),
            **(extra or {}),
        }
        root = ET.Element("request", xmlns=_NAMESPACE)
        for name, value in fields.items():
            if name == "currency":
                continue
            element = ET.SubElement(root, name, {"currency": fields["currency"]} if name == "amount" else {})
            if isinstance(value, Mapping):
                for inner_name, inner in value.items():
                    ET.SubElement(element, inner_name).text = inner
            else:
                element.text = value
        ET.SubElement(root, "signature").text = _sign(self.secrets["signing_key"], _REQUEST_SIGNED, fields)
        body = ET.tostring(root, encoding="utf-8", xml_declaration=True)
        return HttpRequest("POST", "/gateway.xml", {"Content-Type": "application/xml; charset=utf-8"}, body)

    def _answer(self, reply: HttpReply, operation: str, reference: str) -> dict[str, str] | None:
        """The fields of an authentic answer to this very request, or None."""
        if reply.http_status != 200:
            return None
        fields = _read(reply.body, "response", _RESPONSE_SIGNED, self.secrets["signing_key"])
        if fields is None or fields["operation"] != operation or fields["order-ref"] != reference:
            return None
        return fields

    def _result(self, request: GatewayRequest, fields: Mapping[str, str]) -> GatewayResult:
        """What an authentic answer says, if it is about what we asked."""
        # A card check reserves nothing, and so does its release.
        is_check = request.amount_minor == 0 and request.operation in ("authorize", "void")
        result = self._told(fields, lowest_minor=0 if is_check else 1)
        if result.outcome not in (Outcome.SUCCEEDED, Outcome.PENDING):
            return result
        if fields["subject"] != _OPERATIONS.get(request.operation):
            return GatewayResult.unknown("the answer is about another kind of operation")
        if result.currency != request.currency:
            return GatewayResult.unknown("the answer is in another currency")
        # A reversal releases the whole authorization, and its answer names that amount.
        if request.operation != "void" and result.amount_minor != request.amount_minor:
            return GatewayResult.unknown("the answer is about another amount")
        return result

    def _told(self, fields: Mapping[str, str], *, lowest_minor: int) -> GatewayResult:
        """What an authentic document says by itself; an amount below the lowest is none."""
        code = fields["result-code"]
        claims: dict[str, Any] = {
            "gateway_reference": fields["transaction-id"] if _ID.fullmatch(fields["transaction-id"]) else "",
            "amount_minor": self._minor(fields["amount"], fields["currency"], lowest_minor),
            "currency": fields["currency"],
            "reference": fields["order-ref"],
        }
        if code in self.decline_codes:
            return GatewayResult(Outcome.DECLINED, decline_code=self.decline_codes[code].value, **claims)
        if code not in ("00", "09", "65") or (code == "65" and fields["subject"] != "authorization"):
            return GatewayResult.unknown("the result code is unfamiliar")
        if not claims["gateway_reference"] or claims["amount_minor"] is None:
            return GatewayResult.unknown("approved or pending, without a usable id or amount")
        if code == "65":
            address = fields["action-url"]
            if len(address) <= _LONGEST_ADDRESS and _ADDRESS.fullmatch(address):
                return GatewayResult(Outcome.PENDING, action_url=address, **claims)
            # It has the charge all the same, and may yet approve it: ask again, or cancel by reference.
            return GatewayResult(Outcome.PENDING, detail="the customer must act, at no usable address", **claims)
        return GatewayResult(Outcome.SUCCEEDED if code == "00" else Outcome.PENDING, **claims)

    def _minor(self, text: str, currency: str, lowest_minor: int) -> int | None:
        """Minor units of a decimal with exactly its currency's decimals and not below the lowest, or None."""
        if currency not in self.currencies or not re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,3})?", text, re.ASCII):
            return None
        value = Decimal(text)
        if value.as_tuple().exponent != Money(0, currency).as_decimal().as_tuple().exponent:
            return None
        minor = Money.of_decimal(value, currency).amount_minor
        return minor if minor >= lowest_minor else None


class _DocumentRefused(ValueError):
    """The document is too large, too deep or not of the format."""


class _CappedTreeBuilder(ET.TreeBuilder):
    """Builds a tree, but no deep one."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> ET.Element:
        self._depth += 1
        if self._depth > _DEEPEST_ELEMENT:
            raise _DocumentRefused("too deep")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> ET.Element:
        self._depth -= 1
        return super().end(tag)


def _read(body: bytes, root_name: str, signed: Sequence[str], *keys: str) -> dict[str, str] | None:
    """The signed fields of an authentic document, absent ones empty, or None. Nothing unsigned is ever looked at.

    Authentic is what is signed under any of the keys; an empty one is none.
    """
    try:
        root = _parse(body)
        if root.tag != f"{{{_NAMESPACE}}}{root_name}":
            return None
        fields = {name: _only(root, name) for name in signed if name != "currency"}
        fields["currency"] = next((e.get("currency", "") for e in root if e.tag == f"{{{_NAMESPACE}}}amount"), "")
        claimed = _only(root, "signature")
    except (ET.ParseError, DefusedXmlException, ValueError, LookupError):
        return None
    is_authentic = any(
        hmac.compare_digest(claimed.encode(), _sign(key, signed, fields).encode()) for key in keys if key
    )
    return fields if is_authentic else None


def _parse(body: bytes) -> ET.Element:
    if len(body) > _LARGEST_DOCUMENT_BYTES:
        raise _DocumentRefused("too large")
    parser = DefusedXMLParser(target=_CappedTreeBuilder(), forbid_dtd=True)
    parser.feed(body)
    root: ET.Element = parser.close()
    return root


def _only(root: ET.Element, name: str) -> str:
    """The text of the one child of that name; empty if there is none."""
    found = root.findall(f"{{{_NAMESPACE}}}{name}")
    if len(found) > 1 or any(len(element) for element in found):
        raise _DocumentRefused("a field is there twice, or is not a text")
    return (found[0].text or "").strip() if found else ""


def _sign(key: str, names: Sequence[str], fields: Mapping[str, str]) -> str:
    """Hex HMAC-SHA256 over the named fields, absent ones empty."""
    signed = "\n".join(f"{name}={fields.get(name, '')}" for name in names)
    return hmac.digest(key.encode(), signed.encode(), hashlib.sha256).hex()


def _texts(fields: Mapping[str, Any]) -> list[str]:
    return [text for value in fields.values() for text in (value.values() if isinstance(value, Mapping) else [value])]
