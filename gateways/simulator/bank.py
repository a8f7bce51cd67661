"""What may be done with the money? The rules of one simulated gateway, the same whichever dialect it speaks.

One reference means one operation, for ever: asking again gets the same operation as it stands, never a second one. A
reference that was canceled is dead, also if it first arrives afterwards.
"""

import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from gateways.simulator import issuer
from gateways.simulator.book import Book
from gateways.simulator.calls import (
    APPROVED,
    CANCELED,
    CAPTURE,
    CHALLENGE,
    CHARGE,
    DECLINED,
    PENDING,
    REFUND,
    VOID,
    Call,
    Challenge,
    Operation,
    moment,
)

TOMBSTONE = "tombstone"
OFFICE = "office-"  # what the references of the back office begin with
_ID_PREFIXES = {CHARGE: "ch", CAPTURE: "cp", VOID: "vd", REFUND: "rf", TOMBSTONE: "tb"}


class CallRefused(Exception):
    """Nothing was done. `code` says why."""

    code: str


class ReferenceReused(CallRefused):
    """The reference is that of another request."""

    code = "reference_reused"


class NoSuchCharge(CallRefused):
    """There is no charge of that id here."""

    code = "no_such_charge"


class NoSuchOperation(CallRefused):
    """The reference has never been seen here."""

    code = "no_such_operation"


class NoSuchSettlement(CallRefused):
    """No settlement file of that name has been issued here."""

    code = "no_such_settlement"


class Bank:
    """Charges, captures, voids and refunds of one gateway, written in its book.

    Every verb returns the operation and whether this very call decided it, which is when the outcome becomes news.
    What it writes down happened when `clock` says so.
    """

    def __init__(
        self, book: Book, gateway: str, *, is_multi_capture: bool, clock: Callable[[], datetime] | None = None
    ) -> None:
        self._book = book
        self._gateway = gateway
        self._is_multi_capture = is_multi_capture
        self._clock = clock or (lambda: datetime.now(UTC))

    def submit(self, call: Call, *, profile: str, late_seconds: float, is_late: bool = False) -> tuple[Operation, bool]:
        """Do a money call; what is late gets decided `late_seconds` from now.

        Raises ReferenceReused, NoSuchCharge.
        """
        known = self._book.find(self._gateway, call.reference)
        if known is not None:
            if known.kind != TOMBSTONE and known.fingerprint != call.fingerprint:
                raise ReferenceReused
            return known, False
        values: dict[str, Any] = {"currency": call.currency, "amount_minor": call.amount_minor}
        verdict = issuer.Verdict()
        if call.kind == CHARGE:
            verdict = issuer.judge(profile, call.card_number, call.amount_minor)
        else:
            charge = self._charge(call.charge_id)
            values |= {"parent_id": charge.id, "parent_reference": charge.reference}
            values["currency"] = call.currency or charge.currency
            if call.kind == VOID:
                values["amount_minor"] = charge.authorized_minor
        with self._book.transaction():
            operation = self._insert(
                call.kind,
                call.reference,
                **values,
                capture=call.capture,
                merchant_reference=call.merchant_reference,
                fingerprint=call.fingerprint,
                verdict=CHALLENGE if verdict.is_challenge else verdict.decline,
                decide_at=self._clock().timestamp() + late_seconds if is_late else None,
            )
            if verdict.is_challenge:
                self._book.insert_challenge(Challenge(operation.id, call.card_number[-4:], call.return_url))
            if is_late or verdict.is_challenge or verdict.is_on_inquiry:
                return operation, False
            return self._decide(operation), True

    def inquire(self, reference: str) -> tuple[Operation, bool]:
        """What became of a reference. Raises NoSuchOperation. Asking is what decides some pending charges."""
        operation = self._book.find(self._gateway, reference)
        if operation is None:
            raise NoSuchOperation
        if operation.status == PENDING and operation.decide_at is None:
            return self.settle(operation.id)
        return operation, False

    def cancel(self, reference: str) -> Operation:
        """Make sure that a reference never charges, whether or not it has been seen.

        A pending operation is dropped, a charge is voided, or given back if it was captured. An approved capture, void
        or refund has taken effect and is answered as it is.
        """
        with self._book.transaction():
            operation = self._book.find(self._gateway, reference)
            if operation is None:
                return self._insert(TOMBSTONE, reference, status=CANCELED, canceled=True, final_at=self._now())
            if operation.status == PENDING:
                return self._book.update(operation, status=CANCELED, canceled=True, final_at=self._now())
            if operation.status == APPROVED and operation.kind == CHARGE:
                return self._book.update(
                    operation,
                    status=CANCELED,
                    canceled=True,
                    voided=operation.captured_minor == 0,
                    refunded_minor=operation.captured_minor,
                    final_at=self._now(),
                )
            return operation

    def settle(self, operation_id: str) -> tuple[Operation, bool]:
        """Decide one pending operation now, unless that is for the card holder to do."""
        with self._book.transaction():
            operation = self._book.get(self._gateway, operation_id)
            if operation.status != PENDING or operation.needs_action:
                return operation, False
            return self._decide(operation), True

    def challenge(self, charge_id: str) -> tuple[Operation, Challenge]:
        """A charge that waits or has waited for the card holder. Raises NoSuchCharge."""
        charge = self._charge(charge_id)
        challenge = self._book.challenge(charge_id)
        if challenge is None:
            raise NoSuchCharge
        return charge, challenge

    def decide_challenge(self, charge_id: str, *, is_approved: bool) -> tuple[Operation, bool]:
        """What the card holder has done decides the charge, the first time only. Raises NoSuchCharge."""
        with self._book.transaction():
            charge, _ = self.challenge(charge_id)
            if not charge.needs_action:
                return charge, False
            return self._decide(replace(charge, verdict="" if is_approved else "authentication_failed")), True

    def act(self, kind: str, reference: str, amount_minor: int | None) -> Operation:
        """Capture, void or refund a charge from the gateway's own back office, without any caller.

        `reference` is that of the charge; without an amount it is all that can be. Raises NoSuchOperation.
        """
        charge = self._book.find(self._gateway, reference)
        if charge is None or charge.kind != CHARGE:
            raise NoSuchOperation
        whole = {
            CAPTURE: charge.authorized_minor - charge.captured_minor,
            VOID: charge.authorized_minor,
            REFUND: charge.captured_minor - charge.refunded_minor,
        }
        with self._book.transaction():
            return self._decide(
                self._insert(
                    kind,
                    f"{OFFICE}{secrets.token_hex(8)}",
                    parent_id=charge.id,
                    parent_reference=charge.reference,
                    amount_minor=whole[kind] if amount_minor is None or kind == VOID else amount_minor,
                    currency=charge.currency,
                )
            )

    def _now(self) -> str:
        return moment(self._clock())

    def _charge(self, charge_id: str) -> Operation:
        try:
            charge = self._book.get(self._gateway, charge_id)
        except KeyError:
            raise NoSuchCharge from None
        if charge.kind != CHARGE:
            raise NoSuchCharge
        return charge

    def _insert(self, kind: str, reference: str, **values: Any) -> Operation:
        blank = Operation(
            id=f"{_ID_PREFIXES[kind]}_{secrets.token_hex(12)}",
            gateway=self._gateway,
            reference=reference,
            kind=kind,
            at=self._now(),
        )
        operation = replace(blank, **values)
        self._book.insert(operation)
        return operation

    def _decide(self, operation: Operation) -> Operation:
        changes: dict[str, Any] = {}
        if operation.kind == CHARGE:
            decline = operation.verdict
            if not decline:
                changes["authorized_minor"] = operation.amount_minor
                changes["captured_minor"] = operation.amount_minor if operation.capture else 0
        else:
            decline = self._apply(operation, self._book.get(self._gateway, operation.parent_id))
        status = DECLINED if decline else APPROVED
        return self._book.update(operation, status=status, decline=decline, final_at=self._now(), **changes)

    def _apply(self, operation: Operation, charge: Operation) -> str:
        """Do a follow-up to its charge, or say why not."""
        amount = operation.amount_minor
        if operation.currency != charge.currency:
            return "currency_mismatch"
        if operation.kind == REFUND:
            if not 0 < amount <= charge.captured_minor - charge.refunded_minor:
                return "refund_exceeds_captured"
            self._book.update(charge, refunded_minor=charge.refunded_minor + amount)
            return ""
        if charge.status != APPROVED or charge.voided:
            return "not_authorized"
        if charge.captured_minor and (operation.kind == VOID or not self._is_multi_capture):
            return "already_captured"
        if operation.kind == VOID:
            self._book.update(charge, voided=True)
        elif not 0 < amount <= charge.authorized_minor - charge.captured_minor:
            return "capture_exceeds_authorized"
        else:
            self._book.update(charge, captured_minor=charge.captured_minor + amount)
        return ""
