"""What do whole journeys run on? One platform of real processes for all of them, with a database of its own.

PostgreSQL is the tests' own, with one more database in it that is never truncated; Redis is the platform's private
one, so that it may be killed. Every test opens shops of its own: a merchant, a country, and gateways that only this
shop uses. Whatever a test did, the gateways' books and the ledger must agree at its end.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import psycopg
import pytest
from django.db import connections
from psycopg import sql

from checkout.kit.actors import Actor
from checkout.kit.countries import COUNTRIES
from checkout.launch import Platform
from checkout.launch.processes import wait_for
from gateways.registry import adapter_class
from gateways.services import create_gateway, set_region
from merchants.services import create_api_key, create_merchant
from tests.flows.shop import Shop
from tests.simulation import Simulation, our_credentials

ACTOR = Actor.command("test")
PLACES = ("first", "second", "third")
SHOPS = pytest.StashKey[list[Shop]]()

_numbers = count(1)
_countries = iter(sorted(COUNTRIES))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All journeys share a platform, so they share a worker of pytest-xdist."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.flow)
            item.add_marker(pytest.mark.xdist_group("flow"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A journey that failed tells what really happened."""
    report = yield
    if report.when == "call" and report.failed:
        report.sections += [("What happened", shop.story()) for shop in item.stash.get(SHOPS, [])]
    return report


class Flows:
    """The running platform, and what may be done to it."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.folder = folder
        self.database_url = database_url
        self.platform = self._platform()

    def start(self) -> None:
        """Start everything on an empty database."""
        self.platform.start_services()
        self.platform.manage("migrate", "--verbosity", "0")
        self.platform.start()

    @property
    def url(self) -> str:
        """Where merchants call."""
        return self.platform.url_of("web")

    @property
    def redis_url(self) -> str:
        """The platform's own Redis."""
        return self.platform.environment["REDIS_URL"]

    def stop_and_start(self) -> None:
        """End everything but PostgreSQL, and start it all again on what is left."""
        self.platform.stop()
        self.platform = self._platform()
        self.platform.start()

    def kill(self, name: str) -> None:
        """`kill -9` a process and its children; it is started again by and by."""
        self.platform.processes[name].kill()

    @contextmanager
    def without(self, name: str) -> Iterator[None]:
        """`kill -9` a process and its children, and have it back after the block only."""
        self.platform.restarts = False
        self.kill(name)
        try:
            yield
        finally:
            self.restart(name)
            self.platform.restarts = True

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """A process that is there and does nothing, until the block ends."""
        self.platform.processes[name].stop()
        try:
            yield
        finally:
            self.platform.processes[name].cont()

    def restart(self, name: str) -> None:
        """End a process as a deployment does, start it again, and wait for a worker until it works."""
        was_ready = self._times_ready()
        self.platform.restart(name)
        if name == "worker":
            assert wait_for(lambda: self._times_ready() > was_ready, 60), self.platform.processes["worker"].tail()

    def wait_for_web(self) -> None:
        """Wait until a web process that was killed answers again."""

        def answers() -> bool:
            try:
                return httpx.get(f"{self.url}/health/ready", timeout=5).status_code == 200
            except httpx.TransportError:
                return False

        assert wait_for(answers, 60), self.platform.processes["web"].tail()

    def _times_ready(self) -> int:
        return self.platform.processes["worker"].log.read_text(errors="replace").count(" ready.")

    def _platform(self) -> Platform:
        config = self.folder / "simulator.json"
        platform = Platform(
            var_dir=self.folder,
            database_url=self.database_url,
            environment={"DJANGO_SETTINGS_MODULE": "checkout.settings.test"},
            simulator_config=config,
        )
        control = {"port": platform.ports["control"]}
        config.write_text(json.dumps({"control": control, "book": str(self.folder / "book.sqlite3"), "gateways": []}))
        return platform


@pytest.fixture(scope="session")
def flows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flows]:
    """The platform of all journeys of this run."""
    name = f"checkout_flows_{os.getpid()}"
    outside = os.environ["DATABASE_URL"]
    with psycopg.connect(outside, autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    flows = Flows(tmp_path_factory.mktemp("flows"), urlunsplit(urlsplit(outside)._replace(path=f"/{name}")))
    try:
        flows.start()
        yield flows
    finally:
        flows.platform.stop()
        with psycopg.connect(outside, autocommit=True) as server:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(autouse=True)
def database(flows: Flows, django_db_blocker: Any) -> Iterator[None]:
    """Models and services speak to the platform's own database, each statement committed at once."""
    ordinary = connections["default"]
    name = urlsplit(flows.database_url).path.removeprefix("/")
    connections["default"] = type(ordinary)({**ordinary.settings_dict, "NAME": name}, "default")
    try:
        with django_db_blocker.unblock():
            yield
            connections["default"].close()
    finally:
        connections["default"] = ordinary


@pytest.fixture
def simulation(flows: Flows) -> Iterator[Simulation]:
    """The platform's simulator; gateways that a test changed are well again after it."""
    simulation = Simulation(flows.platform.url_of("control"), flows.folder / "book.sqlite3")
    yield simulation
    simulation.calm()


@pytest.fixture
def open_shop(
    flows: Flows, database: None, simulation: Simulation, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Shop]]:
    """`open_shop("json", "xml")`: a new merchant in a country of its own, whose gateways these are, in this order.

    Further arguments are settings of its gateways. After the test the books must agree.
    """
    shops = request.node.stash[SHOPS] = []

    def open_shop(*dialects: str, **settings: Any) -> Shop:
        number, country = next(_numbers), next(_countries)
        codes = []
        for place, dialect in zip(PLACES, dialects, strict=False):
            codes.append(f"{place}-{number}")
            url = simulate(simulation, flows, codes[-1], dialect)
            create_gateway(
                **{
                    "code": codes[-1],
                    "name": codes[-1].title(),
                    "adapter": f"simulator_{dialect}",
                    "mode": "test",
                    "data_format": dialect,
                    "base_url": url,
                    "credentials": our_credentials(codes[-1], dialect),
                    "currencies": sorted(adapter_class(f"simulator_{dialect}").currencies),
                    "payment_method_types": ["card"],
                    "supports_cancel_by_reference": True,
                    "settle_window_seconds": 1,
                    "call_timeout_seconds": 4,
                    "fee_bps": 290,
                    "fee_fixed_minor": 30,
                    "actor": ACTOR,
                    **settings,
                }
            )
        priorities = {code: place for place, code in enumerate(codes, 1)}
        set_region(code=f"region-{number}", name=country, countries=[country], priorities=priorities, actor=ACTOR)
        merchant = create_merchant(
            name=f"Shop {number}", country=country, default_currency="EUR", fee_bps=320, tax_bps=2000, actor=ACTOR
        )
        key = create_api_key(merchant=merchant, mode="test", actor=ACTOR)
        shops.append(Shop(flows.url, key.secret, merchant, codes, simulation))
        return shops[-1]

    yield open_shop
    simulation.calm()
    for shop in shops:
        try:
            shop.audit()
        except AssertionError:
            print(shop.story())
            raise


@pytest.fixture
def shop(open_shop: Callable[..., Shop]) -> Shop:
    """A shop with two JSON gateways."""
    return open_shop("json", "json")


def simulate(simulation: Simulation, flows: Flows, code: str, dialect: str, **settings: Any) -> str:
    """Let the simulator play one more gateway, which tells the platform its outcomes; returns its address."""
    added = simulation.add(code, dialect, notice_url=f"{flows.url}/v1/notices/{code}", **settings)
    return str(added["url"])
