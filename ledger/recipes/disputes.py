"""What does a chargeback mean in debits and credits, from its opening to its decision?

The gateway takes the amount at once and we hold it from the merchant until the dispute is decided. What the merchant
cannot cover it owes us: `ledger.services.record_chargeback` divides the two.
"""

from typing import Unpack

from checkout.kit.money import Money
from ledger import chart
from ledger.recipes.drafts import JournalDraft, Kind, MerchantFact, credit, debit, draft


def chargeback_opened(*, from_available: Money, from_receivable: Money, **fact: Unpack[MerchantFact]) -> JournalDraft:
    """The gateway has taken a payment back; the merchant's money for it is held."""
    gateway_id, merchant_id = fact["gateway_id"], fact["merchant_id"]
    amount = from_available + from_receivable
    return draft(
        Kind.CHARGEBACK_OPENED,
        fact,
        debit(chart.dispute_receivable(gateway_id), amount),
        debit(chart.merchant_available(merchant_id), from_available),
        debit(chart.merchant_receivable(merchant_id), from_receivable),
        credit(chart.gateway_receivable(gateway_id), amount),
        credit(chart.merchant_dispute_hold(merchant_id), amount),
    )


def chargeback_fee(
    *, fee: Money, from_available: Money, from_receivable: Money, **fact: Unpack[MerchantFact]
) -> JournalDraft:
    """The gateway charges for the dispute; what is named beside the fee is recharged to the merchant."""
    gateway_id, merchant_id = fact["gateway_id"], fact["merchant_id"]
    return draft(
        Kind.CHARGEBACK_FEE,
        fact,
        debit(chart.dispute_fee(), fee),
        debit(chart.merchant_available(merchant_id), from_available),
        debit(chart.merchant_receivable(merchant_id), from_receivable),
        credit(chart.gateway_receivable(gateway_id), fee),
        credit(chart.dispute_fee_recovery(), from_available + from_receivable),
    )


def chargeback_won(*, to_available: Money, to_receivable: Money, **fact: Unpack[MerchantFact]) -> JournalDraft:
    """The gateway gives the payment back to us, and we to the merchant, less what it owed us for the dispute."""
    gateway_id, merchant_id = fact["gateway_id"], fact["merchant_id"]
    amount = to_available + to_receivable
    return draft(
        Kind.CHARGEBACK_WON,
        fact,
        debit(chart.gateway_receivable(gateway_id), amount),
        debit(chart.merchant_dispute_hold(merchant_id), amount),
        credit(chart.dispute_receivable(gateway_id), amount),
        credit(chart.merchant_available(merchant_id), to_available),
        credit(chart.merchant_receivable(merchant_id), to_receivable),
    )


def chargeback_lost(*, amount: Money, **fact: Unpack[MerchantFact]) -> JournalDraft:
    """The customer keeps the money: what was held from the merchant pays for it."""
    return draft(
        Kind.CHARGEBACK_LOST,
        fact,
        debit(chart.merchant_dispute_hold(fact["merchant_id"]), amount),
        credit(chart.dispute_receivable(fact["gateway_id"]), amount),
    )
