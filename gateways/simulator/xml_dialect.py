"""How does an old acquirer speak? One endpoint, XML both ways, decimal major units, signed fields.

    POST /gateway.xml

    <request xmlns="urn:simulator:acquirer:1">
      <operation>authorization|capture|reversal|refund|inquiry|cancel|ping|settlements|settlement-file</operation>
      <merchant-id>…</merchant-id>
      <order-ref>…</order-ref>                              the caller's reference of this operation
      <original-transaction-id>…</original-transaction-id>  capture, reversal and refund: of the authorization
      <amount currency="EUR">12.34</amount>                 authorization, capture, refund; ISO 4217's decimals
      <return-url>…</return-url>                            authorization, optional: see below
      <merchant-reference>…</merchant-reference> <country>…</country>
      <card><number>…</number><expiry>2031-04</expiry><cvv>…</cvv><name>…</name></card>
      <signature>…</signature>
    </request>

    <response xmlns="urn:simulator:acquirer:1">
      <operation>…</operation>              as asked
      <order-ref>…</order-ref>              as asked
      <subject>…</subject>                  which operation the order-ref is: the same, or what an inquiry found
      <transaction-id>…</transaction-id>
      <result-code>00</result-code>
      <amount currency="EUR">12.34</amount>
      <action-url>…</action-url>            with result code 65
      <signature>…</signature>
    </response>

A signature is the hex HMAC-SHA256, under the signing key, of "name=value" for each of the document's signed fields in
the order below (an absent one is empty), joined by line feeds. Answers come with HTTP status 200 whatever the result.

Result codes: 00 approved, canceled or found well; 09 in progress; 65 waits for the card holder; 17 canceled. Declined:
05 do not honor, 12 not possible in this state, 13 amount too high, 14 invalid card number, 41 lost, 43 stolen, 51
insufficient funds, 54 expired, 82 wrong CVC, 88 authentication failed, 96 processing error. Refused before anything is
done: 03 unknown merchant, 25 not found (an original transaction, the subject of an inquiry, or a settlement file), 30
format error, 63 bad signature. 94: the order-ref belongs to another request.

With 65 the card holder must go to the action-url (3-D Secure), from where they are sent back to the return-url (http or
https, at most 2000 characters; optional). The authorization is then approved, or declined with 88, and an inquiry or a
notification tells which. Nothing else ends it but a cancel.

To settlements the answer is <settlements>: <order-ref> and <result-code> as ever, and <files>, a line for each of the
newest 1000 files, oldest first: name, bytes and SHA-256 in hexadecimal. The answer to a settlement-file is the file by
itself, text/csv and unsigned; the order-ref is its name. Its refusal has HTTP status 404.

No sale, and one capture per authorization. An authorization of zero only verifies the card. A notice is a
<notification> of the same fields with <notification-id> and <timestamp> (Unix seconds), signed under the notice secret.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from xml.etree import ElementTree as ET

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from gateways.simulator.bank import CallRefused
from gateways.simulator.calls import (
    APPROVED,
    CANCEL,
    CANCELED,
    CAPTURE,
    CHARGE,
    DECLINED,
    HEALTH,
    INQUIRY,
    PENDING,
    REFUND,
    SETTLEMENT,
    SETTLEMENTS,
    VOID,
    Call,
    IssuedFile,
    Operation,
    Refused,
    Reply,
)
from gateways.simulator.challenges import is_web_address
from gateways.simulator.settings import GatewaySettings

NAMESPACE = "urn:simulator:acquirer:1"
REQUEST_SIGNED = (
    "operation",
    "merchant-id",
    "order-ref",
    "original-transaction-id",
    "amount",
    "currency",
    "return-url",
)
RESPONSE_SIGNED = (
    "operation",
    "order-ref",
    "subject",
    "transaction-id",
    "result-code",
    "amount",
    "currency",
    "action-url",
)
SETTLEMENTS_SIGNED = ("order-ref", "result-code", "files")
NOTICE_SIGNED = ("notification-id", "timestamp", "merchant-id", *RESPONSE_SIGNED[1:])

_TWO_DECIMALS = ("EUR", "GBP", "CHF", "SEK", "NOK", "DKK", "PLN", "CZK", "HUF", "RON", "RSD", "USD")
DECIMALS = {
    **dict.fromkeys(_TWO_DECIMALS, 2),
    **dict.fromkeys(("ISK", "JPY"), 0),
    "KWD": 3,
}
_KINDS = {
    "authorization": CHARGE,
    "capture": CAPTURE,
    "reversal": VOID,
    "refund": REFUND,
    "inquiry": INQUIRY,
    "cancel": CANCEL,
    "ping": HEALTH,
    "settlements": SETTLEMENTS,
    "settlement-file": SETTLEMENT,
}
_SUBJECTS = {kind: name for name, kind in _KINDS.items()}
_STATUS_CODES = {APPROVED: "00", PENDING: "09", CANCELED: "17"}
_DECLINE_CODES = {
    "do_not_honor": "05",
    "not_authorized": "12",
    "already_captured": "12",
    "currency_mismatch": "12",
    "capture_exceeds_authorized": "13",
    "refund_exceeds_captured": "13",
    "invalid_card": "14",
    "lost_card": "41",
    "stolen_card": "43",
    "insufficient_funds": "51",
    "expired_card": "54",
    "incorrect_cvc": "82",
    "authentication_failed": "88",
    "processing_error": "96",
}
_REFUSAL_CODES = {
    **dict.fromkeys(("no_such_charge", "no_such_operation", "no_such_settlement"), "25"),
    "reference_reused": "94",
}
_REFERENCE = re.compile(r"[A-Za-z0-9_.:-]{1,64}", re.ASCII)


class XmlDialect:
    """Reads requests and writes answers and notices of one XML gateway."""

    is_multi_capture = False

    def __init__(self, settings: GatewaySettings) -> None:
        self._merchant_id = settings.merchant_id
        self._signing_key = settings.api_key
        self._notice_secret = settings.notice_secret

    def read(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Call:
        """What is asked. Raises Refused."""
        if path != "/gateway.xml":
            raise Refused(Reply(404, "text/plain", b"not found\n"))
        if method != "POST":
            raise Refused(Reply(405, "text/plain", b"POST only\n", {"Allow": "POST"}))
        try:
            root = fromstring(body, forbid_dtd=True)
        except (ET.ParseError, DefusedXmlException, ValueError, LookupError):
            raise self._refused({}, "30") from None
        if root.tag != f"{{{NAMESPACE}}}request":
            raise self._refused({}, "30")
        fields = {name: (root.findtext(f"{{{NAMESPACE}}}{name}") or "").strip() for name in _FIELDS}
        amount = root.find(f"{{{NAMESPACE}}}amount")
        fields["currency"] = "" if amount is None else amount.get("currency", "")
        if fields["merchant-id"] != self._merchant_id:
            raise self._refused(fields, "03")
        if not hmac.compare_digest(
            sign(self._signing_key, REQUEST_SIGNED, fields).encode(), fields["signature"].encode()
        ):
            raise self._refused(fields, "63")
        return self._call(fields, root, body)

    def answer(self, call: Call, operation: Operation, action_url: str) -> Reply:
        """The operation as it stands; what was canceled by reference is a success of the cancel.

        `action_url` is where the card holder must go, or empty.
        """
        code = "65" if action_url else _code(operation)
        if call.kind == CANCEL:
            code = "00" if operation.status in (CANCELED, DECLINED) else "12"
        about = {**_about(operation), "action-url": action_url}
        return self._reply({"operation": _SUBJECTS[call.kind], **about, "result-code": code})

    def refusal(self, call: Call, refusal: CallRefused) -> Reply:
        """Why nothing was done."""
        reply = self._reply(
            {
                "operation": _SUBJECTS[call.kind],
                "order-ref": call.reference,
                "result-code": _REFUSAL_CODES[refusal.code],
            }
        )
        return _no_file(reply) if call.kind == SETTLEMENT else reply

    def health(self) -> Reply:
        """All is well."""
        return self._reply({"operation": "ping", "order-ref": "ping", "result-code": "00"})

    def settlements(self, files: Sequence[IssuedFile]) -> Reply:
        """The list of settlement files."""
        listed = "\n".join(f"{file.name} {file.size_bytes} {file.sha256}" for file in files)
        fields = {"order-ref": "settlements", "result-code": "00", "files": listed}
        document = _document("settlements", SETTLEMENTS_SIGNED, fields, self._signing_key)
        return Reply(200, "application/xml", document)

    def notice(self, operation: Operation, now: int) -> Reply:
        """The message that tells an outcome, signed at `now` (Unix seconds)."""
        fields = {
            "notification-id": f"ntc_{operation.id}",
            "timestamp": str(now),
            "merchant-id": self._merchant_id,
            **_about(operation),
            "result-code": _code(operation),
        }
        return Reply(200, "application/xml", _document("notification", NOTICE_SIGNED, fields, self._notice_secret))

    def _call(self, fields: Mapping[str, str], root: ET.Element, body: bytes) -> Call:
        kind = _KINDS.get(fields["operation"], "")
        amount_minor: int | None = 0
        number = ""
        is_complete = bool(kind) and bool(_REFERENCE.fullmatch(fields["order-ref"]))
        if kind in (CHARGE, CAPTURE, REFUND):
            amount_minor = _minor(fields["amount"], fields["currency"])
            is_complete &= amount_minor is not None and amount_minor >= (0 if kind == CHARGE else 1)
        if kind in (CAPTURE, VOID, REFUND):
            is_complete &= bool(fields["original-transaction-id"])
        if kind == CHARGE:
            card = {
                name: (root.findtext(f"{{{NAMESPACE}}}card/{{{NAMESPACE}}}{name}") or "").strip()
                for name in ("number", "expiry", "cvv")
            }
            number = card["number"]
            is_complete &= bool(re.fullmatch("[0-9]{12,19}", number, re.ASCII))
            is_complete &= bool(re.fullmatch("20[0-9]{2}-(0[1-9]|1[0-2])", card["expiry"], re.ASCII))
            is_complete &= bool(re.fullmatch("[0-9]{3,4}|", card["cvv"], re.ASCII))
            is_complete &= fields["return-url"] == "" or is_web_address(fields["return-url"])
        if not is_complete:
            raise self._refused(fields, "30")
        return Call(
            kind,
            reference=fields["order-ref"],
            charge_id=fields["original-transaction-id"],
            amount_minor=amount_minor or 0,
            currency=fields["currency"] if kind in (CHARGE, CAPTURE, REFUND) else "",
            card_number=number,
            merchant_reference=fields["merchant-reference"],
            return_url=fields["return-url"],
            fingerprint=hmac.digest(self._signing_key.encode(), body, hashlib.sha256).hex(),
        )

    def _refused(self, fields: Mapping[str, str], code: str) -> Refused:
        echoed = {name: fields.get(name, "") for name in ("operation", "order-ref")}
        reply = self._reply({**echoed, "result-code": code})
        return Refused(_no_file(reply) if _KINDS.get(echoed["operation"]) == SETTLEMENT else reply)

    def _reply(self, fields: Mapping[str, str]) -> Reply:
        return Reply(200, "application/xml", _document("response", RESPONSE_SIGNED, fields, self._signing_key))


_FIELDS = (
    "operation",
    "merchant-id",
    "order-ref",
    "original-transaction-id",
    "amount",
    "return-url",
    "merchant-reference",
    "signature",
)


def sign(key: str, names: Sequence[str], fields: Mapping[str, str]) -> str:
    """The signature over the named fields, in lower-case hex."""
    signed = "\n".join(f"{name}={fields.get(name, '')}" for name in names)
    return hmac.digest(key.encode(), signed.encode(), hashlib.sha256).hex()


def _no_file(reply: Reply) -> Reply:
    """An answer that cannot be taken for a settlement file."""
    return replace(reply, http_status=404)


def _about(operation: Operation) -> dict[str, str]:
    about = {
        "order-ref": operation.reference,
        "subject": _SUBJECTS.get(operation.kind, ""),
        "transaction-id": operation.id,
    }
    if operation.currency:
        decimals = DECIMALS[operation.currency]
        about |= {
            "amount": str(Decimal(operation.amount_minor).scaleb(-decimals)),
            "currency": operation.currency,
        }
    return about


def _code(operation: Operation) -> str:
    return _STATUS_CODES.get(operation.status) or _DECLINE_CODES[operation.decline]


def _minor(text: str, currency: str) -> int | None:
    """Minor units of a decimal with exactly its currency's decimals; None if it is anything else."""
    if currency not in DECIMALS:
        return None
    decimals = DECIMALS[currency]
    fraction = rf"\.[0-9]{{{decimals}}}" if decimals else ""
    if not re.fullmatch(rf"(0|[1-9][0-9]{{0,11}}){fraction}", text, re.ASCII):
        return None
    return int(text.replace(".", ""))


def _document(root_name: str, names: Sequence[str], fields: Mapping[str, str], key: str) -> bytes:
    root = ET.Element(root_name, xmlns=NAMESPACE)
    for name in names:
        if name != "currency" and fields.get(name):
            attributes = {"currency": fields["currency"]} if name == "amount" else {}
            ET.SubElement(root, name, attributes).text = fields[name]
    ET.SubElement(root, "signature").text = sign(key, names, fields)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document
