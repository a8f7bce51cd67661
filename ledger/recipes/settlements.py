"""What does a gateway's payout mean in debits and credits, from its announcement to our bank account?"""

from typing import Unpack

from checkout.kit.money import Money
from ledger import chart
from ledger.recipes.drafts import Fact, GatewayFact, JournalDraft, Kind, credit, debit, draft, signed


def settlement_announced(*, net: Money, **fact: Unpack[GatewayFact]) -> JournalDraft:
    """The gateway says that it has sent a payout; negative if it will take money from us instead."""
    gateway_id = fact["gateway_id"]
    legs = signed(chart.gateway_in_transit(gateway_id), chart.gateway_receivable(gateway_id), net)
    return draft(Kind.SETTLEMENT_ANNOUNCED, fact, *legs)


def bank_credit(*, amount: Money, **fact: Unpack[GatewayFact]) -> JournalDraft:
    """The payout has reached our bank account; negative if it has left it."""
    legs = signed(chart.bank(), chart.gateway_in_transit(fact["gateway_id"]), amount)
    return draft(Kind.BANK_CREDIT, fact, *legs)


def gateway_fee_line(*, fee: Money, **fact: Unpack[GatewayFact]) -> JournalDraft:
    """The gateway charges a fee that belongs to no single payment; negative if it gives one back."""
    gateway_id = fact["gateway_id"]
    legs = signed(chart.gateway_fee(gateway_id), chart.gateway_receivable(gateway_id), fee)
    return draft(Kind.GATEWAY_FEE_LINE, fact, *legs)


def reserve_held(*, amount: Money, **fact: Unpack[GatewayFact]) -> JournalDraft:
    """The gateway holds a part of what it owes us back."""
    return draft(
        Kind.RESERVE_HELD,
        fact,
        debit(chart.gateway_reserve(fact["gateway_id"]), amount),
        credit(chart.gateway_receivable(fact["gateway_id"]), amount),
    )


def reserve_released(*, amount: Money, **fact: Unpack[GatewayFact]) -> JournalDraft:
    """The gateway no longer holds it back: it will be in a payout."""
    return draft(
        Kind.RESERVE_RELEASED,
        fact,
        debit(chart.gateway_receivable(fact["gateway_id"]), amount),
        credit(chart.gateway_reserve(fact["gateway_id"]), amount),
    )


def bank_fee(*, fee: Money, **fact: Unpack[Fact]) -> JournalDraft:
    """The bank has taken a fee from our account."""
    return draft(Kind.BANK_FEE, fact, debit(chart.bank_fee(), fee), credit(chart.bank(), fee))
