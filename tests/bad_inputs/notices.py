"""How do the simulated gateways speak to us, and how would somebody who only pretends to be one?

North speaks JSON and signs the bytes of its messages; south speaks XML and signs the fields of its documents.
"""

import hashlib
import hmac
import json
import time
from typing import Any
from xml.etree import ElementTree as ET

from gateways.simulator.xml_dialect import NAMESPACE, NOTICE_SIGNED
from tests.bad_inputs.calls import Call, Endpoint
from tests.bad_inputs.conftest import send
from tests.simulation import their_credentials

NORTH, SOUTH = "/v1/notices/north", "/v1/notices/south"
NORTH_SECRET, SOUTH_SECRET = (their_credentials(code)["notice_secret"] for code in ("north", "south"))

_CHARGE = {
    "id": "ch_1",
    "object": "charge",
    "reference": "att_unknown",
    "status": "approved",
    "decline": None,
    "amount": 12_34,
    "currency": "EUR",
    "captured": False,
}


def text_of(*, message_id: Any = "ntc_1", leave_out: str = "", **changes: Any) -> bytes:
    """North's message; changes are to the operation that it is about."""
    data = {name: value for name, value in {**_CHARGE, **changes}.items() if name != leave_out}
    return json.dumps({"id": message_id, "type": "charge.approved", "data": data}).encode()


def signature(body: bytes, *, at: object = None, key: str = NORTH_SECRET) -> str:
    """One signature of a body: hexadecimal, in lower case."""
    moment = int(time.time()) if at is None else at
    return hmac.digest(key.encode(), f"{moment}.".encode() + body, hashlib.sha256).hex()


def signed(body: bytes, *, at: object = None, key: str = NORTH_SECRET) -> str:
    """The header of a body that north signed now, or at another time."""
    moment = int(time.time()) if at is None else at
    return f"t={moment},v1={signature(body, at=moment, key=key)}"


def document(*, key: str = SOUTH_SECRET, mac: str | None = None, more: str = "", **changes: str | None) -> bytes:
    """South's message. Changes are to its fields by name, None leaves one out; `mac` is another signature, `more` is
    XML that nobody signs."""
    fields: dict[str, str | None] = {
        "notification-id": "ntc_1",
        "timestamp": str(int(time.time())),
        "merchant-id": their_credentials("south")["merchant_id"],
        "order-ref": "att_unknown",
        "subject": "authorization",
        "transaction-id": "tx_1",
        "result-code": "00",
        "amount": "12.34",
        "currency": "EUR",
        **{name.replace("_", "-"): value for name, value in changes.items()},
    }
    root = ET.Element("notification", xmlns=NAMESPACE)
    for name in NOTICE_SIGNED:
        if name != "currency" and fields.get(name) is not None:
            ET.SubElement(root, name, {"currency": fields["currency"] or ""} if name == "amount" else {}).text = fields[
                name
            ]
    words = "\n".join(f"{name}={fields.get(name) or ''}" for name in NOTICE_SIGNED)
    right = hmac.digest(key.encode(), words.encode(), hashlib.sha256).hex()
    ET.SubElement(root, "signature").text = right if mac is None else mac
    return ET.tostring(root, encoding="utf-8").replace(b"</notification>", more.encode() + b"</notification>")


def tell(body: bytes, header: str | None = None, *, path: str = NORTH, method: str = "POST", **headers: str) -> Any:
    """Send a message as a gateway does, with north's signature in its header if one is given."""
    content_type = "application/xml" if path == SOUTH else "application/json"
    fields = {"Content-Type": content_type, "Simulator-Signature": header, **headers}
    return send(Call(Endpoint(method, path, object), path, body, headers=fields, method=method))


def tell_of(code: str, *, reference: str, id: str = "ntc_1", charge: str = "ch_1", amount_minor: int = 50_00) -> Any:
    """Let a gateway tell in its own words that it approved what we call `reference`, over an amount in EUR."""
    if code == "south":
        amount = f"{amount_minor // 100}.{amount_minor % 100:02}"
        body = document(notification_id=id, order_ref=reference, transaction_id=charge, amount=amount)
        return tell(body, path=SOUTH)
    body = text_of(message_id=id, reference=reference, id=charge, amount=amount_minor)
    key = their_credentials(code)["notice_secret"]
    return tell(body, signed(body, key=key), path=f"/v1/notices/{code}")
