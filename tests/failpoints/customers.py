"""Do payments that wait for somebody survive? For a confirmation, for a customer at the card's bank, or in vain."""

from typing import ClassVar

from checkout.kit import clock
from checkout.kit.actors import Actor
from payments import services
from payments.models import Payment
from payments.statuses import Status
from tests.failpoints.story import CHALLENGED, Story, again, post, work


class Confirmation(Story):
    """Created first, confirmed later; the card's bank wants to see the customer, who comes and proves who they are."""

    steps: ClassVar = ("create", "confirm", "answer")

    def create(self) -> None:
        self.pay(number=CHALLENGED, confirm=False)

    def confirm(self) -> None:
        self.waits_for_customer = True
        self.ask_for("confirm")

    def answer(self) -> None:
        assert self.paid.status == Status.REQUIRES_ACTION
        self.waits_for_customer = False
        attempt = self.attempt
        post(attempt.action_url, {"approve": True})
        again(lambda: services.ask_now(attempt=attempt))
        work()

    def end(self) -> None:
        super().end()
        assert (self.paid.status, self.paid.captured_minor) == (Status.CAPTURED, 50_00)


class _Expiry(Story):
    """Nobody came in time."""

    steps: ClassVar = ("open", "expire")

    def expire(self) -> None:
        self.waits_for_customer = False
        Payment.objects.filter(pk=self.paid.pk).update(expires_at=clock.seconds_from_now(-1))
        again(lambda: services.expire_due(actor=Actor.task("expire")))
        work()

    def come_by(self) -> None:
        services.expire_due(actor=Actor.task("expire"))
        super().come_by()

    def others(self) -> None:
        super().others()
        services.expire_due(actor=Actor.task("another expire"))

    def end(self) -> None:
        super().end()
        assert self.paid.status == Status.EXPIRED


class NeverConfirmed(_Expiry):
    """The merchant never confirmed what it had created."""

    def open(self) -> None:
        self.pay(confirm=False)


class NeverCaptured(_Expiry):
    """The merchant never took what was reserved: it is released at the gateway."""

    def open(self) -> None:
        self.pay(capture="manual")


class NeverAnswered(_Expiry):
    """The customer never came to the card's bank: the gateway makes sure that it never charges."""

    def open(self) -> None:
        self.waits_for_customer = True
        self.pay(number=CHALLENGED)
        assert self.paid.status == Status.REQUIRES_ACTION
