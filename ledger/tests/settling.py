"""A gateway whose books and files a test writes by hand: what we expect, what it says, and what came of the two."""

import io
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db import transaction

from checkout.kit import clock
from checkout.kit.actors import Actor
from checkout.kit.money import Money
from gateways.models import Gateway
from ledger import recipes
from ledger.models import ClearingItem, Discrepancy, SettlementFile, SettlementLine
from ledger.reconciliation.control import receivable_control
from ledger.services import record_entries
from ledger.services.files import import_file, receive_file
from ledger.services.matching import Reconciled, reconcile
from merchants.models import Merchant

HEADER = "kind,gateway_reference,reference,currency,gross_minor,fee_minor,net_minor,occurred_on,batch\n"
ACTOR = Actor.command("test")


def day(ago: int) -> date:
    """The day so many days ago."""
    return clock.now().date() - timedelta(days=ago)


def line(
    kind: str = "charge",
    theirs: str = "",
    ours: str = "",
    gross: int = 100_00,
    fee: int = 0,
    *,
    currency: str = "USD",
    ago: int = 1,
    batch: str = "batch-1",
) -> str:
    """A line of a file in our own format."""
    return f"{kind},{theirs},{ours},{currency},{gross},{fee},{gross - fee},{day(ago)},{batch}\n"


def payout(net: int, *, currency: str = "USD", ago: int = 0, batch: str = "batch-1") -> str:
    """The line that says what was paid out."""
    return line("payout", f"po_{batch}", "", -net, currency=currency, ago=ago, batch=batch)


class Settling:
    """One gateway, a merchant that sells there, and their files."""

    def __init__(self, gateway: Gateway, merchant: Merchant) -> None:
        self.gateway = gateway
        self.merchant = merchant
        self._count = 0

    def charge(
        self, name: str, gross: int = 100_00, fee: int = 3_20, *, ago: int = 1, theirs: str | None = None
    ) -> ClearingItem:
        """A capture that we expect to be settled, called `att_<name>` by us and `ch_<name>` by the gateway."""
        fact = self.fact(f"att_{name}", ago, f"ch_{name}" if theirs is None else theirs)
        amount, zero = Money(gross, "USD"), Money(0, "USD")
        drafts = recipes.for_capture(
            amount=amount, gateway_fee=Money(fee, "USD"), platform_fee=zero, tax=zero, release=True, **fact
        )
        return self._post(drafts, f"att_{name}")

    def given_up(self, name: str, gross: int = 100_00, *, ago: int = 1, theirs: str | None = None) -> ClearingItem:
        """A charge that came late, of nobody, without a fee."""
        fact = self.fact(f"att_{name}", ago, f"ch_{name}" if theirs is None else theirs)
        return self._post(recipes.for_late_success(amount=Money(gross, "USD"), **fact), f"att_{name}")

    def given_back(self, name: str, gross: int = 100_00, *, ago: int = 1, theirs: str | None = None) -> ClearingItem:
        """A refund that we expect to be settled, called `att_<name>` and `re_<name>`."""
        fact = self.fact(f"att_{name}", ago, f"re_{name}" if theirs is None else theirs)
        return self._post(recipes.for_late_success_reversed(amount=Money(gross, "USD"), **fact), f"att_{name}")

    def fact(self, reference: str, ago: int, theirs: str) -> Any:
        """What recipes are told."""
        return {
            "mode": "test",
            "merchant_id": self.merchant.pk,
            "gateway_id": self.gateway.pk,
            "reference": reference,
            "gateway_reference": theirs,
            "payment_reference": f"pay_{reference}",
            "occurred_at": datetime.combine(day(ago), time(12), UTC) if ago else clock.now(),
        }

    def receive(self, *lines: str, name: str = "") -> SettlementFile:
        """A file with these lines, received."""
        self._count += 1
        content = (HEADER + "".join(lines)).encode()
        return receive_file(
            stream=io.BytesIO(content),
            name=name or f"file-{self._count}.csv",
            gateway=self.gateway,
            mode="test",
            source="upload",
            actor=ACTOR,
        )

    def import_lines(self, *lines: str, name: str = "") -> SettlementFile:
        """The same, imported."""
        return import_file(self.receive(*lines, name=name))

    def settle(self, *lines: str, until: date | None = None) -> Reconciled:
        """The same, matched; without a line, what is there is matched again."""
        if lines:
            file = self.import_lines(*lines)
            assert file.status == "imported", file.errors
        return reconcile(gateway=self.gateway, mode="test", actor=ACTOR, until=until)

    def told(self) -> Counter[str]:
        """What differs now, by kind."""
        return Counter(
            Discrepancy.objects.filter(status__in=["open", "carried", "requested"]).values_list("kind", flat=True)
        )

    def the(self, kind: str) -> Discrepancy:
        """The one difference of a kind."""
        return Discrepancy.objects.select_related("line", "item__entry").get(kind=kind, status="open")

    def control(self, currency: str = "USD") -> int:
        """What the receivable holds beyond open items less open lines."""
        return receivable_control(gateway=self.gateway, mode="test", currency=currency).difference_minor

    def open_lines(self) -> Iterable[SettlementLine]:
        """The lines that count and are not matched."""
        return SettlementLine.objects.filter(match=None, file__status="imported").exclude(kind="payout")

    def _post(self, drafts: list[recipes.JournalDraft], reference: str) -> ClearingItem:
        with transaction.atomic():
            record_entries(drafts)
        return ClearingItem.objects.get(reference=reference)
