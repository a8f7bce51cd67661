"""Does a fresh demo's simulator do what our gateways expect of it?"""

import json
from pathlib import Path

import pytest

from gateways.models import Gateway
from gateways.simulator.settings import Config
from payments.demo import seed


@pytest.fixture
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, db: None) -> Path:
    path = tmp_path / "simulator.json"
    monkeypatch.setenv("SIMULATOR_CONFIG", str(path))
    return path


def test_the_simulated_gateways_take_the_fees_that_we_expect_and_settle_in_different_formats(
    configuration: Path,
) -> None:
    seed()

    simulated = {one.code: one for one in Config.parse(json.loads(configuration.read_text())).gateways}
    gateways = list(Gateway.objects.all())
    assert len(gateways) == 5
    for gateway in gateways:
        settings = simulated[gateway.code]
        assert (settings.fee_bps, settings.fee_fixed_minor) == (gateway.fee_bps, gateway.fee_fixed_minor) == (290, 30)
    assert len({one.settlement_format for one in simulated.values()}) == 3


def test_seeding_again_follows_a_fee_that_was_changed(configuration: Path) -> None:
    seed()
    Gateway.objects.filter(code="north").update(fee_bps=250)

    seed()

    simulated = {one.code: one for one in Config.parse(json.loads(configuration.read_text())).gateways}
    assert simulated["north"].fee_bps == 250
    assert simulated["south"].fee_bps == 290
