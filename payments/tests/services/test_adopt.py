"""A refund that was made at the gateway's own desk becomes one of the payment's, with everything that belongs to it."""

import io
from datetime import timedelta

import pytest

from checkout.kit import clock
from checkout.kit.models import AuditEntry
from checkout.kit.money import Money
from ledger import chart
from ledger.models import ClearingItem, Discrepancy, JournalEntry
from ledger.reconciliation.control import receivable_control
from ledger.reconciliation.refusals import DiscrepancyEnded
from ledger.reconciliation.selectors import refunds_to_adopt
from ledger.selectors import balance_of
from ledger.services import import_due, reconcile
from ledger.services.files import receive_file
from merchants.models import WebhookEvent
from payments import selectors
from payments.errors import RefundExceedsCaptured, RefundNotAdoptable
from payments.models import Evidence, Refund
from payments.selfaudit import Scope, audit_books
from payments.services import adopt_refund

pytestmark = pytest.mark.django_db


@pytest.fixture
def settled_with(captured_payment, simulation, gateways, eur, actor):
    """A payment captured at north, whose settlement file was imported with something planted in it."""

    def settled(**plant: int):
        simulation.settle("north", until=clock.now().isoformat())  # what other tests left behind
        payment = captured_payment(eur(50_00))
        until = clock.now() + timedelta(minutes=1)
        issued = simulation.settle("north", until=until.isoformat(), plant=plant)
        content = simulation.settlement("north", issued["name"])
        about = {"gateway": gateways["north"], "mode": "test", "source": "fetch", "actor": actor}
        receive_file(stream=io.BytesIO(content), name=issued["name"], **about)
        import_due(actor=actor)
        return payment

    return settled


@pytest.fixture
def dashboard_refund(settled_with):
    """A captured payment, and what was found after somebody refunded it at the gateway's own desk."""
    return lambda: (settled_with(dashboard_refund=1), refunds_to_adopt().get())


def standing(merchant) -> Money:
    """What the merchant is owed, less what it owes."""
    kinds = (chart.merchant_available, chart.merchant_receivable)
    available, owed = (balance_of(kind(merchant.pk), mode="test", currency="EUR") for kind in kinds)
    return available - owed


def holds() -> None:
    broken = [finding.samples for finding in audit_books(Scope()) if not finding.is_green]
    assert broken == []


def test_the_refund_is_ours_from_then_on(dashboard_refund, operator, gateways, merchant):
    payment, discrepancy = dashboard_refund()
    line = discrepancy.line
    amount = Money(-line.gross_minor, "EUR")
    assert selectors.payment_of_line(line) == payment
    before = standing(merchant)

    refund = adopt_refund(discrepancy=discrepancy, payment=payment, reason="made by phone", actor=operator)

    payment.refresh_from_db()
    discrepancy.refresh_from_db()
    attempt = refund.attempts.get()
    assert refund.status == "succeeded"
    assert refund.amount_minor == payment.refunded_minor == amount.amount_minor
    assert (attempt.status, attempt.gateway_reference, attempt.next_action_at) == (
        "succeeded", line.gateway_reference, None,
    )  # fmt: skip
    assert Evidence.objects.get(attempt=attempt).source == "settlement"
    assert (discrepancy.status, discrepancy.resolution, discrepancy.ended_by) == (
        "resolved", "adopt_refund", "user:olivia",
    )  # fmt: skip
    entry = JournalEntry.objects.get(kind="refund_adopted")
    assert (entry, entry.reference, entry.payment_reference) == (
        discrepancy.entry, refund.public_id, payment.public_id,
    )  # fmt: skip
    assert before - standing(merchant) == amount
    assert [event.type for event in WebhookEvent.objects.order_by("sequence")][-2:] == [
        "refund.processing", "refund.succeeded",
    ]  # fmt: skip
    assert AuditEntry.objects.get(verb="refund.succeed").reason == "made by phone"
    assert receivable_control(gateway=gateways["north"], mode="test", currency="EUR").difference_minor == 0
    assert not reconcile(gateway=gateways["north"], mode="test", actor=operator).changed_anything
    assert not ClearingItem.objects.filter(kind="refund").exists()
    holds()


def test_a_refund_is_adopted_once(dashboard_refund, operator):
    payment, discrepancy = dashboard_refund()
    adopt_refund(discrepancy=discrepancy, payment=payment, reason="", actor=operator)
    with pytest.raises((DiscrepancyEnded, RefundNotAdoptable, RefundExceedsCaptured)):
        adopt_refund(discrepancy=discrepancy, payment=payment, reason="", actor=operator)
    assert Refund.objects.count() == 1


def test_another_payment_cannot_take_what_it_never_captured(dashboard_refund, captured_payment, eur, operator):
    _, discrepancy = dashboard_refund()
    smaller = (
        captured_payment(Money(-discrepancy.line.gross_minor - 1, "EUR")) if discrepancy.line.gross_minor < -1 else None
    )
    assert smaller is not None
    with pytest.raises(RefundExceedsCaptured):
        adopt_refund(discrepancy=discrepancy, payment=smaller, reason="", actor=operator)
    discrepancy.refresh_from_db()
    assert (discrepancy.status, Refund.objects.count()) == ("open", 0)


def test_a_payment_at_another_gateway_or_in_another_currency_cannot(
    dashboard_refund, captured_payment, usd, operator, simulation
):
    _, discrepancy = dashboard_refund()
    dollars = captured_payment(usd(500_00))
    simulation.change("north", behaviour="down")
    elsewhere = captured_payment(Money(500_00, "EUR"))
    assert elsewhere.gateway.code != "north"
    for payment in (dollars, elsewhere):
        with pytest.raises(RefundNotAdoptable, match="another gateway, mode or currency"):
            adopt_refund(discrepancy=discrepancy, payment=payment, reason="", actor=operator)


def test_what_is_no_refund_cannot_be_adopted(settled_with, operator):
    payment = settled_with(extra_line=1)
    extra = Discrepancy.objects.get(kind="missing_in_ledger")
    with pytest.raises(RefundNotAdoptable, match="not a refund"):
        adopt_refund(discrepancy=extra, payment=payment, reason="", actor=operator)


def test_nothing_is_left_behind_by_an_adoption_that_fails_half_way(dashboard_refund, operator, monkeypatch):
    payment, discrepancy = dashboard_refund()

    def fail(**about):
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr("ledger.services.discrepancies.resolve", fail)
    with pytest.raises(RuntimeError):
        adopt_refund(discrepancy=discrepancy, payment=payment, reason="", actor=operator)
    payment.refresh_from_db()
    assert (payment.refunded_minor, Refund.objects.count()) == (0, 0)
    assert not JournalEntry.objects.filter(kind="refund_adopted").exists()
    holds()
