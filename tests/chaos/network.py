"""What lies between the platform and a gateway? A proxy that passes bytes on, late or not at all, when it is told to.

What was already on its way goes on although its sender has hung up: that is how a request arrives after its time.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any

from checkout.launch.ports import LOOPBACK

_CHUNK_BYTES = 65_536


class Network:
    """An event loop in a thread of its own, for the proxies and for the load."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="network", daemon=True)
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, Any]) -> "Future[Any]":
        """Run a coroutine; its result is waited for with `.result()`."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def stop(self) -> None:
        """End the thread and whatever runs in it."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)


class Proxy:
    """One port of ours in front of one gateway's. To be used from any thread."""

    def __init__(self, network: Network, upstream_port: int) -> None:
        self._network = network
        self._upstream_port = upstream_port
        self._delay_seconds = 0.0
        self._place = _bound(0)  # never listens: the port stays ours, and refuses, while nobody else does
        self.port: int = self._place.getsockname()[1]
        self._server: asyncio.Server | None = None
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self.listen()

    @property
    def url(self) -> str:
        """Where the platform calls."""
        return f"http://{LOOPBACK}:{self.port}"

    def listen(self) -> None:
        """Take connections."""
        self._network.submit(self._listen()).result()

    def refuse(self) -> None:
        """Refuse connections and end those there are: certain, for whoever calls, that nothing arrives."""
        self._network.submit(self._refuse()).result()

    def delay(self, seconds: float) -> None:
        """Hold back everything, in both directions, for so long."""
        self._delay_seconds = seconds

    def reset(self) -> None:
        """Break every connection there is (RST)."""
        self._network.submit(self._reset()).result()

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._connected, sock=_bound(self.port))

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
            await self._reset()

    async def _reset(self) -> None:
        for pair in list(self._pairs):
            for writer in pair:
                _abort(writer)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection(LOOPBACK, self._upstream_port)
        except OSError:
            _abort(writer)
            return
        pair = (writer, upstream_writer)
        self._pairs.add(pair)
        try:
            await asyncio.gather(self._pass_on(reader, upstream_writer), self._pass_on(upstream_reader, writer))
        finally:
            self._pairs.discard(pair)
            for each in pair:
                each.close()

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await source.read(_CHUNK_BYTES):
                await asyncio.sleep(self._delay_seconds)
                sink.write(chunk)
                await sink.drain()
        with contextlib.suppress(OSError, RuntimeError):
            sink.close()


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind((LOOPBACK, port))
    bound.setblocking(False)
    return bound


def _abort(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
