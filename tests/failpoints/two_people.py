"""Does a refund that needs two people survive? Asked for once, decided once, and its money free again after a no."""

import uuid
from contextlib import suppress
from typing import ClassVar

from checkout.kit.actors import Actor
from checkout.kit.errors import Refusal
from checkout.kit.models import Approval, User
from checkout.kit.money import Money
from payments import selectors, services
from payments.idempotency import Claim, KeyTaken
from payments.models import Refund
from tests.failpoints.purchases import Sale
from tests.failpoints.story import WORKER, again


class _ForTwo(Sale):
    """Ten of fifty euros are to be given back by somebody who may not do so alone."""

    steps: ClassVar = ("sell", "request", "decide")
    token = ""

    def request(self) -> None:
        self.token = uuid.uuid4().hex
        again(self._request)

    def decide(self) -> None:
        again(self._decide)

    def others(self) -> None:
        """Meanwhile the page, which does not answer, is sent again."""
        super().others()
        if self.token:
            self._request()
        if Approval.objects.filter(object_id__in=self._names()).exists():
            self._decide()

    def end(self) -> None:
        super().end()
        assert (self.paid.refunds.count(), Approval.objects.filter(object_id__in=self._names()).count()) == (1, 1)

    def _request(self) -> None:
        maker, payment = self.world.people[0], self.paid
        path, about = f"desk:refund:{payment.public_id}", {"merchant_id": payment.merchant_id, "mode": payment.mode}
        with suppress(KeyTaken, Refusal):  # the second time it is asked for already, or still being asked for
            services.refund_at_desk(
                payment=payment,
                person=maker,
                amount=Money(10_00, "EUR"),
                actor=_at_desk(maker),
                reason="the parcel was empty",
                claim=Claim.of(**about, key=f"desk:{self.token}", method="POST", path=path, body={}),
            )

    def _decide(self) -> None:
        raise NotImplementedError

    @property
    def _approval(self) -> Approval:
        return Approval.objects.get(object_id__in=self._names())

    def _names(self) -> list[str]:
        return [refund.public_id for refund in Refund.objects.filter(payment=self.paid)]


class Approved(_ForTwo):
    """Somebody else agrees: it is given back once."""

    def _decide(self) -> None:
        checker = self.world.people[1]
        with suppress(Refusal):  # the second time it is decided already
            services.approve_refund(approval=self._approval, checker=checker, actor=_at_desk(checker))

    def end(self) -> None:
        super().end()
        given = self.paid.attempts.filter(operation="refund", status="succeeded")
        assert (self.paid.refunded_minor, given.count()) == (10_00, 1)


class Rejected(_ForTwo):
    """Somebody else says no."""

    def _decide(self) -> None:
        checker = self.world.people[1]
        with suppress(Refusal):
            services.reject_refund(approval=self._approval, checker=checker, reason="no", actor=_at_desk(checker))

    def end(self) -> None:
        super().end()
        assert (self.paid.refunded_minor, selectors.refundable(self.paid).amount_minor) == (0, 50_00)


class Expired(Rejected):
    """Nobody decides in time."""

    def _decide(self) -> None:
        approval = self._approval
        Approval.objects.filter(pk=approval.pk).update(expires_at=approval.created_at)
        services.expire_due(actor=WORKER)


def _at_desk(person: User) -> Actor:
    return Actor.user(person.username, "192.0.2.7")
