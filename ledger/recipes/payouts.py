"""What does it mean in debits and credits when a merchant takes money out, or changes it into another currency?"""

from typing import Unpack

from checkout.kit.money import Money
from ledger import chart
from ledger.recipes.drafts import BalanceFact, JournalDraft, Kind, credit, debit, draft


def payout_requested(*, amount: Money, fee: Money, **fact: Unpack[BalanceFact]) -> JournalDraft:
    """The merchant will be paid the amount; our fee comes on top of it."""
    return draft(
        Kind.PAYOUT_REQUESTED,
        fact,
        debit(chart.merchant_available(fact["merchant_id"]), amount + fee),
        credit(chart.payout_in_transit(fact["merchant_id"]), amount),
        credit(chart.payout_fee(), fee),
    )


def payout_sent(*, amount: Money, **fact: Unpack[BalanceFact]) -> JournalDraft:
    """The payout has left our bank account."""
    return draft(
        Kind.PAYOUT_SENT,
        fact,
        debit(chart.payout_in_transit(fact["merchant_id"]), amount),
        credit(chart.bank(), amount),
    )


def payout_returned(*, amount: Money, **fact: Unpack[BalanceFact]) -> JournalDraft:
    """A payout that had left has come back: it is the merchant's again. Our fee is not returned."""
    in_transit = chart.payout_in_transit(fact["merchant_id"])
    return draft(
        Kind.PAYOUT_RETURNED,
        fact,
        debit(chart.bank(), amount),
        credit(in_transit, amount),
        debit(in_transit, amount),
        credit(chart.merchant_available(fact["merchant_id"]), amount),
    )


def currency_converted(*, given: Money, mid: Money, received: Money, **fact: Unpack[BalanceFact]) -> JournalDraft:
    """A merchant gives one currency for another; what it receives is less than what the middle rate would give.

    `mid` and `received` are in the currency that is bought; their difference is our spread.
    """
    available = chart.merchant_available(fact["merchant_id"])
    return draft(
        Kind.CURRENCY_CONVERTED,
        fact,
        debit(available, given),
        credit(chart.fx_position(), given),
        debit(chart.fx_position(), mid),
        credit(available, received),
        credit(chart.fx_spread(), mid - received),
    )
