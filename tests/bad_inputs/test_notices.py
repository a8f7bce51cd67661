"""Is a gateway's message believed only when it is the gateway's? Rows W of the catalogue: what is refused."""

import base64
import json
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine

from checkout.kit import clock
from checkout.settings import policy
from gateways.models import Notice
from tests.bad_inputs.calls import CARD_NUMBER, Call, Endpoint
from tests.bad_inputs.conftest import Complaints, send
from tests.bad_inputs.notices import (
    NORTH,
    NORTH_SECRET,
    SOUTH,
    SOUTH_SECRET,
    document,
    signature,
    signed,
    tell,
    text_of,
)

REFUSED = frozenset({401})
CODE = frozenset({"notice_refused"})
pytestmark = pytest.mark.usefixtures("gateways")

BODY = text_of()
MESSAGE = json.loads(BODY)


def ago(seconds: int) -> int:
    """So long ago, in Unix seconds."""
    return int(time.time()) - seconds


def base64url(mac: str) -> str:
    """A signature in another writing."""
    return base64.urlsafe_b64encode(bytes.fromhex(mac)).decode()


@pytest.mark.parametrize(
    ("row", "body", "header"),
    [
        ("W1 no signature", BODY, lambda: None),
        ("W1 an empty one", BODY, lambda: ""),
        ("W2 another's", BODY, lambda: signed(BODY, key=SOUTH_SECRET)),
        ("W2 no key", BODY, lambda: signed(BODY, key="")),
        ("W3 spaces changed", BODY.replace(b" ", b""), lambda: signed(BODY)),
        ("W3 names in another order", json.dumps(MESSAGE, sort_keys=True).encode(), lambda: signed(BODY)),
        ("W3 one byte more", BODY + b" ", lambda: signed(BODY)),
        ("W5 upper case", BODY, lambda: f"t={ago(0)},v1={signature(BODY).upper()}"),
        ("W5 base64url", BODY, lambda: f"t={ago(0)},v1={base64url(signature(BODY))}"),
        ("W5 spaces", BODY, lambda: signed(BODY).replace(",", ", ")),
        ("W5 cut short", BODY, lambda: signed(BODY)[:-2]),
        ("W5 another scheme", BODY, lambda: signed(BODY).replace("v1", "v0")),
        ("W7 several, all of them wrong", BODY, lambda: f"t={ago(0)}" + f",v1={'0' * 64}" * 3),
        ("W7 very many", BODY, lambda: f"t={ago(0)}" + f",v1={'0' * 64}" * 50 + f",v1={signature(BODY)}"),
        ("W9 six minutes old", BODY, lambda: signed(BODY, at=ago(360))),
        ("W9 six minutes early", BODY, lambda: signed(BODY, at=ago(-360))),
        ("W9 zero", BODY, lambda: signed(BODY, at=0)),
        ("W9 below zero", BODY, lambda: signed(BODY, at=-1)),
        ("W9 1e400", BODY, lambda: signed(BODY, at="1e400")),
        ("W9 without end", BODY, lambda: signed(BODY, at="9" * 400)),
        ("W9 a word", BODY, lambda: signed(BODY, at="abc")),
        ("W9 fullwidth", BODY, lambda: f"t=１,v1={signature(BODY)}"),
        ("W9 left out", BODY, lambda: f"v1={signature(BODY)}"),
        ("W9 moved", BODY, lambda: signed(BODY, at=ago(360)).replace(str(ago(360))[:-3], str(ago(0))[:-3])),
        ("W19 no id", text_of(message_id=None), lambda: signed(text_of(message_id=None))),
        ("W19 ten kilobytes", text_of(message_id="x" * 10_000), lambda: signed(text_of(message_id="x" * 10_000))),
        ("W19 no reference", text_of(reference=None), lambda: signed(text_of(reference=None))),
        ("W20 NUL", text_of(reference="a\x00"), lambda: signed(text_of(reference="a\x00"))),
        ("W20 no object", b"[]", lambda: signed(b"[]")),
        ("W20 nothing", b"", lambda: signed(b"")),
        ("W20 no JSON", b"<a/>", lambda: signed(b"<a/>")),
        ("W20 no UTF-8", b'"\xff"', lambda: signed(b'"\xff"')),
        ("W20 deep", b"[" * 60_000, lambda: signed(b"[" * 60_000)),
        ("W21 two in one body", json.dumps([MESSAGE] * 2).encode(), lambda: signed(json.dumps([MESSAGE] * 2).encode())),
        ("W21 more than a message needs", b" " * 70_000 + BODY, lambda: signed(b" " * 70_000 + BODY)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_certainly_from_the_gateway_is_refused_and_not_kept(
    row: str, body: bytes, header: Callable[[], str | None], complaints: Complaints
) -> None:
    with complaints.about(row) as check:
        complaints.refused(tell(body, header()), REFUSED, CODE, check)


ENTITY = b'<!DOCTYPE n [<!ENTITY x "y">]><notification xmlns="urn:simulator:acquirer:1">&x;</notification>'


@pytest.mark.parametrize(
    ("row", "body"),
    [
        ("W1 no signature", lambda: document(mac="")),
        ("W2 another's", lambda: document(key=NORTH_SECRET)),
        ("W2 no key", lambda: document(key="")),
        ("W3 a field that was changed", lambda: document().replace(b"12.34", b"12.35")),
        ("W3 a field in another writing", lambda: document().replace(b"12.34", b"012.34")),
        ("W3 a field that was added", lambda: document(subject=None).replace(b"</n", b"<subject>refund</subject></n")),
        ("W3 a field twice", lambda: document(more="<amount currency='EUR'>12.34</amount>")),
        ("W5 upper case", lambda: document().replace(*upper_case(document()))),
        ("W5 cut short", lambda: document(mac="0" * 62)),
        ("W9 six minutes old", lambda: document(timestamp=str(ago(360)))),
        ("W9 six minutes early", lambda: document(timestamp=str(ago(-360)))),
        ("W9 zero", lambda: document(timestamp="0")),
        ("W9 below zero", lambda: document(timestamp="-1")),
        ("W9 1e400", lambda: document(timestamp="1e400")),
        ("W9 without end", lambda: document(timestamp="9" * 400)),
        ("W9 a word", lambda: document(timestamp="abc")),
        ("W9 fullwidth", lambda: document(timestamp="１")),
        ("W9 left out", lambda: document(timestamp=None)),
        ("W19 no id", lambda: document(notification_id=None)),
        ("W19 ten kilobytes", lambda: document(notification_id="x" * 10_000)),
        ("W19 no reference", lambda: document(order_ref=None)),
        ("W21 two in one body", lambda: document() + document()),
        ("W35 another account's", lambda: document(merchant_id="merchant-at-west")),
        ("W1, X5 an entity", lambda: ENTITY),
        ("W1, X7 a deep nest", lambda: b"<a>" * 20_000),
        ("W1, X19 a page", lambda: b"<html><body>ok</body></html>"),
        ("W1, X21 JSON", lambda: b"{}"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_certainly_from_a_gateway_that_speaks_xml_is_refused_and_not_kept(
    row: str, body: Callable[[], bytes], complaints: Complaints
) -> None:
    with complaints.about(f"{row}, in XML") as check:
        complaints.refused(tell(body(), path=SOUTH), REFUSED, CODE, check)


def upper_case(body: bytes) -> tuple[bytes, bytes]:
    """The signature in a document, and the same in capital letters."""
    mac = body.partition(b"<signature>")[2].partition(b"</signature>")[0]
    return mac, mac.upper()


def test_w7_one_right_signature_among_several_is_enough() -> None:
    moment = int(time.time())
    header = f"t={moment},v1={'0' * 64},v1={signature(BODY, at=moment)}"
    assert tell(BODY, header).json() == {"received": 1}


@pytest.mark.parametrize("code", ["north", "south"])
def test_w11_what_was_believed_once_is_refused_when_it_is_played_again_after_its_time(
    code: str, complaints: Complaints
) -> None:
    body = BODY if code == "north" else document()
    header, path = (signed(body), NORTH) if code == "north" else (None, SOUTH)
    assert tell(body, header, path=path).json() == {"received": 1}
    Notice.objects.all().delete()  # so that it is not refused for being there already

    with time_machine.travel(clock.now() + timedelta(seconds=301)), complaints.about(f"W11 at {code}") as check:
        complaints.refused(tell(body, header, path=path), REFUSED, CODE, check)


def test_a_signature_anywhere_but_in_its_header_is_none(complaints: Complaints) -> None:
    with complaints.about("W27 in the query") as check:
        call = Call(
            Endpoint("POST", NORTH, object), NORTH, BODY, query=f"simulator-signature={signed(BODY)}", method="POST"
        )
        complaints.refused(send(call), REFUSED, CODE, check)
    with complaints.about("W25 as a password") as check:
        complaints.refused(tell(BODY, Authorization=f"Basic {signed(BODY)}"), REFUSED, CODE, check)


def test_w35_a_notice_for_another_account_or_nobody_is_refused(complaints: Complaints) -> None:
    with complaints.about("W35 another account's") as check:
        complaints.refused(tell(BODY, signed(BODY), path="/v1/notices/spare"), REFUSED, CODE, check)
    with complaints.about("W35 another format's") as check:
        complaints.refused(tell(BODY, signed(BODY), path=SOUTH), REFUSED, CODE, check)
    for path in (
        "/v1/notices/nobody",
        "/v1/notices/",
        "/v1/notices",
        "/v1/notices/north/",
        f"/v1/notices/{CARD_NUMBER}",
    ):
        with complaints.about(f"W35 {path}") as check:
            complaints.refused(tell(BODY, signed(BODY), path=path), frozenset({404}), frozenset({"not_found"}), check)


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
def test_w23_another_method_is_refused(method: str, complaints: Complaints) -> None:
    with complaints.about(f"W23 {method}") as check:
        response = tell(BODY, signed(BODY), method=method)
        check((response.status_code, response["Allow"]) == (405, "POST"), f"answered {response.status_code}")


@pytest.mark.parametrize(
    ("row", "body"),
    [
        ("W29 a byte too many", b" " * (policy.MAX_REPLY_BYTES + 1)),
        ("W29 five megabytes", b" " * (5 * 1024 * 1024)),
        ("W21 ten thousand events", json.dumps([MESSAGE] * 10_000).encode()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("path", [NORTH, SOUTH])
def test_a_notice_too_long_is_refused_unread(row: str, body: bytes, path: str, complaints: Complaints) -> None:
    with complaints.about(row) as check:
        answer = tell(body, signed(body), path=path)
        complaints.refused(answer, frozenset({413}), frozenset({"body_too_large"}), check)
