"""What do gateways tell us? A notice is a hint, never a fact: the gateway is asked about what it speaks of."""

from collections.abc import Mapping

from django.db import transaction

from checkout.kit import clock
from checkout.kit.defer import defer
from gateways.base import NoticeRefused
from gateways.models import Gateway, Notice
from gateways.registry import adapter_class
from payments import selectors, vault
from payments.models import Attempt
from payments.services.attempts import RUN_DUE
from payments.statuses import AttemptStatus, NextAction

APPLY_NOTICES = "payments.apply_notices"
_BATCH_COUNT = 200


def receive_notice(*, gateway: Gateway, headers: Mapping[str, str], body: bytes) -> int:
    """Verify a message and keep what is new in it; a worker acts upon it later. Returns how many notices were new.

    Header names are in lower case. Refuses: NoticeRefused.
    """
    now = clock.now()
    notices = adapter_class(gateway.adapter)(gateway.secrets).parse_notice(headers, body, now.timestamp())
    text = vault.scrub(body.decode("utf-8", "replace")).replace("\x00", "")
    if any(len(notice.notice_id) > 100 or len(notice.reference) > 100 for notice in notices):
        raise NoticeRefused("an id in the notice is too long")
    with transaction.atomic(durable=True):
        before = Notice.objects.filter(gateway=gateway, notice_id__in=[notice.notice_id for notice in notices]).count()
        Notice.objects.bulk_create(
            (
                Notice(
                    gateway=gateway,
                    notice_id=notice.notice_id,
                    reference=notice.reference,
                    outcome=notice.result.outcome,
                    body=text,
                    received_at=now,
                )
                for notice in notices
            ),
            ignore_conflicts=True,
        )
        defer(APPLY_NOTICES)
    return len(notices) - before


@transaction.atomic(durable=True)
def apply_notices() -> int:
    """Act upon the notices that wait, a batch at a time: what they speak of is due to be asked about now.

    An attempt that somebody is sending at this moment is left to them: their answer is on its way, and if it is lost
    the attempt is asked about anyway. Returns how many notices were dealt with.
    """
    notices = list(
        Notice.objects.select_for_update(skip_locked=True)
        .filter(status=Notice.Status.WAITING)
        .order_by("id")[:_BATCH_COUNT]
    )
    matched, due = [], []
    for notice in notices:
        attempt = selectors.attempt_by_reference(notice.reference)
        if attempt is None or attempt.gateway_id != notice.gateway_id:
            continue
        matched.append(notice.pk)
        if attempt.status in (AttemptStatus.PENDING, AttemptStatus.UNKNOWN):
            due.append(attempt.pk)
    now = clock.now()
    rows = Notice.objects.filter(pk__in=[notice.pk for notice in notices])
    rows.filter(pk__in=matched).update(status=Notice.Status.APPLIED, applied_at=now)
    rows.exclude(pk__in=matched).update(status=Notice.Status.UNMATCHED)
    if due:
        Attempt.objects.filter(
            pk__in=due, status__in=[AttemptStatus.PENDING, AttemptStatus.UNKNOWN], next_action=NextAction.ASK
        ).update(next_action_at=now)
        defer(RUN_DUE)
    return len(notices)
