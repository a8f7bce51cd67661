"""Does a purchase survive? What a shop asks for by itself: to pay, to take, to give back, to call off."""

from typing import ClassVar

from payments.statuses import Status
from tests.failpoints.story import Story


class Reservation(Story):
    """Fifty euros are reserved; whatever happened, they can be taken afterwards."""

    steps: ClassVar = ("reserve", "take")

    def reserve(self) -> None:
        self.pay(capture="manual")

    def take(self) -> None:
        self.ask_for("capture")

    def end(self) -> None:
        super().end()
        assert (self.paid.status, self.paid.captured_minor) == (Status.CAPTURED, 50_00)


class Refusal(Story):
    """More is asked for than was reserved."""

    steps: ClassVar = ("reserve", "ask_too_much")

    def reserve(self) -> None:
        self.pay(capture="manual")

    def ask_too_much(self) -> None:
        assert self.ask_for("capture", amount=50_01)["code"] == "capture_exceeds_authorized"

    def end(self) -> None:
        super().end()
        assert (self.paid.status, self.paid.captured_minor) == (Status.AUTHORIZED, 0)


class Capture(Story):
    """Thirty of fifty euros are taken."""

    steps: ClassVar = ("reserve", "take")

    def reserve(self) -> None:
        self.pay(capture="manual")

    def take(self) -> None:
        self.ask_for("capture", amount=30_00)

    def end(self) -> None:
        super().end()
        assert (self.paid.status, self.paid.captured_minor) == (Status.CAPTURED, 30_00)


class Sale(Story):
    """Fifty euros are reserved and taken, in one call where the gateway can."""

    steps: ClassVar = ("sell",)

    def sell(self) -> None:
        self.pay()

    def end(self) -> None:
        super().end()
        assert (self.paid.status, self.paid.captured_minor) == (Status.CAPTURED, 50_00)


class Refund(Sale):
    """Ten of them are given back."""

    steps: ClassVar = ("sell", "give_back")

    def give_back(self) -> None:
        self.ask_for("refunds", amount=10_00)

    def end(self) -> None:
        super().end()
        assert self.paid.refunded_minor == 10_00


class Cancellation(Story):
    """What was reserved is called off."""

    steps: ClassVar = ("reserve", "call_off")

    def reserve(self) -> None:
        self.pay(capture="manual")

    def call_off(self) -> None:
        self.ask_for("cancel")

    def end(self) -> None:
        super().end()
        assert self.paid.status == Status.VOIDED


class EarlyCancellation(Story):
    """A sale is called off while nobody knows what will become of it."""

    steps: ClassVar = ("change_ones_mind",)

    def change_ones_mind(self) -> None:
        self.pay(prefer="respond-async")
        self.ask_for("cancel")

    def end(self) -> None:
        super().end()
        is_given_back = self.paid.captured_minor == self.paid.refunded_minor > 0
        assert self.paid.status in (Status.VOIDED, Status.FAILED) or is_given_back
