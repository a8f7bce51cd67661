"""What does a good request to each endpoint look like, and how is one made bad?

Endpoints are discovered from the URL conf; a POST that is new there needs a good body here. A change takes a good
request and returns a bad one, or None where the good request has nothing of the kind.
"""

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

from checkout.kit.ids import public_id, uuid7
from payments.api.requests import MerchantView

CARD_NUMBER = "4242424242424242"
CVV = "739"

CARD = {"number": CARD_NUMBER, "exp_month": 12, "exp_year": 2034, "cvv": CVV, "holder_name": "Ana López"}
METHOD = {"type": "card", "card": CARD}
GOOD_BODIES: dict[str, dict[str, Any]] = {
    "/v1/payments": {
        "amount": 5000,
        "currency": "EUR",
        "country": "DE",
        "capture": "automatic",
        "payment_method": METHOD,
        "confirm": True,
        "merchant_reference": "order-1001",
        "description": "Two books",
        "customer_email": "ana@example.com",
        "metadata": {"basket": "b-17"},
        "return_url": "https://shop.example/back",
    },
    "/v1/payments/{payment}/confirm": {"payment_method": METHOD},
    "/v1/payments/{payment}/capture": {"amount": 100},
    "/v1/payments/{payment}/cancel": {},
    "/v1/payments/{payment}/refunds": {"amount": 100, "reason": "One book came back"},
}


@dataclass(frozen=True)
class Endpoint:
    """One method of one address under /v1."""

    method: str
    template: str
    view: type
    parameters: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.method} {self.template}"


@dataclass(frozen=True)
class Call:
    """One request as it will be sent. A body that is no bytes is sent as JSON; a header that is None is not sent."""

    endpoint: Endpoint
    path: str
    body: Any = None
    query: str = ""
    headers: Mapping[str, str | None] = field(default_factory=dict)
    method: str = ""

    @property
    def content(self) -> bytes:
        """The bytes of the body."""
        return (
            self.body if isinstance(self.body, bytes) else b"" if self.body is None else json.dumps(self.body).encode()
        )


Change = Callable[[Call], Call | None]


def endpoints() -> list[Endpoint]:
    """Every method of every merchant's resource in the URL conf."""
    found = []
    for template, view in _views(get_resolver()):
        if issubclass(view, MerchantView):
            for method in ("GET", "POST"):
                if method in view.scopes:
                    parameters = view.parameters if method == "GET" else ()
                    found.append(Endpoint(method, template, view, parameters))
    return found


def json_endpoints() -> list[Endpoint]:
    """Those that take a JSON body."""
    return [endpoint for endpoint in endpoints() if endpoint.method == "POST"]


def good_call(endpoint: Endpoint, secret: str, **objects: str) -> Call:
    """A request as it should be. Objects by kind (`payment`, `refund`) fill the address; else the id is of nothing."""
    ids = {"payment": public_id("pay", uuid7()), "refund": public_id("rfd", uuid7()), **objects}
    headers: dict[str, str | None] = {"Authorization": f"Bearer {secret}"}
    body = None
    if endpoint.method == "POST":
        body = copy.deepcopy(GOOD_BODIES[endpoint.template])
        key = f"key-{uuid7().hex}"
        headers |= {"Idempotency-Key": key, "Prefer": "respond-async", "Content-Type": "application/json"}
    return Call(endpoint, endpoint.template.format(**ids), body, headers=headers, method=endpoint.method)


def put(path: str, value: Any) -> Change:
    """Another value at a dotted path of the body, where the good body has one."""

    def change(call: Call) -> Call | None:
        body = copy.deepcopy(call.body)
        inner, name = _reach(body, path)
        if inner is None or name not in inner:
            return None
        inner[name] = value
        return replace(call, body=body)

    return change


def drop(path: str) -> Change:
    """Nothing at a dotted path of the body, where the good body has something."""

    def change(call: Call) -> Call | None:
        body = copy.deepcopy(call.body)
        inner, name = _reach(body, path)
        if inner is None or name not in inner:
            return None
        del inner[name]
        return replace(call, body=body)

    return change


def add(fields: dict[str, Any], *, inside: str = "") -> Change:
    """More fields in the body, or in an object inside it."""

    def change(call: Call) -> Call | None:
        body = copy.deepcopy(call.body)
        outer, name = _reach({"body": body}, f"body.{inside}".rstrip("."))
        if outer is None or outer.get(name) is None:
            return None
        outer[name].update(fields)
        return replace(call, body=body)

    return change


def raw(body: bytes) -> Change:
    """These very bytes as the body."""
    return posted(lambda call: replace(call, body=body))


def on(template: str, change: Change) -> Change:
    """The change, at one address only."""
    return lambda call: change(call) if call.endpoint.template == template else None


def posted(change: Change) -> Change:
    """The change, where there is a body."""
    return lambda call: change(call) if call.endpoint.method == "POST" else None


def edited(edit: Callable[[str], str | bytes]) -> Change:
    """The good body's JSON text, edited."""

    def change(call: Call) -> Call:
        text = edit(json.dumps(call.body))
        return replace(call, body=text.encode() if isinstance(text, str) else text)

    return posted(change)


def header(name: str, value: str | None) -> Change:
    """Another header, or without it."""
    return lambda call: replace(call, headers={**call.headers, name: value})


def query(text: str) -> Change:
    """This query string."""
    return lambda call: replace(call, query=text)


def filtered(parameter: str, *values: str) -> Change:
    """A query parameter (several times if there are several values), where the endpoint has it."""
    text = "&".join(f"{parameter}={value}" for value in values)
    return lambda call: replace(call, query=text) if parameter in call.endpoint.parameters else None


def method(name: str) -> Change:
    """Another HTTP method, where the address does not have it."""

    def change(call: Call) -> Call | None:
        allowed = [endpoint.method for endpoint in endpoints() if endpoint.template == call.endpoint.template]
        return None if name in allowed else replace(call, method=name)

    return change


def path(edit: Callable[[str], str]) -> Change:
    """Another address, made from the good one."""
    return lambda call: replace(call, path=edit(call.path))


def named(edit: Callable[[str], str]) -> Change:
    """Another address, made from the good one, where that names an object."""
    return lambda call: replace(call, path=edit(call.path)) if "{" in call.endpoint.template else None


def all_of(*changes: Change) -> Change:
    """One change after the other."""

    def change(call: Call) -> Call | None:
        changed: Call | None = call
        for one in changes:
            changed = one(changed) if changed is not None else None
        return changed

    return change


def _reach(body: Any, path: str) -> tuple[Any, str]:
    *steps, name = path.split(".")
    for step in steps:
        body = body.get(step) if isinstance(body, dict) else None
    return (body if isinstance(body, dict) else None), name


def _views(resolver: URLResolver, prefix: str = "/") -> list[tuple[str, type]]:
    found = []
    for pattern in resolver.url_patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            found += _views(pattern, route)
        elif isinstance(pattern, URLPattern) and isinstance(getattr(pattern.callback, "view_class", None), type):
            kind = route.removeprefix("/v1/").split("/")[0].removesuffix("s")
            found.append((route.replace("<public_id:public_id>", f"{{{kind}}}"), pattern.callback.view_class))
    return found
