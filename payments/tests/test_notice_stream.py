"""Does a stream of notices end the same in whatever order it comes, and however often each is told?

The notices are a gateway's own: an asynchronous one tells by them alone what it decided. They are recorded on their
way, and delivered as a test will have it.
"""

import random
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from checkout.kit import clock
from checkout.kit.actors import Actor
from checkout.kit.money import Money
from gateways import client
from gateways.base import CardData, GatewayRequest
from gateways.client import Account, Answer, Call
from gateways.models import Gateway, Notice, Region
from gateways.services import set_region
from ledger.models import Posting
from merchants.tests.receiver import Receiver, receivers
from payments import selectors, services
from payments.models import Attempt, Payment
from payments.selfaudit import Scope, audit_books
from payments.services import apply_notices
from payments.services.record import record_answer
from payments.services.run import _call
from payments.statuses import IN_FLIGHT, NextAction
from payments.tests.answers import WORKER, attempts, claim, events, last, make_due, trace
from tests.simulation import Simulation

Pay = Callable[..., Payment]
GOOD, DECLINED, PROCESSING_ERROR = "4242424242424242", "4000000000000002", "4000000000000119"
SHOP = Actor.key("sk_test_stream")
SEEDS = (1, 2, 3)
REPEATS = 5

# How each payment of a set begins, and what is asked of it as soon as all that was asked before has ended.
STORIES: Sequence[tuple[dict[str, Any], Sequence[Sequence[tuple[str, int | None]]]]] = (
    ({"number": GOOD}, []),
    ({"number": DECLINED}, []),
    ({"number": PROCESSING_ERROR}, []),  # asked at the next gateway
    ({"number": GOOD}, [[("refund", 20_00), ("refund", 5_00)], [("refund", None)]]),
    ({"number": GOOD, "capture_mode": "manual"}, [[("capture", 30_00)], [("refund", 10_00)]]),
    ({"number": GOOD, "capture_mode": "manual"}, [[("cancel", None)]]),
)
VERBS = {"capture": services.capture_payment, "refund": services.refund_payment, "cancel": services.cancel_payment}


@dataclass(frozen=True)
class Message:
    """A notice as it came over the wire."""

    path: str
    headers: dict[str, str]
    body: bytes


class Wire:
    """Between the gateways and us: what they tell is kept here until it is delivered."""

    def __init__(self, receiver: Receiver, simulation: Simulation, codes: Sequence[str]) -> None:
        self.codes = codes
        self._receiver = receiver
        self._simulation = simulation
        self._client = Client()

    def settle(self) -> list[Message]:
        """Let the gateways decide all that is pending; returns what they tell of it, in order."""
        for code in self.codes:
            url = f"{self._simulation.url}/gateways/{code}/settle_pending"
            urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=10).close()
        deadline = time.monotonic() + 20
        while any(row["counters"]["notices_waiting"] for row in self._simulation.gateways()):
            assert time.monotonic() < deadline, "the gateways have not told everything"
            time.sleep(0.02)
        return self.told()

    def told(self) -> list[Message]:
        """What was told since somebody last asked."""
        told, self._receiver.received = self._receiver.received, []
        return [Message(message.path, message.headers, message.body) for message in told]

    def deliver(self, message: Message, *, expected: int = 200) -> None:
        """Hand a notice to us, as it was sent."""
        kind = message.headers["content-type"]
        headers = {"Simulator-Signature": message.headers.get("simulator-signature", "")}  # XML is signed inside
        answer = self._client.post(message.path, data=message.body, content_type=kind, headers=headers)
        assert answer.status_code == expected, answer.content

    def deliver_forged(self, message: Message) -> None:
        """The same notice under another id, which its signature does not cover."""
        forged = message.body.replace(b"ntc_", b"ntx_")
        assert forged != message.body
        self.deliver(Message(message.path, message.headers, forged), expected=401)


@pytest.fixture
def wire(gateways: dict[str, Gateway], simulation: Simulation) -> Iterator[Wire]:
    """Gateways that answer well and tell every outcome by a notice too, into our hands."""
    with receivers() as open_receiver:
        receiver = open_receiver()
        for code in gateways:
            simulation.change(code, notice_url=f"http://127.0.0.1:{receiver.port}/v1/notices/{code}")
        yield Wire(receiver, simulation, list(gateways))
        for code in gateways:
            simulation.change(code, notice_url="")


@pytest.fixture
def asynchronous(wire: Wire, simulation: Simulation) -> Wire:
    """Gateways that say "pending" to everything, and tell the outcome by a notice alone once they were let decide."""
    for code in wire.codes:
        simulation.change(code, behaviour="asynchronous", async_seconds=3600)
    return wire


@dataclass
class Stream:
    """A set of payments, and the notices about them, delivered in one way: `draw` shuffles and repeats them."""

    wire: Wire
    carry_out: Callable[[], int]
    draw: random.Random | None
    payments: list[Payment] = field(default_factory=list)
    past: list[Message] = field(default_factory=list)

    def tell(self, create: Pay, country: str) -> None:
        """Create the payments, then do with each what its story asks, until nothing is left in flight."""
        self.payments = [create(Money(50_00, "EUR"), confirm=True, country=country, **how) for how, _ in STORIES]
        self._until_nothing_is_in_flight()
        for step in range(max(len(steps) for _, steps in STORIES)):
            for payment, (_, steps) in zip(self.payments, STORIES, strict=True):
                for verb, amount in steps[step] if step < len(steps) else ():
                    given = {} if amount is None else {"amount": Money(amount, "EUR")}
                    VERBS[verb](payment=payment, actor=SHOP, **given)
            self._until_nothing_is_in_flight()

    def _until_nothing_is_in_flight(self) -> None:
        for _ in range(6):
            self.carry_out()
            in_flight = Attempt.objects.filter(status__in=IN_FLIGHT)
            if not in_flight.exists():
                return
            # Only a notice shall be a reason to ask.
            in_flight.update(next_action_at=clock.now() + timedelta(hours=1))
            told = self.wire.settle()
            assert len(told) >= in_flight.count()
            assert self.carry_out() == 0
            self._deliver(told)
        raise AssertionError(f"still in flight: {list(in_flight.values('operation', 'status'))}")

    def _deliver(self, told: list[Message]) -> None:
        if self.draw is None:
            for message in told:
                self.wire.deliver(message)
                apply_notices()
                self.carry_out()
            return
        stream = [*told * REPEATS, *self.past]
        self.draw.shuffle(stream)
        for message in stream:
            if self.draw.random() < 0.1:
                self.wire.deliver_forged(message)
            self.wire.deliver(message)
            if self.draw.random() < 0.2:
                apply_notices()
            if self.draw.random() < 0.1:
                self.carry_out()
        apply_notices()
        self.past += told

    def ends(self) -> list[dict[str, Any]]:
        """All that can be seen of each payment, here and at its gateways, without the names that differ by chance."""
        return [self._end(payment) for payment in self.payments]

    def _end(self, payment: Payment) -> dict[str, Any]:
        payment.refresh_from_db()
        sums = ("status", "decline_code", "authorized_minor", "captured_minor", "refunded_minor", "event_count")
        postings = Posting.objects.filter(entry__payment_reference=payment.public_id)
        evidence = payment.attempts.filter(evidence__outcome="succeeded").values_list("seq", "evidence__source")
        return {
            **{name: getattr(payment, name) for name in sums},
            "attempts": attempts(payment),
            "refunds": sorted(payment.refunds.values_list("status", "amount_minor")),
            "ledger": sorted(postings.values_list("entry__kind", "account__kind", "amount_minor")),
            "events": events(payment),
            "learned": sorted(evidence),
            "trace": trace(payment),
        }


@pytest.fixture
def countries(gateways: dict[str, Gateway], regions: dict[str, Region], actor: Actor) -> dict[str, str]:
    """The country whose payments go to the gateway of each data format, and from there to spare."""
    for code, country in (("north", "IT"), ("south", "NL")):
        set_region(code=f"of-{code}", name=code, countries=[country], priorities={code: 1, "spare": 2}, actor=actor)
    return {"json": "IT", "xml": "NL"}


@pytest.mark.parametrize("data_format", ["json", "xml"])
def test_shuffled_and_repeated_the_notices_of_a_gateway_end_every_payment_exactly_as_once_and_in_order(
    data_format: str,
    asynchronous: Wire,
    created_payment: Pay,
    countries: dict[str, str],
    carry_out: Callable[[], int],
) -> None:
    def ends(draw: random.Random | None) -> list[dict[str, Any]]:
        stream = Stream(asynchronous, carry_out, draw)
        stream.tell(created_payment, countries[data_format])
        return stream.ends()

    in_order = ends(None)

    assert [(end["status"], end["captured_minor"], end["refunded_minor"]) for end in in_order] == [
        ("captured", 50_00, 0),
        ("declined", 0, 0),
        ("declined", 0, 0),
        ("captured", 50_00, 50_00),
        ("captured", 30_00, 10_00),
        ("voided", 0, 0),
    ]
    for seed in SEEDS:
        assert ends(random.Random(seed)) == in_order, f"seed {seed}"
    assert set(Notice.objects.values_list("status", flat=True)) == {"applied"}
    assert [finding.code for finding in audit_books(Scope()) if not finding.is_green] == []


@pytest.mark.parametrize("data_format", ["json", "xml"])
@pytest.mark.parametrize("is_answer_lost", [False, True], ids=["answered", "answer lost"])
def test_a_notice_that_overtakes_the_answer_to_the_call_itself_changes_nothing_about_the_end(
    data_format: str,
    is_answer_lost: bool,
    wire: Wire,
    created_payment: Pay,
    countries: dict[str, str],
    carry_out: Callable[[], int],
    eur: Any,
) -> None:
    payment = created_payment(eur(50_00), confirm=True, country=countries[data_format], capture_mode="manual")
    charge = last(payment)
    answer = answer_of(charge)

    for message in wire.settle() * REPEATS:
        wire.deliver(message)
        apply_notices()
        assert carry_out() == 0
    assert Notice.objects.get().status == "applied"
    assert attempts(payment)[0][2] == "sent"  # whoever sent it is still at it
    if is_answer_lost:
        make_due(charge)
        carry_out()
    else:
        record_answer(answer=answer, actor=WORKER)
    for message in wire.told():
        wire.deliver(message)
    apply_notices()
    assert carry_out() == 0

    payment.refresh_from_db()
    assert (payment.status, payment.authorized_minor) == ("authorized", 50_00)
    assert events(payment) == ["payment.created", "payment.processing", "payment.authorized"]
    learned = list(charge.evidence.order_by("id").values_list("source", "outcome"))
    lost = [("lease", "unknown"), ("inquiry", "succeeded")]
    assert learned == (lost if is_answer_lost else [("response", "succeeded")])


def test_the_notice_of_a_decision_made_before_the_answer_was_read_is_not_missed(
    asynchronous: Wire, created_payment: Pay, countries: dict[str, str], carry_out: Callable[[], int], eur: Any
) -> None:
    payment = created_payment(eur(50_00), confirm=True, country=countries["json"])
    charge = last(payment)
    answer = answer_of(charge)
    for message in asynchronous.settle():
        asynchronous.deliver(message)
    apply_notices()

    record_answer(answer=answer, actor=WORKER)  # "pending", by now no longer true

    charge.refresh_from_db()
    assert (charge.status, charge.next_action) == ("pending", NextAction.ASK)
    assert charge.next_action_at is not None
    assert (charge.next_action_at - clock.now()).total_seconds() < 3
    make_due(charge)
    carry_out()
    payment.refresh_from_db()
    assert (payment.status, payment.captured_minor) == ("captured", 50_00)


@pytest.mark.parametrize("code", ["north", "south"])
def test_a_notice_of_what_somebody_else_asked_of_the_gateway_waits_as_unmatched_and_moves_nothing(
    code: str, wire: Wire, gateways: dict[str, Gateway], carry_out: Callable[[], int]
) -> None:
    card = CardData(GOOD, 12, 2034, "123", "Ana Lopez")
    request = GatewayRequest("authorize", "till-7:1042", 12_00, "EUR", card=card)
    [answer] = client.call_all([Call(Account.of(gateways[code]), "authorize", request)])
    assert answer.result.outcome == "succeeded"
    [message] = wire.settle()

    for _ in range(REPEATS):
        wire.deliver(message)
        apply_notices()

    notice = Notice.objects.get()
    assert (notice.reference, notice.status) == ("till-7:1042", "unmatched")
    assert carry_out() == 0
    assert not Posting.objects.exists()


def answer_of(attempt: Attempt) -> Answer:
    """Send an attempt as its worker does, and keep the answer: nothing of it is recorded yet."""
    claim()
    [answer] = client.call_all([_call(selectors.attempts_by_id([attempt.pk])[attempt.pk], NextAction.SEND)])
    return answer
