"""What do gateways tell us? A notice is a hint, never a fact: the gateway is asked about what it speaks of."""

from collections.abc import Mapping

from checkout.kit import alerts, clock
from checkout.kit.card_numbers import holds_card_number, scrub
from checkout.kit.defer import defer
from checkout.kit.durable import durable
from checkout.settings import policy
from gateways.base import Notice as Told
from gateways.base import NoticeRefused
from gateways.models import Gateway, Notice
from gateways.outcomes import Outcome
from gateways.registry import adapter_class
from payments import selectors, vault
from payments.models import Attempt
from payments.services.attempts import RUN_DUE
from payments.statuses import IN_FLIGHT, AttemptStatus, NextAction, Operation

APPLY_NOTICES = "payments.apply_notices"
_BATCH_COUNT = 200
_BUSY = (AttemptStatus.CREATED, AttemptStatus.SENT)  # somebody is at it, or about to be


def receive_notice(*, gateway: Gateway, headers: Mapping[str, str], body: bytes) -> int:
    """Verify a message and keep what is new in it; a worker acts upon it later. Returns how many notices were new.

    Header names are in lower case. Refuses: NoticeRefused.
    """
    now = clock.now()
    notices = adapter_class(gateway.adapter)(gateway.secrets).parse_notice(headers, body, now.timestamp())
    text = scrub(gateway.without_secrets(body.decode("utf-8", "replace"))).replace("\x00", "")
    if not all(_is_storable(notice) for notice in notices):
        raise NoticeRefused("an id, an amount or a currency in the notice is too long")
    names = [_keepable(notice.notice_id) for notice in notices]
    with durable("receive_notice"):
        before = Notice.objects.filter(gateway=gateway, notice_id__in=names).count()
        Notice.objects.bulk_create(
            (
                Notice(
                    gateway=gateway,
                    notice_id=name,
                    reference=_keepable(notice.reference),
                    outcome=notice.result.outcome,
                    amount_minor=notice.result.amount_minor,
                    currency=notice.result.currency,
                    body=text,
                    received_at=now,
                )
                for name, notice in zip(names, notices, strict=True)
            ),
            ignore_conflicts=True,
        )
        defer(APPLY_NOTICES, patience_seconds=policy.NOTICE_PATIENCE_SECONDS)
    return len(notices) - before


@durable("apply_notices")
def apply_notices() -> int:
    """Act upon the notices that wait, a batch at a time: what they speak of is due to be asked about now.

    An attempt that somebody is sending at this moment is left to them: their answer is on its way, and if it is lost
    the attempt is asked about anyway. One that had been given up, and is now said to have succeeded, is asked about
    too. Returns how many notices were dealt with.
    """
    notices = list(
        Notice.objects.select_for_update(skip_locked=True)
        .filter(status=Notice.Status.WAITING)
        .order_by("id")[:_BATCH_COUNT]
    )
    attempts = selectors.attempts_by_reference(notice.reference for notice in notices)
    matched, due = [], []
    for notice in notices:
        attempt = attempts.get(notice.reference)
        if attempt is None or attempt.gateway_id != notice.gateway_id:
            continue
        matched.append(notice.pk)
        if _is_news(notice, attempt):
            due.append(attempt.pk)
        if _differs(notice, attempt):
            alerts.raise_alert(
                kind="notice_differs",
                object_id=attempt.public_id,
                severity="critical",
                message=f"A notice of {attempt.reference} is not understood, or speaks of more or less than"
                f" {attempt.amount}.",
            )
    now = clock.now()
    rows = Notice.objects.filter(pk__in=[notice.pk for notice in notices])
    rows.filter(pk__in=matched).update(status=Notice.Status.APPLIED, applied_at=now)
    rows.exclude(pk__in=matched).update(status=Notice.Status.UNMATCHED)
    if due:
        Attempt.objects.filter(pk__in=due, next_action=NextAction.ASK).exclude(status__in=_BUSY).update(
            next_action_at=now
        )
        defer(RUN_DUE)
    return len(notices)


def _is_news(notice: Notice, attempt: Attempt) -> bool:
    """Whether the gateway should be asked: the outcome is open, or the notice contradicts the one we know."""
    if attempt.status in IN_FLIGHT:
        return attempt.status not in _BUSY
    return attempt.status != AttemptStatus.SUCCEEDED and notice.outcome == Outcome.SUCCEEDED


def _differs(notice: Notice, attempt: Attempt) -> bool:
    """Whether a notice claims a success of another amount, or nothing that is understood.

    A void's names the whole authorization, whatever was asked; and of a card that is only verified there is no amount.
    """
    if attempt.operation == Operation.VOID or not attempt.amount_minor:
        return False
    if notice.outcome != Outcome.SUCCEEDED:
        return notice.outcome == Outcome.UNKNOWN
    told = (notice.amount_minor, notice.currency)
    return notice.amount_minor is not None and told != (attempt.amount_minor, attempt.currency)


def _keepable(name: str) -> str:
    """A gateway's name for something; what looks like a card number is kept as a hash, by which it is known again."""
    return vault.fingerprint_of(name) if holds_card_number(name) else name


def _is_storable(notice: Told) -> bool:
    """Whether what the gateway signed is of a size that anything of ours can have."""
    amount_minor = notice.result.amount_minor or 0
    is_short = max(len(notice.notice_id), len(notice.reference)) <= 100 and len(notice.result.currency) <= 3
    return is_short and abs(amount_minor) < 2**63
