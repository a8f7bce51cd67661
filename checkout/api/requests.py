"""What does every request get? A name of its own, problems instead of HTML under /v1, no plain HTTP in production, and
no page for an address that says too much.
"""

from collections.abc import Callable
from urllib.parse import unquote_plus

import structlog
from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse

from checkout.api.problems import problem
from checkout.kit.card_numbers import holds_card_number, holds_secret
from checkout.kit.ids import public_id, uuid7

API_PREFIX = "/v1/"
_TOO_MUCH = (
    "This address holds what looks like a card number or a key, and was not followed: addresses are remembered in many"
    " places. A card is searched for by its last four digits.\n"
)


class RequestMiddleware:
    """Names the request in answers and logs."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.request_id = public_id("req", uuid7())  # type: ignore[attr-defined]
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request.request_id)  # type: ignore[attr-defined]
        is_api = request.path.startswith(API_PREFIX)
        if is_api and settings.SECURE_SSL_REDIRECT and not request.is_secure():
            # Never a redirect: whoever sent a key in the clear must notice (ASVS 4.1.2).
            response = problem(request, http_status=403, code="https_required", detail="Use HTTPS.")
        elif is_api and not _is_for_us(request):
            response = problem(request, http_status=400, code="unknown_host", detail="The Host header is not ours.")
        elif is_api and "HTTP_TRANSFER_ENCODING" in request.META:
            # WSGI knows a body by its Content-Length alone: a chunked one would be read as no body at all, and
            # “capture 1.00” as “capture everything”.
            response = problem(request, http_status=411, detail="Send the body with a Content-Length, not in chunks.")
        elif not is_api and _says_too_much(request):
            response = HttpResponse(_TOO_MUCH, status=400, content_type="text/plain")
        else:
            response = self.get_response(request)
        response["X-Request-Id"] = request.request_id  # type: ignore[attr-defined]
        if is_api:
            response.setdefault("Cache-Control", "no-store")
        return response


def _says_too_much(request: HttpRequest) -> bool:
    """Whether an address would be repeated by pages, redirects and the browser's memory, and must not be."""
    address = unquote_plus(unquote_plus(request.get_full_path()))  # it may name the next one
    return holds_card_number(address) or holds_secret(address)


def _is_for_us(request: HttpRequest) -> bool:
    try:
        return bool(request.get_host())
    except DisallowedHost:
        return False
