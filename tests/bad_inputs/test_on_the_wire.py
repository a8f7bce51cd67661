"""What does the web server make of bytes that no client library would send? Our own configuration, raw sockets."""

import contextlib
import http.client
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from checkout.launch import Platform
from tests.bad_inputs.calls import CARD_NUMBER, METHOD
from tests.bad_inputs.notices import signed, text_of

pytestmark = pytest.mark.xdist_group("wire")  # one server for all of them

BODY = json.dumps({"amount": 100, "currency": "EUR"}).encode()
PARALLEL = 30
NOTICES_EACH = 34  # a thousand of them by all together
PATIENCE_SECONDS = 5  # a busy machine is allowed for; waiting for what never comes is not


class Server:
    """The web server, its merchant's key, what north signs its notices with, its database and its log."""

    def __init__(self, platform: Platform, secret: str, notice_secret: str) -> None:
        self.secret = secret
        self.notice_secret = notice_secret
        self.log: Path = platform.processes["web"].log
        self._database_url = platform.environment["DATABASE_URL"]
        self._address = urlsplit(platform.url_of("web"))

    def say(self, *lines: str, body: bytes = b"", hangs_up: bool = False) -> tuple[int, dict[str, str], bytes]:
        """Send these header lines and a body as they are; the status, headers and body of the first answer."""
        host = [] if any(line.startswith("Host:") for line in lines) else ["Host: 127.0.0.1"]
        head = "\r\n".join([lines[0], *host, *lines[1:], "", ""]).encode("latin-1")
        with socket.create_connection((self._address.hostname, self._address.port), timeout=10) as connection:
            with contextlib.suppress(ConnectionError):  # it may have heard enough, and have answered
                connection.sendall(head + body)
                if hangs_up:
                    connection.shutdown(socket.SHUT_WR)
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    def create(self, *lines: str, body: bytes = BODY, length: bool = True) -> tuple[int, dict[str, str], bytes]:
        """POST /v1/payments with good headers and these; a header given replaces the good one of its name."""
        good = {
            "authorization": f"Bearer {self.secret}",
            "idempotency-key": f"wire-{time.time_ns()}",
            "content-type": "application/json",
            "prefer": "respond-async",
            **({"content-length": str(len(body))} if length else {}),
        }
        given = {line.split(":", 1)[0].strip().lower() for line in lines}
        kept = [f"{name}: {value}" for name, value in good.items() if name not in given]
        return self.say("POST /v1/payments HTTP/1.1", *kept, *lines, body=body)

    def hear(self, body: bytes, header: str, times: int) -> set[int]:
        """Tell the same message of north's again and again over one connection; the statuses of the answers."""
        headers = {"Content-Type": "application/json", "Simulator-Signature": header}
        connection = http.client.HTTPConnection(self._address.netloc, timeout=60)
        statuses = set()
        with contextlib.closing(connection):
            for _ in range(times):
                connection.request("POST", "/v1/notices/north", body, headers)
                answer = connection.getresponse()
                answer.read()
                statuses.add(answer.status)
        return statuses

    def notices(self, reference: str) -> int:
        """How many notices about something are kept."""
        with psycopg.connect(self._database_url) as connection:
            query = "SELECT count(*) FROM gateways_notice WHERE reference = %s"
            [(count,)] = connection.execute(query, [reference]).fetchall()
            return int(count)

    def counts(self) -> tuple[int, ...]:
        """Payments, attempts and idempotency keys."""
        with psycopg.connect(self._database_url) as connection:
            [counts] = connection.execute(
                "SELECT (SELECT count(*) FROM payments_payment), (SELECT count(*) FROM payments_attempt),"
                " (SELECT count(*) FROM payments_idempotencykey)"
            )
            return counts


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One gunicorn over a database of its own, seeded as a first look is."""
    url = os.environ["DATABASE_URL"]
    name = f"wire_{os.getpid()}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    folder = tmp_path_factory.mktemp("wire")
    simulator = folder / "simulator.json"
    platform = Platform(
        var_dir=folder,
        database_url=urlsplit(url)._replace(path=f"/{name}").geturl(),
        redis_url=os.environ["REDIS_URL"],
        environment={"DJANGO_SETTINGS_MODULE": "checkout.settings.local", "SIMULATOR_CONFIG": str(simulator)},
        workers=0,
        sweepers=0,
    )
    try:
        platform.start_services()
        platform.manage("migrate", "--verbosity", "0")
        secret = json.loads(platform.manage("seed_demo"))["api_key"]
        [north] = [row for row in json.loads(simulator.read_text())["gateways"] if row["code"] == "north"]
        with platform:
            yield Server(platform, secret, north["notice_secret"])
    finally:
        platform.stop()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def test_a_good_request_is_answered(server: Server) -> None:
    status, headers, body = server.create()
    assert (status, headers["content-type"]) == (201, "application/json")
    assert json.loads(body)["status"] == "created"


@pytest.mark.parametrize(
    ("lines", "allowed"),
    [
        pytest.param(["Transfer-Encoding: chunked", "Content-Length: 4"], {400}, id="T33 two lengths"),
        pytest.param(["Content-Length: 10", "Content-Length: 11"], {400}, id="T33 two Content-Lengths"),
        pytest.param(["Content-Length: 10, 11"], {400}, id="T33 a list of lengths"),
        pytest.param(["Content-Length: -1"], {400}, id="T33 less than nothing"),
        pytest.param(["Content-Length: +33"], {400}, id="T33 a sign"),
        pytest.param(["Content-Length: 0x21"], {400}, id="T33 hexadecimal"),
        pytest.param(["Transfer-Encoding : chunked"], {400}, id="T33 a space before the colon"),
        pytest.param(["Transfer-Encoding: xchunked"], {400, 411, 501}, id="T33 another coding"),
        pytest.param(["Transfer-Encoding: chunked, identity"], {400, 411, 501}, id="T33 chunked, but not last"),
        pytest.param(["Transfer-Encoding:\tchunked\r\n identity"], {400}, id="T33 a folded line"),
        pytest.param(["X: a\x00b"], {400}, id="NUL in a header"),
        pytest.param(["X y: a"], {400}, id="a space in a name"),
        pytest.param([": a"], {400}, id="no name"),
        pytest.param([f"X: a\x00 {CARD_NUMBER}"], {400}, id="NUL and a card number"),
        pytest.param([f"Card {CARD_NUMBER}"], {400}, id="no colon, and a card number"),
        pytest.param([f"Card{CARD_NUMBER} : a"], {400}, id="a card number in a name"),
        pytest.param([f"Expect: {CARD_NUMBER}"], {400, 417}, id="an expectation nobody can meet"),
        pytest.param(["X-Long: " + "a" * 65_536], {400, 431}, id="T35 a header of 64 kB"),
        pytest.param([f"X-{number}: a" for number in range(200)], {400, 431}, id="T35 two hundred headers"),
    ],
)
def test_a_message_that_two_servers_could_read_in_two_ways_is_refused(
    lines: list[str], allowed: set[int], server: Server
) -> None:
    before = server.counts()
    began = time.monotonic()

    status, headers, body = server.create(*lines, length=not any("length" in line.lower() for line in lines))

    assert status in allowed, body
    assert_is_a_problem(status, headers, body)
    assert time.monotonic() - began < PATIENCE_SECONDS
    assert server.counts() == before


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param(b"2\r\n{}\r\n0\r\n\r\n", id="a good chunk"),
        pytest.param(b"ZZ\r\n{}\r\n0\r\n\r\n", id="a size that is none"),
        pytest.param(b"-1\r\n{}\r\n0\r\n\r\n", id="less than nothing"),
        pytest.param(b"ffffffffffffffffffff\r\n{}\r\n0\r\n\r\n", id="a size without end"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_a_chunked_body_is_refused_and_never_taken_for_an_empty_one(chunks: bytes, server: Server) -> None:
    payment = json.loads(server.create()[2])["id"]
    key = [f"Authorization: Bearer {server.secret}", "Idempotency-Key: chunked", "Content-Type: application/json"]

    for verb in ("confirm", "capture", "cancel", "refunds"):
        status, headers, body = server.say(
            f"POST /v1/payments/{payment}/{verb} HTTP/1.1", *key, "Transfer-Encoding: chunked", body=chunks
        )
        assert status in (400, 411), body
        assert_is_a_problem(status, headers, body)
        assert status == 400 or json.loads(body)["code"] == "length_required"

    status, _, body = server.say(f"GET /v1/payments/{payment} HTTP/1.1", key[0])
    assert json.loads(body)["status"] == "created"


def test_two_keys_in_two_headers_open_nothing(server: Server) -> None:
    for first, second in ((server.secret, "sk_test_x"), ("sk_test_x", server.secret), (server.secret, server.secret)):
        status, _, body = server.create(f"Authorization: Bearer {first}", f"Authorization: Bearer {second}")
        assert status in (400, 401), body


def test_two_idempotency_keys_are_none(server: Server) -> None:
    status, _, body = server.create("Idempotency-Key: a", "Idempotency-Key: b")
    assert (status, json.loads(body)["code"]) == (400, "idempotency_key_invalid")


def test_a_header_with_an_underscore_is_not_the_one_with_a_dash(server: Server) -> None:
    before = server.counts()
    good = [f"Authorization: Bearer {server.secret}", "Content-Type: application/json", f"Content-Length: {len(BODY)}"]

    status, _, body = server.say("POST /v1/payments HTTP/1.1", *good, "Idempotency_Key: spoofed", body=BODY)
    assert (status, json.loads(body)["code"]) == (400, "idempotency_key_required")

    status, _, body = server.say("GET /v1/payments HTTP/1.1", f"Authorization_: Bearer {server.secret}")
    assert status == 401
    assert server.counts() == before


@pytest.mark.parametrize("length", [9_000, 100_000])
def test_an_address_too_long_is_refused(length: int, server: Server) -> None:
    status, headers, body = server.say(
        f"GET /v1/payments?card={CARD_NUMBER}&limit={'1' * length} HTTP/1.1", f"Authorization: Bearer {server.secret}"
    )
    assert status in (400, 414)
    assert_is_a_problem(status, headers, body)


@pytest.mark.parametrize("size", [65 * 1024, 3 * 1024 * 1024, 20 * 1024 * 1024])
def test_a_body_too_long_is_refused_as_a_problem(size: int, server: Server) -> None:
    began = time.monotonic()

    status, headers, body = server.create(body=b" " * size)

    assert (status, headers["content-type"]) == (413, "application/problem+json"), body
    assert json.loads(body)["code"] == "body_too_large"
    assert time.monotonic() - began < PATIENCE_SECONDS


def test_a_body_that_was_announced_too_long_is_refused_without_waiting_for_it(server: Server) -> None:
    began = time.monotonic()
    status, _, body = server.create("Content-Length: 99999999999", body=b"{")
    assert status == 413, body
    assert time.monotonic() - began < PATIENCE_SECONDS


def test_a_body_that_ends_before_its_time_is_refused(server: Server) -> None:
    good = [f"Authorization: Bearer {server.secret}", "Content-Type: application/json", "Idempotency-Key: early"]
    before = server.counts()

    status, _, body = server.say(
        "POST /v1/payments HTTP/1.1", *good, f"Content-Length: {len(BODY) + 1}", body=BODY[:-1], hangs_up=True
    )

    assert (status, json.loads(body)["code"]) == (400, "invalid_json")
    assert server.counts() == before


@pytest.mark.parametrize(
    "line",
    [
        f"GET /v1/payments/{CARD_NUMBER} HTTP/1.1",
        f"GET /v1/{CARD_NUMBER}?{CARD_NUMBER}=1 HTTP/1.1",
        "GET /v1/%2e%2e/admin/ HTTP/1.1",
        "GET /v1/payments/%0d%0aX-Evil:%201 HTTP/1.1",
        "GET /v1/payments\x01 HTTP/1.1",
        "GET /v1/payments HTTP/9.9",
        f"GET /v1/payments/{CARD_NUMBER} HTTP/9.9",
        f"GET /v1/payments/{CARD_NUMBER}",
        f"{CARD_NUMBER} /v1/payments HTTP/1.1",
        f"{CARD_NUMBER}",
        "GET  /v1/payments HTTP/1.1",
        "PRI * HTTP/2.0",
        "TRACE /v1/payments HTTP/1.1",
    ],
)
def test_a_strange_request_line_is_refused(line: str, server: Server) -> None:
    status, headers, body = server.say(line, f"Authorization: Bearer {server.secret}")

    assert 400 <= status < 500, body
    assert_is_a_problem(status, headers, body)
    assert "x-evil" not in headers
    assert "location" not in headers


@pytest.mark.parametrize("line", ["GET //v1/payments HTTP/1.1", "CONNECT 127.0.0.1:22 HTTP/1.1"])
def test_what_is_not_under_v1_leads_nowhere(line: str, server: Server) -> None:
    status, headers, body = server.say(line, f"Authorization: Bearer {server.secret}")

    assert status == 404, body
    assert "location" not in headers


@pytest.mark.parametrize(
    "header",
    [
        "X-Forwarded-Host: evil.example",
        "X-Original-URL: /admin/",
        "X-Rewrite-URL: /admin/",
        "X-HTTP-Method-Override: DELETE",
    ],
)
def test_headers_of_other_servers_are_ignored(header: str, server: Server) -> None:
    status, headers, body = server.say("GET /v1/payments HTTP/1.1", header)
    assert status == 401
    assert b"evil" not in body

    status, headers, body = server.say(
        "GET /v1/payments HTTP/1.1", f"Authorization: Bearer {server.secret}", header, "Origin: https://evil.example",
        "Range: bytes=0-1", 'If-None-Match: "x"', "Accept: text/html",
    )  # fmt: skip
    assert (status, headers["content-type"]) == (200, "application/json")
    assert set(json.loads(body)) == {"data", "has_more"}
    assert not [name for name in headers if name.startswith("access-control-")]
    assert headers["cache-control"] == "no-store"


def test_a_host_that_is_not_ours_is_refused_as_a_problem(server: Server) -> None:
    status, headers, body = server.say("GET /v1/payments HTTP/1.0", "Host: evil.example")
    assert (status, headers["content-type"]) == (400, "application/problem+json"), body
    assert b"evil" not in body


def test_one_key_in_many_hands_makes_one_payment(server: Server) -> None:
    before = server.counts()
    body = json.dumps({"amount": 100, "currency": "EUR", "country": "DE", "payment_method": METHOD}).encode()
    answers: list[tuple[int, dict[str, str], bytes]] = []
    together = threading.Barrier(PARALLEL)

    def ask() -> None:
        together.wait()
        answers.append(server.create("Idempotency-Key: shared", body=body))

    threads = [threading.Thread(target=ask) for _ in range(PARALLEL)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {status for status, _, _ in answers} <= {202, 409}
    assert len({json.loads(body)["id"] for status, _, body in answers if status == 202}) == 1
    for status, headers, problem in answers:
        if status == 409:
            assert json.loads(problem)["code"] == "idempotency_key_in_flight"
            assert int(headers["retry-after"]) > 0
    assert server.counts() == tuple(count + 1 for count in before)


def test_w37_a_thousand_identical_notices_at_once_are_kept_as_one(server: Server) -> None:
    body = text_of(reference="att_told_often")
    header = signed(body, key=server.notice_secret)

    with ThreadPoolExecutor(PARALLEL) as threads:
        answered = list(threads.map(lambda _: server.hear(body, header, NOTICES_EACH), range(PARALLEL)))

    assert PARALLEL * NOTICES_EACH >= 1000
    assert answered == [{200}] * PARALLEL
    assert server.notices("att_told_often") == 1


def test_the_log_is_one_json_line_after_the_other_and_holds_no_card_number(server: Server) -> None:
    everything = server.log.read_text().splitlines()
    lines = [line for line in everything if not line.startswith("[")]  # gunicorn's own
    assert lines
    assert [line for line in lines if not _is_json(line)] == []
    assert CARD_NUMBER not in server.log.read_text()
    assert server.secret not in server.log.read_text()


def assert_is_a_problem(status: int, headers: dict[str, str], body: bytes) -> None:
    """Whoever refused, the application or the server before it, says so in the same words and repeats nothing."""
    assert headers["content-type"] == "application/problem+json", body
    problem = json.loads(body)
    assert problem["status"] == status
    assert problem["code"]
    assert problem["detail"]
    assert problem["type"].endswith(f"/v1/docs#problem-{problem['code']}")
    assert CARD_NUMBER not in body.decode() + str(headers)


def _is_json(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
