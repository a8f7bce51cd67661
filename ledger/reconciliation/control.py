"""Do the open items and lines of a gateway explain what the books say it owes us?

Every match posts exactly the difference between its sides, and every batch the sum of its lines. So at any moment the
receivable is what is open of ours less what is open of theirs; what is not, was posted to it by other means.
"""

from dataclasses import dataclass

from django.db.models import F, Sum

from checkout.kit.money import Money
from gateways.models import Gateway
from gateways.settlements import LineKind
from ledger import chart, selectors
from ledger.models import ClearingItem, SettlementLine
from ledger.statuses import FileStatus


@dataclass(frozen=True)
class ReceivableControl:
    """The receivable of a gateway in one currency beside the items and lines that are open, in minor units, net."""

    currency: str
    booked_minor: int
    items_minor: int
    lines_minor: int

    @property
    def difference_minor(self) -> int:
        """What was posted to the receivable without an item, a line or a match: by hand, or by a chargeback."""
        return self.booked_minor - self.items_minor + self.lines_minor

    def __str__(self) -> str:
        figures = (self.booked_minor, self.items_minor, self.lines_minor, self.difference_minor)
        booked, items, lines, difference = (Money(minor, self.currency) for minor in figures)
        return f"receivable {booked} = our open items {items} - their open lines {lines}: difference {difference}"


def receivable_control(*, gateway: Gateway, mode: str, currency: str) -> ReceivableControl:
    """The control of now. Three queries."""
    about = {"gateway": gateway, "mode": mode, "currency": currency, "match": None}
    items = ClearingItem.objects.filter(**about).aggregate(sum=Sum(F("gross_minor") - F("fee_minor"), default=0))
    lines = SettlementLine.objects.filter(**about, file__status=FileStatus.IMPORTED).exclude(kind=LineKind.PAYOUT)
    booked = selectors.balance_of(chart.gateway_receivable(gateway.pk), mode=mode, currency=currency)
    return ReceivableControl(
        currency=currency,
        booked_minor=booked.amount_minor,
        items_minor=int(items["sum"]),
        lines_minor=int(lines.aggregate(sum=Sum("net_minor", default=0))["sum"]),
    )
