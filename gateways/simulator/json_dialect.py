"""How does a modern gateway speak? JSON over REST, integers in minor units, a bearer key.

    POST /v1/charges                       {reference, amount, currency, capture, card, merchant_reference, country,
                                            return_url}
    POST /v1/charges/{id}/captures         {reference, amount}
    POST /v1/charges/{id}/voids            {reference}
    POST /v1/charges/{id}/refunds          {reference, amount}
    GET  /v1/operations/{reference}        what became of it
    POST /v1/operations/{reference}/cancel it must never charge
    GET  /v1/settlements                   the newest 1000 settlement files, oldest first
    GET  /v1/settlements/{name}            one of them, as text/csv
    GET  /v1/health

`card` is {number, exp_month, exp_year, cvv, holder_name}. Every POST of money repeats its `reference` in the header
`Idempotency-Key`. The answer is the operation, {id, object, reference, status, decline, amount, currency, captured,
action_url}. Its status is approved, declined, pending, requires_action or canceled; `captured` says whether a charge
was to take the money at once. A charge of amount 0 that does not capture only verifies the card.

A charge that requires_action waits until the card holder has been at its `action_url` (3-D Secure), from where they
are sent back to the `return_url` (http or https, at most 2000 characters; optional). It is then approved, or declined
with authentication_failed, and an inquiry or a notice tells which. Nothing else ends it but a cancel.

Refused before anything is done: 400 malformed, 401 unauthorized, 404 no_such_charge and no_such_operation, 404
no_such_path, 405 method_not_allowed, 422 invalid_request with the field in `param`. 409 reference_reused: the reference
belongs to another request. All of these are {error, param}.

The list of settlement files is {data: [{name, size, sha256, until}]}: how many bytes, their SHA-256 in hexadecimal, and
the moment up to which the file tells. 404 no_such_settlement: there is none of that name.

A notice is {id, type, created, data: operation}, with the header `Simulator-Signature: t=<unix seconds>,v1=<hex>`, an
HMAC-SHA256 of "<t>.<body>" under the notice secret.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from gateways.simulator.bank import CallRefused, ReferenceReused
from gateways.simulator.calls import (
    CANCEL,
    CAPTURE,
    CHARGE,
    HEALTH,
    INQUIRY,
    MONEY_CALLS,
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

_FOLLOW_UPS = {"captures": CAPTURE, "voids": VOID, "refunds": REFUND}
_REFERENCE = re.compile(r"[A-Za-z0-9_.:-]{1,64}", re.ASCII)
_LARGEST_MINOR = 10**12


class JsonDialect:
    """Reads requests and writes answers and notices of one JSON gateway."""

    is_multi_capture = True

    def __init__(self, settings: GatewaySettings) -> None:
        self._api_key = settings.api_key
        self._notice_secret = settings.notice_secret

    def read(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Call:
        """What is asked. Raises Refused."""
        expected = f"Bearer {self._api_key}".encode()
        if not hmac.compare_digest(headers.get("Authorization", "").encode(errors="replace"), expected):
            raise _refused(401, "unauthorized")
        match path.strip("/").split("/"):
            case ["v1", "health"]:
                _need(method, "GET")
                return Call(HEALTH)
            case ["v1", "settlements"]:
                _need(method, "GET")
                return Call(SETTLEMENTS)
            case ["v1", "settlements", name]:
                _need(method, "GET")
                return Call(SETTLEMENT, reference=name)
            case ["v1", "operations", reference]:
                _need(method, "GET")
                return Call(INQUIRY, reference=_reference(reference))
            case ["v1", "operations", reference, "cancel"]:
                _need(method, "POST")
                return Call(CANCEL, reference=_reference(reference))
            case ["v1", "charges"]:
                _need(method, "POST")
                fields = _fields(headers, body)
                capture = _flag(fields, "capture")
                return Call(
                    CHARGE,
                    reference=fields["reference"],
                    amount_minor=_amount(fields, lowest=1 if capture else 0),
                    currency=_matching(fields, "currency", "[A-Z]{3}"),
                    capture=capture,
                    card_number=_card_number(fields),
                    merchant_reference=_free_text(fields, "merchant_reference"),
                    return_url=_return_url(fields),
                    fingerprint=self._fingerprint(path, body),
                )
            case ["v1", "charges", charge_id, follow_up] if follow_up in _FOLLOW_UPS:
                _need(method, "POST")
                fields = _fields(headers, body)
                kind = _FOLLOW_UPS[follow_up]
                return Call(
                    kind,
                    reference=fields["reference"],
                    charge_id=charge_id,
                    amount_minor=0 if kind == VOID else _amount(fields),
                    fingerprint=self._fingerprint(path, body),
                )
        raise _refused(404, "no_such_path")

    def answer(self, call: Call, operation: Operation, action_url: str) -> Reply:
        """The operation as it stands; `action_url` is where the card holder must go, or empty."""
        return _json(201 if call.kind in MONEY_CALLS else 200, _document(operation, action_url))

    def refusal(self, call: Call, refusal: CallRefused) -> Reply:
        """Why nothing was done."""
        return _json(409 if isinstance(refusal, ReferenceReused) else 404, {"error": refusal.code})

    def health(self) -> Reply:
        """All is well."""
        return _json(200, {"status": "ok"})

    def settlements(self, files: Sequence[IssuedFile]) -> Reply:
        """The list of settlement files."""
        listed = [
            {"name": file.name, "size": file.size_bytes, "sha256": file.sha256, "until": file.until} for file in files
        ]
        return _json(200, {"data": listed})

    def notice(self, operation: Operation, now: int) -> Reply:
        """The message that tells an outcome, signed at `now` (Unix seconds)."""
        document = {
            "id": f"ntc_{operation.id}",
            "type": f"{operation.kind}.{operation.status}",
            "created": operation.at,
            "data": _document(operation),
        }
        body = json.dumps(document).encode()
        mac = hmac.digest(self._notice_secret.encode(), f"{now}.".encode() + body, hashlib.sha256).hex()
        return Reply(200, "application/json", body, {"Simulator-Signature": f"t={now},v1={mac}"})

    def _fingerprint(self, path: str, body: bytes) -> str:
        return hmac.digest(self._api_key.encode(), f"{path}\n".encode() + body, hashlib.sha256).hex()


def _document(operation: Operation, action_url: str = "") -> dict[str, Any]:
    return {
        "id": operation.id,
        "object": operation.kind,
        "reference": operation.reference,
        "status": "requires_action" if action_url else operation.status,
        "decline": operation.decline or None,
        "amount": operation.amount_minor,
        "currency": operation.currency or None,
        "captured": operation.capture,
        "action_url": action_url or None,
    }


def _json(http_status: int, document: dict[str, Any]) -> Reply:
    return Reply(http_status, "application/json", json.dumps(document).encode())


def _refused(http_status: int, error: str, param: str | None = None) -> Refused:
    return Refused(_json(http_status, {"error": error, "param": param}))


def _invalid(param: str) -> Refused:
    return _refused(422, "invalid_request", param)


def _need(method: str, expected: str) -> None:
    if method != expected:
        raise _refused(405, "method_not_allowed")


def _reference(text: str) -> str:
    if not _REFERENCE.fullmatch(text):
        raise _invalid("reference")
    return text


def _fields(headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        raise _refused(400, "malformed") from None
    if not isinstance(fields, dict):
        raise _refused(400, "malformed")
    if headers.get("Idempotency-Key") != _matching(fields, "reference", _REFERENCE.pattern):
        raise _invalid("Idempotency-Key")
    return fields


def _matching(fields: Mapping[str, Any], name: str, pattern: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not re.fullmatch(pattern, value, re.ASCII):
        raise _invalid(name)
    return value


def _amount(fields: Mapping[str, Any], lowest: int = 1) -> int:
    value = fields.get("amount")
    if type(value) is not int or not lowest <= value <= _LARGEST_MINOR:
        raise _invalid("amount")
    return value


def _flag(fields: Mapping[str, Any], name: str) -> bool:
    value = fields.get(name, False)
    if not isinstance(value, bool):
        raise _invalid(name)
    return value


def _card_number(fields: Mapping[str, Any]) -> str:
    card = fields.get("card")
    if not isinstance(card, dict):
        raise _invalid("card")
    for name, lowest, highest in (("exp_month", 1, 12), ("exp_year", 2000, 2099)):
        if type(card.get(name)) is not int or not lowest <= card[name] <= highest:
            raise _invalid(f"card.{name}")
    if not re.fullmatch("[0-9]{3,4}|", _free_text(card, "cvv"), re.ASCII):
        raise _invalid("card.cvv")
    _free_text(card, "holder_name")
    return _matching(card, "number", "[0-9]{12,19}")


def _return_url(fields: Mapping[str, Any]) -> str:
    value = fields.get("return_url") or ""
    if value and not (isinstance(value, str) and is_web_address(value)):
        raise _invalid("return_url")
    return str(value)


def _free_text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name) or ""
    if not isinstance(value, str) or len(value) > 300 or any(0xD800 <= ord(character) < 0xE000 for character in value):
        raise _invalid(name)
    return value
