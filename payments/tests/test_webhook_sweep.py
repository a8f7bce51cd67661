"""Are merchants told although nobody hears the bell?"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from checkout.kit import clock
from checkout.kit.actors import Actor
from checkout.kit.money import Money
from merchants.models import Merchant
from merchants.services import create_endpoint, deliver_due
from merchants.tests.receiver import receivers
from payments import sweeper
from payments.models import Payment


def test_the_sweeper_rings_for_what_is_late_and_tells_it_itself_if_nobody_comes(
    merchant: Merchant,
    created_payment: Callable[..., Payment],
    eur: Callable[[int], Money],
    actor: Actor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rung: list[str] = []
    monkeypatch.setattr(sweeper, "ring", rung.append)
    now = clock.now

    with receivers() as open_receiver:
        there = open_receiver()
        endpoint = create_endpoint(merchant=merchant, mode="test", url=there.url, actor=actor)
        assert sweeper.sweep_webhooks_once() == 0
        created_payment(eur(50_00))

        sweeper.sweep_webhooks_once()
        assert rung == []
        monkeypatch.setattr(clock, "now", lambda: now() + timedelta(seconds=3))
        sweeper.sweep_webhooks_once()
        assert (rung, there.received) == (["merchants.deliver_webhooks"], [])
        monkeypatch.setattr(clock, "now", lambda: now() + timedelta(seconds=6))
        assert sweeper.sweep_webhooks_once() > 5

        (request,) = there.received
        message: dict[str, Any] = request.verified(endpoint.secret)
        assert (message["type"], message["sequence"]) == ("payment.created", 1)
        assert deliver_due() == 0
