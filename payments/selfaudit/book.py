"""What does a gateway say that it did? Its own book, as the simulator's control API tells it, ready to be compared."""

import json
from pathlib import Path
from typing import Any

from checkout.kit.ids import parse_public_id
from gateways.models import Gateway
from payments.models import Attempt

_COLUMNS = (
    *("reference", "kind", "status", "amount_minor", "currency"),
    *("authorized_minor", "captured_minor", "refunded_minor", "voided", "canceled"),
)


class BookRefused(ValueError):
    """The file is not a book: the message says why."""


def read_book(path: Path) -> tuple[list[dict[str, Any]], tuple[Any, ...]]:
    """Read `{gateway code: [operation, …]}`, each list what `GET /book/{code}` answers.

    Returns the operations, each with the keys of our gateway and attempt, and the keys of the gateways they are of.
    Refuses: BookRefused for anything else, and for a gateway that we do not know.
    """
    try:
        books = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BookRefused(f"{path} cannot be read: {error}") from None
    if not isinstance(books, dict):
        raise BookRefused(f"{path} is not an object of gateways and their operations.")
    gateways = dict(Gateway.objects.filter(code__in=books).values_list("code", "id"))
    if unknown := sorted(books.keys() - gateways.keys()):
        raise BookRefused(f"{path} speaks of gateways that we do not know: {', '.join(unknown)}.")
    try:
        operations = [_operation(row, gateways[code]) for code, rows in books.items() for row in rows]
    except (KeyError, TypeError) as error:
        raise BookRefused(f"{path} has an operation that lacks something: {error}") from None
    return operations, tuple(gateways.values())


def _operation(row: dict[str, Any], gateway_id: Any) -> dict[str, Any]:
    attempt_id = parse_public_id(Attempt.PUBLIC_PREFIX, row["reference"])
    return {
        **{name: row[name] for name in _COLUMNS},
        "gateway_id": str(gateway_id),
        "attempt_id": attempt_id and str(attempt_id),
    }
