"""How do notices reach the platform? By HTTP POST, again and again until it says 2xx, and never in anybody's way."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

from gateways.simulator.calls import Reply

_RETRY_SECONDS = (1, 3, 10, 30, 30, 30, 30, 30, 30)  # ten tries in all
_TIMEOUT = ClientTimeout(total=None, sock_connect=2, sock_read=10)
_CONNECTIONS = 8


class Postman:
    """Delivers notices in the background. What is undelivered when the process ends is lost, as it may be in life."""

    def __init__(self) -> None:
        self.delivered: Counter[str] = Counter()
        self.given_up: Counter[str] = Counter()
        self.waiting: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: ClientSession | None = None

    def send(
        self, gateway: str, *, address: Callable[[], str], write: Callable[[int], Reply], delay_seconds: float
    ) -> None:
        """Deliver one notice after a delay. Each try asks anew for the address and for the notice, signed afresh."""
        self.waiting[gateway] += 1
        task = asyncio.get_running_loop().create_task(self._deliver(gateway, address, write, delay_seconds))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Drop what is undelivered."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _deliver(
        self, gateway: str, address: Callable[[], str], write: Callable[[int], Reply], delay_seconds: float
    ) -> None:
        outcome = self.given_up
        try:
            for pause in (delay_seconds, *_RETRY_SECONDS):
                await asyncio.sleep(pause)
                if await self._try(address(), write(int(time.time()))):
                    outcome = self.delivered
                    break
        finally:
            self.waiting[gateway] -= 1
            outcome[gateway] += 1

    async def _try(self, address: str, notice: Reply) -> bool:
        if self._session is None:
            self._session = ClientSession(connector=TCPConnector(limit=_CONNECTIONS), timeout=_TIMEOUT)
        headers = {"Content-Type": notice.content_type, **notice.headers}
        try:
            async with self._session.post(address, data=notice.body, headers=headers, allow_redirects=False) as answer:
                return 200 <= answer.status < 300
        except (ClientError, TimeoutError, ValueError):
            return False
