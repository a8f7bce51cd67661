"""How do we reach a merchant's webhook address? This is the only door out to it, and it leads to public addresses only.

A name is resolved once per connection; all its addresses must be public, and the connection goes to exactly those: a
second answer of the name server's is never asked for. No redirect is followed, no proxy used, no cookie kept, nothing
decompressed. The event loop lives in a thread of its own, one per process and made after any fork.
"""

import asyncio
import concurrent.futures
import ipaddress
import os
import queue
import re
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import structlog
from aiohttp.abc import AbstractResolver, ResolveResult
from django.db import connection
from yarl import URL

from checkout.kit import clock
from checkout.settings import policy
from merchants.errors import WebhookUrlRefused

log = structlog.get_logger(__name__)

_MAX_URL_LENGTH = 2048
_LOOKUP_SECONDS = 2.0  # how long somebody who names an address waits for the name server
_LOOKUPS = 32  # names looked up at once; a slow name server holds up its own names only
_KEEP_SECONDS = 1.0  # connections are kept for a burst only: many servers close idle ones after two seconds
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*\Z", re.ASCII)
_AUTHORITY = re.compile(r"\A[a-z]+://([^/?#]*)", re.IGNORECASE)
_NUMBER = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)\Z", re.ASCII)

# Never public, whatever the standard library thinks of them (IANA special-purpose address registries).
_NOT_PUBLIC = [
    ipaddress.ip_network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
        *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),  # Teredo, documentation, 6to4
    )
]
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")  # outside it lie mapped IPv4, NAT64, private and link-local ones


@dataclass(frozen=True)
class Message:
    """One signed webhook, ready to be posted. Nothing of it that may be secret is in its repr.

    `tag` is handed back with the answer.
    """

    endpoint_id: Any
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    may_be_loopback: bool = False
    tag: Any = field(default=None, repr=False)


@dataclass(frozen=True)
class Answer:
    """What came of a message. `error` is in our own words, empty when the endpoint answered 2xx.

    `retry_after_seconds` is how far the endpoint puts us off, 0 where it does not.
    """

    message: Message
    duration_ms: int
    http_status: int | None = None
    error: str = ""
    retry_after_seconds: float = 0.0


def is_public(address: str, *, may_be_loopback: bool = False) -> bool:
    """Whether an IP address is out on the internet, where anybody could call it; or on this machine, if that may be."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if may_be_loopback and ip.is_loopback:
        return True
    if isinstance(ip, ipaddress.IPv6Address) and ip not in _GLOBAL_UNICAST:
        return False
    return ip.is_global and not any(ip.version == network.version and ip in network for network in _NOT_PUBLIC)


def check_url(text: str, *, may_be_loopback: bool = False) -> None:
    """Refuse what we would not call: WebhookUrlRefused. Looks the name up; one not found in 2 s is no reason to refuse.

    https only, on port 443 or from 1024, without userinfo or fragment, at most 2048 characters, the host a name or an
    IP address in its usual notation. With `may_be_loopback`, this machine's own address is welcome, over http too.
    """
    url = _parse(text, may_be_loopback)
    current = _loop()
    lookup = asyncio.run_coroutine_threadsafe(current.look_up(url.raw_host or ""), current.loop)
    try:
        addresses = lookup.result(_LOOKUP_SECONDS)
    except (OSError, TimeoutError):  # the lookup goes on for whoever sends there
        return
    _refuse_unless_public(addresses, may_be_loopback)


def _parse(text: str, may_be_loopback: bool) -> URL:
    """The very URL that is called, so that no two parsers can differ about it. Refuses: WebhookUrlRefused."""
    if len(text) > _MAX_URL_LENGTH:
        raise WebhookUrlRefused(f"The URL is longer than {_MAX_URL_LENGTH} characters.")
    if not text.isprintable() or any(character.isspace() or character == "\\" for character in text):
        raise WebhookUrlRefused("The URL holds a character that does not belong there.")
    try:
        url = URL(text)
    except ValueError:
        raise WebhookUrlRefused("This is not a URL.") from None
    host = url.raw_host or ""
    is_here = may_be_loopback and (host == "localhost" or _is_loopback(host))
    authority = _AUTHORITY.match(text)
    if authority is None or (url.scheme != "https" and not (url.scheme == "http" and is_here)):
        raise WebhookUrlRefused("The URL must begin with https://.")
    if "@" in authority[1]:
        raise WebhookUrlRefused("The URL may not hold a user name or password.")
    if "#" in text:
        raise WebhookUrlRefused("The URL may not have a fragment.")
    if url.port != 443 and (url.port or 0) < 1024:
        raise WebhookUrlRefused("The port must be 443, or 1024 and above.")
    if _is_address(host):
        _refuse_unless_public([host], may_be_loopback)
    elif not _NAME.match(host) or _NUMBER.match(host.rsplit(".", 1)[-1]):
        raise WebhookUrlRefused("The host is neither a name nor an IP address in its usual notation.")
    elif not is_here and ("." not in host or host.endswith(".localhost")):
        raise WebhookUrlRefused("The host is not a public name.")
    return url


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return _is_address(host) and ipaddress.ip_address(host).is_loopback


def _refuse_unless_public(addresses: list[str], may_be_loopback: bool) -> None:
    if not all(is_public(address, may_be_loopback=may_be_loopback) for address in addresses):
        raise WebhookUrlRefused("The host is not at a public address.")


class _Loop:
    """One event loop in a thread, with a session per kind of address: what one may reach, the other cannot reuse."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.loop = asyncio.new_event_loop()
        self.sessions: dict[bool, aiohttp.ClientSession] = {}
        self._threads = concurrent.futures.ThreadPoolExecutor(_LOOKUPS, thread_name_prefix="webhook names")
        self._lookups: dict[str, asyncio.Task[list[str]]] = {}
        self._ssl = ssl.create_default_context()
        threading.Thread(target=self.loop.run_forever, name="webhooks", daemon=True).start()

    def submit(self, message: Message, answers: "queue.SimpleQueue[Answer]") -> None:
        asyncio.run_coroutine_threadsafe(self._run(message, answers), self.loop)

    async def _run(self, message: Message, answers: "queue.SimpleQueue[Answer]") -> None:
        answers.put(await _post(self._session(message.may_be_loopback), message))

    def _session(self, may_be_loopback: bool) -> aiohttp.ClientSession:
        if may_be_loopback not in self.sessions:
            self.sessions[may_be_loopback] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0,
                    keepalive_timeout=_KEEP_SECONDS,
                    resolver=_Resolver(self, may_be_loopback),
                    use_dns_cache=False,
                    ssl=self._ssl,
                ),
                auto_decompress=False,
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=["Accept-Encoding"],
            )
        return self.sessions[may_be_loopback]

    async def look_up(self, host: str) -> list[str]:
        """The addresses of a name; whoever asks while an answer is awaited shares it."""
        lookup = self._lookups.get(host)
        if lookup is None:
            lookup = self._lookups[host] = asyncio.ensure_future(self._ask(host))
            lookup.add_done_callback(lambda _: self._lookups.pop(host, None))
        return await asyncio.shield(lookup)

    async def _ask(self, host: str) -> list[str]:
        found = await self.loop.run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        )
        return list(dict.fromkeys(str(address[0]) for *_, address in found))


class _Resolver(AbstractResolver):
    """Gives a connection the addresses of a name, all of them or none. Refuses: WebhookUrlRefused."""

    def __init__(self, loop: _Loop, may_be_loopback: bool) -> None:
        self._loop = loop
        self._may_be_loopback = may_be_loopback

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        addresses = await self._loop.look_up(host)
        _refuse_unless_public(addresses, self._may_be_loopback)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Nothing is held that the loop does not close."""


_current: _Loop | None = None
_lock = threading.Lock()


def _loop() -> _Loop:
    global _current
    with _lock:
        if _current is None or _current.pid != os.getpid():
            _current = _Loop()
        return _current


class Sender:
    """A set of messages in flight: send some, take their answers as they arrive, send more."""

    def __init__(self) -> None:
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self.in_flight: Counter[Any] = Counter()

    def send(self, message: Message) -> None:
        """Begin to post a message and return at once. Refuses (RuntimeError) while a transaction is open.

        A test's own outermost transaction does not count.
        """
        blocks = connection.atomic_blocks
        if blocks and not blocks[-1]._from_testcase:  # type: ignore[attr-defined]
            raise RuntimeError("Commit before calling a merchant: a lock held over the network stops everybody.")
        self.in_flight[message.endpoint_id] += 1
        _loop().submit(message, self._answers)

    @property
    def is_busy(self) -> bool:
        """Whether any message has not been answered yet."""
        return bool(self.in_flight)

    def take(self, timeout_seconds: float) -> list[Answer]:
        """The answers that arrive within that time; sooner once nothing is in flight any more."""
        deadline = time.monotonic() + timeout_seconds
        answers: list[Answer] = []
        while self.in_flight:
            try:
                answer = self._answers.get(timeout=max(deadline - time.monotonic(), 0))
            except queue.Empty:
                break
            answers.append(answer)
            self.in_flight -= Counter([answer.message.endpoint_id])  # keeps only what is above zero
        return answers


async def _post(session: aiohttp.ClientSession, message: Message) -> Answer:
    """Post one message within the total deadline. Once there is a status, nothing that follows it matters."""
    began = time.monotonic()
    http_status: int | None = None
    retry_after_seconds = 0.0
    error = ""
    try:
        async with (
            asyncio.timeout(policy.WEBHOOK_TIMEOUT_SECONDS),
            session.post(
                _parse(message.url, message.may_be_loopback),
                data=message.body,
                headers=message.headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None),
            ) as response,
        ):
            http_status = response.status
            error = _words(http_status)
            retry_after_seconds = _seconds(response.headers.get("Retry-After", ""))
            await _read_a_little(response)
    except Exception as failure:  # whatever it was, the message may not have arrived and is tried again
        if http_status is None:
            error = _reason(failure)
    return Answer(
        message=message,
        duration_ms=round((time.monotonic() - began) * 1000),
        http_status=http_status,
        error=error,
        retry_after_seconds=retry_after_seconds,
    )


async def _read_a_little(response: aiohttp.ClientResponse) -> None:
    """Read the answer to its end, so that the connection can be kept; cut it off where it is too long."""
    room = policy.WEBHOOK_MAX_ANSWER_BYTES
    while room > 0:
        part = await response.content.read(room)
        if not part:
            return
        room -= len(part)
    response.close()


def _words(http_status: int) -> str:
    if 200 <= http_status < 300:
        return ""
    if 300 <= http_status < 400:
        return f"answered {http_status}; redirects are not followed"
    return f"answered {http_status}"


def _reason(failure: Exception) -> str:
    """A transport failure in our own words: what libraries say may hold parts of the URL."""
    match failure:
        case WebhookUrlRefused():
            return "the URL does not lead to a public address"
        case aiohttp.ClientConnectorDNSError():
            return "the name of the host was not found"
        case aiohttp.ClientConnectorCertificateError():
            return "the certificate is not valid"
        case aiohttp.ClientSSLError():
            return "no secure connection"
        case aiohttp.ClientConnectorError():
            return "no connection"
        case TimeoutError():
            return f"no answer within {policy.WEBHOOK_TIMEOUT_SECONDS:.0f} seconds"
        case aiohttp.ClientError():
            return "the connection broke before an answer"
    log.error("webhook_not_sent", error=type(failure).__name__)
    return "could not be sent"


def _seconds(retry_after: str) -> float:
    """What a Retry-After header asks for, in seconds or as a date (RFC 9110, 10.2.3); 0 if it makes no sense."""
    text = retry_after.strip()
    if text.isascii() and text.isdecimal():
        seconds = float(text[:10])
    else:
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return 0.0
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = (moment - clock.now()).total_seconds()
    return min(max(seconds, 0.0), policy.WEBHOOK_MAX_RETRY_AFTER_SECONDS)
