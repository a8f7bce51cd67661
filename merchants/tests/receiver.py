"""How do tests receive webhooks? With a real HTTP server on this machine, as a merchant would."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext
from typing import Any

from standardwebhooks import Webhook


@dataclass
class Reply:
    """What the receiver answers: `delay_seconds` before the status."""

    http_status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay_seconds: float = 0.0


@dataclass
class Received:
    """One request, header names in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    def verified(self, secret: str) -> dict[str, Any]:
        """The message, after an independent library has checked its signature."""
        message: dict[str, Any] = Webhook(secret).verify(self.body, self.headers)
        return message


class Receiver:
    """Answers the next of `replies`, then `otherwise`; `received` is what came, in order."""

    def __init__(self, address: str, tls: SSLContext | None) -> None:
        self.replies: list[Reply] = []
        self.otherwise = Reply()
        self.received: list[Received] = []
        self.written_bytes = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                receiver._handle(self)

            do_GET = do_POST

            def log_message(self, *words: Any) -> None:
                pass

        self._server = ThreadingHTTPServer((address, 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.port = self._server.server_address[1]
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"http://{address}:{self.port}/hook"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def _handle(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.received.append(Received(request.path, headers, body, time.monotonic()))
        reply = self.replies.pop(0) if self.replies else self.otherwise
        time.sleep(reply.delay_seconds)
        request.send_response(reply.http_status)
        for name, value in reply.headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(reply.body)))
        request.end_headers()
        for start in range(0, len(reply.body), 65_536):
            self.written_bytes += request.wfile.write(reply.body[start : start + 65_536])

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def receivers() -> Iterator[Callable[..., Receiver]]:
    """Makes receivers, by default on 127.0.0.1, and ends them all with the block."""
    opened: list[Receiver] = []

    def open_receiver(address: str = "127.0.0.1", tls: SSLContext | None = None) -> Receiver:
        opened.append(Receiver(address, tls))
        return opened[-1]

    try:
        yield open_receiver
    finally:
        for receiver in opened:
            receiver.close()
