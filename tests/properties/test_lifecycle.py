"""Do the rules hold in any order of events? Merchants, gateways, notices, workers, time and operators, as they come.

A short profile runs with the other tests; `make fuzz` runs a long one (FUZZ_EXAMPLES, FUZZ_STEPS).
"""

import contextlib
import hashlib
import hmac
import json
import os
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from checkout.kit.actors import Actor
from checkout.kit.errors import Refusal
from checkout.kit.models import Approval, User
from checkout.kit.money import Money
from gateways.base import CardData, NoticeRefused
from gateways.models import Gateway, Region
from ledger.selectors import trial_balance
from merchants.models import Merchant, WebhookEvent
from payments import selectors, services
from payments.models import Attempt, Payment
from payments.services import PaymentOrder
from payments.statuses import IN_FLIGHT, AttemptStatus, Operation
from tests.failpoints.books import check
from tests.failpoints.story import WORKER, pass_time
from tests.owed import ours_less_theirs
from tests.simulation import Simulation

SHOP = Actor.key("sk_test_property")
OPERATOR = Actor.user("olivia")
CARDS = ("4242424242424242", "4000000000000002", "4000000000009995", "4000000000000119", "4000002500003155")
BEHAVIOURS = (
    "healthy",
    "down",
    "error_before_charging",
    "charge_then_500",
    "charge_then_timeout",
    "reset",
    "asynchronous",
)


class Lifecycle(RuleBasedStateMachine):
    """One merchant's payments over three gateways; every step may meet every state."""

    merchant: Merchant
    simulation: Simulation
    people: tuple[User, User]

    def __init__(self) -> None:
        super().__init__()
        self.payments: list[Payment] = []
        Gateway.objects.update(health_status="healthy", failure_count=0)
        self.differed = ours_less_theirs(self.simulation.book_file, Gateway.objects.all())

    @rule(
        amount=st.integers(1, 99_99),
        number=st.sampled_from(CARDS),
        is_manual=st.booleans(),
        confirm=st.booleans(),
    )
    def create(self, amount: int, number: str, is_manual: bool, confirm: bool) -> None:
        mode = Payment.CaptureMode.MANUAL if is_manual else Payment.CaptureMode.AUTOMATIC
        order = PaymentOrder(amount=Money(amount, "EUR"), country="DE", capture_mode=mode)
        self.payments.append(
            services.create_payment(
                merchant=self.merchant, mode="test", order=order, card=_card(number), confirm=confirm, actor=SHOP
            )
        )

    @precondition(lambda self: self.payments)
    @rule(data=st.data(), number=st.sampled_from(CARDS))
    def confirm(self, data: Any, number: str) -> None:
        self._try(services.confirm_payment, data, card=_card(number))

    @precondition(lambda self: self.payments)
    @rule(data=st.data(), amount=st.integers(1, 60_00) | st.none())
    def capture(self, data: Any, amount: int | None) -> None:
        self._try(services.capture_payment, data, amount=amount and Money(amount, "EUR"))

    @precondition(lambda self: self.payments)
    @rule(data=st.data(), amount=st.integers(1, 60_00) | st.none())
    def refund(self, data: Any, amount: int | None) -> None:
        self._try(services.refund_payment, data, amount=amount and Money(amount, "EUR"))

    @precondition(lambda self: self.payments)
    @rule(data=st.data(), amount=st.integers(1, 60_00))
    def refund_is_asked_for(self, data: Any, amount: int) -> None:
        """By somebody without a role, who refunds nothing alone."""
        person = self.people[0]
        self._try(services.refund_at_desk, data, amount=Money(amount, "EUR"), person=person, reason="they called")

    @rule(data=st.data(), decision=st.sampled_from(["approve", "reject", "expire"]))
    def refund_is_decided(self, data: Any, decision: str) -> None:
        waiting = list(Approval.objects.filter(kind=services.REFUND, status=Approval.Status.REQUESTED))
        if not waiting:
            return
        approval = data.draw(st.sampled_from(waiting))
        deed: dict[str, Any] = {"approval": approval, "checker": self.people[1], "actor": OPERATOR}
        with contextlib.suppress(Refusal):
            if decision == "approve":
                services.approve_refund(**deed)
            elif decision == "reject":
                services.reject_refund(**deed, reason="not this one")
            else:
                Approval.objects.filter(pk=approval.pk).update(expires_at=approval.created_at)
                services.expire_due(actor=WORKER)

    @precondition(lambda self: self.payments)
    @rule(data=st.data())
    def cancel(self, data: Any) -> None:
        self._try(services.cancel_payment, data)

    @precondition(lambda self: self.payments)
    @rule(data=st.data())
    def expire(self, data: Any) -> None:
        payment = data.draw(st.sampled_from(self.payments))
        services.expire_payment(payment=payment, actor=WORKER)

    @rule()
    def worker_comes_by(self) -> None:
        services.run_due(actor=WORKER)

    @rule()
    def hours_pass(self) -> None:
        pass_time()

    @rule(code=st.sampled_from(["north", "south", "spare"]), behaviour=st.sampled_from(BEHAVIOURS))
    def gateway_behaves(self, code: str, behaviour: str) -> None:
        self.simulation.change(code, behaviour=behaviour, async_seconds=0.05)

    @precondition(lambda self: self.payments)
    @rule(data=st.data(), status=st.sampled_from(["approved", "declined", "pending"]), is_forged=st.booleans())
    def notice_arrives(self, data: Any, status: str, is_forged: bool) -> None:
        """What it says may be true or not, new or old: it is only a reason to ask."""
        attempts = list(Attempt.objects.filter(payment__in=self.payments, gateway__code__in=["north", "spare"])[:20])
        if not attempts:
            return
        attempt = data.draw(st.sampled_from(attempts))
        gateway = Gateway.objects.get(pk=attempt.gateway_id)
        body = json.dumps(
            {
                "id": f"evt_{data.draw(st.integers(1, 3))}_{attempt.reference}",
                "type": "operation",
                "data": {
                    "id": "ch_0123456789",
                    "object": "charge",
                    "reference": attempt.reference,
                    "status": status,
                    "decline": "insufficient_funds" if status == "declined" else None,
                    "amount": attempt.amount_minor or 1,
                    "currency": "EUR",
                    "captured": attempt.is_sale,
                },
            }
        ).encode()
        stamp = str(int(time.time()))
        secret = "forged" if is_forged else gateway.secrets["notice_secret"]
        signature = hmac.digest(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hex()
        headers = {"simulator-signature": f"t={stamp},v1={signature}"}
        try:
            services.receive_notice(gateway=gateway, headers=headers, body=body)
        except NoticeRefused:
            assert is_forged
        services.apply_notices()

    @rule(data=st.data())
    def operator_looks(self, data: Any) -> None:
        """Somebody works on the unknown outcomes; what they settle by hand is what the gateway's book shows."""
        unknown = list(selectors.unknown_attempts().filter(payment__in=self.payments))
        if not unknown:
            return
        attempt = data.draw(st.sampled_from(unknown))
        deed = data.draw(st.sampled_from(["ask", "cancel", "settle"]))
        try:
            if deed == "ask":
                services.ask_now(attempt=attempt, actor=OPERATOR, reason="a customer called")
            elif deed == "cancel":
                services.cancel_by_reference(attempt=attempt, actor=OPERATOR, reason="too old")
            else:
                self._settle(attempt)
        except Refusal:
            pass

    @invariant()
    def money_in_the_rows_agrees(self) -> None:
        for payment in Payment.objects.filter(pk__in=[payment.pk for payment in self.payments]):
            done = {
                operation: sum(
                    attempt.amount_minor
                    for attempt in payment.attempts.filter(operation=operation, status=AttemptStatus.SUCCEEDED)
                    if attempt.reverses_id is None
                )
                for operation in (Operation.CAPTURE, Operation.REFUND)
            }
            sale = payment.attempts.filter(is_sale=True, status=AttemptStatus.SUCCEEDED).exists()
            assert payment.refunded_minor == done[Operation.REFUND]
            assert selectors.refundable(payment).amount_minor >= 0, "the same money is promised twice"
            assert sale or payment.captured_minor == done[Operation.CAPTURE]
            live = payment.attempts.filter(
                operation=Operation.AUTHORIZE, status__in=[*IN_FLIGHT, AttemptStatus.SUCCEEDED]
            )
            assert live.count() <= 1
            if payment.status == "processing":
                assert selectors.in_flight(payment).exists(), "processing, and nobody will look at it again"
            sequences = WebhookEvent.objects.filter(object_id=payment.public_id).values_list("sequence", flat=True)
            assert sorted(sequences) == list(range(1, payment.event_count + 1))

    @invariant()
    def books_balance(self) -> None:
        assert sum(balance.sum.amount_minor for balance in trial_balance(mode="test", currency="EUR")) == 0

    def teardown(self) -> None:
        """Everybody gets well, everything ends, and the gateways' own books agree."""
        self.simulation.calm()
        for _ in range(40):
            for payment in Payment.objects.filter(pk__in=[p.pk for p in self.payments], status="requires_action"):
                Payment.objects.filter(pk=payment.pk).update(expires_at=payment.created_at)
                services.expire_payment(payment=payment, actor=WORKER)
            pass_time()
            services.run_due(actor=WORKER)
            if not Attempt.objects.filter(payment__in=self.payments, status__in=IN_FLIGHT).exists():
                break
        for payment in self.payments:
            check(payment, self.simulation)
        assert ours_less_theirs(self.simulation.book_file, Gateway.objects.all()) == self.differed

    def _try(self, verb: Any, data: Any, **arguments: Any) -> None:
        payment = data.draw(st.sampled_from(self.payments))
        payment.refresh_from_db()
        with contextlib.suppress(Refusal):
            verb(payment=payment, actor=SHOP, **arguments)

    def _settle(self, attempt: Attempt) -> None:
        rows = self.simulation.book(attempt.gateway.code, reference=attempt.reference)
        mine = next((row for row in rows if row["reference"] == attempt.reference), None)
        if mine is None or mine["status"] not in ("approved", "declined"):
            return
        maker, checker = self.people
        approval = services.request_settlement_by_hand(
            attempt=attempt,
            outcome="succeeded" if mine["status"] == "approved" else "declined",
            gateway_reference=mine["id"],
            reason="seen in the gateway's own books",
            evidence=json.dumps(mine)[:500],
            maker=maker,
            actor=OPERATOR,
        )
        services.approve_settlement_by_hand(approval=approval, checker=checker, actor=OPERATOR)


def _card(number: str) -> CardData:
    return CardData(number, 12, 2034, "123", "Ana Lopez")


@pytest.mark.usefixtures("transactional_db")
def test_money_is_safe_in_any_order_of_events(
    merchant: Merchant, gateways: dict[str, Gateway], regions: dict[str, Region], simulation: Simulation
) -> None:
    Gateway.objects.update(call_timeout_seconds=0.4, settle_window_seconds=60)
    Lifecycle.merchant, Lifecycle.simulation = merchant, simulation
    Lifecycle.people = (User.objects.create_user("olivia"), User.objects.create_user("oscar"))
    run_state_machine_as_test(
        Lifecycle,
        settings=settings(
            max_examples=int(os.environ.get("FUZZ_EXAMPLES", "12")),
            stateful_step_count=int(os.environ.get("FUZZ_STEPS", "20")),
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
