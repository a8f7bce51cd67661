"""Is a gateway's message believed only when it is the gateway's, and kept without anything that must not be kept?"""

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from checkout.settings import policy
from gateways.models import Gateway, Notice
from payments.models import Attempt, Payment
from payments.services import apply_notices
from tests.bad_inputs.calls import CARD_NUMBER, CVV, Call, Endpoint
from tests.bad_inputs.conftest import Complaints, send, texts_of_database
from tests.simulation import their_credentials

PATH = "/v1/notices/north"
SECRET = their_credentials("north")["notice_secret"]
MESSAGE = {
    "id": "ntc_1",
    "type": "charge.approved",
    "data": {
        "id": "ch_1",
        "object": "charge",
        "reference": "att_unknown",
        "status": "approved",
        "decline": None,
        "amount": 1234,
        "currency": "EUR",
        "captured": False,
    },
}
REFUSED = frozenset({401})
CODE = frozenset({"notice_refused"})
pytestmark = pytest.mark.usefixtures("gateways")


def text_of(**changes: Any) -> bytes:
    """The message as a body; changes to `id` are to the message, others to what it is about."""
    data = {**MESSAGE["data"], **{name: value for name, value in changes.items() if name != "id"}}
    return json.dumps({**MESSAGE, "id": changes.get("id", "ntc_1"), "data": data}).encode()


def signature(body: bytes, *, at: object = None, key: str = SECRET) -> str:
    """One signature of a body: hexadecimal, in lower case."""
    moment = int(time.time()) if at is None else at
    return hmac.digest(key.encode(), f"{moment}.".encode() + body, hashlib.sha256).hex()


def signed(body: bytes, *, at: object = None, key: str = SECRET) -> str:
    """The header of a body that the gateway signed now, or at another time."""
    moment = int(time.time()) if at is None else at
    return f"t={moment},v1={signature(body, at=moment, key=key)}"


def tell(body: bytes, header: str | None, *, path: str = PATH, method: str = "POST", **headers: str) -> Any:
    """Send a message as a gateway does."""
    fields = {"Content-Type": "application/json", "Simulator-Signature": header, **headers}
    return send(Call(Endpoint(method, path, object), path, body, headers=fields, method=method))


def test_a_signed_notice_is_taken_once_and_matched_with_nothing_it_does_not_know() -> None:
    body = text_of()

    assert tell(body, signed(body)).json() == {"received": 1}
    assert tell(body, signed(body)).json() == {"received": 0}
    apply_notices()
    assert Notice.objects.get().status == "unmatched"


BODY = text_of()
NOW = int(time.time())


@pytest.mark.parametrize(
    ("row", "body", "header"),
    [
        ("W1 no signature", BODY, lambda: None),
        ("W1 an empty one", BODY, lambda: ""),
        ("W2 another's", BODY, lambda: signed(BODY, key=their_credentials("south")["notice_secret"])),
        ("W2 no key", BODY, lambda: signed(BODY, key="")),
        ("W3 spaces changed", BODY.replace(b" ", b""), lambda: signed(BODY)),
        ("W3 names in another order", json.dumps(MESSAGE, sort_keys=True).encode(), lambda: signed(BODY)),
        ("W3 one byte more", BODY + b" ", lambda: signed(BODY)),
        ("W5 upper case", BODY, lambda: f"t={int(time.time())},v1={signature(BODY).upper()}"),
        ("W5 spaces", BODY, lambda: signed(BODY).replace(",", ", ")),
        ("W5 cut short", BODY, lambda: signed(BODY)[:-2]),
        ("W5 another scheme", BODY, lambda: signed(BODY).replace("v1", "v0")),
        ("W9 six minutes old", BODY, lambda: signed(BODY, at=int(time.time()) - 360)),
        ("W9 six minutes early", BODY, lambda: signed(BODY, at=int(time.time()) + 360)),
        ("W9 zero", BODY, lambda: signed(BODY, at=0)),
        ("W9 below zero", BODY, lambda: signed(BODY, at=-1)),
        ("W9 1e400", BODY, lambda: signed(BODY, at="1e400")),
        ("W9 without end", BODY, lambda: signed(BODY, at="9" * 400)),
        ("W9 a word", BODY, lambda: signed(BODY, at="abc")),
        ("W9 fullwidth", BODY, lambda: f"t=１,v1={signature(BODY)}"),
        ("W9 left out", BODY, lambda: f"v1={signature(BODY)}"),
        ("W9 moved", BODY, lambda: signed(BODY, at=int(time.time()) - 1).replace(f"t={int(time.time()) - 1}", "t=1")),
        ("W19 no id", text_of(id=None), lambda: signed(text_of(id=None))),
        ("W19 ten kilobytes", text_of(id="x" * 10_000), lambda: signed(text_of(id="x" * 10_000))),
        ("W19 no reference", text_of(reference=None), lambda: signed(text_of(reference=None))),
        ("W20 NUL", text_of(reference="a\x00"), lambda: signed(text_of(reference="a\x00"))),
        ("W20 no object", b"[]", lambda: signed(b"[]")),
        ("W20 nothing", b"", lambda: signed(b"")),
        ("W20 no JSON", b"<a/>", lambda: signed(b"<a/>")),
        ("W20 no UTF-8", b'"\xff"', lambda: signed(b'"\xff"')),
        ("W20 deep", b"[" * 60_000, lambda: signed(b"[" * 60_000)),
        ("W21 too many events", b" " * 70_000 + BODY, lambda: signed(b" " * 70_000 + BODY)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_certainly_from_the_gateway_is_refused_and_not_kept(
    row: str, body: bytes, header: Callable[[], str | None], complaints: Complaints
) -> None:
    with complaints.about(row) as check:
        complaints.refused(tell(body, header()), REFUSED, CODE, check)


def test_one_right_signature_among_several_is_enough() -> None:
    moment = int(time.time())
    header = f"t={moment},v1={'0' * 64},v1={signature(BODY, at=moment)}"
    assert tell(BODY, header).json() == {"received": 1}


def test_a_signature_anywhere_but_in_its_header_is_none(complaints: Complaints) -> None:
    with complaints.about("W27 in the query") as check:
        call = Call(
            Endpoint("POST", PATH, object), PATH, BODY, query=f"simulator-signature={signed(BODY)}", method="POST"
        )
        complaints.refused(send(call), REFUSED, CODE, check)
    with complaints.about("W25 as a password") as check:
        complaints.refused(tell(BODY, None, Authorization=f"Basic {signed(BODY)}"), REFUSED, CODE, check)


def test_a_notice_for_another_gateway_is_refused(complaints: Complaints) -> None:
    with complaints.about("W35 another account's") as check:
        complaints.refused(tell(BODY, signed(BODY), path="/v1/notices/spare"), REFUSED, CODE, check)
    with complaints.about("W35 another format's") as check:
        complaints.refused(tell(BODY, signed(BODY), path="/v1/notices/south"), REFUSED, CODE, check)
    for path in (
        "/v1/notices/nobody",
        "/v1/notices/",
        "/v1/notices",
        "/v1/notices/north/",
        f"/v1/notices/{CARD_NUMBER}",
    ):
        with complaints.about(f"W15 {path}") as check:
            complaints.refused(tell(BODY, signed(BODY), path=path), frozenset({404}), frozenset({"not_found"}), check)


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
def test_another_method_is_refused(method: str, complaints: Complaints) -> None:
    with complaints.about(f"W23 {method}") as check:
        response = tell(BODY, signed(BODY), method=method)
        check((response.status_code, response["Allow"]) == (405, "POST"), f"answered {response.status_code}")


@pytest.mark.parametrize("size", [policy.MAX_REPLY_BYTES + 1, 5 * 1024 * 1024])
def test_a_notice_too_long_is_refused_unread(size: int, complaints: Complaints) -> None:
    with complaints.about("W29") as check:
        response = tell(b" " * size, signed(BODY))
        complaints.refused(response, frozenset({413}), frozenset({"body_too_large"}), check)


@pytest.mark.parametrize(
    ("http_status", "claim"),
    [
        (200, {"amount": 500000}),
        (200, {"amount": 0}),
        (200, {"amount": -1}),
        (200, {"amount": "5000"}),
        (200, {"amount": 50.0}),
        (401, {"amount": 10**30}),
        (401, {"amount": 10**30, "status": "pending"}),
        (200, {"currency": "USD"}),
        (401, {"currency": "EURO", "status": "pending"}),
        (401, {"currency": "x" * 5000, "status": "pending"}),
        (200, {"decline": "no_such_code", "status": "declined"}),
        (200, {"status": "settled"}),
        (401, {"id": "x" * 101}),
        (200, {}),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_notice_moves_no_money_whatever_it_claims(
    http_status: int,
    claim: dict[str, Any],
    created_payment: Callable[..., Payment],
    eur: Callable[[int], Any],
    complaints: Complaints,
) -> None:
    payment = created_payment(eur(50_00), confirm=True)
    attempt = payment.attempts.get()
    Attempt.objects.filter(pk=attempt.pk).update(
        status="unknown", next_action="ask", next_action_at="2099-01-01T00:00Z"
    )
    body = text_of(reference=attempt.reference, **{"amount": 5000, **claim})

    assert tell(body, signed(body)).status_code == http_status
    apply_notices()

    payment.refresh_from_db()
    attempt.refresh_from_db()
    assert (payment.status, payment.captured_minor, attempt.status) == ("processing", 0, "unknown")


def test_one_content_under_two_ids_is_two_notices_about_one_attempt() -> None:
    for id in ("ntc_1", "ntc_2"):
        body = text_of(id=id)
        assert tell(body, signed(body)).json() == {"received": 1}
    assert Notice.objects.count() == 2


def test_card_data_in_a_notice_is_not_kept() -> None:
    body = text_of(id="ntc_pan", card={"number": CARD_NUMBER, "cvv": CVV, "text": f"4242 4242 4242 4242 cvc {CVV}"})

    assert tell(body, signed(body)).status_code == 200

    kept = Notice.objects.get().body
    assert "…4242" in kept
    assert CVV not in kept
    for number in (CARD_NUMBER, "4242 4242"):
        assert number not in kept
        assert number not in texts_of_database()


def test_an_xml_notice_is_not_taken_without_its_signature(gateways: dict[str, Gateway], complaints: Complaints) -> None:
    entity = b'<!DOCTYPE n [<!ENTITY x "y">]><notification xmlns="urn:simulator:acquirer:1">&x;</notification>'
    for row, body in (
        ("W1", b'<notification xmlns="urn:simulator:acquirer:1"><notification-id>1</notification-id></notification>'),
        ("X5", entity),
        ("X19", b"<html><body>ok</body></html>"),
        ("X21", b"{}"),
        ("X7", b"<a>" * 20_000),
    ):
        with complaints.about(f"{row} in XML") as check:
            answer = tell(body, None, path="/v1/notices/south", **{"Content-Type": "application/xml"})
            complaints.refused(answer, REFUSED, CODE, check)
