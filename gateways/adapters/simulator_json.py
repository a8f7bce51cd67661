"""How do we speak to the simulator's JSON gateways? REST, minor units, a bearer key; the reference is the key of a try.

What it may answer is described in `gateways/simulator/json_dialect.py`. Only the answers listed here are believed;
everything else is `unknown`.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import quote

from checkout.kit.money import CURRENCY_DECIMALS
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

_OBJECTS = {"authorize": "charge", "capture": "capture", "void": "void", "refund": "refund"}
# Documented as refused before processing: HTTP status and error code. The charge is only missed where one is named.
_REFUSED_BEFORE_PROCESSING = {(400, "malformed"), (401, "unauthorized"), (422, "invalid_request")}
_REFUSED_FOLLOW_UPS = _REFUSED_BEFORE_PROCESSING | {(404, "no_such_charge")}
_TOLERANCE_SECONDS = 300
_LARGEST_NOTICE_BYTES = 64 * 1024
_SIGNATURE = re.compile(r"t=([0-9]{1,12})((?:,v1=[0-9a-f]{64}){1,8})", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,80}", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_ADDRESS = re.compile(r"https?://[A-Za-z0-9._-]+(:[0-9]{1,5})?([/?#][!-~]*)?", re.ASCII)
_LONGEST_ADDRESS = 2000


class SimulatorJson(Gateway):
    """A gateway of the simulator that speaks JSON."""

    code = "simulator_json"
    display_name = "Simulator (JSON)"
    data_format = "json"
    capabilities = frozenset(Capability)
    currencies = frozenset(CURRENCY_DECIMALS)
    credentials = (
        Credential("api_key"),
        Credential("notice_secret"),
        Credential("notice_secret_previous", is_required=False),  # believed too while the secret is being changed
    )
    decline_codes = {
        "do_not_honor": DeclineCode.DO_NOT_HONOR,
        "insufficient_funds": DeclineCode.INSUFFICIENT_FUNDS,
        "lost_card": DeclineCode.LOST_CARD,
        "stolen_card": DeclineCode.STOLEN_CARD,
        "expired_card": DeclineCode.EXPIRED_CARD,
        "incorrect_cvc": DeclineCode.INCORRECT_CVC,
        "invalid_card": DeclineCode.INVALID_CARD,
        "authentication_failed": DeclineCode.AUTHENTICATION_REQUIRED,
        "processing_error": DeclineCode.PROCESSING_ERROR,
        "not_authorized": DeclineCode.NOT_PERMITTED,
        "already_captured": DeclineCode.NOT_PERMITTED,
        "currency_mismatch": DeclineCode.NOT_PERMITTED,
        "capture_exceeds_authorized": DeclineCode.NOT_PERMITTED,
        "refund_exceeds_captured": DeclineCode.NOT_PERMITTED,
    }

    def authorize(self, request: GatewayRequest) -> Verb:
        """Reserve the amount, and take it at once if `request.capture`. Zero verifies the card, and takes nothing."""
        if request.card is None:
            return GatewayResult.not_sent("there is no card to charge")
        if request.capture and request.amount_minor == 0:
            return GatewayResult.not_sent("there is nothing to take")
        if request.currency not in self.currencies:
            return GatewayResult.not_sent("the currency is not one of this gateway")
        card = request.card
        body = {
            "reference": request.reference,
            "amount": request.amount_minor,
            "currency": request.currency,
            "capture": request.capture,
            "card": {
                "number": card.number,
                "exp_month": card.exp_month,
                "exp_year": card.exp_year,
                "cvv": card.cvv,
                "holder_name": card.holder_name,
            },
            "merchant_reference": request.merchant_reference,
            "country": request.country,
            "return_url": request.return_url,
        }
        reply = yield self._post("/v1/charges", request.reference, body)
        return self._money_result(request, reply, _REFUSED_BEFORE_PROCESSING)

    def capture(self, request: GatewayRequest) -> Verb:
        """Take all or a part of what is reserved; several times, up to the whole."""
        return (yield from self._follow_up("captures", request, {"amount": request.amount_minor}))

    def void(self, request: GatewayRequest) -> Verb:
        """Release an authorization as a whole."""
        return (yield from self._follow_up("voids", request, {}))

    def refund(self, request: GatewayRequest) -> Verb:
        """Give back all or a part of what was captured."""
        return (yield from self._follow_up("refunds", request, {"amount": request.amount_minor}))

    def fetch(self, request: GatewayRequest) -> Verb:
        """Ask what became of `request.reference`."""
        reply = yield HttpRequest("GET", f"/v1/operations/{_segment(request.reference)}", self._headers())
        if reply.http_status == 404 and _text(reply.json(), "error") == "no_such_operation":
            return GatewayResult(Outcome.UNKNOWN, is_found=False, detail="the gateway does not know the reference")
        if reply.http_status != 200:
            return GatewayResult.unknown(f"the inquiry was answered with status {reply.http_status}")
        return self._result(request, reply.json())

    def cancel_by_reference(self, request: GatewayRequest) -> Verb:
        """Make sure that `request.reference` never charges."""
        path = f"/v1/operations/{_segment(request.reference)}/cancel"
        reply = yield HttpRequest("POST", path, self._headers())
        document = reply.json()
        if reply.http_status != 200 or document.get("reference") != request.reference:
            return GatewayResult.unknown(f"the cancel was answered with status {reply.http_status}, and not understood")
        if document.get("status") in ("canceled", "declined"):
            return GatewayResult(Outcome.SUCCEEDED, _id(document), reference=request.reference)
        return GatewayResult.unknown("the cancel came too late or was not understood")

    def health(self) -> HealthVerb:
        """Ask whether the gateway is up."""
        reply = yield HttpRequest("GET", "/v1/health", self._headers())
        return reply.http_status == 200 and reply.json().get("status") == "ok"

    def list_settlements(self) -> ListVerb:
        """Ask which settlement files there are: the newest thousand."""
        reply = yield HttpRequest("GET", "/v1/settlements", self._headers())
        listed = reply.json().get("data")
        if reply.http_status != 200 or not isinstance(listed, list):
            return None
        files = [file for document in listed if isinstance(document, dict) and (file := _listed(document))]
        return files if len(files) == len(listed) else None

    def settlement_request(self, name: str) -> HttpRequest:
        """What to send for one settlement file."""
        return HttpRequest("GET", f"/v1/settlements/{_segment(name)}", {**self._headers(), "Accept": "text/csv"})

    def parse_notice(self, headers: Mapping[str, str], body: bytes, now: float) -> list[Notice]:
        """Verify and read one message; several signatures are allowed, one must be right. Raises NoticeRefused.

        Right is a signature under the notice secret, or under the previous one where there is one.
        """
        if len(body) > _LARGEST_NOTICE_BYTES:
            raise NoticeRefused("the notice is too large")
        signature = _SIGNATURE.fullmatch(headers.get("simulator-signature", ""))
        if signature is None:
            raise NoticeRefused("the notice has no well-formed signature")
        signed = signature[1].encode() + b"." + body
        secrets = (self.secrets["notice_secret"], self.secrets.get("notice_secret_previous", ""))
        expected = [hmac.digest(secret.encode(), signed, hashlib.sha256).hex() for secret in secrets if secret]
        candidates = signature[2].replace(",v1=", " ").split()
        if not any(hmac.compare_digest(candidate, mac) for candidate in candidates for mac in expected):
            raise NoticeRefused("the notice's signature is wrong")
        if abs(now - int(signature[1])) > _TOLERANCE_SECONDS:
            raise NoticeRefused("the notice is stale, or from the future")
        message = _object(body)
        document = message.get("data")
        if not isinstance(document, dict) or not _id(message) or not _id(document, "reference"):
            raise NoticeRefused("the notice names no message or no operation")
        return [Notice(_id(message), _id(document, "reference"), self._told(document, lowest_minor=1))]

    def _follow_up(self, name: str, request: GatewayRequest, body: Mapping[str, Any]) -> Verb:
        if not request.gateway_reference:
            return GatewayResult.not_sent("the charge's id at the gateway is not known")
        path = f"/v1/charges/{_segment(request.gateway_reference)}/{name}"
        reply = yield self._post(path, request.reference, {"reference": request.reference, **body})
        return self._money_result(request, reply, _REFUSED_FOLLOW_UPS)

    def _money_result(
        self, request: GatewayRequest, reply: HttpReply, refused: Collection[tuple[int, str]]
    ) -> GatewayResult:
        document = reply.json()
        if reply.http_status == 201:
            return self._result(request, document)
        if (reply.http_status, _text(document, "error")) in refused:
            return GatewayResult.not_sent(f"refused before processing with status {reply.http_status}")
        return GatewayResult.unknown(f"answered with status {reply.http_status}")

    def _result(self, request: GatewayRequest, document: Mapping[str, Any]) -> GatewayResult:
        """What an answer to our own request says, if it is about what we asked."""
        if document.get("reference") != request.reference:
            return GatewayResult.unknown("the answer is about another reference")
        # A card check reserves nothing, and so does its release.
        is_check = request.amount_minor == 0 and request.operation in ("authorize", "void")
        result = self._told(document, lowest_minor=0 if is_check else 1)
        if result.outcome not in (Outcome.SUCCEEDED, Outcome.PENDING):
            return result
        if document.get("object") != _OBJECTS.get(request.operation):
            return GatewayResult.unknown("the answer is about another kind of operation")
        if result.currency != request.currency:
            return GatewayResult.unknown("the answer is in another currency")
        # A void releases the whole authorization, and its answer names that amount.
        if request.operation != "void" and result.amount_minor != request.amount_minor:
            return GatewayResult.unknown("the answer is about another amount")
        if result.captured and not request.capture:
            return GatewayResult.unknown("the gateway took money that it was asked to reserve")
        return result

    def _told(self, document: Mapping[str, Any], *, lowest_minor: int) -> GatewayResult:
        """What an operation document says by itself; an amount below the lowest is none."""
        amount = document.get("amount")
        claims: dict[str, Any] = {
            "gateway_reference": _id(document),
            "amount_minor": amount if type(amount) is int and amount >= lowest_minor else None,
            "currency": _text(document, "currency"),
            "reference": _text(document, "reference"),
        }
        match document.get("status"):
            case "approved":
                if not claims["gateway_reference"] or claims["amount_minor"] is None:
                    return GatewayResult.unknown("approved, without a usable id or amount")
                if claims["currency"] not in self.currencies:
                    return GatewayResult.unknown("approved, in no currency we know")
                if not isinstance(document.get("captured"), bool):
                    return GatewayResult.unknown("approved, without saying whether the money was taken")
                is_sale = document.get("object") == "charge" and document["captured"]
                return GatewayResult(Outcome.SUCCEEDED, captured=is_sale, **claims)
            case "pending":
                return GatewayResult(Outcome.PENDING, **claims)
            case "requires_action" if document.get("object") == "charge":
                address = _text(document, "action_url")
                if len(address) <= _LONGEST_ADDRESS and _ADDRESS.fullmatch(address):
                    return GatewayResult(Outcome.PENDING, action_url=address, **claims)
                # It has the charge all the same, and may yet approve it: ask again, or cancel by reference.
                return GatewayResult(Outcome.PENDING, detail="the customer must act, at no usable address", **claims)
            case "declined":
                code = self.decline_codes.get(_text(document, "decline"))
                if code is None:
                    return GatewayResult.unknown("declined with an unfamiliar code")
                return GatewayResult(Outcome.DECLINED, decline_code=code.value, **claims)
            case "canceled":
                # Dead by our own cancel: certainly not charged, and no judgement of the card.
                code = DeclineCode.PROCESSING_ERROR
                return GatewayResult(
                    Outcome.DECLINED, decline_code=code.value, detail="canceled by reference", **claims
                )
        return GatewayResult.unknown("the status is unfamiliar")

    def _post(self, path: str, idempotency_key: str, body: Mapping[str, Any]) -> HttpRequest:
        headers = {**self._headers(), "Content-Type": "application/json", "Idempotency-Key": idempotency_key}
        return HttpRequest("POST", path, headers, json.dumps(body).encode())

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secrets['api_key']}", "Accept": "application/json"}


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise NoticeRefused("the notice is not JSON") from None
    if not isinstance(value, dict):
        raise NoticeRefused("the notice is not a JSON object")
    return value


def _segment(text: str) -> str:
    return quote(text, safe="")


def _listed(document: Mapping[str, Any]) -> ListedFile | None:
    size, digest = document.get("size"), _text(document, "sha256")
    if type(size) is not int or size < 0 or not _DIGEST.fullmatch(digest):
        return None
    try:
        return ListedFile(_text(document, "name"), size, digest)
    except ValueError:
        return None


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    return value if isinstance(value, str) else ""


def _id(document: Mapping[str, Any], name: str = "id") -> str:
    value = _text(document, name)
    return value if _ID.fullmatch(value) else ""
