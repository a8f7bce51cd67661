"""Show webhooks as they come: the other end of the line, for whoever develops against the platform on this machine."""

import json
from argparse import ArgumentParser
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from checkout.kit import clock
from checkout.kit.actors import Actor
from checkout.kit.errors import Refusal
from checkout.kit.modes import Mode
from merchants import selectors, services, signatures
from merchants.models import Merchant, WebhookEndpoint

_ACTOR = Actor.command("listen_webhooks")
_MAX_BODY_BYTES = 1024 * 1024


class Command(BaseCommand):
    """`manage.py listen_webhooks --port 9000 --merchant mer_…`"""

    help = "Receive a merchant's webhooks of test mode on this machine, check each signature, and print what they say."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=9000, help="where to listen on 127.0.0.1; 9000 if left out")
        parser.add_argument("--merchant", help="its id, mer_…; may be left out while there is only one")
        parser.add_argument("--count", type=int, help="end after so many; Ctrl-C ends it at any time")

    def handle(self, *args: Any, **options: Any) -> None:
        merchant = _merchant(options["merchant"])
        try:
            server = HTTPServer(("127.0.0.1", options["port"]), _handler(self))
        except OSError as error:
            raise CommandError(f"Cannot listen on port {options['port']}: {error.strerror}.") from None
        with server:
            self.endpoint = _endpoint(merchant, f"http://127.0.0.1:{server.server_port}/")
            self.left = options["count"]
            self.stdout.write(f"{self.endpoint.url} hears what happens to {merchant} ({self.endpoint.public_id}).")
            try:
                while self.left is None or self.left > 0:
                    server.handle_request()
            except KeyboardInterrupt:
                self.stdout.write("")
            finally:
                services.disable_endpoint(endpoint=self.endpoint, reason="Nobody listens any more.", actor=_ACTOR)

    def show(self, headers: dict[str, str], body: bytes) -> bool:
        """Print one message, if it is ours; otherwise only say that it is not."""
        if not signatures.is_authentic(self.endpoint.secret, headers, body, now=clock.now().timestamp()):
            self.stdout.write(self.style.ERROR("Something came that is not signed with this endpoint's secret."))
            return False
        message = json.loads(body)
        told = f"{message['type']}  {message['id']}  sequence {message['sequence']}  signature good"
        self.stdout.write(self.style.SUCCESS(told))
        self.stdout.write(json.dumps(message["data"], indent=2))
        self.left = None if self.left is None else self.left - 1
        return True


def _merchant(public_id: str | None) -> Merchant:
    if public_id is None:
        merchants = list(selectors.merchants_with_keys()[:2])
        if len(merchants) != 1:
            raise CommandError("Say which merchant with --merchant; `manage.py list_merchants` shows them.")
        return merchants[0]
    merchant = selectors.merchant_by_public_id(public_id)
    if merchant is None:
        raise CommandError("There is no merchant with this id; `manage.py list_merchants` shows them.")
    return merchant


def _endpoint(merchant: Merchant, url: str) -> WebhookEndpoint:
    """The merchant's endpoint at that address, made if it is not there."""
    endpoint = merchant.webhook_endpoints.filter(mode=Mode.TEST, url=url).first()
    if endpoint is not None:
        return services.enable_endpoint(endpoint=endpoint, actor=_ACTOR)
    try:
        created = services.create_endpoint(
            merchant=merchant, mode=Mode.TEST, url=url, description="listen_webhooks", actor=_ACTOR
        )
    except Refusal as refused:
        raise CommandError(refused.message) from None
    return created.endpoint


def _handler(command: Command) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            size = int(length) if length.isascii() and length.isdecimal() else 0
            headers = {name.lower(): value for name, value in self.headers.items()}
            is_ours = size <= _MAX_BODY_BYTES and command.show(headers, self.rfile.read(size))
            self.send_response(204 if is_ours else 400)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Only webhooks are printed."""

    return Handler
