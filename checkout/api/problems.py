"""What does a refusal look like? RFC 9457 problem details, always, with a stable code and every wrong field at once."""

import json
from typing import Any

import structlog
from django.core.exceptions import DisallowedHost, RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from rest_framework import exceptions

from checkout.kit.card_numbers import scrub
from checkout.kit.errors import Refusal

log = structlog.get_logger(__name__)

_TITLES = {
    400: "The request is not valid",
    401: "Who is asking?",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    409: "Not possible now",
    411: "Of unknown length",
    413: "Too large",
    415: "Not JSON",
    422: "The figures do not fit",
    429: "Too many requests",
    500: "Our mistake",
    503: "Not available now",
}
_CODES = {
    400: "invalid_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    411: "length_required",
    413: "body_too_large",
    415: "unsupported_media_type",
    500: "internal_error",
    503: "unavailable",
}


def problem(
    request: HttpRequest,
    *,
    http_status: int,
    code: str = "",
    detail: str = "",
    errors: list[dict[str, str]] | None = None,
    headers: dict[str, str] | None = None,
) -> HttpResponse:
    """One problem document. `detail` is written by us; an address or a name that is repeated holds no card number."""
    code = code or _CODES.get(http_status, "error")
    document: dict[str, Any] = {
        "type": f"{request.scheme}://{_host(request)}/v1/docs#problem-{code}",
        "title": _TITLES.get(http_status, "Error"),
        "status": http_status,
        "code": code,
        "detail": detail or _TITLES.get(http_status, "Error"),
        "instance": scrub(request.path)[:200],  # in this order: what is cut off is not known any more
        "request_id": getattr(request, "request_id", ""),
    }
    if errors:
        document["errors"] = errors
    return HttpResponse(
        scrub(json.dumps(document, separators=(",", ":"), ensure_ascii=False)).encode(),
        status=http_status,
        content_type="application/problem+json",
        headers=headers,
    )


def exception_handler(error: Exception, context: dict[str, Any]) -> HttpResponse:
    """Turn whatever a view raised into a problem. Expected by Django REST framework."""
    request = context["request"]
    request = getattr(request, "_request", request)
    if isinstance(error, Refusal):
        errors = [{"param": error.param, "code": error.code, "message": error.message}] if error.param else None
        seconds = getattr(error, "retry_after_seconds", None)
        headers = {"Retry-After": str(seconds)} if seconds else {}
        if error.http_status == 401:
            headers["WWW-Authenticate"] = 'Bearer realm="api"'
        return problem(
            request,
            http_status=error.http_status,
            code=error.code,
            detail=error.message,
            errors=errors,
            headers=headers,
        )
    if isinstance(error, exceptions.ValidationError):
        errors = list(_flatten(error.detail))
        code = errors[0]["code"] if len({e["code"] for e in errors}) == 1 else "invalid_request"
        count = len(errors)
        detail = errors[0]["message"] if count == 1 else f"{count} fields are not valid."
        return problem(request, http_status=400, code=code, detail=detail, errors=errors)
    if isinstance(error, exceptions.APIException):
        headers = {}
        if isinstance(error, exceptions.NotAuthenticated | exceptions.AuthenticationFailed):
            headers["WWW-Authenticate"] = 'Bearer realm="api"'
        detail = str(error.detail)
        if isinstance(error, exceptions.MethodNotAllowed):
            headers["Allow"] = ", ".join(context["view"].allowed_methods)
            detail = ""
        codes = error.get_codes()
        return problem(
            request,
            http_status=error.status_code,
            code=codes if isinstance(codes, str) and codes != "parse_error" else "",
            detail=detail,
            headers=headers,
        )
    if isinstance(error, Http404):
        return problem(request, http_status=404, detail="There is no such object.")
    if isinstance(error, RequestDataTooBig):
        return problem(request, http_status=413)
    if isinstance(error, SuspiciousOperation | UnicodeError | UnreadablePostError):
        return problem(request, http_status=400)
    if isinstance(error, OperationalError | InterfaceError):
        return unavailable(request, error)
    log.exception("unexpected", error=type(error).__name__, path=request.path)
    return problem(request, http_status=500, detail="Something went wrong on our side. Nothing is lost; try again.")


def unavailable(request: HttpRequest, error: Exception) -> HttpResponse:
    """The database is busy with the very object, or away: nothing was done, and trying again is safe."""
    log.warning("database_refuses", error=type(error).__name__, path=request.path)
    return problem(
        request,
        http_status=503,
        detail="The request could not be served at this moment. Nothing was done; try again.",
        headers={"Retry-After": "1"},
    )


def _host(request: HttpRequest) -> str:
    try:
        return request.get_host()
    except DisallowedHost:
        return "localhost"


def _flatten(detail: Any, path: str = "") -> Any:
    """The leaves of a serializer's error tree, each as {param, code, message}."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            step = "" if name == "non_field_errors" else scrub(str(name))[:60]
            yield from _flatten(inner, f"{path}.{step}".strip("."))
    elif isinstance(detail, list):
        for inner in detail:
            yield from _flatten(inner, path)
    else:
        code = "invalid" if detail.code in (None, "invalid") else detail.code
        yield {"param": path, "code": code, "message": str(detail)}
