"""What does a gateway do on the wire when it does not behave? A server on 127.0.0.1 whose every move is scripted."""

import socket
import struct
import threading
import time
from collections.abc import Callable

Script = Callable[[socket.socket], bool | None]


class Server:
    """Reads whole requests and lets a script answer; a script that returns True keeps the connection open.

    `requests` holds what arrived, `connection_count` how often somebody connected.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[bytes] = []
        self.connection_count = 0
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop listening, so that the next connection is refused."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connection_count += 1
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                while request := _request(connection):
                    self.requests.append(request)
                    if not self.script(connection):
                        return
        except OSError:
            return


def _request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        if not (chunk := connection.recv(65_536)):
            return b""
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    while len(body) < int(lengths[0] if lengths else 0):
        body += connection.recv(65_536)
    return head + b"\r\n\r\n" + body


def says(http_status: int, body: bytes = b"{}", headers: str = "") -> Script:
    """A complete answer; the connection stays open."""

    def script(connection: socket.socket) -> bool:
        head = f"HTTP/1.1 {http_status} Whatever\r\nContent-Type: application/json\r\n{headers}"
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        return True

    return script


def after(seconds: float, script: Script) -> Script:
    """The same, later."""

    def later(connection: socket.socket) -> bool | None:
        time.sleep(seconds)
        return script(connection)

    return later


def raw(text: bytes) -> Script:
    """These bytes, and then the connection ends."""
    return lambda connection: connection.sendall(text)


def resets(connection: socket.socket) -> None:
    """A reset instead of an answer."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def hangs(connection: socket.socket) -> None:
    """Never an answer, until the caller goes."""
    connection.recv(1)


def trickles(connection: socket.socket) -> None:
    """An answer that comes byte by byte and never ends."""
    connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 100000\r\n\r\n")
    while True:
        connection.sendall(b" ")
        time.sleep(0.02)
