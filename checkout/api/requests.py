"""What does every request get? A name of its own, problems instead of HTML under /v1, no plain HTTP in production."""

import uuid
from collections.abc import Callable

import structlog
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse

from checkout.api.problems import problem

API_PREFIX = "/v1/"


class RequestMiddleware:
    """Names the request in answers and logs."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.request_id = f"req_{uuid.uuid4().hex}"  # type: ignore[attr-defined]
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request.request_id)  # type: ignore[attr-defined]
        is_api = request.path.startswith(API_PREFIX)
        if is_api and settings.SECURE_SSL_REDIRECT and not request.is_secure():
            # Never a redirect: whoever sent a key in the clear must notice (ASVS 4.1.2).
            response = problem(request, http_status=403, code="https_required", detail="Use HTTPS.")
        else:
            response = self.get_response(request)
        response["X-Request-Id"] = request.request_id  # type: ignore[attr-defined]
        if is_api:
            response.setdefault("Cache-Control", "no-store")
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """A body beyond Django's own limit, read outside of any parser."""
        if isinstance(error, RequestDataTooBig) and request.path.startswith(API_PREFIX):
            return problem(request, http_status=413)
        return None
