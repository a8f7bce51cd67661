"""Does the simulator tell its book the truth while it tells the caller whatever its behaviour says?

Everything here is real: the process, its ports, its file, HTTP on 127.0.0.1. The platform's adapters do the asking.
"""

import http.client
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gateways.adapters.simulator_json import SimulatorJson
from gateways.adapters.simulator_xml import SimulatorXml
from gateways.base import CardData, Gateway, GatewayRequest, HttpReply, HttpRequest
from gateways.outcomes import GatewayResult, Outcome
from gateways.simulator.book import Book
from gateways.simulator.calls import Operation

ROOT = Path(__file__).parents[2]
GOOD = "4242424242424242"
TEST_CARDS = {
    "4242424242424242": "",
    "5555555555554444": "",
    "378282246310005": "",
    "4000056655665556": "",  # valid by its check digit, and otherwise unknown
    "4000000000000259": "",
    "4000000000000002": "do_not_honor",
    "4000000000009995": "insufficient_funds",
    "4000000000009987": "lost_card",
    "4000000000009979": "stolen_card",
    "4000000000000069": "expired_card",
    "4000000000000127": "incorrect_cvc",
    "4000000000000119": "processing_error",
    "4242424242424241": "invalid_card",
}


def exchange(base_url: str, request: HttpRequest, timeout: float = 5) -> HttpReply:
    """One request over a connection of its own."""
    address = urlsplit(base_url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=timeout)
    try:
        connection.request(request.method, request.path, request.body, dict(request.headers))
        answer = connection.getresponse()
        return HttpReply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def eventually(condition: Callable[[], object], seconds: float = 5) -> object:
    """What the condition says once it is true."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)
    return value


class Simulator:
    """A simulator process and its control port."""

    def __init__(self, folder: Path, gateways: list[dict] | None = None) -> None:
        config = folder / "simulator.json"
        config.write_text(
            json.dumps(
                {"control": {"port": 0}, "book": str(folder / "book.sqlite3"), "seed": 7, "gateways": gateways or []}
            )
        )
        command = [sys.executable, "-m", "gateways.simulator", "--config", str(config)]
        environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, env=environment)
        self.addresses = json.loads(self.process.stdout.readline())
        self.url = self.addresses["control"]

    def ask(self, method: str, path: str, body: object = None, *, http_status: int | None = None):
        """Ask the control port; the answer must be good, or have the status that is named."""
        content = b"" if body is None else json.dumps(body).encode()
        reply = exchange(self.url, HttpRequest(method, path, {"Content-Type": "application/json"}, content))
        assert reply.http_status == http_status or (http_status is None and reply.http_status < 300), reply.body
        return json.loads(reply.body)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End the process; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.stdout.close()
        return self.process.wait(10)


@dataclass
class Account:
    """One simulated gateway, and the adapter that speaks to it."""

    simulator: Simulator
    code: str
    url: str
    adapter: Gateway
    numbers: Iterator[int]

    def change(self, **settings: object) -> dict:
        return self.simulator.ask("PATCH", f"/gateways/{self.code}", settings)

    @property
    def book(self) -> list[dict]:
        return self.simulator.ask("GET", f"/book/{self.code}")

    @property
    def totals(self) -> dict:
        return self.simulator.ask("GET", f"/book/{self.code}/totals")

    def charge(self, card: str = GOOD, **changes: object) -> GatewayRequest:
        values = {
            "operation": "authorize",
            "reference": f"att_{self.code}_{next(self.numbers)}",
            "amount_minor": 1000,
            "currency": "EUR",
            "card": CardData(card, 4, 2031, "123", "Ana Lopez"),
            "merchant_reference": "order 7",
            **changes,
        }
        return GatewayRequest(**values)

    def follow(self, operation: str, parent: GatewayRequest, done: GatewayResult, **changes: object) -> GatewayRequest:
        return replace(
            parent,
            operation=operation,
            reference=f"att_{self.code}_{next(self.numbers)}",
            card=None,
            parent_reference=parent.reference,
            gateway_reference=done.gateway_reference,
            **changes,
        )

    def do(self, verb: str, *arguments: GatewayRequest, timeout: float = 5) -> GatewayResult:
        """Drive a verb over the wire. A transport failure is raised, as nothing stands for it here."""
        steps = getattr(self.adapter, verb)(*arguments)
        try:
            request = next(steps)
            while True:
                request = steps.send(exchange(self.url, request, timeout))
        except StopIteration as end:
            return end.value

    def charged(self, **changes: object) -> tuple[GatewayRequest, GatewayResult]:
        request = self.charge(**changes)
        result = self.do("authorize", request)
        assert result.outcome is Outcome.SUCCEEDED
        return request, result


class Mailbox:
    """Where notices arrive; `refusals` of them are answered 503 first."""

    def __init__(self) -> None:
        self.arrived: list[tuple[float, dict[str, str], bytes]] = []
        self.refusals = 0
        mailbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                mailbox.arrived.append((time.time(), {k.lower(): v for k, v in self.headers.items()}, body))
                mailbox.refusals -= 1
                self.send_response(503 if mailbox.refusals >= 0 else 204)
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/notices"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def read(self, adapter: Gateway) -> list:
        """All that arrived, verified."""
        return [notice for at, headers, body in self.arrived for notice in adapter.parse_notice(headers, body, at)]


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    mailbox = Mailbox()
    yield mailbox
    mailbox.server.shutdown()
    mailbox.server.server_close()


@pytest.fixture(scope="module")
def simulator(tmp_path_factory) -> Iterator[Simulator]:
    simulator = Simulator(tmp_path_factory.mktemp("simulator"))
    yield simulator
    assert simulator.stop() == 0


codes = (f"gate{number}" for number in count(1))


def open_account(simulator: Simulator, dialect: str, code: str = "", **settings: object) -> Account:
    code = code or next(codes)
    secrets = {"api_key": f"key-of-{code}", "notice_secret": f"secret-of-{code}"}
    wanted = {"code": code, "name": code.title(), "dialect": dialect, "async_seconds": 600, **secrets, **settings}
    described = simulator.ask("POST", "/gateways", wanted, http_status=201)
    credentials = {**secrets, "signing_key": secrets["api_key"], "merchant_id": described["merchant_id"]}
    adapter = {"json": SimulatorJson, "xml": SimulatorXml}[dialect](credentials)
    return Account(simulator, code, described["url"], adapter, count(1))


@pytest.fixture(params=["json", "xml"])
def account(simulator, request) -> Account:
    return open_account(simulator, request.param)


@pytest.fixture
def json_account(simulator) -> Account:
    return open_account(simulator, "json")


@pytest.fixture
def xml_account(simulator) -> Account:
    return open_account(simulator, "xml")


# The issuer


@pytest.mark.parametrize("card", TEST_CARDS)
def test_a_test_card_decides_its_fate(account, card):
    result = account.do("authorize", account.charge(card))
    (row,) = account.book
    if TEST_CARDS[card]:
        assert (result.outcome, result.decline_code) == (Outcome.DECLINED, TEST_CARDS[card])
        assert (row["status"], row["authorized_minor"], account.totals) == ("declined", 0, {})
    else:
        assert result.outcome is Outcome.SUCCEEDED
        assert (row["status"], row["authorized_minor"]) == ("approved", 1000)


def test_the_amount_may_decide_instead_of_the_card(account):
    account.change(profile="by_amount")
    assert account.do("authorize", account.charge(amount_minor=1)).decline_code == "do_not_honor"
    assert account.do("authorize", account.charge(amount_minor=2)).decline_code == "insufficient_funds"
    assert account.do("authorize", account.charge("4000000000000002")).outcome is Outcome.SUCCEEDED
    pending = account.charge(amount_minor=24)
    assert account.do("authorize", pending).outcome is Outcome.PENDING
    assert account.book[-1]["status"] == "pending"
    assert account.do("fetch", pending).outcome is Outcome.SUCCEEDED


def test_always_yes_asks_nobody(account):
    account.change(profile="always_yes")
    assert account.do("authorize", account.charge("4000000000009979")).outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize("card", TEST_CARDS)
def test_a_charge_of_zero_verifies_the_card_and_moves_nothing(account, card):
    result = account.do("authorize", account.charge(card, amount_minor=0))
    (row,) = account.book
    if TEST_CARDS[card]:
        assert (result.outcome, result.decline_code) == (Outcome.DECLINED, TEST_CARDS[card])
    else:
        assert (result.outcome, result.amount_minor) == (Outcome.SUCCEEDED, 0)
    assert (row["status"], row["authorized_minor"]) == ("declined" if TEST_CARDS[card] else "approved", 0)
    assert account.totals == {}


def test_of_a_verified_card_nothing_can_be_taken(account):
    request, done = account.charged(amount_minor=0)
    capture = account.follow("capture", request, done, amount_minor=1)
    assert account.do("capture", capture).outcome is Outcome.DECLINED
    assert account.do("void", account.follow("void", request, done)).outcome is Outcome.SUCCEEDED
    assert account.totals == {}


# The card holder

CHALLENGED = "4000002500003155"
BACK = "https://shop.example/back?order=7&step=2#end"


def challenged(account: Account, **changes: object) -> tuple[GatewayRequest, str]:
    """A charge that waits for its card holder, and the path of their page."""
    request = account.charge(CHALLENGED, **{"return_url": BACK, **changes})
    result = account.do("authorize", request)
    assert result.outcome is Outcome.PENDING
    assert result.action_url.startswith(f"{account.simulator.url}/challenge/{account.code}/ch_")
    return request, result.action_url.removeprefix(account.simulator.url)


def press(account: Account, path: str, decision: str) -> HttpReply:
    """Push a button of the page."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    return exchange(account.simulator.url, HttpRequest("POST", path, form, f"decision={decision}".encode()))


def page_of(account: Account, path: str) -> str:
    return exchange(account.simulator.url, HttpRequest("GET", path)).body.decode()


def test_a_challenged_charge_waits_until_its_card_holder_approves(account, mailbox):
    account.change(notice_url=mailbox.url, notices="asynchronous", async_seconds=0)
    request, path = challenged(account)
    assert account.do("fetch", request).action_url == account.simulator.url + path
    assert account.do("authorize", request).action_url == account.simulator.url + path
    assert account.simulator.ask("POST", f"/gateways/{account.code}/settle_pending") == {"settled": 0}
    assert account.change()["counters"]["challenged"] == 1
    assert (account.do("fetch", request).outcome, account.totals, mailbox.arrived) == (Outcome.PENDING, {}, [])

    back = press(account, path, "approve")

    assert (back.http_status, back.headers["location"]) == (303, BACK)
    done = account.do("fetch", request)
    assert (done.outcome, done.action_url) == (Outcome.SUCCEEDED, "")
    eventually(lambda: mailbox.arrived)
    (notice,) = mailbox.read(account.adapter)
    assert (notice.reference, notice.result.outcome) == (request.reference, Outcome.SUCCEEDED)
    capture = account.do("capture", account.follow("capture", request, done))
    assert capture.outcome is Outcome.SUCCEEDED
    assert account.totals["EUR"]["captured_minor"] == 1000


def test_a_card_holder_who_fails_is_declined(account, mailbox):
    account.change(notice_url=mailbox.url)
    request, path = challenged(account)
    assert press(account, path, "fail").headers["location"] == BACK
    result = account.do("fetch", request)
    assert (result.outcome, result.decline_code) == (Outcome.DECLINED, "authentication_required")
    eventually(lambda: mailbox.arrived)
    (notice,) = mailbox.read(account.adapter)
    assert notice.result.decline_code == "authentication_required"
    assert account.totals == {}


def test_a_challenged_sale_is_captured_when_it_is_approved(json_account):
    request, path = challenged(json_account, capture=True)
    press(json_account, path, "approve")
    assert json_account.do("fetch", request).captured
    assert json_account.totals["EUR"]["captured_minor"] == 1000


def test_a_challenged_verification_reserves_nothing(account):
    request, path = challenged(account, amount_minor=0)
    assert "Card check only" in page_of(account, path)
    press(account, path, "approve")
    assert account.do("fetch", request).outcome is Outcome.SUCCEEDED
    assert account.totals == {}


@pytest.mark.parametrize(("first", "status"), [("approve", "approved"), ("fail", "declined")])
def test_a_card_holder_decides_once(account, mailbox, first, status):
    account.change(notice_url=mailbox.url)
    _, path = challenged(account)
    for decision in (first, "approve", "fail"):
        assert press(account, path, decision).headers["location"] == BACK
        assert [row["status"] for row in account.book] == [status]
    row = account.simulator.ask("POST", path, {"approve": first == "fail"})
    assert row == account.book[0]
    assert row["status"] == status
    eventually(lambda: mailbox.arrived)
    time.sleep(0.1)
    assert len(mailbox.arrived) == 1


def test_a_script_may_decide_instead_of_the_card_holder(account):
    for is_approved, outcome in ((True, Outcome.SUCCEEDED), (False, Outcome.DECLINED)):
        request, path = challenged(account, return_url="")
        row = account.simulator.ask("POST", path, {"approve": is_approved})
        assert row["reference"] == request.reference
        assert account.do("fetch", request).outcome is outcome


def test_a_challenge_that_was_canceled_can_no_longer_be_approved(account):
    request, path = challenged(account)
    assert account.do("cancel_by_reference", request).outcome is Outcome.SUCCEEDED
    assert press(account, path, "approve").headers["location"] == BACK
    assert account.do("fetch", request).outcome is Outcome.DECLINED
    assert [row["status"] for row in account.book] == ["canceled"]
    assert account.totals == {}


@pytest.mark.parametrize("behaviour", ["asynchronous", "slow", "charge_then_500"])
def test_a_challenge_waits_however_the_gateway_behaves(account, behaviour):
    account.change(behaviour=behaviour, async_seconds=0, slow_seconds=0)
    request = account.charge(CHALLENGED)
    account.do("authorize", request)
    assert account.do("fetch", request).action_url
    assert [row["status"] for row in account.book] == ["pending"]


def test_the_challenge_page_shows_what_is_asked_and_loads_nothing_else(simulator):
    account = open_account(simulator, "json", name="<Northgate> & Sons")
    _, path = challenged(account, amount_minor=123456)
    reply = exchange(simulator.url, HttpRequest("GET", path))
    page = reply.body.decode()
    for text in ("&lt;Northgate&gt; &amp; Sons", "1,234.56 EUR", "•••• 3155", ">Approve<", ">Fail<"):
        assert text in page
    assert not re.findall(r"https?://|@import|<link[^>]+href=\"(?!data:)|src=|<script", page)
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert reply.headers["cache-control"] == "no-store"
    press(account, path, "fail")
    page = page_of(account, path)
    assert "Authentication failed" in page
    assert "<form" not in page
    assert 'href="https://shop.example/back?order=7&amp;step=2#end"' in page


def test_without_a_way_back_the_page_tells_the_outcome(account):
    _, path = challenged(account, return_url="")
    assert press(account, path, "approve").headers["location"] == path
    assert "Approved" in page_of(account, path)


@pytest.mark.parametrize(
    ("amount_minor", "currency", "text"),
    [(1000, "JPY", "1,000 JPY"), (1, "KWD", "0.001 KWD"), (100_000, "GBP", "1,000.00 GBP")],
)
def test_the_challenge_page_knows_the_decimals_of_a_currency(account, amount_minor, currency, text):
    _, path = challenged(account, amount_minor=amount_minor, currency=currency)
    assert f">{text}<" in page_of(account, path)


def test_a_challenge_is_found_by_its_own_gateway_and_id_only(simulator, account, json_account):
    _, path = challenged(account)
    account.charged()
    plain = account.book[-1]["id"]
    charge_id = path.rpartition("/")[2]
    for wrong in (f"/challenge/{account.code}/ch_0", f"/challenge/{account.code}/{plain}"):
        assert simulator.ask("GET", wrong, http_status=404) == {"error": "no such challenge"}
        simulator.ask("POST", wrong, {"approve": True}, http_status=404)
    simulator.ask("POST", f"/challenge/{json_account.code}/{charge_id}", {"approve": True}, http_status=404)
    simulator.ask("POST", f"/challenge/nobody/{charge_id}", {"approve": True}, http_status=404)
    assert [row["status"] for row in account.book] == ["pending", "approved"]


@pytest.mark.parametrize("body", [{}, {"approve": None}, {"approve": "true"}, {"approve": 1}, []], ids=str)
def test_a_decision_that_is_none_decides_nothing(simulator, account, body):
    _, path = challenged(account)
    simulator.ask("POST", path, body, http_status=400)
    assert press(account, path, "").http_status == 400
    assert press(account, path, "maybe").http_status == 400
    assert [row["status"] for row in account.book] == ["pending"]


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "ftp://shop.example/",
        "//shop.example/",
        "shop.example",
        "https://",
        "https://shop.example/a b",
        "https://shop.example/\r\nSet-Cookie: a=b",
        "https://user@shop.example/",
        "https://shop.example/" + "x" * 1980,
    ],
    ids=lambda address: address[:40],
)
def test_a_return_url_that_is_no_web_address_is_refused_and_leaves_no_trace(account, address):
    for card in (CHALLENGED, GOOD):
        assert account.do("authorize", account.charge(card, return_url=address)).outcome is Outcome.NOT_SENT
    assert account.book == []


# The money


def test_capture_and_refund_in_parts_never_exceed_what_is_there(json_account):
    request, done = json_account.charged()

    def capture(amount_minor):
        return json_account.do("capture", json_account.follow("capture", request, done, amount_minor=amount_minor))

    def refund(amount_minor):
        return json_account.do("refund", json_account.follow("refund", request, done, amount_minor=amount_minor))

    assert refund(1).outcome is Outcome.DECLINED
    assert capture(1001).outcome is Outcome.DECLINED
    assert capture(600).outcome is Outcome.SUCCEEDED
    assert capture(401).outcome is Outcome.DECLINED
    assert capture(400).outcome is Outcome.SUCCEEDED
    assert capture(1).outcome is Outcome.DECLINED
    assert refund(300).outcome is Outcome.SUCCEEDED
    assert refund(701).outcome is Outcome.DECLINED
    assert refund(700).outcome is Outcome.SUCCEEDED
    assert refund(1).outcome is Outcome.DECLINED
    assert json_account.totals == {
        "EUR": {"charges": 1, "captured_minor": 1000, "refunded_minor": 1000, "voided_count": 0, "net_owed_minor": 0}
    }


def test_the_xml_gateway_takes_one_capture(xml_account):
    request, done = xml_account.charged(currency="KWD")
    for amount, outcome in ((600, Outcome.SUCCEEDED), (400, Outcome.DECLINED)):
        capture = xml_account.follow("capture", request, done, amount_minor=amount)
        assert xml_account.do("capture", capture).outcome is outcome
    assert xml_account.totals["KWD"]["captured_minor"] == 600


def test_a_void_and_a_capture_exclude_each_other(account):
    request, done = account.charged()
    assert account.do("void", account.follow("void", request, done)).outcome is Outcome.SUCCEEDED
    assert account.do("void", account.follow("void", request, done)).outcome is Outcome.DECLINED
    assert account.do("capture", account.follow("capture", request, done)).outcome is Outcome.DECLINED
    other, done = account.charged()
    assert account.do("capture", account.follow("capture", other, done)).outcome is Outcome.SUCCEEDED
    assert account.do("void", account.follow("void", other, done)).outcome is Outcome.DECLINED
    assert account.totals["EUR"]["voided_count"] == 1
    assert account.totals["EUR"]["captured_minor"] == 1000


def test_a_sale_is_captured_at_once_where_there_is_one(json_account, xml_account):
    _, done = json_account.charged(capture=True)
    assert done.captured
    assert json_account.totals["EUR"]["captured_minor"] == 1000
    _, done = xml_account.charged(capture=True)
    assert not done.captured
    assert xml_account.totals["EUR"]["captured_minor"] == 0


def test_the_same_reference_is_the_same_operation(account):
    request, done = account.charged()
    assert account.do("authorize", request) == done
    other = replace(request, amount_minor=999)
    reply = exchange(account.url, next(account.adapter.authorize(other)))
    assert reply.http_status == 409 or b"<result-code>94</result-code>" in reply.body
    assert [row["amount_minor"] for row in account.book] == [1000]


def test_another_key_is_refused_and_leaves_no_trace(account):
    account.adapter.secrets |= {"api_key": "wrong", "signing_key": "wrong"}
    assert account.do("authorize", account.charge()).outcome in (Outcome.NOT_SENT, Outcome.UNKNOWN)
    assert account.book == []


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"amount": 0, "capture": True}, "amount"),
        ({"amount": -1}, "amount"),
        ({"amount": 10.0}, "amount"),
        ({"amount": True}, "amount"),
        ({"currency": "eur"}, "currency"),
        ({"capture": "yes"}, "capture"),
        ({"card": {"number": "4242"}}, "card.exp_month"),
        ({"merchant_reference": "\ud800"}, "merchant_reference"),
        ({"return_url": 7}, "return_url"),
        ({"return_url": ["https://shop.example/"]}, "return_url"),
        ({"return_url": "\ud800"}, "return_url"),
        ({"reference": "a b"}, "reference"),
        ({"reference": "another"}, "Idempotency-Key"),
    ],
    ids=str,
)
def test_an_invalid_charge_is_refused_by_field_and_leaves_no_trace(json_account, change, param):
    request = next(json_account.adapter.authorize(json_account.charge()))
    body = json.dumps({**json.loads(request.body), **change}).encode()
    reply = exchange(json_account.url, replace(request, body=body))
    assert (reply.http_status, reply.json()) == (422, {"error": "invalid_request", "param": param})
    assert json_account.book == []


# Inquiry and cancel


def test_an_unknown_reference_is_not_found(account):
    result = account.do("fetch", account.charge())
    assert (result.outcome, result.is_found) == (Outcome.UNKNOWN, False)


def test_a_reference_canceled_before_it_arrives_never_charges(account):
    request = account.charge()
    assert account.do("cancel_by_reference", request).outcome is Outcome.SUCCEEDED
    late = account.do("authorize", request)
    assert (late.outcome, late.decline_code) == (Outcome.DECLINED, "processing_error")
    assert account.totals == {}
    assert [(row["kind"], row["status"]) for row in account.book] == [("tombstone", "canceled")]


def test_canceling_a_charge_voids_it_or_gives_it_back(json_account):
    reserved, _ = json_account.charged()
    taken, _ = json_account.charged(capture=True, amount_minor=700)
    for request in (reserved, taken, reserved):
        assert json_account.do("cancel_by_reference", request).outcome is Outcome.SUCCEEDED
    assert json_account.totals == {
        "EUR": {"charges": 2, "captured_minor": 700, "refunded_minor": 700, "voided_count": 1, "net_owed_minor": 0}
    }
    assert [row["canceled"] for row in json_account.book] == [True, True]
    assert json_account.do("authorize", reserved).outcome is Outcome.DECLINED


def test_a_refund_that_was_made_cannot_be_canceled(account):
    request, done = account.charged()
    account.do("capture", account.follow("capture", request, done))
    refund = account.follow("refund", request, done)
    account.do("refund", refund)
    assert account.do("cancel_by_reference", refund).outcome is Outcome.UNKNOWN
    assert account.do("fetch", refund).outcome is Outcome.SUCCEEDED
    assert account.totals["EUR"]["refunded_minor"] == 1000


# Behaviours


def test_down_refuses_connections_and_up_is_the_same_port_again(account):
    address = urlsplit(account.url)
    idle = http.client.HTTPConnection(address.hostname, address.port, timeout=5)
    idle.connect()
    account.change(behaviour="down")
    assert idle.sock.recv(1) == b""
    idle.close()
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            account.do("authorize", account.charge())
    account.change(behaviour="healthy")
    assert account.do("health") is True
    assert account.book == []


def test_slow_answers_late_but_truthfully(account):
    account.change(behaviour="slow", slow_seconds=0.4)
    started = time.monotonic()
    account.charged()
    assert time.monotonic() - started >= 0.4
    with pytest.raises(TimeoutError):
        account.do("health", timeout=0.1)


def test_an_error_before_charging_charges_nothing(account):
    account.change(behaviour="error_before_charging")
    request = account.charge()
    assert account.do("authorize", request).outcome is Outcome.UNKNOWN
    assert account.do("health") is False
    assert account.do("fetch", request).is_found is False
    assert account.book == []


def test_charge_then_500_has_charged(account):
    account.change(behaviour="charge_then_500")
    request = account.charge()
    assert account.do("authorize", request).outcome is Outcome.UNKNOWN
    assert account.do("health") is False
    assert account.do("fetch", request).outcome is Outcome.SUCCEEDED
    assert account.totals["EUR"]["charges"] == 1


def test_charge_then_timeout_has_charged(account):
    account.change(behaviour="charge_then_timeout")
    request = account.charge()
    with pytest.raises(TimeoutError):
        account.do("authorize", request, timeout=0.3)
    assert account.do("health") is True
    assert account.do("fetch", request).outcome is Outcome.SUCCEEDED


def test_reset_has_charged(account):
    account.change(behaviour="reset")
    request = account.charge()
    with pytest.raises(ConnectionResetError):
        account.do("authorize", request)
    assert account.do("fetch", request).outcome is Outcome.SUCCEEDED


def test_reset_before_charging_charges_nothing(account):
    account.change(behaviour="reset_before_charging")
    request = account.charge()
    with pytest.raises(ConnectionResetError):
        account.do("authorize", request)
    assert account.do("health") is True
    assert account.do("fetch", request).is_found is False
    assert account.book == []


def test_charge_then_garbage_has_charged(account):
    account.change(behaviour="charge_then_garbage")
    requests = [account.charge() for _ in range(12)]
    replies = [exchange(account.url, next(account.adapter.authorize(request))) for request in requests]
    assert {reply.http_status for reply in replies} <= {200, 201}
    assert len({reply.body[:1] for reply in replies}) == 3
    assert [account.do("authorize", request).outcome for request in requests] == [Outcome.UNKNOWN] * 12
    assert [account.do("fetch", request).outcome for request in requests] == [Outcome.SUCCEEDED] * 12
    assert account.totals["EUR"]["charges"] == 12


def test_a_bad_gateway_has_charged_or_not(account):
    account.change(behaviour="bad_gateway")
    requests = [account.charge() for _ in range(60)]
    replies = [exchange(account.url, next(account.adapter.authorize(request))) for request in requests]
    assert {(reply.http_status, reply.headers["content-type"]) for reply in replies} == {(502, "text/html")}
    assert account.do("health") is False
    results = [account.do("fetch", request) for request in requests]
    charged = [result for result in results if result.outcome is Outcome.SUCCEEDED]
    assert all(result in charged or not result.is_found for result in results)
    assert 15 <= len(charged) <= 45
    assert account.totals["EUR"]["charges"] == len(charged)


def test_asynchronous_decides_later_and_tells_it(simulator, account, mailbox):
    account.change(behaviour="asynchronous", notice_url=mailbox.url)
    request = account.charge()
    declined = account.charge("4000000000009995")
    assert account.do("authorize", request).outcome is Outcome.PENDING
    assert account.do("authorize", declined).outcome is Outcome.PENDING
    assert account.do("fetch", request).outcome is Outcome.PENDING
    assert account.totals == {}
    assert simulator.ask("POST", f"/gateways/{account.code}/settle_pending") == {"settled": 2}
    eventually(lambda: len(mailbox.arrived) == 2)
    told = {notice.reference: notice.result.outcome for notice in mailbox.read(account.adapter)}
    assert told == {request.reference: Outcome.SUCCEEDED, declined.reference: Outcome.DECLINED}
    assert account.do("fetch", declined).decline_code == "insufficient_funds"


def test_of_two_pending_refunds_only_what_was_captured_is_given_back(simulator, account):
    request, done = account.charged()
    account.do("capture", account.follow("capture", request, done))
    account.change(behaviour="asynchronous")
    refunds = [account.follow("refund", request, done) for _ in range(2)]
    assert [account.do("refund", refund).outcome for refund in refunds] == [Outcome.PENDING] * 2
    simulator.ask("POST", f"/gateways/{account.code}/settle_pending")
    assert [account.do("fetch", refund).outcome for refund in refunds] == [Outcome.SUCCEEDED, Outcome.DECLINED]
    assert account.totals["EUR"]["refunded_minor"] == 1000


@pytest.mark.parametrize("dialect", ["json", "xml"])
def test_duplicate_and_late_notices_are_three_of_the_same(simulator, mailbox, dialect):
    # The delays are drawn from the seed and the code, so a code of its own makes the order the same every time.
    account = open_account(simulator, dialect, f"late-{dialect}", notice_url=mailbox.url)
    account.change(behaviour="duplicate_and_late_notices")
    started = time.time()
    references = [account.charged()[0].reference for _ in range(3)]
    eventually(lambda: len(mailbox.arrived) == 9)
    notices = mailbox.read(account.adapter)
    assert sorted(notice.reference for notice in notices) == sorted(references * 3)
    assert len({notice.notice_id for notice in notices}) == 3
    assert mailbox.arrived[0][0] - started >= 0.9
    assert [notice.reference for notice in notices] != [r for r in references for _ in range(3)]


def test_a_share_of_the_calls_misbehaves(json_account):
    json_account.change(behaviour="error_before_charging", share=0.4)
    outcomes = [json_account.do("authorize", json_account.charge()).outcome for _ in range(60)]
    assert 12 <= outcomes.count(Outcome.UNKNOWN) <= 36
    assert json_account.totals["EUR"]["charges"] == outcomes.count(Outcome.SUCCEEDED)


def test_a_mix_of_faults_is_drawn_call_by_call(json_account):
    json_account.change(mix={"charge_then_500": 0.3, "error_before_charging": 0.3})
    requests = [json_account.charge() for _ in range(80)]
    unknown = [request for request in requests if json_account.do("authorize", request).outcome is Outcome.UNKNOWN]
    found = [json_account.do("fetch", request).is_found for request in unknown]
    assert 8 <= found.count(True) <= 45
    assert 8 <= found.count(False) <= 45
    assert json_account.totals["EUR"]["charges"] == 80 - found.count(False)


# Notices


def test_a_notice_is_sent_until_it_is_taken(account, mailbox):
    mailbox.refusals = 1
    account.change(notice_url=mailbox.url)
    account.charged()
    eventually(lambda: len(mailbox.arrived) == 2)
    assert len({notice.notice_id for notice in mailbox.read(account.adapter)}) == 1
    eventually(lambda: account.change()["counters"]["notices_waiting"] == 0)
    assert account.change()["counters"]["notices_delivered"] == 1


def test_notices_may_be_kept_to_what_no_answer_told(simulator, account, mailbox):
    account.change(notice_url=mailbox.url, notices="asynchronous")
    request, done = account.charged()
    account.do("capture", account.follow("capture", request, done))
    office = {"kind": "refund", "reference": request.reference, "amount_minor": 400}
    row = simulator.ask("POST", f"/book/{account.code}", office)
    assert (row["status"], row["amount_minor"], row["parent_reference"]) == ("approved", 400, request.reference)
    eventually(lambda: mailbox.arrived)
    (notice,) = mailbox.read(account.adapter)
    assert (notice.reference, notice.result.amount_minor) == (row["reference"], 400)
    assert account.totals["EUR"]["net_owed_minor"] == 600


# Control


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"behaviour": "odd"}, "behaviour"),
        ({"behaviour": None}, "behaviour"),
        ({"behaviour": ["down"]}, "behaviour"),
        ({"profile": "odd"}, "profile"),
        ({"notices": "some"}, "notices"),
        ({"latency_ms": -1}, "latency_ms"),
        ({"latency_ms": "5"}, "latency_ms"),
        ({"share": 1.5}, "share"),
        ({"share": True}, "share"),
        ({"notice_url": "ftp://x"}, "notice_url"),
        ({"mix": {"down": 0.5}}, "mix"),
        ({"mix": {"slow": 0.6, "reset": 0.6}}, "mix"),
        ({"api_key": "x"}, "api_key"),
        ({"colour": "red"}, "colour"),
        ([], "object"),
    ],
    ids=str,
)
def test_a_bad_setting_is_refused_by_name_and_changes_nothing(simulator, json_account, change, named):
    before = json_account.change()
    both = {"name": "Renamed", **change} if isinstance(change, dict) else change
    refusal = simulator.ask("PATCH", f"/gateways/{json_account.code}", both, http_status=400)
    assert named in refusal["error"]
    assert json_account.change() == before


def test_a_gateway_is_added_once_and_its_secrets_are_never_shown(simulator, json_account):
    listed = simulator.ask("GET", "/gateways")
    assert json_account.code in [gateway["code"] for gateway in listed]
    assert f"key-of-{json_account.code}" not in json.dumps(listed)
    assert f"secret-of-{json_account.code}" not in json.dumps(listed)
    again = {"code": json_account.code, "name": "x", "dialect": "json", "api_key": "k", "notice_secret": "s"}
    assert "taken" in simulator.ask("POST", "/gateways", again, http_status=400)["error"]
    taken = {**again, "code": "free", "port": urlsplit(json_account.url).port}
    assert "taken" in simulator.ask("POST", "/gateways", taken, http_status=400)["error"]
    assert simulator.ask("GET", "/book/nobody", http_status=404) == {"error": "no gateway nobody"}


def test_a_change_from_a_form_on_another_page_is_refused(simulator, json_account):
    request = HttpRequest("PATCH", f"/gateways/{json_account.code}", {"Content-Type": "text/plain"}, b"{}")
    assert exchange(simulator.url, request).http_status == 400


def test_the_page_is_whole_in_itself_and_explains_every_behaviour(simulator):
    page = exchange(simulator.url, HttpRequest("GET", "/")).body.decode()
    assert not re.findall(r"https?://|@import|<link[^>]+href=\"(?!data:)|src=", page)
    facts = json.loads(re.search(r'id="facts">(.*?)</script>', page)[1])
    assert len(facts["behaviours"]) == 12
    assert all(meaning.endswith(".") for meaning in facts["behaviours"].values())
    assert {card["number"] for card in facts["cards"]} <= {*TEST_CARDS, CHALLENGED}


def test_the_books_of_all_gateways_are_told_in_one(simulator, account, json_account):
    request, done = account.charged()
    account.do("capture", account.follow("capture", request, done))
    challenged(account)
    books = simulator.ask("GET", "/book")
    assert books[account.code] == account.book
    assert books[json_account.code] == []
    charge, capture, waiting = account.book
    assert (charge["captured_minor"], charge["voided"], charge["canceled"]) == (1000, False, False)
    assert (capture["parent_reference"], waiting["status"]) == (charge["reference"], "pending")
    assert not {"fingerprint", "verdict", "return_url", "last_digits"} & set(charge)


def test_a_long_book_is_told_fast(tmp_path):
    book = Book(str(tmp_path / "book.sqlite3"))
    row = {"kind": "charge", "at": "2026-01-01T00:00:00.000+00:00", "amount_minor": 1000, "currency": "EUR"}
    with book.transaction():
        for number in range(5000):
            book.insert(Operation(id=f"ch_{number}", gateway="north", reference=f"att_{number}", **row))
    started = time.perf_counter()
    told = json.loads(book.as_json("north"))
    assert time.perf_counter() - started < 0.5
    book.close()
    assert [operation["reference"] for operation in told] == [f"att_{number}" for number in range(5000)]


# The process


def test_it_loads_nothing_of_the_platform():
    code = (
        "import sys, gateways.simulator.__main__; "
        "print([m for m in sys.modules if m.split('.')[0] in ('django', 'celery', 'checkout')], "
        "[m for m in sys.modules if m.startswith('gateways.') and not m.startswith('gateways.simulator')])"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout == "[] []\n"


def test_the_book_survives_kill_9_and_pending_outcomes_are_still_decided(tmp_path, mailbox):
    settings = {
        "code": "north",
        "name": "Northgate",
        "dialect": "json",
        "api_key": "k",
        "notice_secret": "s",
        "async_seconds": 1,
        "notice_url": mailbox.url,
        "notices": "asynchronous",
    }
    adapter = SimulatorJson({"api_key": "k", "notice_secret": "s"})

    def start() -> Account:
        simulator = Simulator(tmp_path, [settings])
        return Account(simulator, "north", simulator.addresses["gateways"]["north"], adapter, count(1))

    account = start()
    try:
        charges = [account.charged()[0].reference for _ in range(20)]
        waiting, path = challenged(account)
        account.change(behaviour="asynchronous")
        pending = account.charge()
        assert account.do("authorize", pending).outcome is Outcome.PENDING
    finally:
        account.simulator.stop(signal.SIGKILL)
    again = start()
    try:
        assert [row["reference"] for row in again.book] == [*charges, waiting.reference, pending.reference]
        eventually(lambda: mailbox.arrived)
        assert again.do("fetch", pending).outcome is Outcome.SUCCEEDED
        assert again.totals["EUR"]["charges"] == 21
        assert again.do("fetch", waiting).action_url == again.simulator.url + path
        assert press(again, path, "approve").headers["location"] == BACK
        assert again.totals["EUR"]["charges"] == 22
    finally:
        assert again.simulator.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_what_was_not_told_when_the_process_ended_is_told_by_the_next_one(tmp_path, number):
    mailbox = Mailbox()
    mailbox.refusals = 10**6
    settings = {"code": "north", "name": "Northgate", "dialect": "json", "api_key": "k", "notice_secret": "s"}
    settings["notice_url"] = mailbox.url
    adapter = SimulatorJson({"api_key": "k", "notice_secret": "s"})

    def start() -> Account:
        simulator = Simulator(tmp_path, [settings])
        return Account(simulator, "north", simulator.addresses["gateways"]["north"], adapter, count(1))

    try:
        account = start()
        request, _ = account.charged()
        declined = account.charge("4000000000000002")
        account.do("authorize", declined)
        eventually(lambda: len(mailbox.arrived) >= 2)
        account.do("cancel_by_reference", request)
        account.simulator.stop(number)
        del mailbox.arrived[:]
        mailbox.refusals = 0
        again = start()
        try:
            eventually(lambda: len(mailbox.arrived) == 2)
            told = {notice.reference: notice.result for notice in mailbox.read(adapter)}
            assert told[request.reference].outcome is Outcome.SUCCEEDED  # as it stood when it became news
            assert told[declined.reference].decline_code == "do_not_honor"
            eventually(lambda: again.change()["counters"]["notices_waiting"] == 0)
        finally:
            again.simulator.stop()
        third = start()
        third.simulator.stop()
        assert len(mailbox.arrived) == 2
    finally:
        mailbox.server.shutdown()
        mailbox.server.server_close()


def test_a_notice_is_tried_ten_times_in_all_however_often_the_process_ends(tmp_path, mailbox):
    mailbox.refusals = 10**6
    settings = {"code": "north", "name": "Northgate", "dialect": "json", "api_key": "k", "notice_secret": "s"}
    simulator = Simulator(tmp_path, [{**settings, "notice_url": mailbox.url}])
    url = simulator.addresses["gateways"]["north"]
    Account(simulator, "north", url, SimulatorJson({"api_key": "k", "notice_secret": "s"}), count(1)).charged()
    for number in range(1, 10):
        eventually(lambda number=number: len(mailbox.arrived) == number)
        simulator.stop(signal.SIGKILL)
        simulator = Simulator(tmp_path, [{**settings, "notice_url": mailbox.url}])
    (north,) = eventually(
        lambda: [g for g in simulator.ask("GET", "/gateways") if g["counters"]["notices_given_up"] == 1]
    )
    assert north["counters"]["notices_waiting"] == 0
    simulator.stop()
    assert len(mailbox.arrived) == 10
    with sqlite3.connect(tmp_path / "book.sqlite3") as book:
        assert book.execute("SELECT count(*) FROM notice").fetchone() == (0,)


def test_a_book_of_before_there_were_challenges_is_read_on(tmp_path):
    simulator = Simulator(tmp_path)
    account = open_account(simulator, "json", "north")
    account.charged()
    simulator.stop()
    with sqlite3.connect(tmp_path / "book.sqlite3") as book:
        book.executescript("DROP TABLE challenge; DROP TABLE notice")
    simulator = Simulator(tmp_path)
    try:
        account = open_account(simulator, "json", "north")
        assert len(account.book) == 1
        account.numbers = count(2)
        challenged(account)
    finally:
        simulator.stop()


def test_no_card_number_is_ever_written(tmp_path):
    simulator = Simulator(tmp_path)
    try:
        account = open_account(simulator, "xml")
        account.charged()
        challenged(account)
    finally:
        simulator.stop()
    written = b"".join(path.read_bytes() for path in tmp_path.glob("book.sqlite3*"))
    assert b"att_" in written
    assert GOOD.encode() not in written
    assert CHALLENGED.encode() not in written
    with sqlite3.connect(tmp_path / "book.sqlite3") as book:
        assert book.execute("SELECT count(*) FROM operation").fetchone() == (2,)


def test_a_bad_configuration_is_refused_in_one_line(tmp_path):
    config = tmp_path / "bad.json"
    config.write_text('{"control": {"port": 0}, "book": "x", "gateways": [{"code": "Bad Code"}]}')
    command = [sys.executable, "-m", "gateways.simulator", "--config", str(config)]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert shown.returncode == 2
    assert "missing" in shown.stderr
    assert "Traceback" not in shown.stderr


def test_a_port_in_use_is_refused_in_one_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        gateway = {"code": "a", "name": "A", "dialect": "json", "api_key": "k", "notice_secret": "s"}
        config = tmp_path / "taken.json"
        config.write_text(
            json.dumps(
                {
                    "control": {"port": 0},
                    "book": str(tmp_path / "book.sqlite3"),
                    "gateways": [{**gateway, "port": taken.getsockname()[1]}],
                }
            )
        )
        command = [sys.executable, "-m", "gateways.simulator", "--config", str(config)]
        shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert shown.returncode == 2
    assert "is taken" in shown.stderr
    assert "Traceback" not in shown.stderr
