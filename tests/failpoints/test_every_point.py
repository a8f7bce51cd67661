"""Does every act survive dying, or being overtaken, at every commit and every send? Enumerated, not sampled."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from checkout.kit import failpoints
from gateways.models import Gateway, Region
from merchants.models import Merchant
from payments.models import Payment
from tests.failpoints.story import Story, check, overtaken
from tests.simulation import Simulation

POINTS = (
    *(f"{act}.{side}_commit" for act in ("create", "capture", "refund", "cancel") for side in ("before", "after")),
    *(f"{act}.{side}_commit" for act in ("claim", "record") for side in ("before", "after")),
    "call.before_send",
    "call.after_reply",
    "ring.before",
)
BEHAVIOURS = (
    "healthy",
    "down",
    "error_before_charging",
    "charge_then_500",
    "charge_then_timeout",
    "reset",
    "slow",
    "asynchronous",
)
TROUBLES: dict[str, Callable[[], None]] = {"crash": failpoints.die, "pause": overtaken}


@pytest.fixture
def shop(
    transactional_db: None, merchant: Merchant, gateways: dict[str, Gateway], regions: dict[str, Region]
) -> Iterator[Merchant]:
    """A merchant whose gateways give up quickly, so that a timeout costs little."""
    Gateway.objects.update(call_timeout_seconds=0.4, settle_window_seconds=60)
    yield merchant
    failpoints.disarm()


def on_pass(number: int, action: Callable[[], None]) -> Callable[[], None]:
    """Let something happen only when a point is passed for the n-th time, counted from 1, and only once."""
    count = 0

    def passed() -> None:
        nonlocal count
        count += 1
        if count == number:
            action()

    return passed


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("point", POINTS)
def test_money_is_neither_lost_nor_doubled(shop: Merchant, simulation: Simulation, point: str, trouble: str) -> None:
    passes = (1, 2, 3) if point.startswith(("claim", "record", "call")) else (1,)
    for behaviour in BEHAVIOURS:
        for number in passes:
            Gateway.objects.update(health_status="healthy", failure_count=0)
            simulation.change("north", behaviour=behaviour, slow_seconds=0.8, async_seconds=0.1)
            failpoints.arm(point, on_pass(number, TROUBLES[trouble]))
            story = Story(shop, simulation)
            try:
                payment = story.tell()
                check(payment, simulation)
            except AssertionError as error:
                raise AssertionError(f"{point}, pass {number}, {trouble}, north {behaviour}: {error}") from error
            finally:
                failpoints.disarm()


def test_a_sale_in_one_call_survives_as_well(shop: Merchant, simulation: Simulation) -> None:
    for point in ("record.before_commit", "record.after_commit", "call.after_reply"):
        for behaviour in BEHAVIOURS:
            for trouble in TROUBLES.values():
                Gateway.objects.update(health_status="healthy", failure_count=0)
                simulation.change("north", behaviour=behaviour, slow_seconds=0.8, async_seconds=0.1)
                failpoints.arm(point, on_pass(1, trouble))
                check(Story(shop, simulation, capture_mode=Payment.CaptureMode.AUTOMATIC).tell(), simulation)


def test_nothing_can_be_armed_outside_the_test_settings(settings: Any) -> None:
    settings.FAILPOINTS = False
    with pytest.raises(RuntimeError):
        failpoints.arm("create.before_commit", failpoints.die)
