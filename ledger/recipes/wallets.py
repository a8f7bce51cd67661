"""What does stored value mean in debits and credits? Wallets of a merchant's customers, and gift cards.

`holder` is the merchant's own name of the customer or of the card.
"""

from typing import Unpack

from checkout.kit.money import Money
from ledger import chart
from ledger.chart import AccountKey
from ledger.recipes.drafts import BalanceFact, JournalDraft, Kind, MerchantFact, credit, debit, draft


def wallet_topped_up(*, amount: Money, holder: str, **fact: Unpack[MerchantFact]) -> JournalDraft:
    """A customer has paid into a wallet by card."""
    return draft(
        Kind.WALLET_TOPPED_UP,
        fact,
        debit(chart.gateway_receivable(fact["gateway_id"]), amount),
        credit(chart.wallet(fact["merchant_id"], holder), amount),
    )


def wallet_held(*, amount: Money, holder: str, **fact: Unpack[BalanceFact]) -> JournalDraft:
    """A part of a wallet is set aside for a payment: an authorization that does move money."""
    return draft(
        Kind.WALLET_HELD,
        fact,
        debit(chart.wallet(fact["merchant_id"], holder), amount),
        credit(chart.wallet_held(fact["merchant_id"], holder), amount),
    )


def wallet_released(*, amount: Money, holder: str, **fact: Unpack[BalanceFact]) -> JournalDraft:
    """What was set aside in a wallet is free again."""
    return draft(
        Kind.WALLET_RELEASED,
        fact,
        debit(chart.wallet_held(fact["merchant_id"], holder), amount),
        credit(chart.wallet(fact["merchant_id"], holder), amount),
    )


def wallet_spent(
    *, amount: Money, fee: Money, holder: str, is_held: bool = False, **fact: Unpack[BalanceFact]
) -> JournalDraft:
    """A customer has paid the merchant from a wallet, or from what was set aside in it; we keep our fee."""
    account = (chart.wallet_held if is_held else chart.wallet)(fact["merchant_id"], holder)
    return _spent(Kind.WALLET_SPENT, account, amount, fee, fact)


def gift_card_issued(*, amount: Money, holder: str, **fact: Unpack[MerchantFact]) -> JournalDraft:
    """Somebody has bought a gift card by card."""
    return draft(
        Kind.GIFT_CARD_ISSUED,
        fact,
        debit(chart.gateway_receivable(fact["gateway_id"]), amount),
        credit(chart.gift_card(fact["merchant_id"], holder), amount),
    )


def gift_card_redeemed(*, amount: Money, fee: Money, holder: str, **fact: Unpack[BalanceFact]) -> JournalDraft:
    """Somebody has paid the merchant with a gift card; we keep our fee."""
    return _spent(Kind.GIFT_CARD_REDEEMED, chart.gift_card(fact["merchant_id"], holder), amount, fee, fact)


def _spent(kind: Kind, account: AccountKey, amount: Money, fee: Money, fact: BalanceFact) -> JournalDraft:
    return draft(
        kind,
        fact,
        debit(account, amount),
        credit(chart.merchant_available(fact["merchant_id"]), amount - fee),
        credit(chart.platform_fee(), fee),
    )
