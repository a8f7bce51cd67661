"""Does every adapter keep the contract? Every adapter, every verb, every recording; then what each dialect must refuse.

A recording is what was once sent and answered, with what the adapter must conclude from it. Its folder is
`gateways/adapters/recordings/<code>/`.
"""

import hashlib
import hmac
import inspect
import json
from pathlib import Path
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import pytest

from checkout.kit.money import CURRENCY_DECIMALS
from gateways import adapters, registry
from gateways.adapters import simulator_xml
from gateways.base import Capability, CardData, Gateway, GatewayRequest, HttpReply, ListedFile, NoticeRefused
from gateways.outcomes import DeclineCode, GatewayResult, Outcome
from gateways.simulator import xml_dialect
from gateways.tests.driving import CARD, drive, money_request

RECORDINGS = Path(adapters.__file__).parent / "recordings"
CODES = [code for code, _ in registry.adapter_choices()]
VERBS = ["authorize", "capture", "void", "refund", "fetch", "cancel_by_reference", "health", "list_settlements"]
WITHOUT_REQUEST = {"health", "list_settlements"}
NEEDED = {
    Capability.CAPTURE: "capture",
    Capability.VOID: "void",
    Capability.REFUND: "refund",
    Capability.CANCEL_BY_REFERENCE: "cancel_by_reference",
    Capability.SETTLEMENT_FILES: "list_settlements",
}
JSON, XML = "simulator_json", "simulator_xml"
CREDENTIALS = {code: json.loads((RECORDINGS / code / "credentials.json").read_text()) for code in CODES}
NAMESPACE = "urn:simulator:acquirer:1"


def recordings(code: str) -> dict[str, dict]:
    paths = sorted((RECORDINGS / code).glob("*.json"))
    return {path.stem: json.loads(path.read_text()) for path in paths if path.stem != "credentials"}


def adapter(code: str) -> Gateway:
    return registry.adapter_class(code)(CREDENTIALS[code])


def reply_of(exchange: dict) -> HttpReply:
    reply = exchange["reply"]
    return HttpReply(reply["http_status"], reply["headers"], reply["body"].encode())


def request_of(recording: dict) -> GatewayRequest:
    values = dict(recording["request"])
    if "card" in values:
        values["card"] = CardData(**values["card"])
    return GatewayRequest(**values)


def result_of(values: dict) -> GatewayResult:
    return GatewayResult(**{**values, "outcome": Outcome(values["outcome"])})


def conclusion_of(value: object) -> object:
    """What a verb is recorded to conclude: whether it is healthy, which files there are, or what came of a request."""
    if isinstance(value, list):
        return [ListedFile(**file) for file in value]
    return result_of(value) if isinstance(value, dict) else value


CALLS = [(code, name) for code in CODES for name, rec in recordings(code).items() if rec["verb"] != "parse_notice"]
NOTICES = [(code, name) for code in CODES for name, rec in recordings(code).items() if rec["verb"] == "parse_notice"]


# The contract


@pytest.mark.parametrize("code", CODES)
def test_an_adapter_declares_what_it_is(code):
    declared = registry.adapter_class(code)
    assert declared.code == code
    assert declared.data_format in ("json", "xml")
    assert declared.currencies <= set(CURRENCY_DECIMALS)
    assert any(credential.is_secret for credential in declared.credentials)
    assert {credential.name for credential in declared.credentials if credential.is_required} == set(CREDENTIALS[code])
    assert all(isinstance(ours, DeclineCode) for ours in declared.decline_codes.values())


@pytest.mark.parametrize("code", CODES)
def test_every_verb_an_adapter_is_capable_of_has_recordings(code):
    capable = {verb for capability, verb in NEEDED.items() if capability in registry.adapter_class(code).capabilities}
    recorded = {recording["verb"] for recording in recordings(code).values()}
    assert recorded >= capable | {"authorize", "fetch", "health", "parse_notice"}


@pytest.mark.parametrize("code", CODES)
def test_what_an_adapter_can_do_beyond_its_verbs_is_recorded(code):
    capabilities = registry.adapter_class(code).capabilities
    results = [rec["result"] for rec in recordings(code).values() if rec["verb"] in ("authorize", "fetch")]
    shown = {
        Capability.SALE: any(result.get("captured") for result in results),
        Capability.VERIFICATION: {"succeeded", "declined"}
        <= {result["outcome"] for result in results if result.get("amount_minor") == 0},
        Capability.CHALLENGE: any("action_url" in result for result in results),
    }
    assert shown == {capability: capability in capabilities for capability in shown}


@pytest.mark.parametrize(("code", "name"), CALLS)
def test_a_recording_is_sent_and_understood_as_recorded(code, name):
    recording = recordings(code)[name]
    gateway = registry.adapter_class(code)(recording.get("credentials", CREDENTIALS[code]))
    arguments = [request_of(recording)] if "request" in recording else []

    result, sent = drive(getattr(gateway, recording["verb"])(*arguments), map(reply_of, recording["exchanges"]))

    assert result == conclusion_of(recording["result"])
    assert [(request.method, request.path, request.body.decode()) for request in sent] == [
        (exchange["sent"]["method"], exchange["sent"]["path"], exchange["sent"]["body"])
        for exchange in recording["exchanges"]
    ]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("code", CODES)
def test_the_answer_to_another_request_is_never_believed(code, verb):
    gateway = adapter(code)
    arguments = [] if verb in WITHOUT_REQUEST else [money_request(verb, reference="att_of_our_own")]
    for other_code, name in CALLS:
        recording = recordings(other_code)[name]
        if verb == recording["verb"] and verb in WITHOUT_REQUEST:
            continue
        replies = [reply_of(recording["exchanges"][-1])] * 3
        result, _ = drive(getattr(gateway, verb)(*arguments), replies)
        if verb in WITHOUT_REQUEST:
            assert not result, name
            assert (result is None) == (verb == "list_settlements"), name
        elif result.outcome is not Outcome.UNKNOWN:
            recorded = recording["result"]
            assert result.outcome is Outcome.NOT_SENT, name
            assert recorded is None or recorded["outcome"] == "not_sent", name


@pytest.mark.parametrize("code", CODES)
def test_a_settlement_file_is_asked_for_by_its_name_and_as_whoever_we_are(code):
    asked = adapter(code).settlement_request("settlement-000001.csv")
    assert "settlement-000001.csv" in asked.path + asked.body.decode()
    (secret,) = {"api_key", "signing_key"} & set(CREDENTIALS[code])
    another = registry.adapter_class(code)({**CREDENTIALS[code], secret: "another"})
    assert another.settlement_request("settlement-000001.csv") != asked
    assert CREDENTIALS[code][secret] not in repr(asked)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b.csv", "../a.csv", "/etc/passwd", "a b.csv", "ä.csv", "a\n.csv", "x" * 121]
)
def test_a_name_that_is_no_plain_file_name_is_refused(name):
    with pytest.raises(ValueError, match="plain"):
        ListedFile(name)
    file = {"name": name, "size": 1, "sha256": "0" * 64}
    reply = HttpReply(200, {}, json.dumps({"data": [file]}).encode())
    assert drive(adapter(JSON).list_settlements(), [reply])[0] is None
    reply = HttpReply(200, {}, _xml_list(f"{name} 1 {'0' * 64}"))
    assert drive(adapter(XML).list_settlements(), [reply])[0] is None


LISTED = {"name": "a.csv", "size": 1, "sha256": "0" * 64}


@pytest.mark.parametrize(
    "body",
    [
        {"data": None},
        {"data": {"a.csv": LISTED}},
        {"data": ["a.csv"]},
        {"data": [LISTED, None]},
        {"data": [{**LISTED, "size": "1"}]},
        {"data": [{**LISTED, "size": -1}]},
        {"data": [{**LISTED, "size": True}]},
        {"data": [{**LISTED, "sha256": "0" * 63}]},
        {"data": [{**LISTED, "sha256": None}]},
        {"data": [{**LISTED, "name": ["a.csv"]}]},
        [LISTED],
    ],
    ids=str,
)
def test_a_json_list_of_files_is_believed_only_as_a_whole(body):
    assert drive(adapter(JSON).list_settlements(), [HttpReply(200, {}, json.dumps(body).encode())])[0] is None


@pytest.mark.parametrize(
    "files",
    [
        f"a.csv 1 {'0' * 63}",
        f"a.csv -1 {'0' * 64}",
        f"a.csv {'0' * 64}",
        f"a.csv 1 {'0' * 64}\nand so on",
        f"a.csv 1 {'0' * 64} b.csv 1 {'0' * 64}",
        f"a.csv {'9' * 16} {'0' * 64}",
    ],
)
def test_an_xml_list_of_files_is_believed_only_as_a_whole(files):
    good = HttpReply(200, {}, _xml_list(f"a.csv 1 {'0' * 64}"))
    assert drive(adapter(XML).list_settlements(), [good])[0] == [ListedFile("a.csv", 1, "0" * 64)]
    assert drive(adapter(XML).list_settlements(), [HttpReply(200, {}, _xml_list(files))])[0] is None


def test_an_xml_list_of_files_with_any_byte_changed_is_not_believed_or_says_the_same():
    body = _xml_list(f"a.csv 1 {'0' * 64}")
    for position in range(len(body)):
        changed = body[:position] + bytes([body[position] ^ 1]) + body[position + 1 :]
        listed, _ = drive(adapter(XML).list_settlements(), [HttpReply(200, {}, changed)])
        assert listed in (None, [ListedFile("a.csv", 1, "0" * 64)]), changed


def _xml_list(files: str) -> bytes:
    fields = {"order-ref": "settlements", "result-code": "00", "files": files}
    signature = xml_dialect.sign(CREDENTIALS[XML]["signing_key"], xml_dialect.SETTLEMENTS_SIGNED, fields)
    inner = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in {**fields, "signature": signature}.items())
    return f'<settlements xmlns="{NAMESPACE}">{inner}</settlements>'.encode()


@pytest.mark.parametrize(("code", "name"), NOTICES)
def test_a_recorded_notice_is_understood_as_recorded(code, name):
    recording = recordings(code)[name]
    (notice,) = adapter(code).parse_notice(recording["headers"], recording["body"].encode(), recording["now"])
    (expected,) = recording["notices"]
    assert (notice.notice_id, notice.reference) == (expected["notice_id"], expected["reference"])
    assert notice.result == result_of(expected["result"])


@pytest.mark.parametrize(("code", "name"), NOTICES)
def test_a_notice_with_any_byte_changed_is_refused_or_says_the_same(code, name):
    recording = recordings(code)[name]
    body = recording["body"].encode()
    expected = adapter(code).parse_notice(recording["headers"], body, recording["now"])
    for position in range(len(body)):
        changed = body[:position] + bytes([body[position] ^ 1]) + body[position + 1 :]
        try:
            told = adapter(code).parse_notice(recording["headers"], changed, recording["now"])
        except NoticeRefused:
            continue
        assert code != JSON, "the signature is over the raw bytes"
        assert told == expected


@pytest.mark.parametrize(("code", "name"), NOTICES)
@pytest.mark.parametrize("drift", [-301, 301, 10**9])
def test_a_notice_out_of_its_time_is_refused(code, name, drift):
    recording = recordings(code)[name]
    with pytest.raises(NoticeRefused, match="stale"):
        adapter(code).parse_notice(recording["headers"], recording["body"].encode(), recording["now"] + drift)


@pytest.mark.parametrize(("code", "name"), NOTICES)
def test_a_notice_under_another_secret_is_refused(code, name):
    recording = recordings(code)[name]
    gateway = registry.adapter_class(code)({**CREDENTIALS[code], "notice_secret": "another"})
    with pytest.raises(NoticeRefused):
        gateway.parse_notice(recording["headers"], recording["body"].encode(), recording["now"])


@pytest.mark.parametrize(("code", "name"), NOTICES)
def test_a_notice_under_the_previous_secret_is_believed_as_long_as_there_is_one(code, name):
    recording = recordings(code)[name]
    message = (recording["headers"], recording["body"].encode(), recording["now"])
    old = CREDENTIALS[code]["notice_secret"]
    changing = registry.adapter_class(code)(
        {**CREDENTIALS[code], "notice_secret": "new", "notice_secret_previous": old}
    )
    assert changing.parse_notice(*message) == adapter(code).parse_notice(*message)
    changed = registry.adapter_class(code)({**CREDENTIALS[code], "notice_secret": "new", "notice_secret_previous": ""})
    with pytest.raises(NoticeRefused):
        changed.parse_notice(*message)


@pytest.mark.parametrize("code", CODES)
def test_no_card_and_no_secret_shows_in_a_repr(code):
    request = money_request(card=CardData("4242424242424242", 4, 2031, "987", "Ana Lopez"))
    sent = next(adapter(code).authorize(request))
    shown = repr(sent) + repr(request) + repr(adapter(code))
    for secret in ("4242424242424242", "987", *CREDENTIALS[code].values()):
        assert secret not in shown


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize(
    ("verb", "flaw"),
    [
        ("authorize", {"card": None}),
        ("authorize", {"currency": "XTS"}),
        ("authorize", {"amount_minor": 0, "capture": True}),
        ("capture", {"gateway_reference": ""}),
    ],
)
def test_what_cannot_be_asked_is_never_sent(code, verb, flaw):
    result, sent = drive(getattr(adapter(code), verb)(money_request(verb, **flaw)), [])
    assert result.outcome is Outcome.NOT_SENT
    assert sent == []


def test_an_unknown_code_is_refused_by_name():
    with pytest.raises(registry.UnknownAdapter, match="'nobody'"):
        registry.adapter_class("nobody")


def test_the_folder_is_the_list_of_adapters():
    files = {path.stem for path in Path(adapters.__file__).parent.glob("*.py")} - {"__init__"}
    modules = {inspect.getmodule(registry.adapter_class(code)).__name__.rpartition(".")[2] for code in CODES}
    assert modules == files


# JSON


def json_answer(**changes) -> dict:
    return {
        "id": "ch_9",
        "object": "charge",
        "reference": "att_1",
        "status": "approved",
        "decline": None,
        "amount": 1234,
        "currency": "EUR",
        "captured": False,
        "action_url": None,
        **changes,
    }


@pytest.mark.parametrize(
    "change",
    [
        {"amount": 1233},
        {"amount": 123400},
        {"amount": 0},
        {"amount": -1234},
        {"amount": "1234"},
        {"amount": 1234.0},
        {"amount": True},
        {"amount": None},
        {"currency": "USD"},
        {"currency": "eur"},
        {"currency": None},
        {"reference": "att_2"},
        {"reference": None},
        {"reference": ["att_1"]},
        {"object": "refund"},
        {"captured": True},
        {"captured": "false"},
        {"id": None},
        {"id": ""},
        {"id": "x" * 10_000},
        {"status": "Approved"},
        {"status": "approved "},
        {"status": ""},
        {"status": ["approved"]},
        {"status": "declined", "decline": "a_new_reason"},
        {"status": "declined", "decline": None},
        {"status": "declined", "decline": {"a": 1}},
        {"status": "declined", "decline": "lost_card", "reference": "att_2"},
    ],
    ids=str,
)
def test_a_json_approval_that_is_not_exactly_ours_is_unknown(change):
    assert drive(adapter(JSON).authorize(money_request()), [_json_reply(201)])[0].outcome is Outcome.SUCCEEDED
    result, _ = drive(adapter(JSON).authorize(money_request()), [_json_reply(201, **change)])
    assert result.outcome is Outcome.UNKNOWN
    assert result.is_found
    assert result.detail


def test_a_sale_is_captured_only_if_the_gateway_says_so():
    for captured in (True, False):
        reply = _json_reply(201, captured=captured)
        result, _ = drive(adapter(JSON).authorize(money_request(capture=True)), [reply])
        assert (result.outcome, result.captured) == (Outcome.SUCCEEDED, captured)


ADDRESSES = [
    "https://bank.example/challenge/7?a=b#c",
    "http://127.0.0.1:8100/challenge/north/ch_1",
    "http://gateway_1:8100?a",
    "https://bank.example",
    "https://bank.example/" + "x" * 1979,
]
NO_ADDRESSES = [
    "",
    "bank.example",
    "//bank.example/x",
    "/challenge",
    "ftp://bank.example/",
    "javascript:alert(1)//https://bank.example/",
    "data:text/html,x",
    "https:///challenge",
    "https://[bank.example/",
    "https://bank.example:x/",
    "https://",
    "https://bank.example/a b",
    "https://bank.example/a\nb",
    " https://bank.example/",
    "https://bank.example/ñ",
    "https://trusted.example@bank.example/",
    "https://bank.example\\@x/",
    "https://bank.example/" + "x" * 1980,
]


@pytest.mark.parametrize("verb", ["authorize", "fetch"])
@pytest.mark.parametrize("address", ADDRESSES + NO_ADDRESSES, ids=lambda address: address[:40])
def test_a_json_challenge_is_pending_and_its_address_is_passed_on_if_it_is_one(verb, address):
    reply = _json_reply(201 if verb == "authorize" else 200, status="requires_action", action_url=address)
    result, _ = drive(getattr(adapter(JSON), verb)(money_request()), [reply])
    assert (result.outcome, result.gateway_reference) == (Outcome.PENDING, "ch_9")
    assert result.action_url == (address if address in ADDRESSES else "")
    assert bool(result.detail) == (address in NO_ADDRESSES)


@pytest.mark.parametrize("address", [None, 7, True, ["https://bank.example/"], {"href": "https://bank.example/"}])
def test_a_json_challenge_at_no_text_is_pending_without_an_address(address):
    reply = _json_reply(201, status="requires_action", action_url=address)
    result, _ = drive(adapter(JSON).authorize(money_request()), [reply])
    assert (result.outcome, result.action_url) == (Outcome.PENDING, "")


@pytest.mark.parametrize(
    "change", [{"reference": "att_2"}, {"amount": 1233}, {"currency": "USD"}, {"object": "refund"}], ids=str
)
def test_a_json_challenge_that_is_not_exactly_ours_is_unknown(change):
    reply = _json_reply(201, status="requires_action", action_url=ADDRESSES[0], **change)
    result, _ = drive(adapter(JSON).authorize(money_request()), [reply])
    assert (result.outcome, result.action_url) == (Outcome.UNKNOWN, "")


def test_a_reference_is_one_segment_of_the_path():
    (request,) = drive(adapter(JSON).fetch(money_request(reference="../charges?a=b#c")), [_json_reply(500)])[1]
    assert request.path == "/v1/operations/..%2Fcharges%3Fa%3Db%23c"


def _json_reply(http_status: int, **changes) -> HttpReply:
    return HttpReply(http_status, {}, json.dumps(json_answer(**changes)).encode())


def _json_notice(now: int, document: dict | None = None, **message) -> tuple[str, bytes]:
    body = json.dumps({"id": "ntc_1", "type": "t", "data": document or json_answer(), **message}).encode()
    secret = CREDENTIALS[JSON]["notice_secret"].encode()
    return hmac.digest(secret, f"{now}.".encode() + body, hashlib.sha256).hex(), body


def test_one_right_signature_among_several_is_enough():
    mac, body = _json_notice(1000)
    header = f"t=1000,v1={'0' * 64},v1={mac}"
    (notice,) = adapter(JSON).parse_notice({"simulator-signature": header}, body, 1000)
    assert notice.reference == "att_1"


def test_a_json_notice_signed_with_an_empty_key_is_refused():
    _, body = _json_notice(1000)
    mac = hmac.digest(b"", b"1000." + body, hashlib.sha256).hex()
    for empty in ({"notice_secret_previous": ""}, {"notice_secret": ""}):
        gateway = registry.adapter_class(JSON)({**CREDENTIALS[JSON], **empty})
        with pytest.raises(NoticeRefused):
            gateway.parse_notice({"simulator-signature": f"t=1000,v1={mac}"}, body, 1000)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "v1={mac}",
        "t=1000",
        "t=1000,v1=",
        "t=,v1={mac}",
        "t=-1,v1={mac}",
        "t=1e400,v1={mac}",
        "t=abc,v1={mac}",
        "t=１０００,v1={mac}",
        "t=1000, v1={mac}",
        "t=1000,v1={mac} ",
        "t=1000,v1={upper}",
        "t=1000,v0={mac}",
        "t=1000,t=1001,v1={mac}",
        "t=1001,v1={mac}",
    ],
)
def test_a_signature_that_is_not_by_the_book_is_refused(header):
    mac, body = _json_notice(1000)
    headers = {"simulator-signature": header.format(mac=mac, upper=mac.upper())}
    with pytest.raises(NoticeRefused):
        adapter(JSON).parse_notice(headers, body, 1000)


def test_a_notice_without_a_signature_header_is_refused():
    with pytest.raises(NoticeRefused):
        adapter(JSON).parse_notice({}, _json_notice(1000)[1], 1000)


@pytest.mark.parametrize(
    "message",
    [{"id": None}, {"id": "x" * 10_000}, {"data": None}, {"data": []}, {"data": {"status": "approved"}}],
    ids=str,
)
def test_an_authentic_notice_about_nothing_is_refused(message):
    mac, body = _json_notice(1000, **message)
    with pytest.raises(NoticeRefused):
        adapter(JSON).parse_notice({"simulator-signature": f"t=1000,v1={mac}"}, body, 1000)


@pytest.mark.parametrize("amount", [0, -1234, "1234", 12.34, None, True])
def test_an_authentic_notice_with_an_unusable_amount_concludes_nothing(amount):
    mac, body = _json_notice(1000, json_answer(amount=amount))
    (notice,) = adapter(JSON).parse_notice({"simulator-signature": f"t=1000,v1={mac}"}, body, 1000)
    assert notice.result.outcome is Outcome.UNKNOWN


# XML


def xml_fields(**changes: str) -> dict[str, str]:
    return {
        "operation": "authorization",
        "order-ref": "att_1",
        "subject": "authorization",
        "transaction-id": "ch_9",
        "result-code": "00",
        "amount": "12.34",
        "currency": "EUR",
        **{name.replace("_", "-"): value for name, value in changes.items()},
    }


def xml_body(fields: dict[str, str], key: str | None = None) -> bytes:
    """The document as the gateway would write it, authentic whatever it says."""
    names = xml_dialect.RESPONSE_SIGNED
    signature = xml_dialect.sign(key or CREDENTIALS[XML]["signing_key"], names, fields)
    texts = {name: escape(fields[name]) for name in names if name in fields and name not in ("amount", "currency")}
    inner = "".join(f"<{name}>{text}</{name}>" for name, text in texts.items())
    inner += f'<amount currency="{fields["currency"]}">{fields["amount"]}</amount>'
    return f'<response xmlns="{NAMESPACE}">{inner}<signature>{signature}</signature></response>'.encode()


def xml_result(body: bytes, **request) -> GatewayResult:
    return drive(adapter(XML).authorize(money_request(**request)), [HttpReply(200, {}, body)])[0]


def test_an_authentic_xml_approval_of_what_was_asked_is_a_success():
    result = xml_result(xml_body(xml_fields()))
    assert (result.outcome, result.gateway_reference, result.amount_minor) == (Outcome.SUCCEEDED, "ch_9", 1234)


@pytest.mark.parametrize(
    "change",
    [
        {"order_ref": "att_2"},
        {"operation": "capture"},
        {"subject": "refund"},
        {"transaction_id": ""},
        {"transaction_id": "a b"},
        {"result_code": "0"},
        {"result_code": ""},
        {"result_code": "OO"},
        {"result_code": "25"},
        {"result_code": "94"},
        {"result_code": "98"},
        {"amount": "12.33"},
        {"amount": "1234"},
        {"amount": "12.340"},
        {"amount": "12,34"},
        {"amount": "1.234E1"},
        {"amount": "-12.34"},
        {"amount": "+12.34"},
        {"amount": "１２.34"},
        {"amount": "12.34 EUR"},
        {"amount": ""},
        {"currency": "USD"},
        {"currency": "eur"},
        {"currency": "XTS"},
    ],
    ids=str,
)
def test_an_xml_approval_that_is_not_exactly_ours_is_unknown(change):
    result = xml_result(xml_body(xml_fields(**change)))
    assert result.outcome is Outcome.UNKNOWN
    assert result.detail


@pytest.mark.parametrize("address", ADDRESSES + NO_ADDRESSES, ids=lambda address: address[:40])
def test_an_xml_challenge_is_pending_and_its_address_is_passed_on_if_it_is_one(address):
    result = xml_result(xml_body(xml_fields(result_code="65", action_url=address.strip())))
    assert (result.outcome, result.gateway_reference) == (Outcome.PENDING, "ch_9")
    is_address = address in ADDRESSES or address.startswith(" ")  # white space around a field is no part of it
    assert result.action_url == (address.strip() if is_address else "")
    assert bool(result.detail) == (not is_address)


@pytest.mark.parametrize(
    "change", [{"order_ref": "att_2"}, {"amount": "12.33"}, {"currency": "USD"}, {"subject": "capture"}], ids=str
)
def test_an_xml_challenge_that_is_not_exactly_ours_is_unknown(change):
    result = xml_result(xml_body(xml_fields(result_code="65", action_url=ADDRESSES[0], **change)))
    assert (result.outcome, result.action_url) == (Outcome.UNKNOWN, "")


def test_an_xml_notice_signed_with_an_empty_key_is_refused():
    fields = {
        **xml_fields(),
        "notification-id": "ntc_1",
        "timestamp": "1000",
        "merchant-id": CREDENTIALS[XML]["merchant_id"],
    }
    names = xml_dialect.NOTICE_SIGNED

    def notice(key: str) -> bytes:
        inner = "".join(f"<{n}>{fields[n]}</{n}>" for n in names if n in fields and n not in ("amount", "currency"))
        inner += f'<amount currency="EUR">12.34</amount><signature>{xml_dialect.sign(key, names, fields)}</signature>'
        return f'<notification xmlns="{NAMESPACE}">{inner}</notification>'.encode()

    assert adapter(XML).parse_notice({}, notice(CREDENTIALS[XML]["notice_secret"]), 1000)
    for empty in ({"notice_secret_previous": ""}, {"notice_secret": ""}):
        gateway = registry.adapter_class(XML)({**CREDENTIALS[XML], **empty})
        with pytest.raises(NoticeRefused):
            gateway.parse_notice({}, notice(""), 1000)


def test_an_answer_signed_with_another_key_is_unknown():
    assert xml_result(xml_body(xml_fields(), key="another")).outcome is Outcome.UNKNOWN


AUTHENTIC = xml_body(xml_fields()).decode()
HEAD = f'<response xmlns="{NAMESPACE}">'


@pytest.mark.parametrize(
    "document",
    [
        pytest.param('<!DOCTYPE r [<!ENTITY x "00">]>' + AUTHENTIC.replace(">00<", ">&x;<"), id="internal entity"),
        pytest.param('<!DOCTYPE r SYSTEM "http://127.0.0.1:1/x.dtd">' + AUTHENTIC, id="external DTD"),
        pytest.param(
            '<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/hostname">]>' + AUTHENTIC.replace(">00<", ">&x;<"),
            id="external entity",
        ),
        pytest.param(
            "<!DOCTYPE r [<!ENTITY a 'ha'>"
            + "".join(f"<!ENTITY {chr(98 + i)} '{f'&{chr(97 + i)};' * 10}'>" for i in range(9))
            + "]>"
            + AUTHENTIC.replace(">00<", ">&j;<"),
            id="billion laughs",
        ),
        pytest.param(AUTHENTIC.replace("</response>", "<x/>" * 70_000 + "</response>"), id="too large"),
        pytest.param(AUTHENTIC.replace("</response>", "<x>" * 9 + "</x>" * 9 + "</response>"), id="too deep"),
        pytest.param(AUTHENTIC.replace("response", "reply"), id="wrong root"),
        pytest.param(AUTHENTIC.replace(NAMESPACE, "urn:other"), id="wrong namespace"),
        pytest.param(AUTHENTIC.replace(f' xmlns="{NAMESPACE}"', ""), id="no namespace"),
        pytest.param(
            AUTHENTIC.replace("<result-code>00</result-code>", "<x><result-code>00</result-code></x>"),
            id="moved under another parent",
        ),
        pytest.param(AUTHENTIC.replace("<result-code>00</result-code>", ""), id="missing node"),
        pytest.param(
            AUTHENTIC.replace(">00</result-code>", ">00</result-code><result-code>05</result-code>"),
            id="the same field twice",
        ),
        pytest.param(AUTHENTIC.replace(">00<", "><b>00</b><"), id="an element instead of a text"),
        pytest.param(AUTHENTIC.replace('currency="EUR"', 'currency="EUR" currency="EUR"'), id="an attribute twice"),
        pytest.param(AUTHENTIC.replace(">00<", ">00&#0;<"), id="NUL"),
        pytest.param(AUTHENTIC.replace(">00<", ">00&#xD800;<"), id="lone surrogate"),
        pytest.param(AUTHENTIC[: len(AUTHENTIC) // 2], id="cut off"),
        pytest.param(AUTHENTIC + AUTHENTIC, id="two documents"),
        pytest.param('<?xml version="1.0" encoding="x-nonsense"?>' + AUTHENTIC, id="unknown encoding"),
        pytest.param('<?xml version="1.0" encoding="euc-jp"?>' + AUTHENTIC, id="multi-byte encoding"),
        pytest.param("<html><body>Service unavailable</body></html>", id="HTML"),
        pytest.param(json.dumps(json_answer()), id="JSON"),
        pytest.param("", id="nothing"),
    ],
)
def test_a_document_that_is_not_of_the_format_is_unknown(document):
    assert document != AUTHENTIC
    assert xml_result(document.encode()).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(AUTHENTIC.replace(">00<", "><![CDATA[00]]><"), id="CDATA"),
        pytest.param(AUTHENTIC.replace(">00<", ">&#48;&#x30;<"), id="character references"),
        pytest.param(AUTHENTIC.replace(">00<", ">\n  00\n<"), id="white space around"),
        pytest.param(
            AUTHENTIC.replace("<", "<s:").replace("<s:/", "</s:").replace("xmlns=", "xmlns:s="), id="another prefix"
        ),
        pytest.param(AUTHENTIC.replace(HEAD, HEAD + "<new-field>x</new-field>"), id="a field we do not know"),
    ],
)
def test_another_spelling_of_the_same_document_is_the_same(document):
    assert document != AUTHENTIC
    assert xml_result(document.encode()).outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize(
    "text",
    ["</name><amount>1</amount>", "Ana \"Ñ\" & <Söhne> 'x' ]]>", "<![CDATA[x]]>", "&amp;&#65;", "日本語 🙂", "a\tb"],
)
def test_outgoing_text_arrives_as_it_was_given(text):
    card = CardData(CARD.number, 4, 2031, "123", text)
    (request,) = drive(adapter(XML).authorize(money_request(card=card, merchant_reference=text)), [HttpReply(500)])[1]
    root = ET.fromstring(request.body)  # noqa: S314 our own document
    assert root.findtext(f"{{{NAMESPACE}}}card/{{{NAMESPACE}}}name") == text
    assert root.findtext(f"{{{NAMESPACE}}}merchant-reference") == text
    assert [element.text for element in root.iter(f"{{{NAMESPACE}}}amount")] == ["12.34"]


@pytest.mark.parametrize("text", ["a\0b", "a\x1bb", "a\ud800b", "a\ufffeb"])
def test_text_that_xml_cannot_carry_is_never_sent(text):
    card = CardData(CARD.number, 4, 2031, "123", text)
    result, sent = drive(adapter(XML).authorize(money_request(card=card)), [])
    assert (result.outcome, sent) == (Outcome.NOT_SENT, [])


def test_both_sides_count_the_decimals_of_a_currency_alike():
    assert simulator_xml.SimulatorXml.currencies == set(xml_dialect.DECIMALS)
    assert {currency: CURRENCY_DECIMALS[currency] for currency in xml_dialect.DECIMALS} == xml_dialect.DECIMALS


@pytest.mark.parametrize(
    ("amount_minor", "currency", "text"),
    [
        (0, "EUR", "0.00"),
        (0, "JPY", "0"),
        (0, "KWD", "0.000"),
        (1, "EUR", "0.01"),
        (1050, "JPY", "1050"),
        (1, "KWD", "0.001"),
        (10**12, "USD", "10000000000.00"),
    ],
)
def test_an_amount_is_sent_in_major_units_with_its_currencys_decimals(amount_minor, currency, text):
    request = money_request(amount_minor=amount_minor, currency=currency)
    (sent,) = drive(adapter(XML).authorize(request), [HttpReply(500)])[1]
    assert f'<amount currency="{currency}">{text}</amount>'.encode() in sent.body
    answer = xml_body(xml_fields(amount=text, currency=currency))
    assert xml_result(answer, amount_minor=amount_minor, currency=currency).outcome is Outcome.SUCCEEDED
