"""One payment from its creation to a refund, told so that any act may die or be overtaken, and healed afterwards.

The merchant is a patient client: whatever dies, it asks again under the same key. Time passes by moving the dates in
the rows, not by waiting.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from checkout.kit import failpoints
from checkout.kit.actors import Actor
from checkout.kit.errors import Refusal
from checkout.kit.failpoints import Died
from checkout.kit.money import Money
from gateways import client
from gateways.base import CardData
from ledger.selectors import trial_balance
from merchants.models import Merchant
from payments import idempotency, selectors, services
from payments.idempotency import Claim, KeyTaken
from payments.models import Attempt, Payment
from payments.services import PaymentOrder
from payments.statuses import IN_FLIGHT, Status
from tests.simulation import Simulation

WORKER = Actor.task("run_due")
SHOP = Actor.key("sk_test_story")
CARD = CardData("4242424242424242", 12, 2034, "123", "Ana Lopez")
ROUNDS_UNTIL_QUIET = 30


@dataclass
class Story:
    """A payment's life at a merchant, with whatever trouble a test has armed."""

    merchant: Merchant
    simulation: Simulation
    capture_mode: str = Payment.CaptureMode.MANUAL
    payment: Payment | None = None
    answers: list[tuple[int, str]] = field(default_factory=list)

    def tell(self) -> Payment:
        """Create, capture a part, refund a part of it; then heal and wait until nothing is in flight."""
        order = PaymentOrder(amount=Money(50_00, "EUR"), country="DE", capture_mode=self.capture_mode)
        self._ask(
            "create",
            lambda claim: services.create_payment(
                merchant=self.merchant, mode="test", order=order, card=CARD, actor=SHOP, claim=claim
            ),
        )
        self._work()
        self._ask("capture", self._verb(services.capture_payment, amount=Money(30_00, "EUR")))
        self._work()
        self._ask("refund", self._verb(services.refund_payment, amount=Money(10_00, "EUR")))
        self._work()
        self._ask("cancel", self._verb(services.cancel_payment))
        self._work()
        failpoints.disarm()
        self.simulation.calm()
        self.quiet()
        assert self.payment is not None
        self.payment.refresh_from_db()
        return self.payment

    def quiet(self) -> None:
        """Let time pass, and workers and sweepers come by, until no attempt is in flight."""
        for _ in range(ROUNDS_UNTIL_QUIET):
            if not Attempt.objects.filter(status__in=IN_FLIGHT).exists():
                return
            pass_time()
            services.run_due(actor=WORKER)
        stuck = list(Attempt.objects.filter(status__in=IN_FLIGHT).values("operation", "status", "next_action"))
        raise AssertionError(f"still in flight after {ROUNDS_UNTIL_QUIET} rounds: {stuck}")

    def _verb(self, verb: Callable[..., Any], **arguments: Any) -> Callable[[Claim], Any]:
        return lambda claim: verb(payment=self.payment, actor=SHOP, claim=claim, **arguments)

    def _ask(self, name: str, verb: Callable[[Claim], Any]) -> None:
        """What a request does, asked again under the same key when the process that served it has died."""
        claim = Claim.of(
            merchant_id=self.merchant.pk, mode="test", key=f"{name}-{id(self)}", method="POST", path=name, body={}
        )
        for _ in range(3):
            try:
                found = verb(claim)
                key = getattr(found, "payment_id", found.pk)
            except Died:
                connection.close()
                continue
            except KeyTaken:
                row = idempotency.IdempotencyKey.objects.get(merchant_id=self.merchant.pk, key=claim.key)
                key = row.object_id
            except Refusal:
                return  # a rule said no; what had to be checked is that nothing came of it
            if name == "create":
                self.payment = Payment.objects.get(pk=key)
            return

    def _work(self) -> None:
        """A worker comes by and may die; another one finds what it left."""
        for _ in range(2):
            try:
                services.run_due(actor=WORKER)
            except Died:
                connection.close()


def pass_time() -> None:
    """Two hours pass: leases and settle windows end, and whatever waited for its hour is due."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE payments_attempt SET sent_at = sent_at - interval '2 hours', next_action_at = now()"
            " WHERE next_action_at IS NOT NULL"
        )


def overtaken() -> None:
    """The action of a process that is stopped for longer than its lease: others come by meanwhile, then it goes on."""
    failpoints.disarm()
    mine, client._current = client._current, None  # the others are another process, with connections of its own

    def others() -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '150ms'")
            pass_time()
            services.run_due(actor=Actor.task("sweeper"))
        except Exception as error:  # it met a lock that the stopped process holds, as it would in life
            met.append(error)
        finally:
            connection.close()

    met: list[Exception] = []
    thread = threading.Thread(target=others)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    client.discard_loop()
    client._current = mine


def check(payment: Payment, simulation: Simulation) -> None:
    """What must be true whatever happened: one live charge at the most, equal books, a balanced ledger."""
    payment.refresh_from_db()
    references = {attempt.reference: attempt for attempt in payment.attempts.all()}
    rows = [row for gateway in simulation.gateways() for row in simulation.book(gateway["code"])]
    charges = [row for row in rows if row["kind"] == "charge" and row["reference"] in references]
    is_refunded = payment.captured_minor > 0 and payment.refunded_minor == payment.captured_minor
    live = [
        row
        for row in charges
        if row["status"] == "approved"
        and not row["voided"]
        and (is_refunded or row["refunded_minor"] < (row["captured_minor"] or 1))
    ]
    told = [(row["reference"], row["status"], row["captured_minor"], row["refunded_minor"]) for row in charges]
    assert len(live) <= 1, f"charged twice: {told}"
    captured = sum(row["captured_minor"] for row in live)
    refunded = sum(row["refunded_minor"] for row in live)
    if payment.status == Status.CAPTURED:
        assert len(live) == 1, f"captured here, not there: {told}"
    elif payment.status == Status.AUTHORIZED:
        assert len(live) == 1, f"authorized here, not there: {told}"
    else:
        assert not live, f"{payment.status} here, charged there: {told}"
    assert (payment.captured_minor, payment.refunded_minor) == (captured, refunded), told
    balances = trial_balance(mode="test", currency="EUR")
    assert sum(balance.sum.amount_minor for balance in balances) == 0
    assert not any(balance.sum for balance in balances if balance.account.kind == "suspense")
    left = list(selectors.in_flight(payment).values("operation", "status", "next_action", "action_url", "asked_count"))
    assert not left, f"{payment.status}, still in flight: {left}"
