"""When is what a gateway sent its settlement file? Every answer here comes over real HTTP on 127.0.0.1."""

import hashlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import transaction

from checkout.settings import policy
from gateways import client
from gateways.base import ListedFile
from gateways.client import Answer, Call, call_all
from gateways.errors import CalledInsideTransaction
from gateways.outcomes import Outcome
from gateways.tests.conftest import account
from gateways.tests.scripted import Script, Server, hangs, raw, resets, says, trickles

CONTENT = b"kind,gateway_reference\n" + b"charge,ch_1\n" * 30_000  # longer than any other answer may be
FILE = ListedFile("settlement-000001.csv", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())

Serve = Callable[[Script], Server]


@pytest.fixture(autouse=True)
def _no_connection_outlives_a_test() -> Iterator[None]:
    yield
    client.discard_loop()


def fetch(url: str, path: Path, file: ListedFile = FILE) -> Answer:
    return client.download(account=account(url, connect=0.5), file=file, path=path)


def test_a_file_is_written_byte_for_byte_however_long_it_is(serve: Serve, tmp_path: Path) -> None:
    server = serve(says(200, CONTENT))

    answer = fetch(server.url, tmp_path / "file")

    assert (answer.result.outcome, answer.http_status, answer.error) == (Outcome.SUCCEEDED, 200, "")
    assert answer.call.verb == "download_settlement"
    assert len(CONTENT) > policy.MAX_REPLY_BYTES
    assert (tmp_path / "file").read_bytes() == CONTENT
    (request,) = server.requests
    assert request.startswith(b"GET /v1/settlements/settlement-000001.csv HTTP/1.1\r\n")
    assert b"Authorization: Bearer key" in request


@pytest.mark.parametrize("http_status", [201, 204, 206, 302, 401, 403, 404, 500, 503])
def test_only_status_200_is_the_file(serve: Serve, tmp_path: Path, http_status: int) -> None:
    body = b"" if http_status == 204 else CONTENT
    answer = fetch(serve(says(http_status, body, "Location: /elsewhere\r\n")).url, tmp_path / "file")

    assert (answer.result.outcome, answer.http_status) == (Outcome.UNKNOWN, http_status)
    assert str(http_status) in answer.result.detail
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize(
    "script",
    [
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(CONTENT) + CONTENT[:-1]),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nkind,\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n" + CONTENT),
        raw(b""),
        resets,
    ],
    ids=["short", "short chunks", "no length", "nothing", "reset"],
)
def test_a_file_that_ends_too_soon_is_none(serve: Serve, tmp_path: Path, script: Script) -> None:
    answer = fetch(serve(script).url, tmp_path / "file")

    assert answer.result.outcome is Outcome.UNKNOWN
    assert answer.is_failure


@pytest.mark.parametrize(
    ("listed", "flaw"),
    [
        (ListedFile("a.csv", len(CONTENT) + 1, FILE.sha256), "size"),
        (ListedFile("a.csv", len(CONTENT), "0" * 64), "hash"),
        (ListedFile("a.csv", None, "0" * 64), "hash"),
    ],
)
def test_a_file_that_is_not_the_one_that_was_listed_is_none(
    serve: Serve, tmp_path: Path, listed: ListedFile, flaw: str
) -> None:
    answer = fetch(serve(says(200, CONTENT)).url, tmp_path / "file", listed)

    assert answer.result.outcome is Outcome.UNKNOWN
    assert flaw in answer.result.detail


def test_a_file_without_a_listed_size_or_hash_is_believed(serve: Serve, tmp_path: Path) -> None:
    answer = fetch(serve(says(200, CONTENT)).url, tmp_path / "file", ListedFile("a.csv"))

    assert answer.result.outcome is Outcome.SUCCEEDED
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_file_that_never_ends_is_given_up_at_the_cap(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pours(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"charge,ch_1\n" * 10_000)

    monkeypatch.setattr(policy, "MAX_SETTLEMENT_BYTES", 1_000_000)
    began = time.monotonic()

    answer = fetch(serve(pours).url, tmp_path / "file", ListedFile("a.csv"))

    assert answer.result.outcome is Outcome.UNKNOWN
    assert "larger" in answer.result.detail
    assert (tmp_path / "file").stat().st_size <= 1_000_000
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("script", [hangs, trickles], ids=["hangs", "trickles"])
def test_a_file_has_a_deadline_of_its_own(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: Script
) -> None:
    monkeypatch.setattr(policy, "SETTLEMENT_TIMEOUT_SECONDS", 0.3)

    def good_head(connection: socket.socket) -> bool | None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        return script(connection)

    answer = fetch(serve(good_head).url, tmp_path / "file", ListedFile("a.csv"))

    assert (answer.result.outcome, answer.error) == (Outcome.UNKNOWN, "Timeout")
    assert 250 <= answer.duration_ms < 3_000


def test_a_call_has_no_time_to_spare_for_a_file_but_a_file_has_more_than_a_call(serve: Serve, tmp_path: Path) -> None:
    def slowly(connection: socket.socket) -> bool | None:
        time.sleep(0.5)
        return says(200, CONTENT)(connection)

    short = account(serve(slowly).url, total=0.2)

    assert client.download(account=short, file=FILE, path=tmp_path / "file").result.outcome is Outcome.SUCCEEDED
    (listing,) = call_all([Call(account=short, verb="list_settlements")])
    assert (listing.result.outcome, listing.error) == (Outcome.UNKNOWN, "Timeout")


def test_nobody_there_is_no_file(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"

    answer = fetch(url, tmp_path / "file")

    assert (answer.result.outcome, answer.error) == (Outcome.UNKNOWN, "ClientConnectorError")


def test_other_calls_go_on_while_a_file_is_on_its_way(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "SETTLEMENT_TIMEOUT_SECONDS", 5.0)
    hanging = serve(hangs)
    download = threading.Thread(target=fetch, args=(hanging.url, tmp_path / "file"), daemon=True)
    download.start()
    while not hanging.requests:
        time.sleep(0.01)

    (health,) = call_all([Call(account=account(serve(says(200, b'{"status": "ok"}')).url), verb="health")])

    assert health.result.outcome is Outcome.SUCCEEDED
    assert download.is_alive()


def test_nothing_of_a_file_is_logged(
    serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    for listed in (FILE, ListedFile("a.csv", 1)):
        answer = fetch(serve(says(200, CONTENT)).url, tmp_path / "file", listed)
        assert "ch_1" not in repr(answer)
    assert "ch_1" not in caplog.text + "".join(capfd.readouterr())


@pytest.mark.django_db(transaction=True)
def test_no_file_is_fetched_inside_a_transaction(serve: Serve, tmp_path: Path) -> None:
    server = serve(says(200, CONTENT))

    with transaction.atomic(), pytest.raises(CalledInsideTransaction):
        fetch(server.url, tmp_path / "file")

    assert server.connection_count == 0


def test_a_list_of_files_that_cannot_be_believed_is_unknown(serve: Serve) -> None:
    listed = b'{"data": [{"name": "a.csv", "size": 3, "sha256": "%s"}]}' % (b"0" * 64)
    for script, files in (
        (says(200, listed), (ListedFile("a.csv", 3, "0" * 64),)),
        (says(200, b'{"data": []}'), ()),
        (says(200, b'{"data": 7}'), None),
        (says(401, b'{"error": "unauthorized"}'), None),
    ):
        (answer,) = call_all([Call(account=account(serve(script).url), verb="list_settlements")])
        assert answer.result.outcome is (Outcome.UNKNOWN if files is None else Outcome.SUCCEEDED)
        assert answer.files == (files or ())
