"""What does a request cost the database? As little as it can, and the same however much there is."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from checkout.settings import policy
from payments.models import Payment

Pay = Callable[..., Payment]


@contextmanager
def at_most(count: int) -> Iterator[None]:
    """Fails, showing them, if there are more queries; savepoints stand for BEGIN and COMMIT here and do not count."""
    with CaptureQueriesContext(connection) as captured:
        yield
    queries = [query["sql"] for query in captured if not query["sql"].startswith(("SAVEPOINT", "RELEASE"))]
    assert len(queries) <= count, "\n".join(queries)


@pytest.fixture
def warm(api: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The merchant's software, its key just used, and remembered for as long as a slow machine needs."""
    monkeypatch.setattr(policy, "KEY_CACHE_SECONDS", 60)
    api.get("/v1/payments")
    return api


def test_creating_and_confirming_costs_eight(warm: Any) -> None:
    with at_most(8):
        answer = warm.pay(prefer="respond-async")
    assert answer.status_code == 202


def test_creating_costs_eight(warm: Any) -> None:
    with at_most(8):
        answer = warm.post("/v1/payments", {"amount": 50_00, "currency": "EUR"})
    assert (answer.status_code, answer.json()["status"]) == (201, "created")


def test_a_replay_costs_less_than_the_first(warm: Any) -> None:
    body = {"amount": 50_00, "currency": "EUR"}
    warm.post("/v1/payments", body, idempotency_key="k")

    with at_most(4):
        answer = warm.post("/v1/payments", body, idempotency_key="k")
    assert answer.headers["Idempotent-Replayed"] == "true"


def test_looking_at_one_costs_two(warm: Any) -> None:
    payment = warm.pay().json()["id"]

    with at_most(2):
        assert warm.get(f"/v1/payments/{payment}").status_code == 200


@pytest.mark.parametrize("path", ["/v1/payments", "/v1/payments/{0}"])
def test_to_be_shown_a_payment_needs_no_secret_to_be_read(warm: Any, path: str) -> None:
    payment = warm.pay().json()["id"]

    with CaptureQueriesContext(connection) as captured:
        assert "4242" in warm.get(path.format(payment)).content.decode()

    for query in captured.captured_queries:
        assert '"number"' not in query["sql"]
        assert '"credentials"' not in query["sql"]


@pytest.mark.parametrize(
    ("path", "cost"), [("/v1/payments", 1), ("/v1/payments/{0}/refunds", 2), ("/v1/payments/{0}/attempts", 2)]
)
def test_a_list_costs_the_same_however_long_it_is(
    warm: Any, captured_payment: Pay, eur: Any, path: str, cost: int
) -> None:
    first = warm.pay().json()["id"]
    warm.post(f"/v1/payments/{first}/refunds", {"amount": 1_00})
    with at_most(cost):
        warm.get(path.format(first))
    for _ in range(6):
        captured_payment(eur(50_00))
        warm.post(f"/v1/payments/{first}/refunds", {"amount": 1_00})

    with at_most(cost):
        rows = warm.get(path.format(first), {} if "attempts" in path else {"limit": "100"}).json()["data"]

    assert len(rows) >= 7


def test_a_page_in_the_middle_costs_one_more_to_check_its_cursor(warm: Any, captured_payment: Pay, eur: Any) -> None:
    for _ in range(5):
        captured_payment(eur(50_00))
    ids = [row["id"] for row in warm.get("/v1/payments").json()["data"]]

    with at_most(3):
        page = warm.get("/v1/payments", {"limit": "2", "starting_after": ids[1]}).json()

    assert [row["id"] for row in page["data"]] == ids[2:4]
    assert page["has_more"] is True


@pytest.mark.parametrize(("verb", "body"), [("capture", {}), ("cancel", {}), ("refunds", {"amount": 1_00})])
def test_a_verb_costs_a_constant_few(
    warm: Any, verb: str, body: dict[str, Any], authorized_payment: Pay, captured_payment: Pay, eur: Any
) -> None:
    payment = (captured_payment if verb == "refunds" else authorized_payment)(eur(50_00))

    with at_most(18):
        answer = warm.post(f"/v1/payments/{payment.public_id}/{verb}", body, prefer="respond-async")
    assert answer.status_code == 202
