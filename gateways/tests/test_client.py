"""What may be believed after whatever happened on the wire? Every answer here comes over real HTTP on 127.0.0.1."""

import json
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from django.db import transaction

from checkout.settings import policy
from gateways import client
from gateways.base import Gateway as Adapter
from gateways.base import GatewayRequest, HttpRequest, Verb
from gateways.client import Answer, Call, Caller, call_all
from gateways.errors import CalledInsideTransaction
from gateways.outcomes import GatewayResult, Outcome
from gateways.tests.conftest import account
from gateways.tests.driving import money_request
from gateways.tests.scripted import Script, Server, after, hangs, raw, resets, says, trickles

APPROVED = json.dumps(
    {
        "id": "ch_1",
        "object": "charge",
        "reference": "att_1",
        "status": "approved",
        "amount": 1234,
        "currency": "EUR",
        "captured": False,
    }
).encode()


@pytest.fixture(autouse=True)
def _no_connection_outlives_a_test() -> Iterator[None]:
    yield
    client.discard_loop()


def ask(url: str, verb: str = "authorize", **timeouts: float) -> Answer:
    request = None if verb == "health" else money_request("authorize")
    (answer,) = call_all([Call(account=account(url, **timeouts), verb=verb, request=request)])
    return answer


def nobodys_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_a_complete_answer_is_the_adapters_to_judge(serve: Callable[[Script], Server]) -> None:
    server = serve(says(201, APPROVED))

    answer = ask(server.url)

    assert (answer.result.outcome, answer.result.gateway_reference) == (Outcome.SUCCEEDED, "ch_1")
    assert (answer.http_status, answer.error, answer.is_failure) == (201, "", False)
    (request,) = server.requests
    assert request.startswith(b"POST /v1/charges HTTP/1.1\r\n")
    assert b"Idempotency-Key: att_1" in request
    assert b"User-Agent" not in request


# Before a byte of the request was written: certain that nothing was charged.


def test_a_refused_connection_is_not_sent() -> None:
    answer = ask(f"http://127.0.0.1:{nobodys_port()}")

    assert (answer.result.outcome, answer.http_status) == (Outcome.NOT_SENT, None)
    assert answer.is_failure


def test_a_name_that_cannot_be_resolved_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*words: object, **options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)

    answer = ask("http://no-such-gateway.invalid")

    assert answer.result.outcome is Outcome.NOT_SENT
    assert answer.is_failure


def test_a_connection_that_is_not_accepted_in_time_is_not_sent() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:  # fill the queue of those who wait to be accepted
            one.setblocking(False)
            one.connect_ex(server.getsockname())
        time.sleep(0.05)

        answer = ask(f"http://127.0.0.1:{server.getsockname()[1]}", connect=0.3)

        for one in waiting:
            one.close()
    assert (answer.result.outcome, answer.error) == (Outcome.NOT_SENT, "ConnectionTimeoutError")
    assert 250 <= answer.duration_ms < 1500


def test_a_tls_handshake_that_fails_is_not_sent() -> None:
    def greet(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"220 this is not TLS\r\n")
            connection.recv(65_536)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=greet, args=[server], daemon=True).start()

        answer = ask(f"https://127.0.0.1:{server.getsockname()[1]}")

    assert (answer.result.outcome, answer.error) == (Outcome.NOT_SENT, "ClientConnectorSSLError")


def test_an_address_that_is_none_is_not_sent() -> None:
    assert ask("http://").result.outcome is Outcome.NOT_SENT


# Afterwards: without a complete answer nobody knows.


@pytest.mark.parametrize(
    "script",
    [
        hangs,
        trickles,
        after(5, says(201, APPROVED)),
        resets,
        raw(b""),
        raw(b"HTTP/1.1 201 Created\r\n"),
        raw(b"HTTP/1.1 201 Created\r\nContent-Length: 500\r\n\r\n" + APPROVED),
        raw(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n"),
        raw(b"HTTP/1.1 201 Created\r\nContent-Length: oops\r\n\r\n" + APPROVED),
        raw(b"SSH-2.0-OpenSSH_9.2\r\n"),
        raw(b"\x00\xff\x00\xff\r\n\r\n"),
    ],
    ids=[
        "hangs",
        "trickles",
        "late",
        "reset",
        "closed",
        "headers cut",
        "body cut",
        "chunks cut",
        "no length",
        "not HTTP",
        "noise",
    ],
)
def test_a_request_without_a_complete_answer_is_unknown_and_never_sent_twice(
    serve: Callable[[Script], Server], script: Script
) -> None:
    server = serve(script)
    began = time.monotonic()

    answer = ask(server.url, total=0.6)

    assert answer.result.outcome is Outcome.UNKNOWN
    assert answer.is_failure
    assert time.monotonic() - began < 1.6
    assert len(server.requests) == 1


def test_a_kept_connection_that_dies_under_a_request_is_unknown_and_the_request_not_repeated(
    serve: Callable[[Script], Server],
) -> None:
    answers = iter([says(201, APPROVED), raw(b"")])
    server = serve(lambda connection: next(answers)(connection))

    first, second = ask(server.url), ask(server.url)

    assert (first.result.outcome, second.result.outcome) == (Outcome.SUCCEEDED, Outcome.UNKNOWN)
    assert len(server.requests) == 2
    assert server.connection_count == 1


@pytest.mark.parametrize("http_status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(serve: Callable[[Script], Server], http_status: int) -> None:
    elsewhere = serve(says(201, APPROVED))
    server = serve(says(http_status, headers=f"Location: {elsewhere.url}/v1/charges\r\n"))

    answer = ask(server.url)

    assert (answer.result.outcome, answer.http_status) == (Outcome.UNKNOWN, http_status)
    assert elsewhere.connection_count == 0


@pytest.mark.parametrize("http_status", [200, 204, 400, 408, 409, 418, 429, 500, 502, 503, 599])
def test_a_status_that_is_on_no_list_is_unknown(serve: Callable[[Script], Server], http_status: int) -> None:
    answer = ask(serve(says(http_status, b"" if http_status == 204 else b"{}")).url)

    assert (answer.result.outcome, answer.http_status) == (Outcome.UNKNOWN, http_status)
    assert answer.is_failure is (http_status >= 500)


@pytest.mark.parametrize(
    ("length", "outcome"), [(policy.MAX_REPLY_BYTES, Outcome.SUCCEEDED), (policy.MAX_REPLY_BYTES + 1, Outcome.UNKNOWN)]
)
def test_an_answer_beyond_the_size_cap_is_unknown(
    serve: Callable[[Script], Server], length: int, outcome: Outcome
) -> None:
    answer = ask(serve(says(201, APPROVED.ljust(length))).url)

    assert answer.result.outcome is outcome


def test_an_endless_answer_is_given_up_at_the_cap(serve: Callable[[Script], Server]) -> None:
    def endless(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 201 Created\r\n\r\n")
        while True:
            connection.sendall(b" " * 65_536)

    answer = ask(serve(endless).url)

    assert answer.result.outcome is Outcome.UNKNOWN
    assert answer.duration_ms < 3000


class TwoSteps(Adapter):
    """An adapter whose verb needs two requests, and says how it was driven."""

    def authorize(self, request: GatewayRequest) -> Verb:
        reply = yield HttpRequest("POST", "/first")
        assert reply.http_status == 200
        reply = yield HttpRequest("POST", "/second")
        return GatewayResult(Outcome.SUCCEEDED, reply.headers["x-id"])

    def capture(self, request: GatewayRequest) -> Verb:
        yield HttpRequest("POST", "/first")
        raise RuntimeError("4242424242424242 is what I read")


@pytest.fixture
def two_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "adapter_class", lambda code: TwoSteps)


@pytest.mark.usefixtures("two_steps")
def test_a_verb_of_two_requests_is_driven_to_its_end(serve: Callable[[Script], Server]) -> None:
    server = serve(says(200, headers="X-Id: ch_2\r\n"))

    answer = ask(server.url)

    assert (answer.result.outcome, answer.result.gateway_reference) == (Outcome.SUCCEEDED, "ch_2")
    assert [request.split()[1] for request in server.requests] == [b"/first", b"/second"]


@pytest.mark.usefixtures("two_steps")
def test_a_second_request_that_cannot_connect_is_unknown(serve: Callable[[Script], Server]) -> None:
    def last_words(connection: socket.socket) -> None:
        server.close()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")

    server = serve(last_words)
    try:
        answer = ask(server.url)
    finally:
        server._socket = socket.create_server(("127.0.0.1", 0))  # for the fixture to close

    assert (answer.result.outcome, answer.error) == (Outcome.UNKNOWN, "ClientConnectorError")


@pytest.mark.usefixtures("two_steps")
def test_one_deadline_holds_for_all_requests_of_a_verb(serve: Callable[[Script], Server]) -> None:
    server = serve(after(0.4, says(200, headers="X-Id: ch_2\r\n")))

    answer = ask(server.url, total=0.6)

    assert (answer.result.outcome, answer.error) == (Outcome.UNKNOWN, "Timeout")
    assert len(server.requests) == 2


@pytest.mark.usefixtures("two_steps")
def test_an_adapter_that_stumbles_has_learned_nothing_and_tells_nothing(
    serve: Callable[[Script], Server], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        answer = ask(serve(says(200)).url, verb="capture")

    assert answer.result == GatewayResult.unknown("the answer could not be read")
    assert not answer.is_failure
    assert "adapter_failed" in caplog.text
    assert "4242" not in caplog.text


@pytest.mark.parametrize(
    ("script", "is_up"),
    [(says(200, b'{"status": "ok"}'), True), (says(200, b'{"status": "ill"}'), False), (says(503), False)],
    ids=["up", "ill", "503"],
)
def test_health_is_a_success_or_unknown(serve: Callable[[Script], Server], script: Script, is_up: bool) -> None:
    assert (ask(serve(script).url, verb="health").result.outcome is Outcome.SUCCEEDED) is is_up


def test_health_has_a_deadline_of_its_own(serve: Callable[[Script], Server], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "HEALTH_TIMEOUT_SECONDS", 0.3)

    answer = ask(serve(hangs).url, verb="health")

    assert (answer.result.outcome, answer.error) == (Outcome.UNKNOWN, "Timeout")
    assert answer.duration_ms < 1000


def test_thirty_calls_take_as_long_as_one(serve: Callable[[Script], Server]) -> None:
    server = serve(after(0.4, says(201, APPROVED)))
    calls = [Call(account=account(server.url), verb="authorize", request=money_request(), tag=n) for n in range(30)]
    began = time.monotonic()

    answers = list(call_all(calls))

    assert time.monotonic() - began < 2
    assert sorted(answer.call.tag for answer in answers) == list(range(30))
    assert {answer.result.outcome for answer in answers} == {Outcome.SUCCEEDED}


def test_answers_are_taken_as_they_arrive_and_a_slow_gateway_holds_up_nobody(
    serve: Callable[[Script], Server],
) -> None:
    slow, fast = serve(after(0.8, says(201, APPROVED))), serve(says(201, APPROVED))
    caller = Caller()
    caller.start(Call(account=account(slow.url, code="slow"), verb="authorize", request=money_request()))
    caller.start(Call(account=account(fast.url, code="fast"), verb="authorize", request=money_request()))
    assert dict(caller.in_flight) == {"slow": 1, "fast": 1}

    (first,) = caller.take(2)

    assert (first.call.account.code, caller.is_busy) == ("fast", True)
    assert caller.take(0.01) == []
    (second,) = caller.take(2)
    assert (second.call.account.code, caller.is_busy) == ("slow", False)


@pytest.mark.django_db(transaction=True)
def test_no_call_starts_inside_a_transaction(serve: Callable[[Script], Server]) -> None:
    server = serve(says(201, APPROVED))

    with pytest.raises(CalledInsideTransaction), transaction.atomic():
        ask(server.url)

    assert server.connection_count == 0
    assert ask(server.url).result.outcome is Outcome.SUCCEEDED


@pytest.mark.django_db
def test_a_transaction_inside_the_tests_own_counts(serve: Callable[[Script], Server]) -> None:
    server = serve(says(201, APPROVED))
    assert ask(server.url).result.outcome is Outcome.SUCCEEDED

    with pytest.raises(CalledInsideTransaction), transaction.atomic():
        ask(server.url)


def test_a_fork_calls_through_a_loop_of_its_own(serve: Callable[[Script], Server]) -> None:
    server = serve(says(201, APPROVED))
    assert ask(server.url).result.outcome is Outcome.SUCCEEDED

    child = os.fork()
    if child == 0:
        signal.alarm(10)
        try:
            os._exit(0 if ask(server.url).result.outcome is Outcome.SUCCEEDED else 1)
        finally:
            os._exit(2)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert ask(server.url).result.outcome is Outcome.SUCCEEDED


def test_after_the_loop_was_thrown_away_the_next_call_starts_afresh(serve: Callable[[Script], Server]) -> None:
    server = serve(says(201, APPROVED))
    ask(server.url)
    client.discard_loop()

    assert ask(server.url).result.outcome is Outcome.SUCCEEDED
    assert server.connection_count == 2


def test_many_threads_share_one_loop(serve: Callable[[Script], Server]) -> None:
    server = serve(says(201, APPROVED))
    outcomes: list[Outcome] = []
    threads = [threading.Thread(target=lambda: outcomes.append(ask(server.url).result.outcome)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert outcomes == [Outcome.SUCCEEDED] * 8
    assert sum(thread.name == "gateway calls" for thread in threading.enumerate()) >= 1


def test_nothing_secret_shows_in_a_repr() -> None:
    call = Call(account=account("http://127.0.0.1:9"), verb="authorize", request=money_request())

    assert "4242" not in repr(call)
    assert "'key'" not in repr(call)
