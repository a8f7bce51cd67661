"""By which ways can something get in? Every one that a merchant's software has, with a word in the wrong place.

A way is a name and a function that takes the word and sends it; what is sent around the word is good.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

from django.test import Client

from tests.canary.marks import drawn, next_card

Way = Callable[[str], Any]
GOOD = {"amount": 50_00, "currency": "EUR"}
_CUT_AT = 200  # an address is repeated no further than that


def on_the_wire(word: str) -> str:
    """A word as a server hands over a header: its bytes, each for a character."""
    return word.encode().decode("latin-1")


def post_raw(api: Any, body: bytes, media_type: str) -> Any:
    """POST bytes as a payment, with a good key."""
    headers = {"Authorization": f"Bearer {api.secret}", "Idempotency-Key": f"raw-{len(drawn)}"}
    return Client().generic("POST", "/v1/payments", body, media_type, headers=headers)


def create(api: Any, **changes: Any) -> Any:
    """POST a payment with a marked card, and further fields."""
    return api.post("/v1/payments", {**GOOD, "payment_method": next_card().method, **changes}, prefer="respond-async")


def fields(api: Any, payment_id: str) -> dict[str, Way]:
    """A word in a field that is not for it: refused, whatever the field."""

    def in_card(name: str) -> Way:
        def send(word: str) -> Any:
            method = next_card().method
            return create(api, payment_method={**method, "card": {**method["card"], name: word}})

        return send

    def verb(path: str, name: str) -> Way:
        return lambda word: api.post(f"/v1/payments/{payment_id}/{path}", {name: word}, prefer="respond-async")

    return {
        **{
            name: lambda word, name=name: create(api, **{name: word})  # type: ignore[misc]
            for name in ("description", "merchant_reference", "customer_email", "return_url", "metadata", "country")
            + ("currency", "capture", "confirm", "amount", "verify_only", "payment_method", "another_field")
        },
        "the beginning of an e-mail address": lambda word: create(api, customer_email=f"{word}@example.com"),
        "a value of metadata": lambda word: create(api, metadata={"note": word}),
        "a name in metadata": lambda word: create(api, metadata={word[:40]: "x"}),
        "the query of an address": lambda word: create(api, return_url=f"https://shop.example/?c={quote(word)}"),
        "in the query of an address, encoded twice": lambda word: create(
            api, return_url=f"https://shop.example/?to={quote(f'/?card={word}', safe='')}"
        ),
        "the path of an address": lambda word: create(api, return_url=f"https://shop.example/{quote(word)}/back"),
        "the name of a field": lambda word: create(api, **{word: 1}),
        "the end of a long name of a field": lambda word: create(api, **{f"{'x' * 49}-{word}": 1}),
        "the holder's name": in_card("holder_name"),
        "the month": in_card("exp_month"),
        "the verification value": in_card("cvv"),
        "the kind of method": lambda word: create(api, payment_method={**next_card().method, "type": word}),
        "the reason of a refund": verb("refunds", "reason"),
        "the amount of a refund": verb("refunds", "amount"),
        "the amount of a capture": verb("capture", "amount"),
        "a confirmation": verb("confirm", "card"),
        "a cancellation": verb("cancel", "reason"),
        "an idempotency key": lambda word: api.post("/v1/payments", GOOD, idempotency_key=word),
    }


def ignored(api: Any, stranger: Client, payment_id: str) -> dict[str, Way]:
    """A word where it does no harm, or leads nowhere: in headers, addresses and queries."""

    def get(path: str) -> Way:
        return lambda word: api.get(path.replace("WORD", quote(word)))

    def visit(path: str) -> Way:
        return lambda word: stranger.get(path.replace("WORD", quote(word)))

    def header(name: str, around: str = "{}") -> Way:
        return lambda word: api.post(
            "/v1/payments", {**GOOD, "payment_method": next_card().method}, prefer="respond-async",
            **{name: around.format(on_the_wire(word))},
        )  # fmt: skip

    def shown(name: str, around: str = "{}") -> Way:
        return lambda word: stranger.get("/v1/payments", headers={name: around.format(on_the_wire(word))})

    long = f"/v1/{'x' * (_CUT_AT - 4 - 12)}"
    return {
        **{f"header {name}": header(name) for name in ("User-Agent", "X-Request-Id", "X-Card", "Accept", "Referer")},
        **{f"header {name}": header(name) for name in ("X-Forwarded-For", "Origin", "If-None-Match", "From")},
        "header Cookie": header("Cookie", "card={}"),
        "header Prefer": lambda word: api.get("/v1/payments", Prefer=f"wait={word}"),
        "header Authorization": shown("Authorization", "Bearer {}"),
        "header Authorization, without a scheme": shown("Authorization"),
        "header Content-Type": lambda word: post_raw(api, b"{}", f"text/{on_the_wire(word)}"),
        "header Host": shown("Host", "{}.example"),
        "a method": lambda word: stranger.generic(on_the_wire(word), "/v1/payments"),
        "a payment's id": get("/v1/payments/WORD"),
        "a refund's id": get("/v1/refunds/WORD"),
        "an address under /v1": get("/v1/WORD"),
        "an address under /v1, cut off": get(f"{long}/WORD"),
        "an address with a line break": get("/v1/%0AWORD"),
        "the address of a notice": lambda word: stranger.post(f"/v1/notices/{quote(word)}", "{}", "application/json"),
        "a parameter": get("/v1/payments?card=WORD"),
        "the name of a parameter": get("/v1/payments?WORD=1"),
        "the end of a long name of a parameter": get(f"/v1/payments?{'x' * 49}-WORD=1"),
        "a parameter of one payment": get(f"/v1/payments/{payment_id}?card=WORD"),
        **{
            f"filter {name}": get(f"/v1/payments?{name}=WORD")
            for name in ("merchant_reference", "gateway", "status", "currency", "limit", "starting_after")
            + ("created_at_from",)
        },
        "an address of ours": visit("/WORD"),
        "the way back from a challenge": visit("/pay/return/WORD"),
        "the desk": visit("/admin/WORD/"),
        "a page of the desk": visit("/admin/payments/payment/WORD/change/?next=WORD"),
        "a name and a password": lambda word: stranger.post("/admin/login/", {"username": word, "password": word}),
        "health": visit("/health/ready?card=WORD"),
        "metrics": visit("/metrics?card=WORD"),
        "docs": visit("/v1/docs?card=WORD"),
    }


def malformed() -> Iterator[tuple[str, bytes, str]]:
    """Bodies with a marked card in them that are no JSON as we read it: name, body, media type."""

    def body() -> str:
        return json.dumps({**GOOD, "payment_method": next_card().method})

    json_type = "application/json"
    yield "cut off", body()[:-7].encode(), json_type
    yield "cut off in the number", body().partition('", "exp_month')[0].encode(), json_type
    yield "a comma too many", body().replace("}", ",}").encode(), json_type
    yield "in single quotes", body().replace('"', "'").encode(), json_type
    yield "twice", (body() + body()).encode(), json_type
    yield "with more behind it", (body() + " // " + next_card().number).encode(), json_type
    yield "in UTF-16", body().encode("utf-16"), json_type
    yield "with a byte order mark", b"\xef\xbb\xbf" + body().encode(), json_type
    yield "not in UTF-8", body().encode() + b"\xff", json_type
    yield "a list", f"[{body()}]".encode(), json_type
    yield "a string", json.dumps(body()).encode(), json_type
    yield "a number", next_card().number.encode(), json_type
    yield (
        "a number that is no text",
        body().replace('"number": "', '"number": ').replace('", "exp', ', "exp').encode(),
        json_type,
    )
    yield "a name twice", body().replace('"number"', f'"number": "{next_card().number}", "number"').encode(), json_type
    yield "a number without end", body().replace("5000", next_card().number * 20).encode(), json_type
    yield "no number", body().replace("5000", f"NaN{next_card().number}").encode(), json_type
    yield "too deep", body().replace('"card": ', '"card": ' + '{"a": ' * 20).encode(), json_type
    yield "too long", body().encode() + b" " * 70_000, json_type
    yield "far too long", body().encode() + b" " * 3_000_000, json_type
    yield "with NUL", body().replace("EUR", f"\\u0000{next_card().number}").encode(), json_type
    yield "with half a character", body().replace("EUR", f"\\ud800{next_card().number}").encode(), json_type
    yield "a form", f"card={next_card().number}&cvv={next_card().cvv}".encode(), "application/x-www-form-urlencoded"
    yield "text", f"card {next_card().number}".encode(), "text/plain"
    yield "XML", f"<card><number>{next_card().number}</number></card>".encode(), "application/xml"
    yield "in another charset", body().encode("utf-16"), "application/json; charset=utf-16"
