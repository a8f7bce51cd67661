"""What do tests start from? A merchant with a key, gateways in regions, and payments as far as a test wants them.

Everything is made by the verbs, as in life. Payments go through real HTTP to the simulator's gateways (see
`tests/simulation.py`); in the `db` fixture's transaction nobody else could see them, so the worker's part is played in
the test's own process: by `carry_out`, and by `api` while a request waits.
"""

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client

from checkout.kit import ids
from checkout.kit.actors import Actor
from checkout.kit.money import Money
from gateways import client
from gateways.base import CardData
from gateways.models import Gateway, Region
from gateways.registry import adapter_class
from gateways.services import create_gateway, set_region
from merchants.models import Merchant
from merchants.selectors import forget_keys
from merchants.services import NewKey, create_api_key, create_merchant
from payments import services
from payments.models import Payment
from payments.services import PaymentOrder
from tests.simulation import Simulation, our_credentials, simulator

pytest_plugins = ["tests.a_day", "tests.chromium", "tests.database", "tests.network"]

DIALECTS = {"north": "json", "south": "xml", "spare": "json"}


@pytest.fixture(autouse=True)
def _ids_know_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids never go back in time, so one made by a test that had moved the clock would carry all later ones along."""
    monkeypatch.setattr(ids, "_last", 0)


@pytest.fixture
def eur() -> Callable[[int], Money]:
    """`eur(50_00)` is fifty euros."""
    return lambda amount_minor: Money(amount_minor, "EUR")


@pytest.fixture
def usd() -> Callable[[int], Money]:
    """`usd(50_00)` is fifty dollars."""
    return lambda amount_minor: Money(amount_minor, "USD")


@pytest.fixture
def actor() -> Actor:
    """Whoever has the machine: for what is only preparation."""
    return Actor.command("test")


@pytest.fixture
def operator() -> Actor:
    """A person in the admin."""
    return Actor.user("olivia", "192.0.2.7")


@pytest.fixture
def merchant(db: None, actor: Actor) -> Merchant:
    """A German shop that pays us 3.20 % + 0.30, and 20 % tax on that."""
    return create_merchant(
        name="Ana's Books",
        country="DE",
        default_currency="EUR",
        fee_bps=320,
        fee_fixed_minor=30,
        tax_bps=2000,
        actor=actor,
    )


@pytest.fixture
def api_key(merchant: Merchant, actor: Actor) -> Iterator[NewKey]:
    """A test key of the merchant with every scope: `.key` is the row, `.secret` what the merchant shows."""
    yield create_api_key(merchant=merchant, mode="test", name="shop", actor=actor)
    forget_keys()


@pytest.fixture(scope="session")
def simulation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulation]:
    """The test process's own simulator, and afterwards no connection to it left open."""
    with simulator(tmp_path_factory.mktemp("simulator")) as simulation:
        yield simulation
    client.discard_loop()


@pytest.fixture
def gateways(db: None, actor: Actor, simulation: Simulation) -> Iterator[dict[str, Gateway]]:
    """Three simulated gateways by code: north (JSON), south (XML, no sale) and spare (JSON).

    `simulation.change("north", behaviour="down")` lets one misbehave until the end of the test.
    """
    simulated = {gateway["code"]: gateway for gateway in simulation.gateways()}
    for code in DIALECTS.keys() - simulated.keys():
        simulated[code] = simulation.add(code, DIALECTS[code])
    yield {
        code: create_gateway(
            code=code,
            name=code.title(),
            adapter=f"simulator_{dialect}",
            mode="test",
            data_format=dialect,
            base_url=simulated[code]["url"],
            credentials=our_credentials(code, dialect),
            currencies=sorted(adapter_class(f"simulator_{dialect}").currencies),
            payment_method_types=["card"],
            supports_cancel_by_reference=True,
            settle_window_seconds=30,
            fee_bps=290,
            fee_fixed_minor=30,
            actor=actor,
        )
        for code, dialect in DIALECTS.items()
    }
    simulation.calm()


@pytest.fixture
def regions(gateways: dict[str, Gateway], actor: Actor) -> dict[str, Region]:
    """Europe asks north, then south, then spare; everywhere else there is only spare."""
    europe = set_region(
        code="europe",
        name="Europe",
        countries=["DE", "ES", "FR", "PT"],
        priorities={"north": 1, "south": 2, "spare": 3},
        actor=actor,
    )
    elsewhere = set_region(
        code="everywhere-else", name="Everywhere else", is_everywhere_else=True, priorities={"spare": 1}, actor=actor
    )
    return {"europe": europe, "everywhere-else": elsewhere}


@pytest.fixture
def card() -> Callable[..., CardData]:
    """`card()` is good; `card("4000000000000002")` is one of the simulator's test cards."""
    return lambda number="4242424242424242": CardData(number, 12, 2034, "123", "Ana Lopez")


@pytest.fixture
def carry_out(db: None) -> Callable[[], int]:
    """Play the worker: carry to the gateways what is due, until nothing is. Returns how many answers were recorded."""
    return lambda: services.run_due(actor=Actor.task("run_due"))


@pytest.fixture
def created_payment(
    merchant: Merchant, regions: dict[str, Region], card: Callable[..., CardData], actor: Actor
) -> Callable[..., Payment]:
    """`created_payment(eur(50_00))`: not confirmed, its card kept. `confirm=True` makes it `processing`."""

    def create(amount: Money, *, confirm: bool = False, number: str = "4242424242424242", **order: Any) -> Payment:
        return services.create_payment(
            merchant=merchant,
            mode="test",
            order=PaymentOrder(amount=amount, **{"country": "DE", **order}),
            card=card(number),
            confirm=confirm,
            actor=actor,
        )

    return create


@pytest.fixture
def processed_payment(created_payment: Callable[..., Payment], carry_out: Callable[[], int]) -> Callable[..., Payment]:
    """`processed_payment(eur(50_00), number=…)`: confirmed, and carried as far as its gateways let it go."""

    def process(amount: Money, **how: Any) -> Payment:
        payment = created_payment(amount, confirm=True, **how)
        carry_out()
        payment.refresh_from_db()
        return payment

    return process


@pytest.fixture
def authorized_payment(processed_payment: Callable[..., Payment]) -> Callable[..., Payment]:
    """`authorized_payment(eur(50_00))`: reserved at north, nothing captured."""
    return lambda amount, **how: processed_payment(amount, capture_mode=Payment.CaptureMode.MANUAL, **how)


@pytest.fixture
def captured_payment(processed_payment: Callable[..., Payment]) -> Callable[..., Payment]:
    """`captured_payment(eur(50_00))`: reserved and taken at north in one call, and in the ledger."""
    return processed_payment


class Api:
    """A merchant's software, calling us without a network. Bodies are JSON; bytes and text go as they are.

    While a POST waits for its outcome, what is due is carried out; `prefer="respond-async"` leaves it undone.
    """

    def __init__(self, secret: str) -> None:
        self.secret = secret
        self._client = Client(raise_request_exception=True)
        self._keys = (f"key-{number}" for number in itertools.count(1))

    def get(self, path: str, query: dict[str, Any] | None = None, **headers: str) -> Any:
        """GET, as the merchant. Headers by name: `Accept="…"`."""
        return self._client.get(path, query, headers=self._headers(headers))

    def post(
        self,
        path: str,
        body: Any = None,
        *,
        idempotency_key: str | None = "new",
        prefer: str | None = None,
        content_type: str = "application/json",
        **headers: str,
    ) -> Any:
        """POST, as the merchant, under a fresh Idempotency-Key unless one is named; None sends none."""
        if idempotency_key is not None:
            headers["Idempotency-Key"] = next(self._keys) if idempotency_key == "new" else idempotency_key
        if prefer is not None:
            headers["Prefer"] = prefer
        content = body if isinstance(body, str | bytes) else b"" if body is None else json.dumps(body)
        return self._client.post(path, data=content, content_type=content_type, headers=self._headers(headers))

    def pay(self, amount: int = 50_00, *, number: str = "4242424242424242", prefer: str | None = None, **fields: Any):
        """POST /v1/payments in EUR with a card; further fields of the body by name."""
        card = {"number": number, "exp_month": 12, "exp_year": 2034, "cvv": "123"}
        body = {"amount": amount, "currency": "EUR", "payment_method": {"type": "card", "card": card}, **fields}
        return self.post("/v1/payments", body, prefer=prefer)

    def _headers(self, headers: dict[str, str]) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret}", **headers}


@pytest.fixture
def api(
    api_key: NewKey, regions: dict[str, Region], carry_out: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> Api:
    """The merchant's software: `api.post("/v1/payments", {…})`, `api.get(…)`, `api.pay(50_00)`."""
    # Waiting would close the connection that holds the test's transaction.
    monkeypatch.setattr("payments.waiting.until_settled", lambda key, seconds: carry_out() if seconds else None)
    return Api(api_key.secret)
