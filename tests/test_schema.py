"""Is what the OpenAPI document says true? Of every answer that a property-based tester provokes, in both directions."""

import copy
import functools
import io
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
import yaml
from django.core.management import call_command
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from django.test import Client
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from checkout.kit.money import Money
from payments.models import Payment
from tests.bad_inputs.calls import GOOD_BODIES, endpoints

EXAMPLES = 20  # per operation
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
NOTICES = "/v1/notices/{code}"
described = schemathesis.openapi.from_wsgi("/v1/schema", get_wsgi_application())
_numbers = itertools.count()


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The document as it is served, to anybody."""
    response = Client().get("/v1/schema")
    assert response.status_code == 200
    served: dict[str, Any] = yaml.safe_load(response.content)
    return served


def test_it_is_valid_and_made_without_a_warning() -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=io.StringIO())


def test_it_is_openapi_3_1_and_can_be_read_as_pages(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    assert Client().get("/v1/docs").status_code == 200


def test_it_describes_every_call_there_is_and_no_other(document: dict[str, Any]) -> None:
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    there = {(endpoint.method, endpoint.template.replace("{payment}", "{public_id}").replace("{refund}", "{public_id}"))
             for endpoint in endpoints()}  # fmt: skip
    assert described == there | {("POST", NOTICES)}


def test_every_call_says_what_it_needs_and_how_it_is_refused(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for method, call in methods.items():
            needed = {parameter["name"] for parameter in call.get("parameters", []) if parameter.get("required")}
            codes = set(call["responses"])
            assert call["summary"]
            if path == NOTICES:
                assert call.get("security", [{}]) == [{}]
                continue
            assert call["security"] == [{"ApiKey": []}]
            assert {"400", "401", "403", "503"} <= codes
            assert ("{" in path) == ("404" in codes)
            assert ("Idempotency-Key" in needed) == (method == "post")
            assert ({"409", "411", "413", "415", "422"} <= codes) == (method == "post")
            for code, response in call["responses"].items():
                expected = "application/problem+json" if code >= "400" else "application/json"
                assert set(response["content"]) == {expected}


@pytest.fixture
def one_connection() -> Iterator[None]:
    """Requests leave the connection alone that holds the test's transaction, as those of Django's own client do."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def payment_for(
    created_payment: Callable[..., Payment],
    authorized_payment: Callable[..., Payment],
    captured_payment: Callable[..., Payment],
    eur: Callable[[int], Money],
) -> Callable[[str], str]:
    """The outside name of a payment that a call can be made about, the same for all of its examples."""
    makers = {"capture": authorized_payment, "refunds": captured_payment}
    return functools.cache(lambda path: makers.get(path.rsplit("/", 1)[1], created_payment)(eur(50_00)).public_id)


@described.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@pytest.mark.usefixtures("one_connection")
def test_every_answer_is_one_that_was_announced(
    case: schemathesis.Case, api: Any, payment_for: Callable[[str], str]
) -> None:
    number = next(_numbers)
    headers = {"Authorization": f"Bearer {api.secret}", "Prefer": "respond-async"}
    if number % 4:  # every fourth is as wild as it came, the others are about something that is there
        headers["Idempotency-Key"] = f"key-{number}"
        if "public_id" in (case.path_parameters or {}):
            case.path_parameters = {"public_id": payment_for(case.operation.path)}
    if number % 2 and isinstance(case.body, dict) and case.body:  # every second is good but for one field
        name = sorted(case.body)[number % len(case.body)]
        good = GOOD_BODIES[case.operation.path.replace("public_id", "payment")]
        case.body = {**copy.deepcopy(good), name: case.body[name]}

    response = case.call(headers=headers)

    case.validate_response(response, checks=CHECKS)
