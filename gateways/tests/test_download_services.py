"""Do we get every settlement file of a gateway, once, and none that is not whole? From the simulator, over HTTP."""

import json
import socket
from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import count
from pathlib import Path

import pytest

from gateways import client
from gateways.adapters.simulator_json import SimulatorJson
from gateways.base import Capability, CardData, GatewayRequest
from gateways.client import Account, Call, call_all
from gateways.errors import DownloadFailed
from gateways.models import Gateway, GatewayCall
from gateways.outcomes import Outcome
from gateways.services import Downloaded, download_settlements
from gateways.tests.scripted import Script, Server, says
from tests.simulation import Simulation

CARD = CardData("4242424242424242", 4, 2031, "123", "Ana Lopez")
references = (f"att_settled_{number}" for number in count(1))


@pytest.fixture(autouse=True)
def _no_connection_outlives_a_test() -> Iterator[None]:
    yield
    client.discard_loop()


def captured(gateway: Gateway) -> None:
    """One payment of 12.34 EUR, authorized and captured."""
    values = {"amount_minor": 1234, "currency": "EUR"}
    request = GatewayRequest("authorize", next(references), card=CARD, **values)
    (answer,) = call_all([Call(account=Account.of(gateway), verb="authorize", request=request)])
    paid = answer.result.gateway_reference
    request = GatewayRequest("capture", next(references), gateway_reference=paid, **values)
    (answer,) = call_all([Call(account=Account.of(gateway), verb="capture", request=request)])
    assert answer.result.outcome is Outcome.SUCCEEDED


def issued(gateway: Gateway, simulation: Simulation) -> str:
    """The name of a file with one new payment."""
    captured(gateway)
    file = simulation.settle(gateway.code)
    assert file is not None
    return str(file["name"])


def contents(gateway: Gateway, known: list[str], fetched: dict[str, bytes] | None = None) -> dict[str, bytes]:
    """What is fetched, by name; also as far as it got before it failed, in `fetched`."""
    fetched = {} if fetched is None else fetched
    for each in download_settlements(gateway, known.__contains__):
        fetched[each.name] = each.path.read_bytes()
    return fetched


@pytest.mark.parametrize("code", ["north", "south"])
def test_what_is_not_known_is_fetched_oldest_first(
    gateways: dict[str, Gateway], simulation: Simulation, code: str
) -> None:
    gateway = gateways[code]
    before = [each.name for each in download_settlements(gateway, ().__contains__)]
    names = [issued(gateway, simulation) for _ in range(3)]

    fetched = contents(gateway, [*before, names[1]])

    assert list(fetched) == [names[0], names[2]]
    assert fetched == {name: simulation.settlement(code, name) for name in fetched}
    assert contents(gateway, [*before, *names]) == {}


def test_a_file_lies_there_until_the_next_one_and_none_afterwards(
    gateways: dict[str, Gateway], simulation: Simulation
) -> None:
    names = [issued(gateways["north"], simulation) for _ in range(2)]
    known = {each.name for each in download_settlements(gateways["north"], ().__contains__)} - set(names)
    folders: set[Path] = set()

    for each in download_settlements(gateways["north"], known.__contains__):
        assert isinstance(each, Downloaded)
        assert each.path.parent.stat().st_mode & 0o077 == 0
        folders.add(each.path.parent)

    assert len(folders) == 1
    assert not folders.pop().exists()


def test_every_list_and_every_file_leaves_a_record_of_the_call(
    gateways: dict[str, Gateway], simulation: Simulation
) -> None:
    name = issued(gateways["north"], simulation)
    known = {each.name for each in download_settlements(gateways["north"], ().__contains__)} - {name}
    GatewayCall.objects.all().delete()

    contents(gateways["north"], list(known))

    listing, download = GatewayCall.objects.order_by("id")
    assert (listing.operation, listing.outcome, listing.http_status) == ("list_settlements", "succeeded", 200)
    assert (download.operation, download.outcome, download.http_status) == ("download_settlement", "succeeded", 200)


@pytest.mark.parametrize("code", ["north", "south"])
def test_with_a_wrong_key_there_is_no_list(gateways: dict[str, Gateway], simulation: Simulation, code: str) -> None:
    gateway = gateways[code]
    issued(gateway, simulation)
    wrong = {name: value if name == "merchant_id" else "wrong" for name, value in gateway.secrets.items()}
    gateway.credentials = json.dumps(wrong)

    with pytest.raises(DownloadFailed, match="the list of files"):
        contents(gateway, [])

    assert GatewayCall.objects.get(gateway=gateway, operation="list_settlements").outcome == "unknown"
    assert not GatewayCall.objects.filter(operation="download_settlement").exists()


def test_a_gateway_that_is_down_fails_and_says_so(gateways: dict[str, Gateway], simulation: Simulation) -> None:
    simulation.change("north", behaviour="down")

    with pytest.raises(DownloadFailed, match="north"):
        contents(gateways["north"], [])

    assert GatewayCall.objects.get().error == "ClientConnectorError"


def test_a_gateway_without_settlement_files_is_not_asked(acme: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SimulatorJson, "capabilities", frozenset(Capability) - {Capability.SETTLEMENT_FILES})

    assert contents(acme, []) == {}

    assert not GatewayCall.objects.exists()


def test_one_file_that_fails_keeps_no_other_from_coming(
    make_gateway: Callable[..., Gateway], serve: Callable[[Script], Server]
) -> None:
    files = {"a.csv": b"first", "b.csv": b"second", "c.csv": b"third"}
    listed = [{"name": name, "size": len(body), "sha256": sha256(body).hexdigest()} for name, body in files.items()]

    def answers(connection: socket.socket) -> bool | None:
        path = server.requests[-1].split(b" ")[1].decode()
        name = path.rpartition("/")[2]
        if name == "settlements":
            return says(200, json.dumps({"data": listed}).encode())(connection)
        return says(404 if name == "b.csv" else 200, files[name])(connection)

    server = serve(answers)
    gateway = make_gateway(base_url=server.url)
    fetched: dict[str, bytes] = {}

    with pytest.raises(DownloadFailed, match=r"acme: b\.csv: answered with status 404"):
        contents(gateway, [], fetched)

    assert fetched == {"a.csv": b"first", "c.csv": b"third"}
