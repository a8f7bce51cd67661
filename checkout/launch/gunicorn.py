"""How does the web server run? Two processes of 48 threads: a waiting request costs a thread, not a connection.

Times are nested: one gateway call 9 s < a request 20 s < this server 27 s < the proxy 28 s < the merchant 30 s.
"""

import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

from gunicorn import util  # type: ignore[import-untyped]
from gunicorn.http import errors  # type: ignore[import-untyped]
from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

# Status and code of what is refused before there is a request; what else is no HTTP is 400, and what is our fault 500.
_REFUSALS = {
    errors.LimitRequestLine: (414, "address_too_long"),
    errors.LimitRequestHeaders: (431, "headers_too_large"),
    errors.ExpectationFailed: (417, "expectation_failed"),
    errors.UnsupportedTransferCoding: (501, "not_implemented"),
    **dict.fromkeys((errors.InvalidResponseHeader, errors.InvalidResponseHeaderName), (500, "internal_error")),
}


class Worker(ThreadWorker):
    """Refuses by problem documents (RFC 9457), and repeats nothing of what was sent: it may hold a card number."""

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answer in place of the application, which never saw a request."""
        usual = (400, "invalid_request") if isinstance(exc, errors.ParseException) else (500, "internal_error")
        http_status, code = _REFUSALS.get(type(exc), usual)
        self.log.warning("Refused with %s: %s", http_status, type(exc).__name__, exc_info=http_status == 500)
        title = HTTPStatus(http_status).phrase
        problem = {"type": f"/v1/docs#problem-{code}", "title": title, "status": http_status, "code": code}
        body = json.dumps({**problem, "detail": title}).encode()
        head = f"HTTP/1.1 {http_status} {title}\r\nConnection: close\r\nContent-Type: application/problem+json\r\n"
        try:
            util.write_nonblock(client, f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        except OSError:
            self.log.debug("Whoever was refused has gone.")


wsgi_app = "checkout.wsgi:application"
worker_class = Worker
workers = 2
threads = 48
timeout = 27
graceful_timeout = 25
keepalive = 30
limit_request_line = 8190
limit_request_fields = 100
limit_request_field_size = 8190
control_socket_disable = True
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # a heartbeat must not wait for a disk
