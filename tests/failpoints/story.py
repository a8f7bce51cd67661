"""How is a story told in which any act may die or be overtaken? Step by step, with trouble in one of them.

The merchant is a patient client over HTTP: whatever dies, it asks again under the same key. Time passes by moving the
dates in the rows, not by waiting.
"""

import asyncio
import json
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, ClassVar

from django.db import OperationalError, connection
from django.db.models import F
from django.test import Client

from checkout.kit import failpoints
from checkout.kit.actors import Actor
from checkout.kit.failpoints import Died
from checkout.kit.ids import parse_public_id
from checkout.kit.models import User
from checkout.settings.policy import CALL_TIMEOUT_SECONDS
from gateways import client
from gateways.models import Gateway
from merchants.models import Merchant
from merchants.tests.receiver import Receiver
from payments import services
from payments.models import Attempt, IdempotencyKey, Payment
from payments.statuses import AttemptStatus
from tests.simulation import Simulation

WORKER = Actor.task("run_due")
SWEEPER = Actor.task("sweeper")
GOOD, CHALLENGED = "4242424242424242", "4000002500003155"
ROUNDS_UNTIL_QUIET = 30
_TRIES = 6
_NOT_FINAL = (202, 409, 429)
_HUNG_SECONDS = 0.1
_STOPPED_SECONDS = 20
_WITHOUT_ANSWER = ("charge_then_timeout", "slow")
_SHORT_SECONDS = 0.2


class Elsewhere:
    """Another process, as far as a test is concerned: a thread with its own database connection and event loop."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "elsewhere", initializer=self._begin)

    def run(self, deed: Callable[[], None]) -> None:
        """Do something there, and wait for it; a lock that is held here ends it, as it would in life."""
        try:
            self._thread.submit(deed).result(_STOPPED_SECONDS)
        except* OperationalError:
            pass

    def close(self) -> None:
        """End it."""
        self._thread.submit(lambda: connection.close()).result()
        self._thread.shutdown()
        asyncio.run_coroutine_threadsafe(self._theirs.close(), self._theirs.loop)
        client._loop = self._ours

    def _begin(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '100ms'")
        self._ours, self._theirs, thread = client._loop, client._Loop(), threading.current_thread()
        client._loop = lambda: self._theirs if threading.current_thread() is thread else self._ours()


@dataclass
class World:
    """Where stories happen. `secret` is the merchant's API key; what is posted to `post` is kept there."""

    merchant: Merchant
    secret: str
    simulation: Simulation
    people: tuple[User, User]
    post: Receiver
    elsewhere: Elsewhere
    client: Client = field(default_factory=Client)


@dataclass
class Trouble:
    """What happens once, when a point is passed for the n-th time, counted from 1: a `crash`, or a `pause`."""

    kind: str
    point: str
    number: int
    happened: threading.Event = field(default_factory=threading.Event)

    def arm(self, overtaken: Callable[[], None]) -> None:
        """Lie in wait; `overtaken` is what happens while a process that passes the point is stopped."""
        action = {"crash": failpoints.die, "pause": self._hang if self.point == "ring.before" else overtaken}[self.kind]
        count = 0

        def passed() -> None:
            nonlocal count
            count += 1
            if count == self.number:
                self.happened.set()
                action()

        failpoints.arm(self.point, passed)

    @staticmethod
    def _hang() -> None:
        """Of the thread that rings the bell, nobody can overtake anything: it holds neither a row nor a lease."""
        time.sleep(_HUNG_SECONDS)


@dataclass
class Asked:
    """One request of the merchant's, and every answer to it: the status and the bytes."""

    path: str
    body: dict[str, Any]
    key: str
    answers: list[tuple[int, bytes]] = field(default_factory=list)


class Story:
    """A payment's life in steps. In one of them north misbehaves and something happens; then all is well again."""

    steps: ClassVar[tuple[str, ...]]
    waits_for_customer = False

    def __init__(self, world: World, behaviour: str, trouble: Trouble) -> None:
        self.world = world
        self.behaviour = behaviour
        self.trouble = trouble
        self.troubled: list[Asked] = []
        self.is_in_trouble = False
        self.asking: Asked | None = None
        self.payment: Payment | None = None

    def tell(self, troubled: str) -> Payment:
        """Go through all steps, and assert what must have come of them. Returns the payment."""
        Gateway.objects.update(health_status="healthy", failure_count=0)
        for step in self.steps:
            self.is_in_trouble = step == troubled
            if self.is_in_trouble:
                self.turn()
                self.trouble.arm(self.overtaken)
            getattr(self, step)()
            if self.is_in_trouble:
                if self.trouble.point == "ring.before":
                    self.trouble.happened.wait(1)
                self.heal()
            else:
                self.quiet()
        self.end()
        return self.paid

    @property
    def was_overtaken(self) -> bool:
        """Whether others came by, who may have asked the gateway in vain while it still misbehaved."""
        return self.trouble.kind == "pause"

    @property
    def paid(self) -> Payment:
        """The payment, as it is now."""
        assert self.payment is not None
        self.payment.refresh_from_db()
        return self.payment

    @property
    def attempt(self) -> Attempt:
        """The payment's newest attempt."""
        return self.paid.attempts.select_related("gateway").latest("seq")

    def turn(self) -> None:
        """From now on things go the way this story is about; what has no answer in time costs little time."""
        if self.behaviour in _WITHOUT_ANSWER:
            Gateway.objects.filter(code="north").update(call_timeout_seconds=_SHORT_SECONDS)
        self.world.simulation.change(
            "north", behaviour=self.behaviour, slow_seconds=4 * _SHORT_SECONDS, async_seconds=0.05
        )

    def heal(self) -> None:
        """The trouble is over and the gateways are well; time passes until everything is decided."""
        failpoints.disarm()
        self.calm()
        self.quiet()

    def calm(self) -> None:
        """All gateways are well again, and what they had left pending is decided."""
        self.world.simulation.calm()
        Gateway.objects.update(call_timeout_seconds=CALL_TIMEOUT_SECONDS)

    def quiet(self) -> None:
        """Let time pass, and workers come by, until nothing is to be done but by the customer."""
        flight = Attempt.objects.filter(next_action_at__isnull=False)
        if self.waits_for_customer:
            flight = flight.exclude(status=AttemptStatus.PENDING, next_action="ask", action_url__gt="")
        for _ in range(ROUNDS_UNTIL_QUIET):
            if not flight.exists():
                return
            pass_time()
            self.come_by()
        stuck = list(flight.values("operation", "status", "next_action", "action_url", "asked_count"))
        raise AssertionError(f"still something to do after {ROUNDS_UNTIL_QUIET} rounds: {stuck}")

    def come_by(self) -> None:
        """What comes by again and again, whatever happens."""
        work()

    def end(self) -> None:
        """What must be true of what was asked in trouble: asked once more, it is one object and one final answer."""
        for asked in self.troubled:
            self._send(asked, "respond-async")
            final = {answer for answer in asked.answers if answer[0] not in _NOT_FINAL and answer[0] < 500}
            assert asked.answers[-1] in final, f"{asked.path} has no final answer: {asked.answers[-1]}"
            assert len(final) == 1, f"{asked.path} was answered otherwise the second time: {final}"
            ids = {json.loads(body)["id"] for status, body in asked.answers if status < 300}
            assert len(ids) <= 1, f"{asked.path} made {len(ids)} objects"

    # What the merchant does.

    def pay(self, *, number: str = GOOD, prefer: str = "wait=10", **fields: Any) -> None:
        """Ask for fifty euros."""
        card = {"number": number, "exp_month": 12, "exp_year": 2034, "cvv": "123"}
        body = {"amount": 50_00, "currency": "EUR", "payment_method": {"type": "card", "card": card}, **fields}
        key = parse_public_id(Payment.PUBLIC_PREFIX, self.ask("/v1/payments", body, prefer)["id"])
        self.payment = Payment.objects.get(pk=key)

    def ask_for(self, verb: str, **body: Any) -> dict[str, Any]:
        """Ask for something to be done to the payment."""
        assert self.payment is not None
        return self.ask(f"/v1/payments/{self.payment.public_id}/{verb}", body)

    def ask(self, path: str, body: dict[str, Any], prefer: str = "wait=10") -> dict[str, Any]:
        """POST, again and again under the same key until there is an answer; returns its document."""
        self.asking = Asked(path, body, uuid.uuid4().hex)
        if self.is_in_trouble:
            self.troubled.append(self.asking)
        for _ in range(_TRIES):
            try:
                status, content = self._send(self.asking, prefer)
            except Died:
                continue
            document: dict[str, Any] = json.loads(content)
            if status < 500 and document.get("code") != "idempotency_key_in_flight":
                self.asking = None
                return document
            self._be_patient(self.asking)
        raise AssertionError(f"{path} is not answered: {self.asking.answers}")

    def _send(self, asked: Asked, prefer: str) -> tuple[int, bytes]:
        response = self.world.client.post(
            asked.path,
            json.dumps(asked.body),
            content_type="application/json",
            headers={
                "Authorization": f"Bearer {self.world.secret}",
                "Idempotency-Key": asked.key,
                "Prefer": prefer,
            },
        )
        asked.answers.append((response.status_code, response.content))
        return asked.answers[-1]

    @staticmethod
    def _be_patient(asked: Asked) -> None:
        """Wait until the key no longer says that its first request is still being answered."""
        IdempotencyKey.objects.filter(key=asked.key).update(answering_until=F("created_at"))

    # What happens to whoever is stopped.

    def overtaken(self) -> None:
        """The action of a process that is stopped for longer than its lease: others come by, then it goes on."""
        failpoints.disarm()
        self.world.elsewhere.run(self.others)

    def others(self) -> None:
        """What happens elsewhere meanwhile: the merchant loses patience and asks again, a sweeper finds what is due."""
        pass_time()
        if self.asking is not None:
            self._be_patient(self.asking)
            self._send(self.asking, "respond-async")
        services.run_due(actor=SWEEPER)


def post(url: str, body: dict[str, Any]) -> Any:
    """Send JSON to the simulator, and read its answer."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def again(deed: Callable[[], Any]) -> Any:
    """Do something, and once more if whoever did it has died; returns what came of it."""
    try:
        return deed()
    except Died:
        return deed()


def work() -> None:
    """A worker comes by and may die; another one takes its place."""
    again(lambda: services.run_due(actor=WORKER))


def pass_time() -> None:
    """Two hours pass: leases and settle windows end, and whatever waited for its hour is due."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE payments_attempt SET sent_at = sent_at - interval '2 hours', next_action_at = now()"
            " WHERE next_action_at IS NOT NULL"
        )
