"""A gateway that nobody listens for, and words of it that were never said."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from checkout.kit import clock
from checkout.kit.actors import Actor
from gateways.client import Account, Answer, Call
from gateways.models import Gateway
from gateways.outcomes import DeclineCode, GatewayResult, Outcome
from gateways.services import create_gateway
from gateways.tests.scripted import Script, Server

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def make_gateway(db: None) -> Callable[..., Gateway]:
    """`make_gateway("acme", status="disabled")`: configured, but nobody is there."""

    def make(code: str = "acme", **fields: Any) -> Gateway:
        return create_gateway(
            **{
                "code": code,
                "name": code.title(),
                "adapter": "simulator_json",
                "mode": "test",
                "data_format": "json",
                "base_url": NOBODY,
                "credentials": {"api_key": "key-of-acme", "notice_secret": "notices-of-acme"},
                "currencies": ["EUR", "USD"],
                "payment_method_types": ["card"],
                "actor": Actor.command("test"),
                **fields,
            }
        )

    return make


@pytest.fixture
def acme(make_gateway: Callable[..., Gateway]) -> Gateway:
    return make_gateway()


@pytest.fixture
def serve() -> Iterator[Callable[[Script], Server]]:
    """`serve(says(201, APPROVED))`: a server that does only this."""
    servers: list[Server] = []

    def serve(script: Script) -> Server:
        servers.append(Server(script))
        return servers[-1]

    yield serve
    for server in servers:
        server.close()


def account(url: str, *, connect: float = 2.0, total: float = 9.0, code: str = "acme") -> Account:
    """An account at whatever listens there, which no database knows."""
    return Account(
        id=code,
        code=code,
        adapter="simulator_json",
        base_url=url,
        connect_timeout_seconds=connect,
        call_timeout_seconds=total,
        has_failed=False,
        secrets={"api_key": "key", "notice_secret": "secret"},
    )


def answer(gateway: Gateway, kind: str, verb: str = "authorize") -> Answer:
    """What would have come of a call: "good", "declined", "refused" (connection), "timeout", "500" or "400"."""
    result, http_status, error = {
        "good": (GatewayResult(Outcome.SUCCEEDED), 200, ""),
        "declined": (GatewayResult(Outcome.DECLINED, decline_code=DeclineCode.DO_NOT_HONOR), 201, ""),
        "refused": (GatewayResult.not_sent("no connection to the gateway"), None, "ClientConnectorError"),
        "timeout": (GatewayResult.unknown("no answer in time"), None, "Timeout"),
        "500": (GatewayResult.unknown("answered with status 500"), 500, ""),
        "400": (GatewayResult.not_sent("refused before processing"), 400, ""),
        "ill": (GatewayResult.unknown("not healthy"), 200, ""),
    }[kind]
    gateway.refresh_from_db()
    return Answer(
        call=Call(account=Account.of(gateway), verb=verb),
        result=result,
        started_at=clock.now(),
        duration_ms=12,
        http_status=http_status,
        error=error,
    )
