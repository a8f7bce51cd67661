"""What if a gateway moved a merchant's money without us? A chargeback, or a refund made at its own desk, is posted as
it happened; what it charged for that and is not in the posting is a fee.
"""

from django.db.models import Sum

from checkout.kit.money import Money
from checkout.settings import policy
from gateways.settlements import LineKind
from ledger import recipes
from ledger.chart import AccountKind
from ledger.models import Discrepancy, JournalEntry, Posting, SettlementLine
from ledger.recipes import JournalDraft, MerchantFact
from ledger.reconciliation import resolutions, selectors
from ledger.reconciliation.refusals import ResolutionNotPossible
from ledger.services.shortfalls import record_chargeback, record_chargeback_won

DISPUTES = (LineKind.CHARGEBACK, LineKind.CHARGEBACK_REVERSED)

_CHARGEBACK_KINDS = (JournalEntry.Kind.CHARGEBACK_OPENED, JournalEntry.Kind.CHARGEBACK_FEE)


def post_chargeback(discrepancy: Discrepancy) -> JournalEntry:
    """Post what a line says of a dispute about one of our charges; returns the entry of the amount itself.

    Refuses: ResolutionNotPossible, if the line moves nothing but a fee, names no charge of ours, or no dispute that was
    opened here.
    """
    line = discrepancy.line
    assert line is not None
    if not line.gross_minor:
        raise ResolutionNotPossible("the line takes nothing back and gives nothing back: it is only a fee")
    charge = selectors.item_of(line, kind=LineKind.CHARGE)
    if charge is None or charge.entry.merchant_id is None:
        raise ResolutionNotPossible("the line names no charge of a merchant of ours")
    amount = Money(abs(line.gross_minor), line.currency)
    fact: MerchantFact = {
        "mode": line.mode,
        "merchant_id": charge.entry.merchant_id,
        "gateway_id": line.gateway_id,
        "reference": discrepancy.public_id,
        "gateway_reference": line.gateway_reference,
        "payment_reference": charge.entry.payment_reference,
    }
    if line.kind == LineKind.CHARGEBACK:
        fee = Money(max(line.fee_minor, 0), line.currency)
        record_chargeback(amount=amount, fee=fee, recharged=fee if policy.CHARGEBACK_FEE_RECHARGED else None, **fact)
        return JournalEntry.objects.get(kind=JournalEntry.Kind.CHARGEBACK_OPENED, reference=fact["reference"])
    fact["reference"] = _opened(line, charge.entry.payment_reference).reference
    record_chargeback_won(amount=amount, **fact)
    return JournalEntry.objects.get(kind=JournalEntry.Kind.CHARGEBACK_WON, reference=fact["reference"])


def rest_of(discrepancy: Discrepancy, entry: JournalEntry) -> list[JournalDraft]:
    """What a line says beyond the entry that explains it: the fee that the gateway took for it, or gave back."""
    (closing,) = resolutions.closings_of(discrepancy)
    kinds = _CHARGEBACK_KINDS if entry.kind in _CHARGEBACK_KINDS else (entry.kind,)
    posted = Posting.objects.filter(
        entry__kind__in=kinds,
        entry__reference=entry.reference,
        account__kind=AccountKind.GATEWAY_RECEIVABLE,
        account__gateway=discrepancy.gateway,
        currency=closing.currency,
    ).aggregate(sum=Sum("amount_minor", default=0))
    rest = closing.difference - Money(int(posted["sum"]), closing.currency)
    return [recipes.fee_trued_up(difference=-rest, **resolutions.fact_of(discrepancy, closing))] if rest else []


def _opened(line: SettlementLine, payment_reference: str) -> JournalEntry:
    """The dispute that a line says was decided for us: of that payment, over that amount, and not decided yet."""
    won = JournalEntry.objects.filter(kind=JournalEntry.Kind.CHARGEBACK_WON).values("reference")
    opened = JournalEntry.objects.filter(
        kind=JournalEntry.Kind.CHARGEBACK_OPENED,
        gateway_id=line.gateway_id,
        payment_reference=payment_reference,
        postings__account__kind=AccountKind.DISPUTE_RECEIVABLE,
        postings__amount_minor=abs(line.gross_minor),
    ).exclude(reference__in=won)
    found = opened.order_by("pk").first()
    if found is None or not payment_reference:
        raise ResolutionNotPossible("no dispute over this payment and amount is open")
    return found
