"""What if money was given back at the gateway's own desk? Its file says so, and the refund becomes one of ours."""

from checkout.kit import clock
from checkout.kit.actors import Actor
from checkout.kit.durable import durable
from checkout.kit.ids import uuid7
from checkout.kit.money import Money
from checkout.kit.statuses import advance
from gateways.outcomes import Outcome
from gateways.settlements import LineKind
from ledger import services as ledger
from ledger.models import Discrepancy, JournalEntry, SettlementLine
from payments import selectors
from payments.errors import RefundExceedsCaptured, RefundNotAdoptable
from payments.models import Attempt, Evidence, Payment, Refund
from payments.services.attempts import add_follower
from payments.services.changes import Changes
from payments.statuses import ATTEMPT, AttemptEvent, Operation, RefundEvent


@durable("adopt_refund")
def adopt_refund(*, discrepancy: Discrepancy, payment: Payment, reason: str, actor: Actor) -> Refund:
    """Make the refund that a settlement line tells of one of a payment's own, and resolve the discrepancy by it.

    `ledger.reconciliation.selectors.refunds_to_adopt` finds such discrepancies, `selectors.payment_of_line` the payment
    that a line seems to be about. Refuses: RefundNotAdoptable, RefundExceedsCaptured, DiscrepancyEnded,
    ReconciliationUnderWay.
    """
    payment = selectors.lock_payment(payment.pk)
    discrepancy = Discrepancy.objects.select_for_update(of=("self",)).select_related("line").get(pk=discrepancy.pk)
    line = discrepancy.line
    authorization = selectors.authorization_of(payment)
    if line is None or line.kind != LineKind.REFUND or discrepancy.item_id is not None:
        raise RefundNotAdoptable(reason="the difference is not a refund that only the gateway knows")
    if authorization is None or _about(authorization) != (line.gateway_id, line.mode, line.currency):
        raise RefundNotAdoptable(reason="the payment is of another gateway, mode or currency")
    amount, refundable = Money(-line.gross_minor, line.currency), selectors.refundable(payment)
    if amount.amount_minor <= 0:
        raise RefundNotAdoptable(reason="the line gives nothing back")
    if amount > refundable:
        raise RefundExceedsCaptured(asked=amount, refundable=refundable)
    refund = _write(Changes(payment, actor, reason), authorization, line, amount)
    ledger.adopt_refund(
        amount=amount,
        merchant_id=payment.merchant_id,
        gateway_id=authorization.gateway_id,
        mode=payment.mode,
        reference=refund.public_id,
        gateway_reference=line.gateway_reference,
        payment_reference=payment.public_id,
    )
    entry = JournalEntry.objects.get(kind=JournalEntry.Kind.REFUND_ADOPTED, reference=refund.public_id)
    ledger.discrepancies.resolve(
        discrepancy=discrepancy,
        resolution=Discrepancy.Resolution.ADOPT_REFUND,
        reason=reason,
        actor=actor,
        entry=entry,
    )
    return refund


def _about(authorization: Attempt) -> tuple[object, ...]:
    return authorization.gateway_id, authorization.payment.mode, authorization.currency


def _write(changes: Changes, authorization: Attempt, line: SettlementLine, amount: Money) -> Refund:
    """The refund and the attempt that carried it out, as if we had asked for it; the evidence says who told us."""
    payment, now = changes.payment, clock.now()
    known = Attempt.objects.filter(
        gateway_id=line.gateway_id, operation=Operation.REFUND, gateway_reference=line.gateway_reference
    ).exclude(gateway_reference="")
    if known.exists():
        raise RefundNotAdoptable(reason="the gateway's reference is that of a refund which is known here")
    refund = Refund(
        id=uuid7(),
        payment=payment,
        amount_minor=amount.amount_minor,
        currency=amount.currency,
        reason=changes.reason[:255],
        created_at=now,
    )
    changes.advance_refund(refund, RefundEvent.PROCESS)
    payment.refunded_minor += amount.amount_minor
    changes.advance_refund(refund, RefundEvent.SUCCEED)
    changes.add(refund)
    attempt = add_follower(
        changes=changes,
        operation=Operation.REFUND,
        parent=authorization,
        amount_minor=amount.amount_minor,
        refund=refund,
    )
    advance(attempt, ATTEMPT, AttemptEvent.SEND)
    advance(attempt, ATTEMPT, AttemptEvent.SUCCEED)
    attempt.gateway_reference = line.gateway_reference
    attempt.next_action_at, attempt.finished_at = None, now
    changes.add(
        Evidence(
            attempt=attempt,
            at=now,
            source=Evidence.Source.SETTLEMENT,
            outcome=Outcome.SUCCEEDED,
            gateway_reference=line.gateway_reference,
            detail=f"line {line.line_number} of {line.file.name}"[:200],
        )
    )
    changes.write()
    return refund
