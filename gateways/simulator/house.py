"""Who listens where? Every gateway's port, how it misbehaves at the wire, and its background work.

A gateway that is down keeps its port bound without listening: connections are refused, and nobody else can take it.
"""

import asyncio
import random
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from aiohttp import web

from gateways.simulator import settings as s
from gateways.simulator.account import BankAccount
from gateways.simulator.archive import Archive
from gateways.simulator.bank import Bank, CallRefused, NoSuchSettlement
from gateways.simulator.book import Book
from gateways.simulator.calls import (
    CANCEL,
    HEALTH,
    INQUIRY,
    MONEY_CALLS,
    PENDING,
    SETTLEMENT,
    SETTLEMENTS,
    Call,
    IssuedFile,
    Notice,
    Operation,
    Refused,
    Reply,
)
from gateways.simulator.json_dialect import JsonDialect
from gateways.simulator.notices import Postman
from gateways.simulator.settings import GatewaySettings, SettingsRefused
from gateways.simulator.settlements import Settlements
from gateways.simulator.xml_dialect import XmlDialect

_HOLD_SECONDS = 90
_BACKLOG = 1024
_LISTED_FILES = 1000
_FAILURE = Reply(500, "text/html", b"<html><body><h1>500 Internal Server Error</h1></body></html>\n")
_BAD_GATEWAY = Reply(502, "text/html", b"<html><body><h1>502 Bad Gateway</h1><hr>a proxy</body></html>\n")
_FAILURES_ON_HEALTH = {s.ERROR_BEFORE_CHARGING: _FAILURE, s.CHARGE_THEN_500: _FAILURE, s.BAD_GATEWAY: _BAD_GATEWAY}


class Dialect(Protocol):
    """How one gateway speaks."""

    is_multi_capture: bool

    def read(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Call:
        """What is asked. Raises Refused."""

    def answer(self, call: Call, operation: Operation, action_url: str) -> Reply:
        """The operation as it stands; `action_url` is where the card holder must go, or empty."""

    def refusal(self, call: Call, refusal: CallRefused) -> Reply:
        """Why nothing was done."""

    def health(self) -> Reply:
        """All is well."""

    def settlements(self, files: Sequence[IssuedFile]) -> Reply:
        """The list of settlement files."""

    def notice(self, operation: Operation, now: int) -> Reply:
        """The message that tells an outcome, signed at `now` (Unix seconds)."""


_DIALECTS: dict[str, Callable[[GatewaySettings], Dialect]] = {"json": JsonDialect, "xml": XmlDialect}


class NoSuchGateway(LookupError):
    """No gateway of that code is simulated here."""


class SimulatedGateway:
    """One gateway: its settings, its bank and its listening socket."""

    def __init__(
        self,
        settings: GatewaySettings,
        book: Book,
        postman: Postman,
        settlements: Settlements,
        *,
        host: str,
        control_url: str,
        seed: int | None,
    ) -> None:
        self.settings = settings
        self._challenge_url = f"{control_url}/challenge/{settings.code}"
        self.calls: Counter[str] = Counter()
        self._dialect: Dialect = _DIALECTS[settings.dialect](settings)
        self.bank = Bank(book, settings.code, is_multi_capture=self._dialect.is_multi_capture)
        self._book = book
        self._postman = postman
        self._archive = settlements.archive
        self._random = random.Random(None if seed is None else f"{seed}:{settings.code}")
        self._socket = bound(host, settings.port)
        self._host, self.port = self._socket.getsockname()[:2]
        self._runner: web.ServerRunner | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}

    @property
    def url(self) -> str:
        """Where it listens, unless it is down."""
        return f"http://{self._host}:{self.port}"

    async def open(self) -> None:
        """Listen, unless the behaviour is down, and take up what was pending or untold when the process ended."""
        for operation in self._book.pending(self.settings.code):
            self._settle_later(operation)
        for notice in self._book.notices(self.settings.code):
            self._deliver(notice)
        if self.settings.behaviour != s.DOWN:
            await self._listen()

    async def close(self) -> None:
        """Stop listening and deciding."""
        for timer in self._timers.values():
            timer.cancel()
        await self._hang_up()
        self._socket.close()

    async def change(self, settings: GatewaySettings) -> None:
        """Behave otherwise from now on."""
        self.settings = settings
        if settings.behaviour == s.DOWN:
            await self._hang_up()
        elif self._runner is None:
            await self._listen()

    def settle_pending(self) -> int:
        """Decide everything that is pending now, but what waits for a card holder. Returns how many that were."""
        pending = [operation for operation in self._book.pending(self.settings.code) if not operation.needs_action]
        for operation in pending:
            self._settle(operation.id)
        return len(pending)

    def decide_challenge(self, charge_id: str, *, is_approved: bool) -> Operation:
        """Let the card holder approve or fail, and tell it; the second time changes nothing. Raises NoSuchCharge."""
        with self._book.transaction():
            charge, is_news = self.bank.decide_challenge(charge_id, is_approved=is_approved)
            if is_news:
                self.tell(charge, is_late=True)
        return charge

    def act(self, kind: str, reference: str, amount_minor: int | None) -> Operation:
        """Capture, void or refund a charge in the back office, and tell it. Raises NoSuchOperation."""
        with self._book.transaction():
            operation = self.bank.act(kind, reference, amount_minor)
            self.tell(operation, is_late=True)
        return operation

    def tell(self, operation: Operation, *, is_late: bool, copies: int | None = None) -> None:
        """Send the notice of a final outcome, as the settings will have it; late is what no answer has told.

        Called in the transaction that decides, so that what is decided is told, whenever the process dies.
        """
        if copies is None:
            copies = 3 if self.settings.behaviour == s.DUPLICATE_AND_LATE_NOTICES else 1
        wanted = self.settings.notices
        if (
            not self.settings.notice_url
            or wanted == "none"
            or (wanted == "asynchronous" and not is_late and copies == 1)
        ):
            return
        for _ in range(copies):
            delay_seconds = self._random.uniform(1, 3) if copies > 1 else 0
            self._deliver(self._book.insert_notice(operation, due_at=time.time() + delay_seconds))

    def _deliver(self, notice: Notice) -> None:
        operation = self._book.get(notice.gateway, notice.operation_id)
        told = replace(operation, status=notice.status, decline=notice.decline)
        self._postman.deliver(
            notice, address=lambda: self.settings.notice_url, write=lambda now: self._dialect.notice(told, now)
        )

    async def _listen(self) -> None:
        runner = web.ServerRunner(web.Server(self._serve, access_log=None), shutdown_timeout=0.05)
        await runner.setup()
        await web.SockSite(runner, self._socket, backlog=_BACKLOG).start()
        self._runner = runner

    async def _hang_up(self) -> None:
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()
            self._socket = bound(self._host, self.port)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        try:
            call = self._dialect.read(request.method, request.path, request.headers, body)
        except Refused as refusal:
            return _response(refusal.reply)
        self.calls[call.kind] += 1
        behaviour = self._draw()
        await asyncio.sleep(self.settings.latency_ms / 1000)
        if call.kind == HEALTH and behaviour in _FAILURES_ON_HEALTH:
            return _response(_FAILURES_ON_HEALTH[behaviour])
        if call.kind in MONEY_CALLS:
            if behaviour == s.ERROR_BEFORE_CHARGING:
                return _response(_FAILURE)
            if behaviour == s.RESET_BEFORE_CHARGING:
                _cut(request)
                return web.Response()
            if behaviour == s.BAD_GATEWAY and self._random.random() < 0.5:
                return _response(_BAD_GATEWAY)
        if call.kind == SETTLEMENT:
            await asyncio.sleep(self.settings.slow_seconds if behaviour == s.SLOW else 0)
            return await self._send_file(request, call)
        reply = self._carry_out(call, behaviour)
        if behaviour == s.SLOW:
            await asyncio.sleep(self.settings.slow_seconds)
        elif call.kind in MONEY_CALLS:
            match behaviour:
                case s.CHARGE_THEN_500:
                    reply = _FAILURE
                case s.BAD_GATEWAY:
                    reply = _BAD_GATEWAY
                case s.CHARGE_THEN_GARBAGE:
                    reply = replace(reply, body=self._garbled(reply.body))
                case s.CHARGE_THEN_TIMEOUT:
                    await _hold(request)
                    _cut(request)
                case s.RESET:
                    _cut(request)
        return _response(reply)

    async def _send_file(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        file = self._archive.file(self.settings.code, call.reference)
        if file is None:
            return _response(self._dialect.refusal(call, NoSuchSettlement()))
        return await stream(request, file, self._archive)

    def _garbled(self, body: bytes) -> bytes:
        """Something in place of an answer: nothing, its first part, or its bytes in disorder."""
        return self._random.choice([b"", body[: len(body) // 2], body[::-1]])

    def _draw(self) -> str:
        """How the next call goes."""
        roll = self._random.random()
        if self.settings.behaviour != s.HEALTHY:
            return self.settings.behaviour if roll < self.settings.share else s.HEALTHY
        for behaviour, share in self.settings.mix.items():
            if roll < share:
                return behaviour
            roll -= share
        return s.HEALTHY

    def _carry_out(self, call: Call, behaviour: str) -> Reply:
        if call.kind == HEALTH:
            return self._dialect.health()
        if call.kind == SETTLEMENTS:
            return self._dialect.settlements(self._archive.files(self.settings.code, newest=_LISTED_FILES))
        copies = 3 if behaviour == s.DUPLICATE_AND_LATE_NOTICES else None
        try:
            with self._book.transaction():
                operation, is_news = self._ask_bank(call, is_late=behaviour == s.ASYNCHRONOUS)
                if is_news:
                    self.tell(operation, is_late=call.kind == INQUIRY, copies=copies)
        except CallRefused as refusal:
            return self._dialect.refusal(call, refusal)
        if operation.status == PENDING:
            self._settle_later(operation)
        action_url = f"{self._challenge_url}/{operation.id}" if operation.needs_action else ""
        return self._dialect.answer(call, operation, action_url)

    def _ask_bank(self, call: Call, *, is_late: bool) -> tuple[Operation, bool]:
        if call.kind == CANCEL:
            return self.bank.cancel(call.reference), False
        if call.kind == INQUIRY:
            return self.bank.inquire(call.reference)
        return self.bank.submit(
            call, profile=self.settings.profile, late_seconds=self.settings.async_seconds, is_late=is_late
        )

    def _settle_later(self, operation: Operation) -> None:
        """Set the timer of a pending operation, unless it runs already or waits for an inquiry."""
        if operation.decide_at is None or operation.id in self._timers:
            return
        delay = max(0.0, operation.decide_at - time.time())
        loop = asyncio.get_running_loop()
        self._timers[operation.id] = loop.call_later(delay, self._settle, operation.id)

    def _settle(self, operation_id: str) -> None:
        if timer := self._timers.pop(operation_id, None):
            timer.cancel()
        with self._book.transaction():
            operation, is_news = self.bank.settle(operation_id)
            if is_news:
                self.tell(operation, is_late=True)


class House:
    """All simulated gateways of this process, over one book. `control_url` is where a browser finds challenges."""

    def __init__(self, book: Book, *, host: str, control_url: str, seed: int | None) -> None:
        self.book = book
        self.gateways: dict[str, SimulatedGateway] = {}
        self.postman = Postman(book)
        self.settlements = Settlements(book)
        self.account = BankAccount(book)
        self._host = host
        self._control_url = control_url
        self._seed = seed

    async def add(self, settings: GatewaySettings) -> SimulatedGateway:
        """Start one more. Refuses (SettingsRefused) a code or a port that is taken."""
        if settings.code in self.gateways:
            raise SettingsRefused(f"code: {settings.code} is taken")
        try:
            gateway = SimulatedGateway(
                settings,
                self.book,
                self.postman,
                self.settlements,
                host=self._host,
                control_url=self._control_url,
                seed=self._seed,
            )
        except OSError:
            raise SettingsRefused(f"port: {settings.port} is taken") from None
        await gateway.open()
        self.gateways[settings.code] = gateway
        return gateway

    def gateway(self, code: str) -> SimulatedGateway:
        """One by its code. Raises NoSuchGateway."""
        try:
            return self.gateways[code]
        except KeyError:
            raise NoSuchGateway(code) from None

    async def close(self) -> None:
        """Stop them all."""
        for gateway in self.gateways.values():
            await gateway.close()
        await self.postman.close()
        self.book.close()


def bound(host: str, port: int) -> socket.socket:
    """A socket that has its port and does not listen yet. Port 0 picks a free one. Raises OSError."""
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        held.bind((host, port))
    except OSError:
        held.close()
        raise
    held.setblocking(False)
    return held


async def stream(request: web.BaseRequest, file: IssuedFile, archive: Archive) -> web.StreamResponse:
    """Answer with a settlement file, of which only a piece is held in memory."""
    response = web.StreamResponse(headers={"Content-Type": "text/csv; charset=utf-8"})
    response.content_length = file.size_bytes
    await response.prepare(request)
    for piece in archive.content(file):
        await response.write(piece)
    await response.write_eof()
    return response


def _response(reply: Reply) -> web.Response:
    return web.Response(
        status=reply.http_status,
        body=reply.body,
        headers={"Content-Type": reply.content_type, **reply.headers},
    )


async def _hold(request: web.BaseRequest) -> None:
    """Say nothing for a long time, or until the caller hangs up."""
    deadline = time.monotonic() + _HOLD_SECONDS
    while request.transport is not None and time.monotonic() < deadline:
        await asyncio.sleep(0.5)


def _cut(request: web.BaseRequest) -> None:
    """Break the connection at once: with no time to linger the caller sees a reset."""
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
