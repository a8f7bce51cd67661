"""Does what gateways tell us by themselves survive? Notices, each of them twice, also of what we had given up."""

import re
import time
from collections.abc import Sequence
from typing import ClassVar

from gateways.models import Gateway, Notice
from merchants.tests.receiver import Received
from payments import services
from payments.statuses import AttemptStatus, Status
from tests.failpoints.desk import settle
from tests.failpoints.story import SWEEPER, Story, again, work

_ARRIVES_SECONDS = 10.0
_REFERENCE = re.compile(rb"att_[0-9A-Za-z]+")


class _Hearsay(Story):
    """The gateways send their notices to `world.post`, where the story takes them from; `heard` are those it took."""

    heard: Sequence[Received] = ()

    def listen(self) -> None:
        """Let all gateways tell us."""
        for gateway in self.world.simulation.gateways():
            self.world.simulation.change(gateway["code"], notice_url=self._address(gateway["code"]))

    def hand_over(self) -> None:
        """Receive each notice twice, as the API does, and act upon them, without any help of the clock."""
        self.heard = self.wait_for_notices()
        for received in self.heard:
            again(lambda received=received: self._receive(received))
            self._receive(received)
        again(services.apply_notices)
        services.apply_notices()

    def wait_for_notices(self) -> list[Received]:
        """What has come about this payment, once something has come about each attempt that a gateway heard of."""
        attempts = self.paid.attempts.exclude(status=AttemptStatus.NOT_SENT)
        expected = {attempt.reference.encode() for attempt in attempts}
        deadline = time.monotonic() + _ARRIVES_SECONDS
        while time.monotonic() < deadline:
            mine = [each for each in list(self.world.post.received) if expected & set(_REFERENCE.findall(each.body))]
            if expected <= {reference for each in mine for reference in _REFERENCE.findall(each.body)}:
                return mine
            time.sleep(0.01)
        raise AssertionError("a notice did not arrive")

    def others(self) -> None:
        """The gateway, unanswered, tells it again to another process, and other workers act upon it."""
        for received in self.heard:
            self._receive(received)
        services.apply_notices()
        services.run_due(actor=SWEEPER)

    def end(self) -> None:
        for gateway in self.world.simulation.gateways():
            self.world.simulation.change(gateway["code"], notice_url="")
        super().end()
        notices = Notice.objects.filter(reference__in=[attempt.reference for attempt in self.paid.attempts.all()])
        assert set(notices.values_list("status", flat=True)) == {Notice.Status.APPLIED}
        assert notices.count() == len({(each.path, each.body) for each in self.heard})

    def _address(self, code: str) -> str:
        return self.world.post.url.replace("/hook", f"/{code}")

    @staticmethod
    def _receive(received: Received) -> int:
        gateway = Gateway.objects.get(code=received.path.strip("/"))
        return services.receive_notice(gateway=gateway, headers=received.headers, body=received.body)


class Notices(_Hearsay):
    """A sale whose outcome a notice brings, however the answer went."""

    steps: ClassVar = ("sell",)

    def sell(self) -> None:
        self.listen()
        self.pay()
        self.hand_over()
        self.calm()
        work()
        assert self.paid.status == Status.CAPTURED or self.was_overtaken, "the notice was not acted upon"


class LateSale(_Hearsay):
    """Two people settle a sale as declined which the gateway has carried out; then its notice comes."""

    steps: ClassVar = ("give_up", "hear")
    order: ClassVar[dict[str, str]] = {}

    def give_up(self) -> None:
        self.listen()
        self.world.simulation.change("north", behaviour="charge_then_500")
        self.pay(**self.order)
        self.calm()
        settle(self.attempt, outcome="declined", gateway_reference="", people=self.world.people)
        assert self.paid.status == Status.DECLINED

    def hear(self) -> None:
        self.hand_over()
        given_up = self.paid.attempts.get(seq=1)
        assert given_up.next_action_at or given_up.reversals.exists(), "the notice was not acted upon"
        work()

    def end(self) -> None:
        super().end()
        given_up = self.paid.attempts.get(seq=1)
        assert self.paid.status == Status.DECLINED
        assert list(given_up.reversals.values_list("status", flat=True)) == [AttemptStatus.SUCCEEDED]


class LateReservation(LateSale):
    """The same with money that was only reserved."""

    order: ClassVar = {"capture": "manual"}
