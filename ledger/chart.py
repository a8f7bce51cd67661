"""Which ledger accounts are there? The chart is a table; constraints, balance keeping and reports are read from it.

One account exists per owner, mode and currency. A strict account has a balance row that moves with every posting; a
lazy one is summed when somebody asks. A clearing account that is older than its cycle and not zero needs a person.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from django.db.models import TextChoices


class Nature(StrEnum):
    """What an account is to the platform, which says on which side its balance is normal."""

    ASSET = "asset"
    LIABILITY = "liability"
    EITHER = "either"
    INCOME = "income"
    EXPENSE = "expense"

    @property
    def sign(self) -> int:
        """1 if a debit increases the account, -1 if a credit does; accounts normal on either side count as debit."""
        return -1 if self in (Nature.LIABILITY, Nature.INCOME) else 1


class Owner(StrEnum):
    """Whose account it is. A holder is a merchant's customer or gift card."""

    PLATFORM = "platform"
    MERCHANT = "merchant"
    GATEWAY = "gateway"
    HOLDER = "holder"


class Keeping(StrEnum):
    """How the balance is known. A floored account is strict and never falls below zero."""

    LAZY = "lazy"
    STRICT = "strict"
    FLOORED = "floored"


class AccountKind(TextChoices):
    """Every kind of account, by its name in the chart."""

    BANK = "bank"
    GATEWAY_RECEIVABLE = "gateway_receivable"
    GATEWAY_IN_TRANSIT = "gateway_in_transit"
    GATEWAY_RESERVE = "gateway_reserve"
    DISPUTE_RECEIVABLE = "dispute_receivable"
    MERCHANT_RECEIVABLE = "merchant_receivable"
    SUSPENSE = "suspense"
    MERCHANT_PENDING = "merchant_pending"
    MERCHANT_AVAILABLE = "merchant_available"
    MERCHANT_RESERVE = "merchant_reserve"
    MERCHANT_DISPUTE_HOLD = "merchant_dispute_hold"
    REFUND_IN_FLIGHT = "refund_in_flight"
    PAYOUT_IN_TRANSIT = "payout_in_transit"
    WALLET = "wallet"
    WALLET_HELD = "wallet_held"
    GIFT_CARD = "gift_card"
    TAX_PAYABLE = "tax_payable"
    FX_POSITION = "fx_position"
    PLATFORM_FEE = "platform_fee"
    DISPUTE_FEE_RECOVERY = "dispute_fee_recovery"
    PAYOUT_FEE = "payout_fee"
    FX_SPREAD = "fx_spread"
    FX_GAIN = "fx_gain"
    GATEWAY_FEE = "gateway_fee"
    DISPUTE_LOSS = "dispute_loss"
    DISPUTE_FEE = "dispute_fee"
    BANK_FEE = "bank_fee"
    WRITE_OFF = "write_off"
    FX_LOSS = "fx_loss"
    ROUNDING = "rounding"


@dataclass(frozen=True)
class ChartRow:
    """One line of the chart."""

    nature: Nature
    owner: Owner
    keeping: Keeping
    meaning: str
    is_clearing: bool = False


_A, _L, _E, _INCOME, _EXPENSE = Nature.ASSET, Nature.LIABILITY, Nature.EITHER, Nature.INCOME, Nature.EXPENSE
_PLATFORM, _MERCHANT, _GATEWAY, _HOLDER = Owner.PLATFORM, Owner.MERCHANT, Owner.GATEWAY, Owner.HOLDER
_LAZY, _STRICT, _FLOORED = Keeping.LAZY, Keeping.STRICT, Keeping.FLOORED

CHART: Mapping[AccountKind, ChartRow] = {
    AccountKind.BANK: ChartRow(_A, _PLATFORM, _LAZY, "Money that has arrived."),
    AccountKind.GATEWAY_RECEIVABLE: ChartRow(_A, _GATEWAY, _LAZY, "Captured, not in a payout yet.", True),
    AccountKind.GATEWAY_IN_TRANSIT: ChartRow(_A, _GATEWAY, _LAZY, "Payout announced, not yet at the bank.", True),
    AccountKind.GATEWAY_RESERVE: ChartRow(_A, _GATEWAY, _LAZY, "Held back by the gateway."),
    AccountKind.DISPUTE_RECEIVABLE: ChartRow(_A, _GATEWAY, _LAZY, "Charged back, not yet decided.", True),
    AccountKind.MERCHANT_RECEIVABLE: ChartRow(_A, _MERCHANT, _STRICT, "What the merchant owes us."),
    AccountKind.SUSPENSE: ChartRow(_E, _GATEWAY, _LAZY, "Money that nobody has asked for yet.", True),
    AccountKind.MERCHANT_PENDING: ChartRow(_L, _MERCHANT, _LAZY, "Owed to the merchant, not yet released."),
    AccountKind.MERCHANT_AVAILABLE: ChartRow(_L, _MERCHANT, _FLOORED, "Owed; may be paid out or refunded from."),
    AccountKind.MERCHANT_RESERVE: ChartRow(_L, _MERCHANT, _STRICT, "Held back from the merchant."),
    AccountKind.MERCHANT_DISPUTE_HOLD: ChartRow(_L, _MERCHANT, _STRICT, "Held until a dispute is decided.", True),
    AccountKind.REFUND_IN_FLIGHT: ChartRow(_L, _MERCHANT, _STRICT, "Refund asked, not yet answered.", True),
    AccountKind.PAYOUT_IN_TRANSIT: ChartRow(_L, _MERCHANT, _STRICT, "Payout sent, not yet off the bank account.", True),
    AccountKind.WALLET: ChartRow(_L, _HOLDER, _FLOORED, "Stored value of a merchant's customer."),
    AccountKind.WALLET_HELD: ChartRow(_L, _HOLDER, _FLOORED, "Stored value set aside for a payment."),
    AccountKind.GIFT_CARD: ChartRow(_L, _HOLDER, _FLOORED, "Stored value of a gift card."),
    AccountKind.TAX_PAYABLE: ChartRow(_L, _PLATFORM, _LAZY, "Tax on our fees, owed to the state."),
    AccountKind.FX_POSITION: ChartRow(_E, _PLATFORM, _LAZY, "Our open position in a currency."),
    AccountKind.PLATFORM_FEE: ChartRow(_INCOME, _PLATFORM, _LAZY, "Our fee on payments."),
    AccountKind.DISPUTE_FEE_RECOVERY: ChartRow(_INCOME, _PLATFORM, _LAZY, "Dispute fees recharged to merchants."),
    AccountKind.PAYOUT_FEE: ChartRow(_INCOME, _PLATFORM, _LAZY, "Our fee on payouts."),
    AccountKind.FX_SPREAD: ChartRow(_INCOME, _PLATFORM, _LAZY, "Our margin on conversions."),
    AccountKind.FX_GAIN: ChartRow(_INCOME, _PLATFORM, _LAZY, "Gains from moving exchange rates."),
    AccountKind.GATEWAY_FEE: ChartRow(_EXPENSE, _GATEWAY, _LAZY, "What the gateway charges us."),
    AccountKind.DISPUTE_LOSS: ChartRow(_EXPENSE, _PLATFORM, _LAZY, "Lost disputes that no merchant covers."),
    AccountKind.DISPUTE_FEE: ChartRow(_EXPENSE, _PLATFORM, _LAZY, "What disputes cost us in fees."),
    AccountKind.BANK_FEE: ChartRow(_EXPENSE, _PLATFORM, _LAZY, "What the bank charges us."),
    AccountKind.WRITE_OFF: ChartRow(_EXPENSE, _PLATFORM, _LAZY, "Differences given up."),
    AccountKind.FX_LOSS: ChartRow(_EXPENSE, _PLATFORM, _LAZY, "Losses from moving exchange rates."),
    AccountKind.ROUNDING: ChartRow(_EXPENSE, _PLATFORM, _LAZY, "Differences of a minor unit."),
}


def kinds_owned_by(owner: Owner) -> list[str]:
    """The kinds of account that such an owner has, in the order of the chart."""
    return [kind.value for kind, row in CHART.items() if row.owner is owner]


# Whether the accounts of an owner name a merchant, a gateway and a holder.
_NAMED = {
    Owner.PLATFORM: (False, False, False),
    Owner.MERCHANT: (True, False, False),
    Owner.GATEWAY: (False, True, False),
    Owner.HOLDER: (True, False, True),
}


@dataclass(frozen=True)
class AccountKey:
    """Which account, but for its mode and currency: those come with the entry that is posted."""

    kind: AccountKind
    merchant_id: UUID | None = None
    gateway_id: UUID | None = None
    holder: str = ""


def is_in_chart(key: AccountKey) -> bool:
    """Whether a key names the owner that the chart says such an account has, and nobody else."""
    named = (key.merchant_id is not None, key.gateway_id is not None, bool(key.holder))
    return named == _NAMED[CHART[key.kind].owner]


def bank() -> AccountKey:
    """The platform's bank account."""
    return AccountKey(AccountKind.BANK)


def gateway_receivable(gateway_id: UUID) -> AccountKey:
    """What a gateway has captured and not yet paid out."""
    return AccountKey(AccountKind.GATEWAY_RECEIVABLE, gateway_id=gateway_id)


def gateway_in_transit(gateway_id: UUID) -> AccountKey:
    """What a gateway says it has paid out and the bank has not seen."""
    return AccountKey(AccountKind.GATEWAY_IN_TRANSIT, gateway_id=gateway_id)


def gateway_reserve(gateway_id: UUID) -> AccountKey:
    """What a gateway holds back of what it owes us."""
    return AccountKey(AccountKind.GATEWAY_RESERVE, gateway_id=gateway_id)


def dispute_receivable(gateway_id: UUID) -> AccountKey:
    """What a gateway has charged back and may give again."""
    return AccountKey(AccountKind.DISPUTE_RECEIVABLE, gateway_id=gateway_id)


def gateway_fee(gateway_id: UUID) -> AccountKey:
    """What a gateway has charged."""
    return AccountKey(AccountKind.GATEWAY_FEE, gateway_id=gateway_id)


def suspense(gateway_id: UUID) -> AccountKey:
    """Money at a gateway that nobody has asked for yet."""
    return AccountKey(AccountKind.SUSPENSE, gateway_id=gateway_id)


def merchant_pending(merchant_id: UUID) -> AccountKey:
    """What a merchant is owed and may not use yet."""
    return AccountKey(AccountKind.MERCHANT_PENDING, merchant_id=merchant_id)


def merchant_available(merchant_id: UUID) -> AccountKey:
    """What a merchant may be paid out or refund from."""
    return AccountKey(AccountKind.MERCHANT_AVAILABLE, merchant_id=merchant_id)


def merchant_receivable(merchant_id: UUID) -> AccountKey:
    """What a merchant owes the platform."""
    return AccountKey(AccountKind.MERCHANT_RECEIVABLE, merchant_id=merchant_id)


def refund_in_flight(merchant_id: UUID) -> AccountKey:
    """What is set aside for refunds that no gateway has answered yet."""
    return AccountKey(AccountKind.REFUND_IN_FLIGHT, merchant_id=merchant_id)


def merchant_dispute_hold(merchant_id: UUID) -> AccountKey:
    """What is held from a merchant until a dispute is decided."""
    return AccountKey(AccountKind.MERCHANT_DISPUTE_HOLD, merchant_id=merchant_id)


def payout_in_transit(merchant_id: UUID) -> AccountKey:
    """What has been paid out to a merchant and not left our bank account."""
    return AccountKey(AccountKind.PAYOUT_IN_TRANSIT, merchant_id=merchant_id)


def wallet(merchant_id: UUID, holder: str) -> AccountKey:
    """What a merchant's customer has in a wallet."""
    return AccountKey(AccountKind.WALLET, merchant_id=merchant_id, holder=holder)


def wallet_held(merchant_id: UUID, holder: str) -> AccountKey:
    """What is set aside in a wallet for a payment."""
    return AccountKey(AccountKind.WALLET_HELD, merchant_id=merchant_id, holder=holder)


def gift_card(merchant_id: UUID, holder: str) -> AccountKey:
    """What is left on a merchant's gift card."""
    return AccountKey(AccountKind.GIFT_CARD, merchant_id=merchant_id, holder=holder)


def platform_fee() -> AccountKey:
    """What the platform has earned on payments."""
    return AccountKey(AccountKind.PLATFORM_FEE)


def tax_payable() -> AccountKey:
    """Tax that the platform has collected on its fees."""
    return AccountKey(AccountKind.TAX_PAYABLE)


def fx_position() -> AccountKey:
    """Our open position in a currency."""
    return AccountKey(AccountKind.FX_POSITION)


def dispute_fee_recovery() -> AccountKey:
    """What merchants have paid us for dispute fees."""
    return AccountKey(AccountKind.DISPUTE_FEE_RECOVERY)


def payout_fee() -> AccountKey:
    """What the platform has earned on payouts."""
    return AccountKey(AccountKind.PAYOUT_FEE)


def fx_spread() -> AccountKey:
    """What the platform has earned on conversions."""
    return AccountKey(AccountKind.FX_SPREAD)


def dispute_fee() -> AccountKey:
    """What gateways have charged for disputes."""
    return AccountKey(AccountKind.DISPUTE_FEE)


def bank_fee() -> AccountKey:
    """What the bank has charged."""
    return AccountKey(AccountKind.BANK_FEE)


def write_off() -> AccountKey:
    """Differences that we have given up."""
    return AccountKey(AccountKind.WRITE_OFF)


def rounding() -> AccountKey:
    """Differences of a minor unit."""
    return AccountKey(AccountKind.ROUNDING)
