"""How are the books put right, in debits and credits? What reconciliation finds, and what people decide.

A signed amount may go either way; each recipe says which way is positive.
"""

from collections.abc import Sequence
from typing import Unpack
from uuid import UUID

from checkout.kit.money import Money
from ledger import chart
from ledger.models import JournalEntry
from ledger.recipes.drafts import (
    Fact,
    GatewayFact,
    JournalDraft,
    Kind,
    MerchantFact,
    PostingDraft,
    credit,
    debit,
    draft,
    signed,
)


def fee_trued_up(*, difference: Money, **fact: Unpack[GatewayFact]) -> JournalDraft:
    """The gateway charged another fee than we expected; positive if it charged more."""
    gateway_id = fact["gateway_id"]
    legs = signed(chart.gateway_fee(gateway_id), chart.gateway_receivable(gateway_id), difference)
    return draft(Kind.FEE_TRUED_UP, fact, *legs)


def rounding_difference(*, difference: Money, **fact: Unpack[GatewayFact]) -> JournalDraft:
    """The gateway rounds otherwise than we do; positive if it pays more."""
    legs = signed(chart.gateway_receivable(fact["gateway_id"]), chart.rounding(), difference)
    return draft(Kind.ROUNDING_DIFFERENCE, fact, *legs)


def written_off(*, difference: Money, is_in_transit: bool = False, **fact: Unpack[GatewayFact]) -> JournalDraft:
    """A difference that nobody will explain is given up; positive if we lose.

    It stands on what the gateway owes us, or, if it is in transit, on a payout that arrived as another amount.
    """
    account = chart.gateway_in_transit if is_in_transit else chart.gateway_receivable
    return draft(Kind.WRITTEN_OFF, fact, *signed(chart.write_off(), account(fact["gateway_id"]), difference))


def line_parked(*, amount: Money, **fact: Unpack[GatewayFact]) -> JournalDraft:
    """The gateway settles what we do not know of; positive if it owes us more. It waits in suspense for its owner."""
    gateway_id = fact["gateway_id"]
    legs = signed(chart.gateway_receivable(gateway_id), chart.suspense(gateway_id), amount)
    return draft(Kind.LINE_PARKED, fact, *legs)


def refund_adopted(*, from_available: Money, from_receivable: Money, **fact: Unpack[MerchantFact]) -> JournalDraft:
    """A refund that was made at the gateway without us; `ledger.services.adopt_refund` divides what covers it."""
    return draft(
        Kind.REFUND_ADOPTED,
        fact,
        debit(chart.merchant_available(fact["merchant_id"]), from_available),
        debit(chart.merchant_receivable(fact["merchant_id"]), from_receivable),
        credit(chart.gateway_receivable(fact["gateway_id"]), from_available + from_receivable),
    )


def reversal(*, entry: JournalEntry) -> JournalDraft:
    """The opposite of an entry, under its name: an entry is reversed once. Reads its postings and their accounts."""
    return JournalDraft(
        kind=Kind.REVERSAL,
        reference=entry.public_id,
        mode=entry.mode,
        postings=tuple(PostingDraft(leg.account.key, -leg.amount) for leg in entry.postings.all()),
        merchant_id=entry.merchant_id,
        gateway_id=entry.gateway_id,
        gateway_reference=entry.gateway_reference,
        payment_reference=entry.payment_reference,
    )


def manual(
    *, legs: Sequence[PostingDraft], merchant_id: UUID | None, gateway_id: UUID | None, **fact: Unpack[Fact]
) -> JournalDraft:
    """What a person wants to be posted. That it balances and names its owners is for `ledger.services` to see to."""
    return JournalDraft(kind=Kind.MANUAL, postings=tuple(legs), merchant_id=merchant_id, gateway_id=gateway_id, **fact)
