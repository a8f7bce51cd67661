"""How does a change become history? Each status change of a payment writes one audit entry and one webhook event.

A verb collects its changes and writes them at the end of its transaction, in one statement for each kind of row.
"""

from typing import Any

from checkout.kit.actors import Actor
from checkout.kit.models import AuditEntry
from checkout.kit.statuses import advance
from merchants.models import WebhookEvent
from payments.models import Payment, Refund
from payments.statuses import PAYMENT, REFUND


class Changes:
    """What one transaction does to one payment: statuses move along their tables, and each move is told."""

    def __init__(self, payment: Payment, actor: Actor, reason: str = "") -> None:
        self.payment = payment
        self.actor = actor
        self.reason = reason
        self._audit: list[AuditEntry] = []
        self._events: list[WebhookEvent] = []

    def created(self) -> None:
        """The payment has just come to be."""
        self._audit.append(self._entry("payment.create", self.payment, {}, self._facts()))
        self._tell(f"payment.{self.payment.status}", self._facts())

    def advance(self, event: str) -> None:
        """Move the payment along its table. Refuses: InvalidTransition."""
        before = self._facts()
        advance(self.payment, PAYMENT, event)
        self._audit.append(self._entry(f"payment.{event}", self.payment, before, self._facts()))
        self._tell(f"payment.{self.payment.status}", self._facts())

    def note(self, verb: str) -> None:
        """Something was done that changes no status yet."""
        self._audit.append(self._entry(f"payment.{verb}", self.payment, {}, self._facts()))

    def advance_refund(self, refund: Refund, event: str) -> None:
        """Move a refund of the payment along its table. Refuses: InvalidTransition."""
        before = {"status": refund.status}
        advance(refund, REFUND, event)
        facts = {"status": refund.status, "amount": refund.amount_minor, "currency": refund.currency}
        self._audit.append(self._entry(f"refund.{event}", refund, before, facts))
        self._tell(f"refund.{refund.status}", {"id": refund.public_id, "payment": self.payment.public_id, **facts})

    def write(self) -> None:
        """Save the payment and what there is to tell of it."""
        self.payment.save(force_insert=self.payment._state.adding)
        AuditEntry.objects.bulk_create(self._audit)
        WebhookEvent.objects.bulk_create(self._events)

    def _facts(self) -> dict[str, Any]:
        payment = self.payment
        facts = {
            "id": payment.public_id,
            "status": payment.status,
            "amount": payment.amount_minor,
            "currency": payment.currency,
            "amount_authorized": payment.authorized_minor,
            "amount_captured": payment.captured_minor,
            "amount_refunded": payment.refunded_minor,
            "merchant_reference": payment.merchant_reference,
        }
        if payment.decline_code:
            facts["decline_code"] = payment.decline_code
        return facts

    def _entry(self, verb: str, obj: Payment | Refund, before: dict[str, Any], after: dict[str, Any]) -> AuditEntry:
        return AuditEntry(
            actor=str(self.actor),
            verb=verb,
            object_type=str(obj._meta.model_name),
            object_id=obj.public_id,
            reason=self.reason,
            before=before,
            after=after,
            address=self.actor.address,
        )

    def _tell(self, type: str, data: dict[str, Any]) -> None:
        self.payment.event_count += 1
        self._events.append(
            WebhookEvent(
                merchant_id=self.payment.merchant_id,
                mode=self.payment.mode,
                type=type,
                object_id=self.payment.public_id,
                sequence=self.payment.event_count,
                data=data,
            )
        )
