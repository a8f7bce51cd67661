"""Does what a settlement file tells us survive? A refund made at the gateway's own desk, which becomes ours once."""

from contextlib import suppress
from typing import ClassVar

from checkout.kit.actors import Actor
from checkout.kit.errors import Refusal
from ledger.models import Discrepancy, JournalEntry
from ledger.reconciliation.selectors import refunds_to_adopt
from ledger.tests.settling import Settling, line
from payments import services
from tests.failpoints.story import Story, again, post


class Adoption(Story):
    """Fifty euros were sold; the gateway gave ten back by itself, and its file says so."""

    steps: ClassVar = ("sell", "find", "adopt")
    discrepancy: Discrepancy

    def sell(self) -> None:
        self.pay()

    def find(self) -> None:
        sale = self.attempt
        refund = post(
            f"{self.world.simulation.url}/book/north",
            {"kind": "refund", "reference": sale.reference, "amount_minor": 10_00},
        )
        Settling(sale.gateway, self.world.merchant).settle(
            line("refund", refund["id"], gross=-10_00, currency="EUR", ago=0, batch=refund["id"]),
        )
        self.discrepancy = refunds_to_adopt().get(line__gateway_reference=refund["id"])

    def adopt(self) -> None:
        again(self._adopt)

    def others(self) -> None:
        self._adopt()

    def end(self) -> None:
        super().end()
        assert (self.paid.refunded_minor, self.paid.refunds.count()) == (10_00, 1)
        entries = JournalEntry.objects.filter(kind=JournalEntry.Kind.REFUND_ADOPTED)
        assert entries.filter(payment_reference=self.paid.public_id).count() == 1

    def _adopt(self) -> None:
        with suppress(Refusal):  # the second time it is done already
            services.adopt_refund(
                discrepancy=self.discrepancy,
                payment=self.paid,
                reason="the gateway's own desk gave it back",
                actor=Actor.user(self.world.people[0].username, "192.0.2.7"),
            )
