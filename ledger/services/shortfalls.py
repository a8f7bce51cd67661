"""What if a merchant cannot cover what leaves it? A request may be refused; a fact never is, and what lacks is owed.

Like `record_entries`, to be called last in the transaction of whatever happened.
"""

from collections.abc import Callable
from typing import Unpack
from uuid import UUID

from checkout.kit.money import Money
from checkout.settings import policy
from ledger import chart, recipes, selectors
from ledger.chart import AccountKey, AccountKind
from ledger.errors import ChargebackNotOpened
from ledger.models import JournalEntry, Posting
from ledger.recipes import MerchantFact
from ledger.services.accounts import open_accounts
from ledger.services.recording import record_entries

Kind = JournalEntry.Kind


def reserve_refund(
    *,
    merchant_id: UUID,
    gateway_id: UUID,
    mode: str,
    reference: str,
    payment_reference: str,
    amount: Money,
) -> None:
    """Set aside the money of a refund that is about to be asked of a gateway.

    It comes from what the merchant has available. Where that is too little, the rest becomes what the merchant owes
    us if the policy lets a refund go beyond; otherwise refuses: InsufficientBalance. A reference is for one refund;
    another one under it is refused: LedgerConflict.
    """
    from_available = amount
    if policy.REFUND_BEYOND_AVAILABLE:
        available = _lock_available(merchant_id, mode, amount.currency, chart.refund_in_flight)
        from_available = min(amount, available)
    record_entries(
        [
            recipes.refund_requested(
                merchant_id=merchant_id,
                gateway_id=gateway_id,
                mode=mode,
                reference=reference,
                payment_reference=payment_reference,
                from_available=from_available,
                from_receivable=amount - from_available,
            )
        ]
    )


def adopt_refund(*, amount: Money, **fact: Unpack[MerchantFact]) -> None:
    """Post a refund that was made at the gateway without us. The same one told again changes nothing.

    Refuses: LedgerConflict.
    """
    available = _lock_available(fact["merchant_id"], fact["mode"], amount.currency)
    from_available, _ = _covered(Kind.REFUND_ADOPTED, fact["reference"], amount, available)
    record_entries(
        [recipes.refund_adopted(from_available=from_available, from_receivable=amount - from_available, **fact)]
    )


def record_chargeback(
    *, amount: Money, fee: Money | None = None, recharged: Money | None = None, **fact: Unpack[MerchantFact]
) -> None:
    """Post that a gateway took a payment back, and what it charged for that; the same one told again changes nothing.

    The merchant bears the amount and what is recharged of the fee. Refuses: LedgerConflict.
    """
    nothing = Money(0, amount.currency)
    fee, recharged = fee or nothing, recharged or nothing
    available = _lock_available(fact["merchant_id"], fact["mode"], amount.currency, chart.merchant_dispute_hold)
    covered, left = _covered(Kind.CHARGEBACK_OPENED, fact["reference"], amount, available)
    drafts = [recipes.chargeback_opened(from_available=covered, from_receivable=amount - covered, **fact)]
    if fee:
        covered, _ = _covered(Kind.CHARGEBACK_FEE, fact["reference"], recharged, left)
        drafts.append(
            recipes.chargeback_fee(fee=fee, from_available=covered, from_receivable=recharged - covered, **fact)
        )
    record_entries(drafts)


def record_chargeback_won(*, amount: Money, **fact: Unpack[MerchantFact]) -> None:
    """Post that a dispute was decided for us: the money goes back to where `record_chargeback` took it from.

    `reference` is the one the chargeback was opened under. Refuses: ChargebackNotOpened, LedgerConflict.
    """
    covered = _posted(Kind.CHARGEBACK_OPENED, fact["reference"], amount.currency)
    if covered is None:
        raise ChargebackNotOpened(reference=fact["reference"])
    record_entries([recipes.chargeback_won(to_available=covered, to_receivable=amount - covered, **fact)])


def _lock_available(merchant_id: UUID, mode: str, currency: str, *also: Callable[[UUID], AccountKey]) -> Money:
    """Lock what a merchant has available and owes, and what else will be moved, in account order.

    Returns what is available.
    """
    keys = [kind(merchant_id) for kind in (chart.merchant_available, chart.merchant_receivable, *also)]
    account_ids = open_accounts({(key, mode, currency) for key in keys})
    sums = selectors.lock_balances(account_ids.values())
    return Money(-sums[account_ids[keys[0], mode, currency]], currency)


def _covered(kind: str, reference: str, amount: Money, available: Money) -> tuple[Money, Money]:
    """What of an amount the merchant covers, and what is then left: if it was posted already, as it was then."""
    posted = _posted(kind, reference, amount.currency)
    if posted is not None:
        return min(posted, amount), available
    covered = min(amount, available)
    return covered, available - covered


def _posted(kind: str, reference: str, currency: str) -> Money | None:
    """What an entry took of a merchant's available balance; None if there is no such entry."""
    if not JournalEntry.objects.filter(kind=kind, reference=reference).exists():
        return None
    leg = Posting.objects.filter(
        entry__kind=kind,
        entry__reference=reference,
        account__kind=AccountKind.MERCHANT_AVAILABLE,
        currency=currency,
    ).first()
    return Money(leg.amount_minor if leg else 0, currency)
