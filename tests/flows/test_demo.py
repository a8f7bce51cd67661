"""Does the story that `make demo` tells come true?"""

import json
from pathlib import Path

import pytest

from checkout.launch.demo import demo
from checkout.launch.running import Running
from tests.flows.conftest import Flows
from tests.flows.shop import Shop
from tests.simulation import Simulation


@pytest.fixture
def running(flows: Flows, shop: Shop, tmp_path: Path) -> Running:
    """The platform of these journeys, and the shop's key, as `make run` would write them down."""
    run_file = tmp_path / "run.json"
    facts = {
        "api_url": flows.url,
        "api_key": shop.secret,
        "simulator_url": shop.simulation.url,
        "database_url": flows.database_url,
        "redis_url": flows.redis_url,
    }
    run_file.write_text(json.dumps(facts))
    return Running(run_file)


def test_every_step_shows_what_it_should(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo(running) == 0

    told = capsys.readouterr().out
    assert told.count("✓") == 7
    assert "\033" not in told
    assert "Left out: already tried for this payment, and certain not to have charged." in told
    assert running.facts["api_key"] not in told


def test_where_something_else_is_shown_it_says_so_and_leaves_the_gateway_well(
    running: Running, shop: Shop, simulation: Simulation, capsys: pytest.CaptureFixture[str]
) -> None:
    simulation.change(shop.codes[1], behaviour="down")

    assert demo(running) == 1

    told = capsys.readouterr().out
    assert (told.count("✓"), told.count("✗")) == (2, 1)
    assert "status should be captured, and is failed" in told
    behaviours = {row["code"]: row["behaviour"] for row in simulation.gateways()}
    assert behaviours[shop.codes[0]] == "healthy"
