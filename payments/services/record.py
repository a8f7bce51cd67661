"""What came of it? Act 3: evidence, the attempt, the payment, the ledger and the merchant's event in one transaction.

Applying an outcome is monotonic: what is certain stays, ignorance never overwrites knowledge, and every outcome may
arrive twice, late, or after somebody else learned the same.
"""

import random
import re
from datetime import timedelta

from django.db import transaction

from checkout.kit import alerts, clock
from checkout.kit.actors import Actor
from checkout.kit.defer import defer
from checkout.kit.durable import durable
from checkout.kit.statuses import advance
from checkout.settings import policy
from gateways import selectors as gateway_selectors
from gateways import services as gateway_services
from gateways.client import Answer
from gateways.models import GatewayCall
from gateways.outcomes import DeclineCode, GatewayResult, Outcome
from ledger import fees, recipes
from ledger import selectors as ledger_selectors
from ledger import services as ledger
from ledger.recipes import MerchantFact
from payments import selectors, vault, waiting
from payments.models import Attempt, Evidence, Payment
from payments.services.attempts import RUN_DUE, add_charge, add_follower
from payments.services.changes import Changes
from payments.services.refunding import new_refund, send
from payments.statuses import (
    ATTEMPT,
    IN_FLIGHT,
    AttemptEvent,
    AttemptStatus,
    Event,
    NextAction,
    Operation,
    RefundEvent,
    Status,
)

_CHANGING_FIELDS = (
    "status",
    "gateway_reference",
    "decline_code",
    "next_action",
    "next_action_at",
    "asked_count",
    "action_url",
    "finished_at",
)
_LONG_NUMBER = re.compile(r"[0-9]{12}")  # no card's is shorter
_SOURCES = {"fetch": Evidence.Source.INQUIRY, "cancel_by_reference": Evidence.Source.CANCEL}


@durable("record")
def record_answer(*, answer: Answer, actor: Actor) -> None:
    """Record what a gateway answered about an attempt, and everything that follows from it."""
    payment_id, attempt_id = answer.call.tag
    selectors.lock_only(payment_id)
    attempt = (
        Attempt.objects.select_for_update(of=("self",), no_key=True)  # so that nobody claims it before this is recorded
        .select_related("gateway", "payment__merchant")
        .defer("decision")
        .get(pk=attempt_id)
    )
    payment = attempt.payment
    source = _SOURCES.get(answer.call.verb, Evidence.Source.RESPONSE)
    result = _believed(attempt, answer.result, source)
    record_result(
        payment=payment,
        attempt=attempt,
        result=result,
        source=source,
        actor=actor,
        call=gateway_services.call_record(answer),
        is_refusal=answer.http_status is not None,
    )


def record_result(
    *,
    payment: Payment,
    attempt: Attempt,
    result: GatewayResult,
    source: str,
    actor: Actor,
    reason: str = "",
    call: GatewayCall | None = None,
    is_refusal: bool = False,
) -> None:
    """Keep what was learned of an attempt as evidence and draw the conclusions. Expects the payment to be locked.

    `reason` is why a person says so, `is_refusal` whether a gateway answered that it would not process the request,
    `call` the conversation.
    """
    attempt.payment = payment
    recorder = _Recorder(payment, attempt, actor, reason)
    if call is not None:
        recorder.changes.add(call)
    recorder.changes.add(
        Evidence(
            attempt=attempt,
            at=clock.now(),
            source=source,
            outcome=result.outcome,
            gateway_reference=result.gateway_reference,
            decline_code=result.decline_code,
            detail=result.detail[:200],
        )
    )
    recorder.apply(result, source, is_refusal=is_refusal)


def _believed(attempt: Attempt, result: GatewayResult, source: str) -> GatewayResult:
    """The result as far as it can be believed, and kept: a success must be about our reference, amount and currency."""
    if _repeats_a_secret(attempt, result):
        alerts.raise_alert(
            kind="answer_repeats_secret",
            object_id=attempt.public_id,
            severity="critical",
            message=f"{attempt.gateway.name} repeats the card's number or our credentials, so its answer is not kept.",
        )
        return GatewayResult.unknown("the answer repeats what must not be kept")
    if source != Evidence.Source.RESPONSE and result.outcome is Outcome.NOT_SENT:
        return GatewayResult.unknown("the gateway could not be asked")
    if source == Evidence.Source.CANCEL or result.outcome is not Outcome.SUCCEEDED:
        return result
    is_void = attempt.operation == Operation.VOID  # it releases the whole, and its answer may name any amount
    is_ours = (
        result.reference in ("", attempt.reference)
        and (is_void or result.amount_minor in (None, attempt.amount_minor))
        and result.currency in ("", attempt.currency)
    )
    if is_ours:
        return result
    alerts.raise_alert(
        kind="answer_differs",
        object_id=attempt.public_id,
        severity="critical",
        message=f"{attempt.gateway.name} approved another amount or reference than {attempt.reference} asked for.",
    )
    return GatewayResult.unknown("approved, but for another amount, currency or reference")


def _repeats_a_secret(attempt: Attempt, result: GatewayResult) -> bool:
    """Whether what would be kept of an answer holds the number of the card, or a credential of ours."""
    kept = f"{result.gateway_reference} {result.action_url}"
    if attempt.gateway.without_secrets(kept) != kept:
        return True
    card = attempt.payment.card if _LONG_NUMBER.search(kept) else None
    return card is not None and card.number in kept


class _Recorder:
    """One outcome on its way into one locked payment."""

    def __init__(self, payment: Payment, attempt: Attempt, actor: Actor, reason: str) -> None:
        self.payment = payment
        self.attempt = attempt
        self.changes = Changes(payment, actor, reason)
        self.drafts: list[recipes.JournalDraft] = []

    def apply(self, result: GatewayResult, source: str, *, is_refusal: bool) -> None:
        """Move the attempt, then what hangs on it."""
        attempt = self.attempt
        if attempt.status in IN_FLIGHT:
            self._move(result, source, is_refusal=is_refusal)
        else:
            self._hear_late(result, source)
        attempt.save(update_fields=_CHANGING_FIELDS)
        self.changes.write()
        self._post()
        transaction.on_commit(lambda: waiting.announce(self.payment.pk))

    def _move(self, result: GatewayResult, source: str, *, is_refusal: bool) -> None:
        attempt = self.attempt
        if source == Evidence.Source.CANCEL:
            if result.outcome is Outcome.SUCCEEDED:
                self._finish(AttemptEvent.ABANDON)
                self._refused(result)
            else:
                self._ask_again()
        elif result.outcome is Outcome.SUCCEEDED and attempt.called_off_at and source != Evidence.Source.OPERATOR:
            self._ask_again(NextAction.CANCEL)  # it may be older than our cancel, which holds in any case
        elif result.outcome is Outcome.SUCCEEDED:
            attempt.gateway_reference = result.gateway_reference
            self._finish(AttemptEvent.SUCCEED)
            self._succeeded(result)
        elif result.outcome is Outcome.DECLINED:
            attempt.gateway_reference = result.gateway_reference
            attempt.decline_code = result.decline_code
            self._finish(AttemptEvent.DECLINE)
            self._refused(result)
        elif result.outcome is Outcome.NOT_SENT and attempt.status == AttemptStatus.SENT:
            self._finish(AttemptEvent.FALL_SHORT)
            if is_refusal:
                self._alert("gateway_refuses_us", f"{attempt.gateway.name} refuses our requests: {result.detail}.")
            self._not_sent(result)
        elif result.outcome is Outcome.PENDING:
            attempt.gateway_reference = attempt.gateway_reference or result.gateway_reference
            if attempt.status != AttemptStatus.PENDING:
                advance(attempt, ATTEMPT, AttemptEvent.PEND)
            if result.action_url and not attempt.action_url:
                self._challenge(result.action_url)
            if attempt.action_url and self.payment.cancel_requested_at and attempt.gateway.supports_cancel_by_reference:
                self._now(NextAction.CANCEL)
            else:
                self._ask_again()
        else:  # also a replay that was not sent: that says nothing of the first sending
            is_missing = source == Evidence.Source.INQUIRY and not result.is_found
            if attempt.status == AttemptStatus.SENT or (is_missing and attempt.status == AttemptStatus.PENDING):
                advance(attempt, ATTEMPT, AttemptEvent.LOSE)
            if is_missing:
                self._not_found()
            else:
                self._ask_again()

    def _hear_late(self, result: GatewayResult, source: str) -> None:
        """News of an attempt that has ended: its status stays, but money that moved after all is put right.

        A late answer may be older than our own cancel of what it tells, so the gateway is asked what holds now.
        """
        attempt = self.attempt
        attempt.next_action_at = None
        is_counted = attempt.status == AttemptStatus.SUCCEEDED
        if is_counted and source == Evidence.Source.CANCEL and result.outcome is Outcome.SUCCEEDED:
            self._alert(
                "success_called_off", f"{attempt.gateway.name} has canceled {attempt.reference}, which counted."
            )
        if is_counted or source == Evidence.Source.CANCEL:
            return
        if result.outcome is Outcome.SUCCEEDED:
            if attempt.reversals.exists():
                return
            if source == Evidence.Source.RESPONSE:
                self._now(NextAction.ASK)
            else:
                self._reverse(result)
        elif source == Evidence.Source.INQUIRY and result.is_found and result.outcome is not Outcome.DECLINED:
            self._ask_again()

    def _reverse(self, result: GatewayResult) -> None:
        """The gateway did what we had given up: give it back. Nobody asked for the money, so it waits in suspense."""
        attempt = self.attempt
        self._alert("late_success", f"{attempt.gateway.name} carried out {attempt.reference} after it was given up.")
        attempt.gateway_reference = attempt.gateway_reference or result.gateway_reference
        is_taken = result.captured or attempt.operation == Operation.CAPTURE
        if is_taken:
            self.drafts += recipes.for_late_success(amount=attempt.amount, **self._fact(attempt.reference))
        elif attempt.operation != Operation.AUTHORIZE:
            return  # a late void or refund moved the customer's money as asked; the alert is for a person
        add_follower(
            changes=self.changes,
            operation=Operation.REFUND if is_taken else Operation.VOID,
            parent=attempt.parent or attempt,
            amount_minor=attempt.amount_minor,
            reverses=attempt,
        )
        self.changes.note("reversal_requested")

    # What an attempt's end means for the payment.

    def _succeeded(self, result: GatewayResult) -> None:
        if self.attempt.reverses_id:
            if self.attempt.operation == Operation.REFUND:
                fact = self._fact(self.attempt.reference)
                self.drafts += recipes.for_late_success_reversed(amount=self.attempt.amount, **fact)
            self.changes.note("reversed")
            return
        match self.attempt.operation:
            case Operation.AUTHORIZE:
                self._authorized(result)
            case Operation.CAPTURE:
                self._captured()
            case Operation.VOID:
                is_expiry = self.payment.expires_at is not None and self.payment.expires_at <= clock.now()
                self.changes.advance(Event.EXPIRE if is_expiry else Event.VOID)
                self.payment.expires_at = None
            case Operation.REFUND:
                self._refunded()

    def _authorized(self, result: GatewayResult) -> None:
        payment, attempt = self.payment, self.attempt
        vault.forget_secret(payment_id=payment.pk)
        if payment.status == Status.REQUIRES_ACTION:
            self.changes.advance(Event.RESUME)
        payment.authorized_minor = attempt.amount_minor
        payment.expires_at = clock.seconds_from_now(policy.AUTHORIZATION_EXPIRY_SECONDS)
        self.changes.advance(Event.AUTHORIZE)
        if result.captured:
            self._captured()
            if payment.cancel_requested_at and not policy.REFUND_BEYOND_AVAILABLE:
                self._alert(
                    "cancel_too_late", f"{attempt.amount} was taken before it could be canceled; please refund."
                )
            elif payment.cancel_requested_at:
                self._post()
                refund = new_refund(payment, attempt.amount, reason="canceled while processing")
                send(self.changes, refund, RefundEvent.PROCESS, attempt)
        elif payment.cancel_requested_at and payment.amount_minor:
            self._follow(Operation.VOID)
        elif payment.cancel_requested_at:
            self.changes.advance(Event.VOID)  # a verification holds no money that could be released
        elif payment.capture_mode == Payment.CaptureMode.AUTOMATIC and payment.amount_minor:
            self._follow(Operation.CAPTURE)

    def _captured(self) -> None:
        payment, attempt = self.payment, self.attempt
        payment.captured_minor += attempt.amount_minor
        payment.expires_at = None
        self.changes.advance(Event.CAPTURE)
        merchant, gateway = payment.merchant, attempt.gateway
        fee, tax = fees.platform_fee(
            amount=attempt.amount,
            fee_bps=merchant.fee_bps,
            fixed_minor=merchant.fee_fixed_minor,
            tax_bps=merchant.tax_bps,
        )
        self.drafts += recipes.for_capture(
            amount=attempt.amount,
            gateway_fee=fees.gateway_fee(
                amount=attempt.amount, fee_bps=gateway.fee_bps, fixed_minor=gateway.fee_fixed_minor
            ),
            platform_fee=fee,
            tax=tax,
            release=policy.RELEASE_AT_CAPTURE,
            **self._fact(attempt.reference),
        )

    def _refunded(self) -> None:
        payment, attempt, refund = self.payment, self.attempt, self.attempt.refund
        assert refund is not None
        payment.refunded_minor += attempt.amount_minor
        self.changes.advance_refund(refund, RefundEvent.SUCCEED)
        refund.save()
        self.drafts += recipes.for_refund_succeeded(amount=attempt.amount, **self._fact(refund.public_id))

    def _not_sent(self, result: GatewayResult) -> None:
        """A charge may go elsewhere; everything else belongs to its gateway and is tried there again, for a while."""
        attempt = self.attempt
        if attempt.operation == Operation.AUTHORIZE or attempt.retry_count >= len(policy.RETRY_DELAYS_SECONDS):
            self._refused(result)
            return
        self._follow(
            Operation(attempt.operation),
            delay_seconds=policy.RETRY_DELAYS_SECONDS[attempt.retry_count],
            retry_count=attempt.retry_count + 1,
        )

    def _refused(self, result: GatewayResult) -> None:
        attempt, refund = self.attempt, self.attempt.refund
        if attempt.reverses_id:
            self._alert("reversal_refused", f"{attempt.gateway.name} refused to give back {attempt.amount}.")
            return
        match attempt.operation:
            case Operation.AUTHORIZE:
                self._charge_refused(result)
            case Operation.REFUND:
                assert refund is not None
                self.changes.advance_refund(refund, RefundEvent.FAIL)
                refund.save()
                requested = ledger_selectors.refund_requested(refund.public_id)
                self.drafts += recipes.for_refund_failed(requested=requested)
            case _:
                self._alert(
                    f"{attempt.operation}_refused",
                    f"{attempt.gateway.name} refused to {attempt.operation} {attempt.amount} of an authorization.",
                )

    def _charge_refused(self, result: GatewayResult) -> None:
        """The next gateway, where the refusal was definite and not final; else the payment's end."""
        payment, attempt = self.payment, self.attempt
        if payment.status == Status.REQUIRES_ACTION:
            self._unchallenge(result)
            return
        charges = list(
            payment.attempts.filter(operation=Operation.AUTHORIZE, confirmation=payment.confirmation)
            .exclude(pk=attempt.pk)
            .values_list("gateway__code", "decline_code")
        )
        is_final = result.outcome is Outcome.DECLINED and not DeclineCode(result.decline_code).is_soft
        if not is_final and payment.cancel_requested_at is None and len(charges) + 1 < policy.MAX_CHARGE_ATTEMPTS:
            decision, gateway = gateway_selectors.route(
                country=payment.country,
                currency=payment.currency,
                mode=payment.mode,
                payment_method_type=payment.payment_method_type,
                amount_minor=payment.amount_minor,
                tried=sorted({code for code, _ in charges} | {attempt.gateway.code}),
            )
            if gateway is not None:
                add_charge(changes=self.changes, gateway=gateway, decision=decision)
                return
        vault.forget_secret(payment_id=payment.pk)
        payment.decline_code = result.decline_code or next((code for _, code in reversed(charges) if code), "")
        self.changes.advance(Event.DECLINE if payment.decline_code else Event.FAIL)

    def _challenge(self, action_url: str) -> None:
        """The card's bank wants to see the customer: the payment waits for them, for a while."""
        self.attempt.action_url = action_url
        if self.payment.status == Status.PROCESSING:
            self.payment.expires_at = clock.seconds_from_now(policy.ACTION_EXPIRY_SECONDS)
            self.changes.advance(Event.CHALLENGE)

    def _unchallenge(self, result: GatewayResult) -> None:
        """The customer failed the challenge, or never came: no other gateway is asked in their absence."""
        payment = self.payment
        vault.forget_secret(payment_id=payment.pk)
        payment.decline_code = result.decline_code
        if result.outcome is Outcome.DECLINED:
            self.changes.advance(Event.DECLINE)
        elif payment.cancel_requested_at:
            self.changes.advance(Event.CANCEL)
        else:
            self.changes.advance(Event.EXPIRE)

    # What an attempt still waits for.

    def _finish(self, event: AttemptEvent) -> None:
        advance(self.attempt, ATTEMPT, event)
        self.attempt.finished_at = clock.now()
        self.attempt.next_action_at = None

    def _ask_again(self, action: NextAction = NextAction.ASK) -> None:
        """Ask later, and later each time, but never stop asking."""
        attempt = self.attempt
        delays = policy.INQUIRY_DELAYS_SECONDS
        delay = delays[min(attempt.asked_count, len(delays) - 1)] * random.uniform(0.9, 1.1)  # noqa: S311
        attempt.asked_count += 1
        attempt.next_action = action
        attempt.next_action_at = clock.seconds_from_now(delay)

    def _not_found(self) -> None:
        """The gateway does not know the reference: before its settle window is over, that proves nothing."""
        attempt = self.attempt
        assert attempt.sent_at is not None
        settled_at = attempt.sent_at + timedelta(seconds=attempt.gateway.settle_window_seconds)
        if clock.now() < settled_at:
            self._ask_again()
            assert attempt.next_action_at is not None
            attempt.next_action_at = min(attempt.next_action_at, settled_at)
        elif attempt.operation != Operation.AUTHORIZE:
            self._now(NextAction.REPLAY)
        elif attempt.gateway.supports_cancel_by_reference:
            self._now(NextAction.CANCEL)
        else:
            self._ask_again()
            self._alert("unknown_outcome", f"{attempt.gateway.name} does not know {attempt.reference}; please decide.")

    def _now(self, action: NextAction) -> None:
        self.attempt.next_action = action
        self.attempt.next_action_at = clock.now()
        defer(RUN_DUE)

    def _follow(self, operation: Operation, *, delay_seconds: float = 0, retry_count: int = 0) -> None:
        attempt = self.attempt
        add_follower(
            changes=self.changes,
            operation=operation,
            parent=attempt.parent or attempt,
            amount_minor=attempt.amount_minor,
            refund=attempt.refund,
            delay_seconds=delay_seconds,
            retry_count=retry_count,
            reverses=attempt.reverses,
        )

    def _fact(self, reference: str) -> MerchantFact:
        """What the ledger is told beside amounts, under the reference of the fact; the gateway knows the attempt's."""
        payment, attempt = self.payment, self.attempt
        return {
            "merchant_id": payment.merchant_id,
            "gateway_id": attempt.gateway_id,
            "mode": payment.mode,
            "reference": reference,
            "gateway_reference": attempt.gateway_reference,
            "payment_reference": payment.public_id,
            "clearing_reference": attempt.reference,
        }

    def _post(self) -> None:
        """File what has been drafted; as late as possible, since it locks the merchant's balance."""
        ledger.record_entries(self.drafts)
        self.drafts = []

    def _alert(self, kind: str, message: str) -> None:
        alerts.raise_alert(kind=kind, object_id=self.attempt.public_id, severity="critical", message=message)
