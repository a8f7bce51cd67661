"""How do we reach a gateway? This is the only door out. It drives the adapters' generators over HTTP, concurrently.

The event loop lives in a thread of its own, one per process and made after any fork, so callers stay synchronous and
may use the database while calls are in flight. No call starts while a transaction is open.
"""

import asyncio
import hashlib
import os
import queue
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import structlog
from django.db import connection

from checkout.kit import clock
from checkout.kit.failpoints import reach
from checkout.settings import policy
from gateways.base import GatewayRequest, HttpReply, HttpRequest, ListedFile
from gateways.errors import CalledInsideTransaction
from gateways.models import Gateway
from gateways.outcomes import NOT_HEALTHY, GatewayResult, Outcome
from gateways.registry import adapter_class

log = structlog.get_logger(__name__)

_PIECE_BYTES = 256 * 1024

# Raised before a byte of the request was written: DNS, connection refused, TLS, connect timeout.
_BEFORE_SENDING = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)


class _TooLateToSend(Exception):
    """The time in which a call may be sent is over."""


@dataclass(frozen=True)
class Account:
    """What a call needs to know of a configured gateway, detached from the database.

    `has_failed` is whether the last call or check before this one failed.
    """

    id: Any
    code: str
    adapter: str
    base_url: str
    connect_timeout_seconds: float
    call_timeout_seconds: float
    has_failed: bool
    secrets: Mapping[str, str] = field(repr=False)

    @classmethod
    def of(cls, gateway: Gateway) -> "Account":
        """The account of a configured gateway, with its credentials decrypted."""
        return cls(
            id=gateway.pk,
            code=gateway.code,
            adapter=gateway.adapter,
            base_url=gateway.base_url.rstrip("/"),
            connect_timeout_seconds=gateway.connect_timeout_seconds,
            call_timeout_seconds=gateway.call_timeout_seconds,
            has_failed=gateway.failure_count > 0,
            secrets=gateway.secrets,
        )


@dataclass(frozen=True)
class Call:
    """One verb to be driven at one gateway: the adapter's method of that name.

    `request` is None for `health`, `list_settlements` and `download_settlement`. After `send_until` nothing of it is
    sent any more: whoever intended it has lost the right to, and somebody else may be at it.
    """

    account: Account
    verb: str
    request: GatewayRequest | None = None
    tag: Any = None
    send_until: datetime | None = None


@dataclass(frozen=True)
class Answer:
    """What came of a call. `error` is the class of transport error, `is_failure` whether it speaks against its health.

    For `health` and what has to do with settlement files, `result` is SUCCEEDED or UNKNOWN; `files` are those listed.
    """

    call: Call
    result: GatewayResult
    started_at: datetime
    duration_ms: int
    http_status: int | None = None
    error: str = ""
    files: tuple[ListedFile, ...] = ()

    @property
    def is_failure(self) -> bool:
        """A connection failure, a timeout or a 5xx; a decline never is."""
        return bool(self.error) or (self.http_status or 0) >= 500


class _Loop:
    """One event loop in a thread, with one session of kept-alive connections."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.loop = asyncio.new_event_loop()
        self.session: aiohttp.ClientSession | None = None
        threading.Thread(target=self.loop.run_forever, name="gateway calls", daemon=True).start()

    def submit(self, call: Call, answers: "queue.SimpleQueue[Answer | BaseException]") -> None:
        asyncio.run_coroutine_threadsafe(self._run(call, answers), self.loop)

    async def _run(self, call: Call, answers: "queue.SimpleQueue[Answer | BaseException]") -> None:
        try:
            answers.put(await _drive(self._connected(), call))
        except BaseException as error:  # nobody else would hear of it: whoever waits for the answer must
            answers.put(error)

    async def download(self, account: Account, file: ListedFile, path: Path) -> "Answer":
        return await _download(self._connected(), account, file, path)

    def _connected(self) -> aiohttp.ClientSession:
        if self.session is None:
            self.session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30, ttl_dns_cache=60),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=["User-Agent", "Accept-Encoding"],
            )
        return self.session

    async def close(self) -> None:
        if self.session is not None:
            await self.session.close()
        self.loop.stop()


_current: _Loop | None = None
_inherited: list[_Loop] = []  # after a fork: kept for good, since to close it here would reach into the parent's
_lock = threading.Lock()


def _loop() -> _Loop:
    global _current
    with _lock:
        _set_inherited_aside()
        _current = _current or _Loop()
        return _current


def discard_loop() -> None:
    """Throw the event loop and its connections away: calls in flight are lost, the next one starts afresh."""
    global _current
    with _lock:
        _set_inherited_aside()
        if _current is not None:
            asyncio.run_coroutine_threadsafe(_current.close(), _current.loop)
            _current = None


def _set_inherited_aside() -> None:
    global _current
    if _current is not None and _current.pid != os.getpid():
        _inherited.append(_current)
        _current = None


class Caller:
    """A set of calls in flight: start some, take their answers as they arrive, start more."""

    def __init__(self) -> None:
        self._answers: queue.SimpleQueue[Answer | BaseException] = queue.SimpleQueue()
        self.in_flight: Counter[Any] = Counter()

    def start(self, call: Call) -> None:
        """Begin a call and return at once. Refuses: CalledInsideTransaction."""
        refuse_inside_transaction()
        self.in_flight[call.account.id] += 1
        _loop().submit(call, self._answers)

    @property
    def is_busy(self) -> bool:
        """Whether any call has not been answered yet."""
        return any(self.in_flight.values())

    def take(self, timeout_seconds: float) -> list[Answer]:
        """The answers that are there, waiting for the first one as long as that; [] if none came, or none can."""
        answers: list[Answer] = []
        try:
            while self.is_busy:
                answer = self._answers.get(timeout=0 if answers else timeout_seconds)
                if isinstance(answer, BaseException):
                    raise answer
                self.in_flight[answer.call.account.id] -= 1
                answers.append(answer)
        except queue.Empty:
            pass
        return answers


def call_all(calls: Sequence[Call]) -> Iterator[Answer]:
    """Make the calls concurrently and yield each answer as it arrives; no call outlives its account's deadline."""
    caller = Caller()
    for call in calls:
        caller.start(call)
    while caller.is_busy:
        yield from caller.take(1.0)


def download(*, account: Account, file: ListedFile, path: Path) -> Answer:
    """Write a settlement file of a gateway to a path, piece by piece; what is there unless it SUCCEEDED is no file.

    It has a deadline and a largest size of its own, and must have the size and the hash that the gateway listed.
    Nothing of it is logged. Refuses: CalledInsideTransaction.
    """
    refuse_inside_transaction()
    loop = _loop()
    return asyncio.run_coroutine_threadsafe(loop.download(account, file, path), loop.loop).result()


def refuse_inside_transaction() -> None:
    """Refuses to go on while a transaction is open; a test's own outermost block does not count."""
    blocks = connection.atomic_blocks
    if blocks and not blocks[-1]._from_testcase:  # type: ignore[attr-defined]
        raise CalledInsideTransaction("Commit before calling a gateway: a lock held over the network stops everybody.")


async def _drive(session: aiohttp.ClientSession, call: Call) -> Answer:
    """Send what the adapter asks for and give it what comes back, within one total deadline."""
    started_at, began = clock.now(), time.monotonic()
    http_status: int | None = None
    sent = False
    error = ""
    files: tuple[ListedFile, ...] = ()
    try:
        method = getattr(adapter_class(call.account.adapter)(call.account.secrets), call.verb)
        verb = method() if call.request is None else method(call.request)
        async with asyncio.timeout(_deadline_seconds(call)):
            ask = next(verb)
            while True:
                if call.send_until is not None and clock.now() > call.send_until:
                    raise _TooLateToSend
                reach("call.before_send")
                reply = await _send(session, call.account, ask)
                sent, http_status = True, reply.http_status
                reach("call.after_reply")
                ask = verb.send(reply)
    except StopIteration as stop:
        match stop.value:
            case bool() as is_up:
                result = GatewayResult(Outcome.SUCCEEDED) if is_up else GatewayResult.unknown(NOT_HEALTHY)
            case list() as listed:
                result, files = GatewayResult(Outcome.SUCCEEDED), tuple(listed)
            case None:
                result = GatewayResult.unknown("no list of files that can be believed")
            case concluded:
                result = concluded
    except _TooLateToSend:
        late = "held up for too long to send it"
        result = GatewayResult.unknown(late) if sent else GatewayResult.not_sent(late)
    except _BEFORE_SENDING as failure:
        error = type(failure).__name__
        result = (
            GatewayResult.unknown("connection lost half-way")
            if sent
            else GatewayResult.not_sent("no connection to the gateway")
        )
    except TimeoutError:
        error, result = "Timeout", GatewayResult.unknown("no answer in time")
    except aiohttp.ClientError as failure:
        error, result = type(failure).__name__, GatewayResult.unknown("connection broke before an answer")
    except Exception as failure:  # a parser that stumbles has learned nothing; its message may hold what it read
        log.error("adapter_failed", gateway=call.account.code, operation=call.verb, error=type(failure).__name__)
        result = GatewayResult.unknown("the answer could not be read")
    return Answer(
        call=call,
        result=result,
        started_at=started_at,
        duration_ms=round((time.monotonic() - began) * 1000),
        http_status=http_status,
        error=error,
        files=files,
    )


def _deadline_seconds(call: Call) -> float:
    return policy.HEALTH_TIMEOUT_SECONDS if call.verb == "health" else call.account.call_timeout_seconds


async def _download(session: aiohttp.ClientSession, account: Account, file: ListedFile, path: Path) -> Answer:
    """One settlement file within its own deadline. A disk that is full is not the gateway's doing, and is raised."""
    started_at, began = clock.now(), time.monotonic()
    http_status: int | None = None
    error = ""
    ask = adapter_class(account.adapter)(account.secrets).settlement_request(file.name)
    try:
        async with asyncio.timeout(policy.SETTLEMENT_TIMEOUT_SECONDS), _request(session, account, ask) as response:
            http_status = response.status
            flaw = await _receive(response, file, path)
    except aiohttp.ClientError as failure:
        error, flaw = type(failure).__name__, "no connection, or it broke before the end"
    except TimeoutError:
        error, flaw = "Timeout", "no end in time"
    return Answer(
        call=Call(account=account, verb="download_settlement"),
        result=GatewayResult.unknown(flaw) if flaw else GatewayResult(Outcome.SUCCEEDED),
        started_at=started_at,
        duration_ms=round((time.monotonic() - began) * 1000),
        http_status=http_status,
        error=error,
    )


async def _receive(response: aiohttp.ClientResponse, file: ListedFile, path: Path) -> str:
    """Write a body to a path, and say what speaks against believing it."""
    if response.status != 200:
        return f"answered with status {response.status}"
    digest, size = hashlib.sha256(), 0
    with path.open("wb") as target:
        async for piece in response.content.iter_chunked(_PIECE_BYTES):
            size += len(piece)
            if size > policy.MAX_SETTLEMENT_BYTES:
                return "larger than a settlement file may be"
            digest.update(piece)
            target.write(piece)
    if file.size_bytes not in (None, size):
        return "not of the size that was listed"
    if file.sha256 not in (None, digest.hexdigest()):
        return "not of the hash that was listed"
    return ""


async def _send(session: aiohttp.ClientSession, account: Account, ask: HttpRequest) -> HttpReply:
    async with _request(session, account, ask) as response:
        body = await response.content.read(policy.MAX_REPLY_BYTES + 1)
        while len(body) <= policy.MAX_REPLY_BYTES and not response.content.at_eof():
            body += await response.content.read(policy.MAX_REPLY_BYTES + 1 - len(body))
        if len(body) > policy.MAX_REPLY_BYTES:
            raise aiohttp.ClientPayloadError("the answer is too long")
        headers = {name.lower(): value for name, value in response.headers.items()}
        return HttpReply(http_status=response.status, headers=headers, body=body)


def _request(
    session: aiohttp.ClientSession, account: Account, ask: HttpRequest
) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
    return session.request(
        ask.method,
        account.base_url + ask.path,
        headers=ask.headers,
        data=ask.body or None,
        allow_redirects=False,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=account.connect_timeout_seconds),
    )
