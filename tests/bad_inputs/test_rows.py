"""Is every bad request of the catalogue refused by every endpoint, as it should be and without a trace?"""

from collections.abc import Callable
from typing import Any

import pytest

from checkout.kit.money import Money
from merchants.models import all_scopes
from merchants.services import NewKey
from payments.models import Payment
from tests.bad_inputs.calls import GOOD_BODIES, endpoints, good_call, json_endpoints
from tests.bad_inputs.conftest import Complaints, send
from tests.bad_inputs.rows import ROWS, Row, hostile_texts

ENDPOINTS = endpoints()


def test_every_endpoint_with_a_body_has_a_good_example_to_spoil() -> None:
    assert {endpoint.template for endpoint in json_endpoints()} == set(GOOD_BODIES)


def test_every_endpoint_asks_for_a_scope() -> None:
    assert ENDPOINTS
    assert {endpoint.view.scopes[endpoint.method] for endpoint in ENDPOINTS} == set(all_scopes())  # type: ignore[attr-defined]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_is_refused_everywhere_and_leaves_no_trace(
    row: Row,
    api_key: NewKey,
    created_payment: Callable[..., Payment],
    eur: Callable[[int], Money],
    complaints: Complaints,
) -> None:
    if row.feature:
        pytest.skip(f"{row.id} {row.what}: the platform has no {row.feature} yet")
    payment = created_payment(eur(50_00))
    for number, change in enumerate(row.changes, 1):
        tried = 0
        for endpoint in ENDPOINTS:
            call = change(good_call(endpoint, api_key.secret, payment=payment.public_id))
            if call is not None:
                tried += 1
                with complaints.about(f"{row} ({number}) at {endpoint}") as check:
                    complaints.refused(send(call), row.http_status, row.codes, check)
        assert tried, f"no endpoint has what guise {number} spoils"


@pytest.mark.parametrize(("id", "text"), hostile_texts())
def test_a_text_that_is_dangerous_only_unescaped_is_kept_as_it_is(id: str, text: str, api: Any, lines: Any) -> None:
    body = {"amount": 100, "currency": "EUR", "description": text, "metadata": {"note": text, text[:40]: "x"}}

    response = api.post("/v1/payments", body)

    assert response.status_code == 201, response.content
    kept = api.get(f"/v1/payments/{response.json()['id']}")
    assert kept.json()["description"] == kept.json()["metadata"]["note"] == text
    assert kept["Content-Type"] == "application/json"
    assert kept["X-Content-Type-Options"] == "nosniff"
    assert text not in "".join(lines.written)


def test_plain_http_is_refused_at_every_endpoint_and_never_redirected(
    api_key: NewKey, settings: Any, complaints: Complaints
) -> None:
    settings.SECURE_SSL_REDIRECT = True

    for endpoint in ENDPOINTS:
        with complaints.about(f"T19 at {endpoint}") as check:
            response = send(good_call(endpoint, api_key.secret))
            complaints.refused(response, frozenset({403}), frozenset({"https_required"}), check)
