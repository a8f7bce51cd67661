"""What is JSON here? RFC 8259 in UTF-8, and nothing that two parsers could read in two ways."""

import json
from typing import Any

from django.http import HttpRequest
from rest_framework.exceptions import ParseError, UnsupportedMediaType
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer

from checkout.settings import policy

MEDIA_TYPE = "application/json"


class InvalidJSON(ParseError):
    """The body is not JSON as we accept it; `code` says in which way."""


class BodyTooLarge(ParseError):
    """The body is longer than any request needs to be."""

    status_code = 413
    default_code = "body_too_large"
    default_detail = f"The body may have {policy.MAX_BODY_BYTES} bytes."


class StrictJSONParser(BaseParser):
    """Refuses what the standard library's parser lets pass: duplicate names, NaN, deep nesting, other encodings."""

    media_type = MEDIA_TYPE

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        refuse_other_media_types(parser_context["request"])
        if int(parser_context["request"].META["CONTENT_LENGTH"]) > policy.MAX_BODY_BYTES:
            raise BodyTooLarge()  # whoever announces so much is not waited for
        return loads(stream.read())


def refuse_other_media_types(request: Any) -> None:
    """Only `application/json`, at most with `charset=utf-8`, and not compressed (CVE-2026-114136)."""
    content_type = request.META.get("CONTENT_TYPE", "")
    main, *parameters = (part.strip().lower() for part in content_type.split(";"))
    plain = all(parameter in ("", "charset=utf-8", 'charset="utf-8"') for parameter in parameters)
    encoding = request.META.get("HTTP_CONTENT_ENCODING", "identity").strip().lower()
    if main != MEDIA_TYPE or not plain or encoding not in ("", "identity"):
        raise UnsupportedMediaType(content_type[:60] or "none", "The body must be application/json in UTF-8.")


def loads(body: bytes) -> Any:
    """Read one JSON document. Refuses: InvalidJSON."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidJSON("The body is not UTF-8.", "invalid_json") from None
    if not text.strip() or text.startswith("\ufeff"):
        raise InvalidJSON("The body is empty or starts with a byte order mark.", "invalid_json")
    if _depth(text) > policy.MAX_JSON_DEPTH:
        raise InvalidJSON(f"The body nests deeper than {policy.MAX_JSON_DEPTH} levels.", "too_deep")
    try:
        value = json.loads(
            text, object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_float, parse_int=_integer
        )
    except InvalidJSON:
        raise
    except ValueError:
        raise InvalidJSON("The body is not valid JSON.", "invalid_json") from None
    return value


def _depth(text: str) -> int:
    """The deepest nesting of brackets outside strings, counted before anything recurses."""
    depth = deepest = 0
    in_string = escaped = False
    for character in text:
        if in_string:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                in_string = False
        elif character == '"':
            in_string = True
        elif character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise InvalidJSON("A name stands twice in one object.", "duplicate_key")
    for name, item in pairs:
        for text in (name, item):
            if isinstance(text, str) and ("\x00" in text or any("\ud800" <= c <= "\udfff" for c in text)):
                raise InvalidJSON("A string holds NUL or half a character.", "invalid_json")
    return value


def _no_constant(word: str) -> Any:
    raise InvalidJSON(f"{word} is not JSON.", "invalid_json")


def _integer(digits: str) -> int:
    if len(digits) > 20:
        raise InvalidJSON("A number has too many digits.", "invalid_json")
    return int(digits)


def _float(digits: str) -> float:
    if len(digits) > 40:
        raise InvalidJSON("A number has too many digits.", "invalid_json")
    return float(digits)


class CompactJSONRenderer(BaseRenderer):
    """JSON without spaces, in UTF-8."""

    media_type = MEDIA_TYPE
    format = "json"
    charset = None

    def render(self, data: Any, accepted_media_type: Any = None, renderer_context: Any = None) -> bytes:
        return b"" if data is None else json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()


class JSONNegotiation(BaseContentNegotiation):
    """There is one format, so there is nothing to negotiate."""

    def select_parser(self, request: HttpRequest, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: HttpRequest, renderers: Any, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type
