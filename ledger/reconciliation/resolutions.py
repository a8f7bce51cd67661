"""What would explain a difference, and what must then be posted? Each side is closed in its own currency.

Closing a line and an item takes both from what is open; so exactly the difference of their nets, theirs - ours, has to
be posted to the gateway's receivable. A payout has no line or item: what differs of it stands in transit.
"""

from dataclasses import dataclass, field

from checkout.kit.limits import limit_in, together_in
from checkout.kit.money import Money
from checkout.settings import policy
from gateways.settlements import LineKind
from ledger import recipes
from ledger.models import ClearingItem, Discrepancy, JournalEntry, SettlementLine
from ledger.recipes import GatewayFact, JournalDraft
from ledger.reconciliation.refusals import ResolutionNotPossible
from ledger.statuses import BatchStatus

Kind, Resolution = Discrepancy.Kind, Discrepancy.Resolution

# What happened at the gateway whether we like it or not: no second person is asked about it.
FACTS = frozenset({Resolution.ADOPT_REFUND, Resolution.CHARGEBACK})
IN_BULK = frozenset({Resolution.WRITE_OFF, Resolution.FEE_TRUE_UP, Resolution.PARK_IN_SUSPENSE})

_SIBLINGS = {
    JournalEntry.Kind.CAPTURE: ("capture", "gateway_fee", "platform_fee", "funds_released"),
    JournalEntry.Kind.REFUND_SUCCEEDED: ("refund_requested", "refund_succeeded", "fee_returned"),
}
_LIKELY = {
    Kind.FEE_DIFFERS: Resolution.FEE_TRUE_UP,
    Kind.DUPLICATE_IN_LEDGER: Resolution.REVERSE_OURS,
    Kind.AMBIGUOUS: Resolution.MATCH_BY_HAND,
}
_WAIT = {Kind.TIMING, Kind.MISSING_AT_GATEWAY, Kind.MISSING_BANK_CREDIT}


@dataclass(frozen=True)
class Closing:
    """What is closed together, in one currency: a line, an item or both."""

    currency: str
    line: SettlementLine | None
    item: ClearingItem | None

    @property
    def side(self) -> SettlementLine | ClearingItem:
        """One of the two: both are of the same gateway and mode."""
        side = self.line or self.item
        assert side is not None
        return side

    @property
    def difference(self) -> Money:
        """Theirs - ours, net: what closing them has to post to the receivable."""
        theirs = self.line.net_minor if self.line else 0
        ours = self.item.gross_minor - self.item.fee_minor if self.item else 0
        return Money(theirs - ours, self.currency)


@dataclass
class Plan:
    """What a resolution does: closes sides, and posts drafts.

    `value_minor` is what it explains, whatever its sign, in the discrepancy's currency; of another currency, what uses
    up as much of a limit (`checkout.kit.limits`).
    """

    closings: list[Closing] = field(default_factory=list)
    drafts: list[JournalDraft] = field(default_factory=list)
    value_minor: int = 0


def suggest(discrepancy: Discrepancy) -> Discrepancy.Resolution | None:
    """What a difference most likely calls for; None where waiting, or asking the other side, comes first."""
    line = discrepancy.line
    batch = discrepancy.batch
    if discrepancy.kind in _WAIT or batch is not None and batch.status == BatchStatus.ANNOUNCED:
        return None
    if line is not None and discrepancy.kind == Kind.MISSING_IN_LEDGER:
        if not line.gross_minor:
            return Resolution.FEE_TRUE_UP
        if line.kind == LineKind.REFUND:
            return Resolution.ADOPT_REFUND
        if line.kind in (LineKind.CHARGEBACK, LineKind.CHARGEBACK_REVERSED):
            return Resolution.CHARGEBACK
    if found := _LIKELY.get(Kind(discrepancy.kind)):
        return found
    small = limit_in(discrepancy.currency, policy.RESOLUTION_LIMITS[0])
    is_small = abs(discrepancy.difference_minor) <= small.amount_minor
    is_estimate = discrepancy.kind in (Kind.AMOUNT_DIFFERS, Kind.BATCH_TOTAL_DIFFERS, Kind.BANK_AMOUNT_DIFFERS)
    return Resolution.WRITE_OFF if is_estimate and is_small else Resolution.PARK_IN_SUSPENSE


def closings_of(discrepancy: Discrepancy) -> list[Closing]:
    """The sides of a difference: together where they are of one currency."""
    line, item = discrepancy.line, discrepancy.item
    if line and item and line.currency == item.currency:
        return [Closing(line.currency, line, item)]
    alone = [Closing(line.currency, line, None)] if line else []
    return alone + ([Closing(item.currency, None, item)] if item else [])


def plan(discrepancy: Discrepancy, resolution: str) -> Plan:
    """What a resolution would do, but for what happened at the gateway: chargebacks and refunds have services.

    Refuses: ResolutionNotPossible.
    """
    if discrepancy.batch_id or discrepancy.bank_line_id:
        return _plan_for_payout(discrepancy, resolution)
    made = Plan(closings=closings_of(discrepancy))
    values = [Money(abs(closing.difference.amount_minor), closing.currency) for closing in made.closings]
    made.value_minor = together_in(discrepancy.currency, values).amount_minor
    if resolution in IN_BULK:
        for closing in made.closings:
            made.drafts += posting(closing, resolution, fact_of(discrepancy, closing))
    elif resolution == Resolution.REVERSE_OURS:
        made.drafts = _reversals(discrepancy)
    elif resolution == Resolution.MATCH_BY_HAND:
        raise ResolutionNotPossible("say which line and which item are the same, and match them")
    elif resolution == Resolution.NO_ENTRY and made.value_minor:
        raise ResolutionNotPossible("the two sides differ, so something has to be posted")
    return made


def posting(closing: Closing, resolution: str, fact: GatewayFact) -> list[JournalDraft]:
    """What closes the difference of a line and an item, if there is one. Refuses: ResolutionNotPossible."""
    difference = closing.difference
    if not difference:
        return []
    if resolution == Resolution.WRITE_OFF:
        return [recipes.written_off(difference=-difference, **fact)]
    if resolution == Resolution.PARK_IN_SUSPENSE:
        return [recipes.line_parked(amount=difference, **fact)]
    line, item = closing.line, closing.item
    is_fee = line is not None and (
        line.gross_minor == (item.gross_minor if item else 0)
        or item is None
        and line.kind in (LineKind.UNMAPPED, LineKind.ADJUSTMENT)
    )
    if not is_fee:
        raise ResolutionNotPossible("what differs is no fee")
    return [recipes.fee_trued_up(difference=-difference, **fact)]


def _plan_for_payout(discrepancy: Discrepancy, resolution: str) -> Plan:
    """What differs of a payout stands in transit: given up there, or announced otherwise and parked."""
    made = Plan(value_minor=abs(discrepancy.difference_minor))
    if discrepancy.batch is None:
        if resolution != Resolution.NO_ENTRY:
            raise ResolutionNotPossible("nothing is posted yet: say which payouts the bank's credit is of")
        return made
    difference = Money(discrepancy.difference_minor, discrepancy.currency)
    fact = fact_of(discrepancy)
    if resolution == Resolution.WRITE_OFF:
        made.drafts = [recipes.written_off(difference=-difference, is_in_transit=True, **fact)]
    elif resolution == Resolution.PARK_IN_SUSPENSE:
        announced = recipes.settlement_announced(net=difference, **fact)
        made.drafts = [announced, recipes.line_parked(amount=difference, **fact)]
    else:
        raise ResolutionNotPossible("what differs of a payout is given up or parked")
    return made


def fact_of(discrepancy: Discrepancy, closing: Closing | None = None) -> GatewayFact:
    """What recipes are told of the entry that explains a difference: its name is that of the discrepancy."""
    assert discrepancy.gateway_id is not None
    item = closing and closing.item
    reference = discrepancy.public_id
    if closing and closing.currency != discrepancy.currency:  # the second of two entries, in the other currency
        reference += f":{closing.currency}"
    return {
        "mode": discrepancy.mode,
        "gateway_id": discrepancy.gateway_id,
        "reference": reference,
        "payment_reference": item.entry.payment_reference if item else "",
    }


def _reversals(discrepancy: Discrepancy) -> list[JournalDraft]:
    """The opposite of all that was posted with the item's entry, what came last first."""
    if discrepancy.item is None or discrepancy.line is not None:
        raise ResolutionNotPossible("only what the gateway does not know at all is reversed")
    entry = discrepancy.item.entry
    kinds = _SIBLINGS.get(JournalEntry.Kind(entry.kind), (entry.kind,))
    siblings = JournalEntry.objects.filter(reference=entry.reference, kind__in=kinds).order_by("-id")
    return [recipes.reversal(entry=sibling) for sibling in siblings.prefetch_related("postings__account")]
