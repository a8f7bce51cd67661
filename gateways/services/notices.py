"""What can a person do about a notice that nothing of ours is named by? Have it looked at again, or set it aside."""

from django.db import transaction

from checkout.kit import audit
from checkout.kit.actors import Actor
from gateways.errors import NoticeIsDealtWith
from gateways.models import Notice

_OPEN = (Notice.Status.UNMATCHED, Notice.Status.SET_ASIDE)


@transaction.atomic
def look_again(*, notice: Notice, actor: Actor, reason: str) -> None:
    """Let a notice wait to be applied once more: what it speaks of may be there by now. Refuses: NoticeIsDealtWith."""
    _move(notice, Notice.Status.WAITING, "notice.look_again", actor, reason)


@transaction.atomic
def set_aside(*, notice: Notice, actor: Actor, reason: str) -> None:
    """Say of a notice that it is about nothing of ours. Refuses: NoticeIsDealtWith."""
    _move(notice, Notice.Status.SET_ASIDE, "notice.set_aside", actor, reason)


def _move(notice: Notice, status: Notice.Status, verb: str, actor: Actor, reason: str) -> None:
    before = Notice.objects.select_for_update(no_key=True).get(pk=notice.pk).status
    if before not in _OPEN or before == status:
        raise NoticeIsDealtWith(status=before)
    Notice.objects.filter(pk=notice.pk).update(status=status)
    audit.record(
        actor=actor, verb=verb, obj=notice, reason=reason, before={"status": before}, after={"status": status.value}
    )
