"""How do notices reach the platform? By HTTP POST, again and again until it says 2xx, and never in anybody's way.

What is to be told stands in the book until it is delivered or given up, so it outlives the process.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

from gateways.simulator.book import Book
from gateways.simulator.calls import Notice, Reply

_RETRY_SECONDS = (1, 3, 10, 30, 30, 30, 30, 30, 30)
_TRIES = len(_RETRY_SECONDS) + 1
_TIMEOUT = ClientTimeout(total=None, sock_connect=2, sock_read=10)
_CONNECTIONS = 8


class Postman:
    """Delivers in the background the notices that stand in the book. The counters are those of this process."""

    def __init__(self, book: Book) -> None:
        self.delivered: Counter[str] = Counter()
        self.given_up: Counter[str] = Counter()
        self.waiting: Counter[str] = Counter()
        self._book = book
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: ClientSession | None = None

    def deliver(self, notice: Notice, *, address: Callable[[], str], write: Callable[[int], Reply]) -> None:
        """Deliver one notice once it is due. Each try asks anew for the address and for the text, signed afresh."""
        self.waiting[notice.gateway] += 1
        task = asyncio.get_running_loop().create_task(self._deliver(notice, address, write))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stop; what is undelivered stays in the book."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _deliver(self, notice: Notice, address: Callable[[], str], write: Callable[[int], Reply]) -> None:
        outcome = self.given_up
        due_at = notice.due_at
        try:
            while notice.try_count < _TRIES:
                await asyncio.sleep(max(0.0, due_at - time.time()))
                # Counted before it is made, so that a process that dies on it does not make it again for ever.
                notice = self._book.note_try(notice)
                if await self._try(address(), write(int(time.time()))):
                    outcome = self.delivered
                    break
                if notice.try_count < _TRIES:
                    due_at = time.time() + _RETRY_SECONDS[notice.try_count - 1]
            self._book.delete_notice(notice)
            outcome[notice.gateway] += 1
        finally:
            self.waiting[notice.gateway] -= 1

    async def _try(self, address: str, notice: Reply) -> bool:
        if self._session is None:
            self._session = ClientSession(connector=TCPConnector(limit=_CONNECTIONS), timeout=_TIMEOUT)
        headers = {"Content-Type": notice.content_type, **notice.headers}
        try:
            async with self._session.post(address, data=notice.body, headers=headers, allow_redirects=False) as answer:
                return 200 <= answer.status < 300
        except (ClientError, TimeoutError, ValueError):
            return False
