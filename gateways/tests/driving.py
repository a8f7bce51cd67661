"""How is a gateway's verb driven without a network? By handing it replies, one for each request that it yields."""

from collections.abc import Generator, Iterable
from typing import TypeVar

from gateways.base import CardData, GatewayRequest, HttpReply, HttpRequest

Result = TypeVar("Result")

CARD = CardData("4242424242424242", 4, 2031, "123", "Ana Lopez")


def drive(
    verb: Generator[HttpRequest, HttpReply, Result], replies: Iterable[HttpReply]
) -> tuple[Result, list[HttpRequest]]:
    """What the verb concluded from the replies, and what it sent to get them."""
    sent = []
    supply = iter(replies)
    try:
        request = next(verb)
        while True:
            sent.append(request)
            request = verb.send(next(supply))
    except StopIteration as end:
        return end.value, sent


def money_request(operation: str = "authorize", **changes: object) -> GatewayRequest:
    """An operation over 12.34 EUR, on a charge that the gateway calls ch_1 where it needs one."""
    values: dict[str, object] = {
        "operation": operation,
        "reference": "att_1",
        "amount_minor": 1234,
        "currency": "EUR",
        "card": CARD if operation == "authorize" else None,
        "parent_reference": "" if operation == "authorize" else "att_0",
        "gateway_reference": "" if operation == "authorize" else "ch_1",
        "merchant_reference": "order 7",
        "country": "ES",
        **changes,
    }
    return GatewayRequest(**values)  # type: ignore[arg-type]
