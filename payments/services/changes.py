"""How does a change become history? Each status change of a payment writes one audit entry and one webhook event.

A verb collects what it changes and adds, and writes it at the end of its transaction: the payment, and all new rows
in one statement.
"""

from typing import Any

from django.db import models

from checkout.kit.actors import Actor
from checkout.kit.defer import defer
from checkout.kit.inserts import insert_all
from checkout.kit.models import AuditEntry
from checkout.kit.statuses import advance
from checkout.settings import policy
from merchants.models import WebhookEvent
from merchants.services import DELIVER_WEBHOOKS
from payments.models import Payment, Refund
from payments.statuses import PAYMENT, REFUND

_CHANGING_FIELDS = (
    "status",
    "authorized_minor",
    "captured_minor",
    "refunded_minor",
    "card",
    "gateway",
    "decline_code",
    "confirmation",
    "attempt_count",
    "event_count",
    "cancel_requested_at",
    "expires_at",
    "updated_at",
)


class Changes:
    """What one transaction does to one payment: statuses move along their tables, and each move is told."""

    def __init__(self, payment: Payment, actor: Actor, reason: str = "") -> None:
        self.payment = payment
        self.actor = actor
        self.reason = reason
        self._rows: list[models.Model] = []

    def add(self, row: models.Model) -> None:
        """A new row that belongs to this change."""
        self._rows.append(row)

    def created(self) -> None:
        """The payment has just come to be."""
        self.add(self.payment)
        self._audit("payment.create", self.payment, {}, self._facts())
        self._tell(f"payment.{self.payment.status}", self._facts())

    def advance(self, event: str) -> None:
        """Move the payment along its table. Refuses: InvalidTransition."""
        before = self._facts()
        advance(self.payment, PAYMENT, event)
        self._audit(f"payment.{event}", self.payment, before, self._facts())
        self._tell(f"payment.{self.payment.status}", self._facts())

    def note(self, verb: str) -> None:
        """Something was done that changes no status yet."""
        facts = self._facts()
        self._audit(f"payment.{verb}", self.payment, facts, facts)

    def advance_refund(self, refund: Refund, event: str) -> None:
        """Move a refund of the payment along its table. Refuses: InvalidTransition."""
        before = {"status": refund.status}
        advance(refund, REFUND, event)
        facts = {"status": refund.status, "amount": refund.amount_minor, "currency": refund.currency}
        self._audit(f"refund.{event}", refund, before, facts)
        self._tell(f"refund.{refund.status}", {"id": refund.public_id, "payment": self.payment.public_id, **facts})

    def write(self) -> None:
        """Save the payment, and everything new, so far."""
        if not self.payment._state.adding:
            self.payment.save(update_fields=_CHANGING_FIELDS)
        insert_all(self._rows)
        if any(isinstance(row, WebhookEvent) for row in self._rows):
            defer(DELIVER_WEBHOOKS, patience_seconds=policy.WEBHOOK_PATIENCE_SECONDS)
        self._rows = []

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

    def _audit(self, verb: str, obj: Payment | Refund, before: dict[str, Any], after: dict[str, Any]) -> None:
        self.add(
            AuditEntry(
                actor=str(self.actor),
                verb=verb,
                object_type=str(obj._meta.model_name),
                object_id=obj.public_id,
                reason=self.reason,
                before=before,
                after=after,
                address=self.actor.address,
            )
        )

    def _tell(self, type: str, data: dict[str, Any]) -> None:
        self.payment.event_count += 1
        self.add(
            WebhookEvent(
                merchant_id=self.payment.merchant_id,
                mode=self.payment.mode,
                type=type,
                object_id=self.payment.public_id,
                sequence=self.payment.event_count,
                data=data,
            )
        )
