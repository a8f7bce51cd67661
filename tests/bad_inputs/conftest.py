"""How is a bad request sent, and what must be true afterwards? The oracle, the same for every row."""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
from django.apps import apps
from django.db import connection, connections
from django.test import Client

from checkout.kit.models import AuditEntry
from gateways.models import GatewayCall, Notice
from ledger.models import JournalEntry
from merchants.models import WebhookEvent
from payments.models import Attempt, Card, CardSecret, IdempotencyKey, Payment, Refund
from tests.bad_inputs.calls import CARD_NUMBER, Call

OURS = ("kit", "merchants", "gateways", "ledger", "payments")
ROWS_OF = (
    Payment,
    Attempt,
    Refund,
    Card,
    CardSecret,
    IdempotencyKey,
    AuditEntry,
    WebhookEvent,
    Notice,
    GatewayCall,
    JournalEntry,
)
Result = TypeVar("Result")

LONGEST_SECONDS = 1.0  # of our own work: what else the machine does meanwhile is not the answer's fault


class Lines(logging.Handler):
    """Everything that is logged, as it is written to stderr."""

    def __init__(self) -> None:
        super().__init__()
        [self.formatter] = {handler.formatter for handler in logging.getLogger().handlers if _is_ours(handler)}
        self.written: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.written.append(self.format(record))


def _is_ours(handler: logging.Handler) -> bool:
    return type(handler) is logging.StreamHandler


@pytest.fixture
def lines() -> Iterator[Lines]:
    """What is logged during the test, in the format of production."""
    handler = Lines()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


def send(call: Call) -> Any:
    """Send a request as the web server would hand it over, cookies and cross-site protection as in production."""
    headers = {name: value for name, value in call.headers.items() if value is not None}
    content_type = headers.pop("Content-Type", "")
    target = call.path + (f"?{call.query}" if call.query else "")
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    return client.generic(call.method, target, call.content, content_type, headers=headers)


def counts() -> dict[str, int]:
    """How many rows there are of everything that a request could leave behind."""
    columns = ", ".join(f'(SELECT count(*) FROM "{model._meta.db_table}")' for model in ROWS_OF)  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {columns}")
        return dict(zip((model.__name__ for model in ROWS_OF), cursor.fetchone(), strict=True))


def texts_of_database() -> str:
    """Everything that is stored, table by table, as the database prints it."""
    tables = [model._meta.db_table for app in OURS for model in apps.get_app_config(app).get_models()]
    with connection.cursor() as cursor:
        parts = []
        for table in tables:
            cursor.execute(f'SELECT row_to_json(t)::text FROM "{table}" AS t')  # noqa: S608
            parts += [text for (text,) in cursor.fetchall()]
    return "\n".join(parts)


@contextmanager
def held(payment: Payment) -> Iterator[None]:
    """Somebody else's open transaction holds the payment's row, for the whole block. Needs real commits."""
    other = connection.copy()
    other.set_autocommit(False)
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT 1 FROM payments_payment WHERE id = %s FOR UPDATE", [payment.pk])
            assert cursor.fetchone()
        yield
    finally:
        other.rollback()
        other.close()


def together(count: int, deed: Callable[[], Result]) -> list[Result]:
    """Do something so many times at once, each time in a thread with a database connection of its own."""
    start = threading.Barrier(count)

    def one() -> Result:
        start.wait()
        try:
            return deed()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as threads:
        return [future.result() for future in [threads.submit(one) for _ in range(count)]]


@dataclass
class Complaints:
    """What was wrong, with which request."""

    lines: Lines
    found: list[str]

    @contextmanager
    def about(self, name: object) -> Iterator[Callable[[bool, str], None]]:
        """Check one request: `check(condition, what is wrong otherwise)`."""

        def check(is_right: bool, what: str) -> None:
            if not is_right:
                self.found.append(f"{name}: {what}")

        before, began = counts(), time.thread_time()
        self.lines.written.clear()
        yield check
        seconds = time.thread_time() - began
        check(seconds < LONGEST_SECONDS, f"worked for {seconds:.1f} s")
        changed = {key: count - before[key] for key, count in counts().items() if count != before[key]}
        check(not changed, f"left {changed} behind")
        for line in self.lines.written:
            check(_is_one_json_line(line), f"logged {line!r}")
            check(CARD_NUMBER not in line, "logged a card number")

    def refused(self, response: Any, http_status: frozenset[int], codes: frozenset[str], check: Any) -> None:
        """The answer is a problem document as promised (RFC 9457)."""
        text = response.content.decode()
        check(response.status_code in http_status, f"answered {response.status_code} {text[:300]}")
        check(response["Content-Type"] == "application/problem+json", f"answered as {response['Content-Type']}")
        check(CARD_NUMBER not in text and CARD_NUMBER not in str(response.headers), "repeated a card number")
        check("Location" not in response, "redirected")
        if response["Content-Type"] != "application/problem+json":
            return
        problem = json.loads(text)
        check(problem["status"] == response.status_code, f"says {problem['status']}")
        check(problem["request_id"] == response["X-Request-Id"] != "", "has no request id")
        check(problem["code"] in codes if codes else bool(problem["code"]), f"has the code {problem['code']}")
        check(problem["detail"] != "" and problem["title"] != "Error", f"explains nothing: {problem['title']}")
        check(response.status_code != 401 or "WWW-Authenticate" in response, "does not say how to authenticate")
        check(response.status_code != 405 or response.get("Allow", "") != "", "does not say what is allowed")


@pytest.fixture
def complaints(lines: Lines) -> Iterator[Complaints]:
    """Collects what is wrong with any endpoint, and fails at the end with all of it."""
    complaints = Complaints(lines, [])
    yield complaints
    assert not complaints.found, "\n" + "\n".join(complaints.found)


def _is_one_json_line(line: str) -> bool:
    try:
        return "\n" not in line and isinstance(json.loads(line), dict)
    except ValueError:
        return False
