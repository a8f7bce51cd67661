"""Who carries out what was intended? Acts 2 and 3 in a loop; safe to run twice, or in many workers at once."""

import time
from dataclasses import replace
from datetime import datetime
from typing import Any

import structlog
from django.conf import settings
from django.db import IntegrityError, InterfaceError, OperationalError, connection

from checkout.kit import alerts, clock
from checkout.kit.actors import Actor
from checkout.kit.durable import durable
from checkout.kit.ids import public_id
from checkout.settings import policy
from gateways import services as gateway_services
from gateways.base import GatewayRequest
from gateways.client import Account, Answer, Call, Caller
from gateways.outcomes import GatewayResult, Outcome
from payments import selectors, vault
from payments.models import Attempt, Evidence
from payments.services.record import record_answer
from payments.statuses import ATTEMPT, AttemptEvent, AttemptStatus, NextAction, Operation

log = structlog.get_logger(__name__)

_CLAIM = """
WITH due AS (
    SELECT id, status, next_action FROM payments_attempt
    WHERE next_action_at <= %(now)s AND gateway_id <> ALL(%(busy)s)
    ORDER BY next_action_at LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
)
UPDATE payments_attempt AS attempt SET
    status = CASE due.status WHEN %(created)s THEN %(sent)s WHEN %(sent)s THEN %(unknown)s ELSE due.status END,
    sent_at = COALESCE(attempt.sent_at, %(now)s),
    called_off_at = CASE due.next_action WHEN %(cancel)s THEN COALESCE(attempt.called_off_at, %(now)s)
        ELSE attempt.called_off_at END,
    next_action = %(ask)s,
    next_action_at = %(lease_until)s
FROM due WHERE attempt.id = due.id
RETURNING attempt.id, due.status, due.next_action
"""


def run_due(*, actor: Actor) -> int:
    """Carry committed intentions to their gateways and record what came of each, until nothing is due.

    Keeps claiming for RUN_SECONDS while calls are in flight, then only waits for those. Returns how many were recorded.
    """
    caller = Caller()
    claim_until = time.monotonic() + policy.RUN_SECONDS
    recorded = 0
    while True:
        claimed = 0
        try:
            claimed = _start_due(caller, actor) if time.monotonic() < claim_until else 0
        except OperationalError as error:
            if not caller.is_busy:
                raise
            claim_until = 0.0  # the calls in flight are answered all the same, and must be recorded
            log.warning("claims_no_more", error=type(error).__name__)
        if not claimed and not caller.is_busy:
            return recorded
        for answer in caller.take(policy.CLAIM_AGAIN_SECONDS):
            _record(answer, actor)
            recorded += 1


def _start_due(caller: Caller, actor: Actor) -> int:
    room = min(policy.BATCH_COUNT, policy.MAX_CALLS - sum(caller.in_flight.values()))
    busy = [key for key, count in caller.in_flight.items() if count >= policy.MAX_CALLS_PER_GATEWAY]
    if room <= 0:
        return 0
    send_until = clock.seconds_from_now(policy.LEASE_SECONDS - policy.CALL_TIMEOUT_SECONDS)
    claimed = claim_due(limit=room, busy=busy)
    attempts = selectors.attempts_by_id(claimed)
    for key, action in claimed.items():
        call = _call(attempts[key], action, send_until)
        if call.request is not None and _needs_card(call) and call.request.card is None:
            refusal = GatewayResult.not_sent("the card's verification value is gone")
            _record(Answer(call=call, result=refusal, started_at=clock.now(), duration_ms=0), actor)
        else:
            caller.start(call)
    return len(claimed)


@durable("claim")
def claim_due(*, limit: int, busy: list[Any]) -> dict[Any, str]:
    """Act 2: take up to `limit` due attempts under a lease, and say what each waits for.

    An attempt whose sender never came back is unknown from now on, and is asked about: never sent elsewhere.
    """
    now = clock.now()
    with connection.cursor() as cursor:
        cursor.execute(
            _CLAIM,
            {
                "now": now,
                "limit": limit,
                "busy": busy,
                "created": AttemptStatus.CREATED,
                "sent": ATTEMPT.after(AttemptStatus.CREATED, AttemptEvent.SEND),
                "unknown": ATTEMPT.after(AttemptStatus.SENT, AttemptEvent.LOSE),
                "ask": NextAction.ASK,
                "cancel": NextAction.CANCEL,
                "lease_until": clock.seconds_from_now(policy.LEASE_SECONDS),
            },
        )
        rows = cursor.fetchall()
    Evidence.objects.bulk_create(
        Evidence(
            attempt_id=key,
            at=now,
            source=Evidence.Source.LEASE,
            outcome=Outcome.UNKNOWN,
            detail="whoever sent it never came back",
        )
        for key, status, _ in rows
        if status == AttemptStatus.SENT
    )
    return {key: action for key, _, action in rows}


def _call(attempt: Attempt, action: str, send_until: datetime | None = None) -> Call:
    payment, parent = attempt.payment, attempt.parent
    verb = {NextAction.ASK: "fetch", NextAction.CANCEL: "cancel_by_reference"}.get(
        NextAction(action), attempt.operation
    )
    return Call(
        account=Account.of(attempt.gateway),
        verb=verb,
        request=GatewayRequest(
            operation=attempt.operation,
            reference=attempt.reference,
            amount_minor=attempt.amount_minor,
            currency=attempt.currency,
            capture=attempt.is_sale,
            card=vault.reveal(payment) if verb == Operation.AUTHORIZE else None,
            parent_reference=parent.reference if parent else "",
            gateway_reference=parent.gateway_reference if parent else attempt.gateway_reference,
            merchant_reference=payment.merchant_reference,
            country=payment.country,
            return_url=return_url(attempt),
        ),
        tag=(payment.pk, attempt.pk),
        send_until=send_until,
    )


def return_url(attempt: Attempt) -> str:
    """Where a customer comes back to from a challenge: to us first, so that the outcome is asked for at once."""
    return f"{settings.PUBLIC_URL.rstrip('/')}/pay/return/{attempt.reference}"


def _needs_card(call: Call) -> bool:
    return call.verb == Operation.AUTHORIZE


def _record(answer: Answer, actor: Actor) -> None:
    """Act 3, tried again where the database says so. If it fails for good, the lease ends and somebody asks."""
    reference = answer.call.request.reference if answer.call.request else ""
    for pause_seconds in (0.0, 0.1, 0.5):
        time.sleep(pause_seconds)
        try:
            record_answer(answer=answer, actor=actor)
        except (OperationalError, InterfaceError) as error:  # a deadlock, a lock not to be had, a lost connection
            log.warning("record_again", reference=reference, error=type(error).__name__)
            connection.close_if_unusable_or_obsolete()
        except IntegrityError as error:
            log.warning("answer_conflicts", reference=reference, error=type(error).__name__)
            answer = _disbelieved(answer)
        except Exception as error:  # one that cannot be recorded must not take the others along
            log.exception("record_failed", reference=reference, error=type(error).__name__)
            return
        else:
            gateway_services.note_call(answer=answer)
            return


def _disbelieved(answer: Answer) -> Answer:
    """The same answer without its claims: they contradict what is recorded, as an id does that another attempt has."""
    detail = "the answer contradicts what is recorded already"
    alerts.raise_alert(
        kind="answer_conflicts",
        object_id=public_id(Attempt.PUBLIC_PREFIX, answer.call.tag[1]),
        severity="critical",
        message=f"{answer.call.account.code}: {detail}.",
    )
    return replace(answer, result=GatewayResult.unknown(detail))
