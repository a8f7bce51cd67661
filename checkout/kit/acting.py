"""For whom is the database written to? It tells of what nobody accounts for in the name of whoever was said to act."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from checkout.kit.actors import Actor

_SAY = "SELECT set_config('checkout.actor', %s, true), set_config('checkout.address', %s, true)"
_WRITES = re.compile(r"\s*(?:INSERT|UPDATE|DELETE|WITH)\b", re.IGNORECASE)


def actor_of(request: HttpRequest) -> Actor:
    """The person at the desk, with the address they came from."""
    return Actor.user(request.user.get_username(), request.META.get("REMOTE_ADDR", ""))


@contextmanager
def acting(actor: Actor) -> Iterator[None]:
    """A transaction in which the database, where it has to tell of a change itself, names this actor."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_SAY, [str(actor), actor.address])
        yield


class DeskActor:
    """Middleware: what is written for a request to the desk is written for whoever sits there."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path.startswith(reverse("admin:index")):
            return self._get_response(request)
        with connection.execute_wrapper(_SayBefore(request)):
            return self._get_response(request)


class _SayBefore:
    """Says before each writing statement of a transaction who it is for; what was said ends with the transaction."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    def __call__(self, execute: Any, sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
        user = self._request.user
        if context["connection"].in_atomic_block and _WRITES.match(str(sql)) and user.is_authenticated:
            actor = actor_of(self._request)
            context["cursor"].cursor.execute(_SAY, [str(actor), actor.address])
        return execute(sql, params, many, context)
