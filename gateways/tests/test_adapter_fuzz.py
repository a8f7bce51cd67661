"""What may an adapter believe? HTTP status by body: the outcome is `unknown` unless the pair is on its allow-list.

The allow-lists stand here a second time, written from the formats' descriptions and not from the adapters.
"""

import json
from itertools import product
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateways.adapters.simulator_json import SimulatorJson
from gateways.adapters.simulator_xml import SimulatorXml
from gateways.base import HttpReply
from gateways.outcomes import DeclineCode, Outcome
from gateways.simulator import xml_dialect
from gateways.tests.driving import drive, money_request

STATUSES = [
    100,
    101,
    *range(200, 209),
    226,
    *range(300, 309),
    *range(400, 432),
    451,
    499,
    *range(500, 512),
    520,
    599,
    999,
]
VERBS = {"authorize": "charge", "capture": "capture", "void": "void", "refund": "refund", "fetch": "charge"}
KEY = "a-signing-key"

NONSENSE = {
    "empty": b"",
    "spaces": b"   ",
    "html": b"<!doctype html><html><body><h1>Service unavailable</h1></body></html>",
    "null": b"null",
    "number": b"201",
    "text": b'"approved"',
    "list": b'[{"status": "approved"}]',
    "not utf-8": b'\xff\xfe{"status": "approved"}',
    "deep list": b"[" * 100_000,
    "deep object": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "deep xml": b"<a>" * 50_000,
    "long number": b'{"amount": ' + b"9" * 5000 + b"}",
    "not a number": b'{"status": "approved", "amount": NaN}',
    "a bare word": b"OK",
    "approved, and nothing else": b'{"status": "approved"}',
    "declined, and nothing else": b'{"status": "declined"}',
    "error of another kind": b'{"error": {"code": "unauthorized"}}',
    "null error": b'{"error": null}',
}


def json_operation(kind, **changes):
    values = {
        "id": "op_1",
        "object": kind,
        "reference": "att_1",
        "status": "approved",
        "decline": None,
        "amount": 1234,
        "currency": "EUR",
        "captured": False,
    }
    return json.dumps({**values, **changes}).encode()


JSON_DECLINES = {
    "do_not_honor": DeclineCode.DO_NOT_HONOR,
    "insufficient_funds": DeclineCode.INSUFFICIENT_FUNDS,
    "lost_card": DeclineCode.LOST_CARD,
    "stolen_card": DeclineCode.STOLEN_CARD,
    "expired_card": DeclineCode.EXPIRED_CARD,
    "incorrect_cvc": DeclineCode.INCORRECT_CVC,
    "authentication_failed": DeclineCode.AUTHENTICATION_REQUIRED,
    "invalid_card": DeclineCode.INVALID_CARD,
    "processing_error": DeclineCode.PROCESSING_ERROR,
    "capture_exceeds_authorized": DeclineCode.NOT_PERMITTED,
    "refund_exceeds_captured": DeclineCode.NOT_PERMITTED,
}


JSON_ERRORS = [
    *("malformed", "unauthorized", "no_such_charge", "no_such_operation", "no_such_path", "method_not_allowed"),
    *("invalid_request", "reference_reused", "rate_limited"),
]


ADDRESS = "https://bank.example/challenge/1"


def json_bodies(kind):
    """Name of the body → the body, and what to conclude from it where its status is that of an operation."""
    bodies = {name: (body, Outcome.UNKNOWN) for name, body in NONSENSE.items()}
    bodies["approved"] = (json_operation(kind), Outcome.SUCCEEDED)
    bodies["pending"] = (json_operation(kind, status="pending"), Outcome.PENDING)
    challenged = Outcome.PENDING if kind == "charge" else Outcome.UNKNOWN
    bodies["challenged"] = (json_operation(kind, status="requires_action", action_url=ADDRESS), challenged)
    bodies["challenged nowhere"] = (json_operation(kind, status="requires_action"), challenged)
    bodies["of no amount"] = (json_operation(kind, amount=0), Outcome.UNKNOWN)
    bodies["canceled"] = (json_operation(kind, status="canceled"), Outcome.DECLINED)
    bodies["of another reference"] = (json_operation(kind, reference="att_2"), Outcome.UNKNOWN)
    bodies["unfamiliar status"] = (json_operation(kind, status="in_review"), Outcome.UNKNOWN)
    bodies["unfamiliar decline"] = (json_operation(kind, status="declined", decline="novel"), Outcome.UNKNOWN)
    for code in JSON_DECLINES:
        bodies[code] = (json_operation(kind, status="declined", decline=code), Outcome.DECLINED)
    for error in JSON_ERRORS:
        bodies[f"error {error}"] = (json.dumps({"error": error}).encode(), Outcome.UNKNOWN)
    return bodies


@pytest.mark.parametrize("gateway", [SimulatorJson, SimulatorXml])
def test_a_list_of_settlement_files_is_never_read_out_of_nonsense(gateway):
    adapter = gateway({"api_key": "k", "signing_key": KEY, "notice_secret": "n", "merchant_id": "m"})
    good = b'{"data": []}'
    for http_status, (name, body) in product(STATUSES, {**NONSENSE, "good": good}.items()):
        listed, _ = drive(adapter.list_settlements(), [HttpReply(http_status, {}, body)])
        is_good = (gateway, http_status, name) == (SimulatorJson, 200, "good")
        assert listed == ([] if is_good else None), (http_status, name)


REFUSED_BEFORE_PROCESSING = {(400, "error malformed"), (401, "error unauthorized"), (422, "error invalid_request")}


@pytest.mark.parametrize("verb", VERBS)
def test_json_status_by_body_is_unknown_unless_allowed(verb):
    gateway = SimulatorJson({"api_key": "k", "notice_secret": "n"})
    request = money_request("authorize" if verb == "fetch" else verb)
    refused = REFUSED_BEFORE_PROCESSING if verb != "fetch" else set()
    if verb in ("capture", "void", "refund"):
        refused = refused | {(404, "error no_such_charge")}
    for http_status, (name, (body, meaning)) in product(STATUSES, json_bodies(VERBS[verb]).items()):
        expected = Outcome.UNKNOWN
        if http_status == (200 if verb == "fetch" else 201):
            expected = meaning
        elif (http_status, name) in refused:
            expected = Outcome.NOT_SENT
        result, _ = drive(getattr(gateway, verb)(request), [HttpReply(http_status, {}, body)])
        assert result.outcome is expected, (http_status, name)
        assert result.is_found or (verb, http_status, name) == ("fetch", 404, "error no_such_operation")
        assert bool(result.action_url) == (name == "challenged" and expected is Outcome.PENDING)
        if name in JSON_DECLINES and expected is Outcome.DECLINED:
            assert result.decline_code == JSON_DECLINES[name]


@pytest.mark.parametrize("http_status", STATUSES)
def test_json_cancel_by_reference_is_certain_only_if_told_so(http_status):
    gateway = SimulatorJson({"api_key": "k", "notice_secret": "n"})
    for name, (body, _) in json_bodies("charge").items():
        is_dead = name == "canceled" or name in JSON_DECLINES or name == "unfamiliar decline"
        expected = Outcome.SUCCEEDED if http_status == 200 and is_dead else Outcome.UNKNOWN
        result, _ = drive(gateway.cancel_by_reference(money_request()), [HttpReply(http_status, {}, body)])
        assert result.outcome is expected, name


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
values = scalars | st.lists(scalars, max_size=2) | st.dictionaries(st.text(max_size=4), scalars, max_size=2)
right = json.loads(json_operation("charge"))
documents = st.fixed_dictionaries({name: st.just(value) | st.just(value) | values for name, value in right.items()})


@settings(max_examples=300, deadline=None)
@given(document=documents, http_status=st.sampled_from([200, 201, 202, 400, 404, 409, 422, 500]))
def test_json_success_needs_every_word_to_be_right(document, http_status):
    gateway = SimulatorJson({"api_key": "k", "notice_secret": "n"})
    reply = HttpReply(http_status, {}, json.dumps(document).encode())
    result, _ = drive(gateway.authorize(money_request()), [reply])
    if result.outcome is Outcome.SUCCEEDED:
        assert http_status == 201
        told = {name: document[name] for name in right if name not in ("id", "decline")}
        assert told == {name: right[name] for name in told}
        assert isinstance(document["captured"], bool)
        assert type(document["amount"]) is int
    else:
        assert result.outcome in (Outcome.UNKNOWN, Outcome.NOT_SENT)


@settings(max_examples=300, deadline=None)
@given(
    address=values
    | st.from_regex(r"https?://[!-~]{0,20}", fullmatch=True)
    | st.text().map("https://b.example/".__add__)
)
def test_a_json_challenge_is_pending_whatever_its_address(address):
    gateway = SimulatorJson({"api_key": "k", "notice_secret": "n"})
    body = json_operation("charge", status="requires_action", action_url=address)
    result, _ = drive(gateway.authorize(money_request()), [HttpReply(201, {}, body)])
    assert result.outcome is Outcome.PENDING
    assert result.action_url in (address, "")
    if result.action_url:
        assert urlsplit(address).scheme in ("http", "https")
        assert urlsplit(address).netloc
        assert address.isascii()
        assert address.isprintable()


@settings(max_examples=200, deadline=None)
@given(body=st.binary(max_size=200), http_status=st.integers(100, 599))
def test_random_bytes_are_unknown_to_every_adapter(body, http_status):
    json_gateway = SimulatorJson({"api_key": "k", "notice_secret": "n"})
    xml_gateway = SimulatorXml({"merchant_id": "m", "signing_key": KEY, "notice_secret": "n"})
    for gateway in (json_gateway, xml_gateway):
        for verb in VERBS:
            request = money_request("authorize" if verb == "fetch" else verb)
            result, _ = drive(getattr(gateway, verb)(request), [HttpReply(http_status, {}, body)])
            assert result.outcome is Outcome.UNKNOWN


XML_SUBJECTS = {
    "authorize": "authorization",
    "capture": "capture",
    "void": "reversal",
    "refund": "refund",
    "fetch": "authorization",
}
XML_DECLINES = {"05", "12", "13", "14", "17", "41", "43", "51", "54", "82", "88", "96"}


def xml_reply(http_status, verb, code, **changes):
    fields = {
        "operation": "inquiry" if verb == "fetch" else XML_SUBJECTS[verb],
        "order-ref": "att_1",
        "subject": XML_SUBJECTS[verb],
        "transaction-id": "op_1",
        "result-code": code,
        "amount": "12.34",
        "currency": "EUR",
        **changes,
    }
    names = xml_dialect.RESPONSE_SIGNED
    texts = [name for name in names if name in fields and name not in ("amount", "currency")]
    inner = "".join(f"<{name}>{fields[name]}</{name}>" for name in texts)
    signature = xml_dialect.sign(KEY, names, fields)
    body = (
        f'<response xmlns="{xml_dialect.NAMESPACE}">{inner}<amount currency="{fields["currency"]}">{fields["amount"]}'
        f"</amount><signature>{signature}</signature></response>"
    )
    return HttpReply(http_status, {}, body.encode())


@pytest.mark.parametrize("verb", VERBS)
def test_xml_status_by_result_code_is_unknown_unless_allowed(verb):
    gateway = SimulatorXml({"merchant_id": "m", "signing_key": KEY, "notice_secret": "n"})
    request = money_request("authorize" if verb == "fetch" else verb)
    refused = {"03", "30", "63"} if verb != "fetch" else set()
    if verb in ("capture", "void", "refund"):
        refused = refused | {"25"}
    codes = [f"{number:02}" for number in range(100)] + ["", "0", "000", "N7", "OK", "approved", "００"]
    for http_status, code in product([200, 201, 204, 302, 400, 401, 404, 409, 429, 500, 502, 503, 504], codes):
        expected = Outcome.UNKNOWN
        if http_status == 200 and code == "00":
            expected = Outcome.SUCCEEDED
        elif http_status == 200 and code in ({"09", "65"} if verb in ("authorize", "fetch") else {"09"}):
            expected = Outcome.PENDING
        elif http_status == 200 and code in XML_DECLINES:
            expected = Outcome.DECLINED
        elif http_status == 200 and code in refused:
            expected = Outcome.NOT_SENT
        result, _ = drive(getattr(gateway, verb)(request), [xml_reply(http_status, verb, code)])
        assert result.outcome is expected, (http_status, code)
        assert result.is_found or (verb, http_status, code) == ("fetch", 200, "25")
        addressed, _ = drive(
            getattr(gateway, verb)(request), [xml_reply(http_status, verb, code, **{"action-url": ADDRESS})]
        )
        assert addressed.outcome is expected
        assert addressed.action_url == (ADDRESS if code == "65" and expected is Outcome.PENDING else "")
    for http_status, body in product([200, 400, 500], NONSENSE.values()):
        result, _ = drive(getattr(gateway, verb)(request), [HttpReply(http_status, {}, body)])
        assert result.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("told_minor", [0, 1, 1234])
def test_an_amount_of_zero_is_believed_of_a_card_check_only(verb, told_minor):
    json_gateway = SimulatorJson({"api_key": "k", "notice_secret": "n"})
    xml_gateway = SimulatorXml({"merchant_id": "m", "signing_key": KEY, "notice_secret": "n"})
    told = xml_reply(200, verb, "00", amount=f"{told_minor / 100:.2f}")
    answers = {
        json_gateway: HttpReply(200 if verb == "fetch" else 201, {}, json_operation(VERBS[verb], amount=told_minor)),
        xml_gateway: told,
    }
    for (gateway, reply), asked_minor in product(answers.items(), (0, 1234)):
        request = money_request("authorize" if verb == "fetch" else verb, amount_minor=asked_minor)
        result, _ = drive(getattr(gateway, verb)(request), [reply])
        is_ours = asked_minor == told_minor and (asked_minor or verb in ("authorize", "fetch", "void"))
        # The answer to a void may name any amount, but of a charge that is no card check it is never zero.
        is_ours = is_ours or (verb == "void" and told_minor > 0)
        assert result.outcome is (Outcome.SUCCEEDED if is_ours else Outcome.UNKNOWN), (gateway.code, asked_minor)


@pytest.mark.parametrize("code", ["00", "05", "09", "65"])
def test_an_xml_answer_with_any_byte_changed_is_unknown_or_says_the_same(code):
    gateway = SimulatorXml({"merchant_id": "m", "signing_key": KEY, "notice_secret": "n"})
    reply = xml_reply(200, "authorize", code, **({"action-url": ADDRESS} if code == "65" else {}))
    expected, _ = drive(gateway.authorize(money_request()), [reply])
    for position, bit in product(range(len(reply.body)), (1, 32)):
        changed = bytearray(reply.body)
        changed[position] ^= bit
        result, _ = drive(gateway.authorize(money_request()), [HttpReply(200, {}, bytes(changed))])
        assert result == expected or result.outcome is Outcome.UNKNOWN, bytes(changed)
