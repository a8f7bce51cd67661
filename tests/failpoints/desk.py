"""Does what people do about an unknown outcome survive? They ask, call off, or settle it, two of them, by hand."""

from contextlib import suppress
from typing import ClassVar

from checkout.kit.actors import Actor
from checkout.kit.approvals import AlreadyRequested
from checkout.kit.errors import Refusal
from checkout.kit.models import Approval, AuditEntry, User
from payments import services
from payments.models import Attempt, Evidence
from payments.services.resolve import SETTLE_BY_HAND
from payments.statuses import AttemptStatus, Status
from tests.failpoints.story import Story, again, work


class _Desk(Story):
    """A sale of which nobody knows what became."""

    steps: ClassVar = ("decide",)

    def decide(self) -> None:
        self.pay()
        assert self.attempt.status in (AttemptStatus.UNKNOWN, AttemptStatus.PENDING)
        self.act(self.attempt)
        self.calm()
        work()

    def act(self, attempt: Attempt) -> None:
        """What somebody does about it."""
        raise NotImplementedError


class AskedNow(_Desk):
    """Somebody has the gateway asked at once."""

    def act(self, attempt: Attempt) -> None:
        again(lambda: services.ask_now(attempt=attempt, actor=_at_desk(self.world.people[0]), reason="they called"))

    def decide(self) -> None:
        super().decide()
        is_charged = self.behaviour != "error_before_charging"
        assert self.paid.status == Status.CAPTURED or not is_charged or self.was_overtaken, "nobody asked"

    def end(self) -> None:
        super().end()
        assert self.paid.status == Status.CAPTURED


class CalledOff(_Desk):
    """Somebody makes sure that it never charges: another gateway does instead."""

    def act(self, attempt: Attempt) -> None:
        actor = _at_desk(self.world.people[0])
        again(lambda: services.cancel_by_reference(attempt=attempt, actor=actor, reason="too old"))

    def decide(self) -> None:
        super().decide()
        assert self.attempt.gateway.code == "south" or self.was_overtaken, "nobody called it off"

    def end(self) -> None:
        super().end()
        assert self.paid.status == Status.CAPTURED


class Settled(_Desk):
    """Somebody finds it in the gateway's books, or not, and a second person agrees: however often, it counts once."""

    def act(self, attempt: Attempt) -> None:
        rows = self.world.simulation.book(attempt.gateway.code, reference=attempt.reference)
        outcome, reference = ("succeeded", rows[0]["id"]) if rows else ("declined", "")
        settle(attempt, outcome=outcome, gateway_reference=reference, people=self.world.people)

    def others(self) -> None:
        """A sweeper finds what is due, and the second person, whose page does not answer, presses the button again."""
        super().others()
        for approval in Approval.objects.filter(object_id=self.attempt.public_id):
            with suppress(Refusal):
                _approve(approval, self.world.people[1])

    def end(self) -> None:
        super().end()
        attempt = self.paid.attempts.get(seq=1)
        by_hand = attempt.evidence.filter(source=Evidence.Source.OPERATOR).count()
        agreed = Approval.objects.filter(object_id=attempt.public_id, status=Approval.Status.APPROVED).count()
        written = AuditEntry.objects.filter(object_id=attempt.public_id, verb=SETTLE_BY_HAND).count()
        assert by_hand == agreed == written <= 1
        assert by_hand == 1 or self.was_overtaken, "nobody settled it"
        assert self.paid.status in (Status.CAPTURED, Status.DECLINED)


def settle(attempt: Attempt, *, outcome: str, gateway_reference: str, people: tuple[User, User]) -> None:
    """Two people settle an attempt; whoever does not learn whether it worked tries again."""
    maker, checker = people

    def request() -> None:
        with suppress(AlreadyRequested):
            services.request_settlement_by_hand(
                attempt=attempt,
                outcome=outcome,
                gateway_reference=gateway_reference,
                reason="seen in the gateway's own books",
                evidence="a page of them",
                maker=maker,
                actor=_at_desk(maker),
            )

    def approve() -> None:
        with suppress(Refusal):
            _approve(Approval.objects.get(object_id=attempt.public_id), checker)

    again(request)
    again(approve)


def _approve(approval: Approval, checker: User) -> None:
    services.approve_settlement_by_hand(approval=approval, checker=checker, actor=_at_desk(checker))


def _at_desk(person: User) -> Actor:
    return Actor.user(person.username, "192.0.2.7")
