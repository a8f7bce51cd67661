"""Every recipe, to the cent: a payment of 100.00 on which the gateway charges 3.20 and we 3.50 and 0.70 tax."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from checkout.kit.money import Money
from ledger import recipes
from ledger.models import JournalEntry
from ledger.recipes import JournalDraft

MERCHANT, GATEWAY = UUID(int=1), UUID(int=2)
AT_GATEWAY = {"mode": "test", "reference": "r1", "gateway_id": GATEWAY}
OF_MERCHANT = {"mode": "test", "reference": "r1", "merchant_id": MERCHANT}
OF_BOTH = AT_GATEWAY | OF_MERCHANT
NOWHERE = {"mode": "test", "reference": "r1"}


def usd(amount_minor: int) -> Money:
    return Money(amount_minor, "USD")


def eur(amount_minor: int) -> Money:
    return Money(amount_minor, "EUR")


Legs = dict[str, int]
RECIPES: list[tuple[Callable[..., JournalDraft], dict[str, Any], Legs]] = [
    (
        recipes.capture,
        OF_BOTH | {"amount": usd(100_00)},
        {"gateway_receivable USD": 100_00, "merchant_pending USD": -100_00},
    ),
    (
        recipes.gateway_fee_charged,
        OF_BOTH | {"fee": usd(3_20)},
        {"gateway_fee USD": 3_20, "gateway_receivable USD": -3_20},
    ),
    (
        recipes.platform_fee_charged,
        OF_BOTH | {"fee": usd(3_50), "tax": usd(70)},
        {"merchant_pending USD": 4_20, "platform_fee USD": -3_50, "tax_payable USD": -70},
    ),
    (
        recipes.fee_trued_up,
        AT_GATEWAY | {"difference": usd(11)},
        {"gateway_fee USD": 11, "gateway_receivable USD": -11},
    ),
    (
        recipes.fee_trued_up,
        AT_GATEWAY | {"difference": usd(-4)},
        {"gateway_fee USD": -4, "gateway_receivable USD": 4},
    ),
    (
        recipes.settlement_announced,
        AT_GATEWAY | {"net": usd(96_80)},
        {"gateway_in_transit USD": 96_80, "gateway_receivable USD": -96_80},
    ),
    (
        recipes.settlement_announced,
        AT_GATEWAY | {"net": usd(-5_00)},
        {"gateway_in_transit USD": -5_00, "gateway_receivable USD": 5_00},
    ),
    (
        recipes.funds_released,
        OF_BOTH | {"amount": usd(95_80)},
        {"merchant_pending USD": 95_80, "merchant_available USD": -95_80},
    ),
    (recipes.bank_credit, AT_GATEWAY | {"amount": usd(96_80)}, {"bank USD": 96_80, "gateway_in_transit USD": -96_80}),
    (recipes.bank_credit, AT_GATEWAY | {"amount": usd(-5_00)}, {"bank USD": -5_00, "gateway_in_transit USD": 5_00}),
    (
        recipes.refund_requested,
        OF_BOTH | {"from_available": usd(40_00), "from_receivable": usd(0)},
        {"merchant_available USD": 40_00, "refund_in_flight USD": -40_00},
    ),
    (
        recipes.refund_requested,
        OF_BOTH | {"from_available": usd(30_00), "from_receivable": usd(10_00)},
        {"merchant_available USD": 30_00, "merchant_receivable USD": 10_00, "refund_in_flight USD": -40_00},
    ),
    (
        recipes.refund_succeeded,
        OF_BOTH | {"amount": usd(40_00)},
        {"refund_in_flight USD": 40_00, "gateway_receivable USD": -40_00},
    ),
    (
        recipes.fee_returned,
        OF_BOTH | {"fee": usd(1_40), "tax": usd(28)},
        {"platform_fee USD": 1_40, "tax_payable USD": 28, "merchant_available USD": -1_68},
    ),
    (
        recipes.chargeback_opened,
        OF_BOTH | {"from_available": usd(100_00), "from_receivable": usd(0)},
        {
            "dispute_receivable USD": 100_00,
            "merchant_available USD": 100_00,
            "gateway_receivable USD": -100_00,
            "merchant_dispute_hold USD": -100_00,
        },
    ),
    (
        recipes.chargeback_opened,
        OF_BOTH | {"from_available": usd(95_80), "from_receivable": usd(4_20)},
        {
            "dispute_receivable USD": 100_00,
            "merchant_available USD": 95_80,
            "merchant_receivable USD": 4_20,
            "gateway_receivable USD": -100_00,
            "merchant_dispute_hold USD": -100_00,
        },
    ),
    (
        recipes.chargeback_fee,
        OF_BOTH | {"fee": usd(15_00), "from_available": usd(15_00), "from_receivable": usd(0)},
        {
            "dispute_fee USD": 15_00,
            "merchant_available USD": 15_00,
            "gateway_receivable USD": -15_00,
            "dispute_fee_recovery USD": -15_00,
        },
    ),
    (
        recipes.chargeback_fee,
        OF_BOTH | {"fee": usd(15_00), "from_available": usd(0), "from_receivable": usd(0)},
        {"dispute_fee USD": 15_00, "gateway_receivable USD": -15_00},
    ),
    (
        recipes.chargeback_won,
        OF_BOTH | {"to_available": usd(100_00), "to_receivable": usd(0)},
        {
            "gateway_receivable USD": 100_00,
            "merchant_dispute_hold USD": 100_00,
            "dispute_receivable USD": -100_00,
            "merchant_available USD": -100_00,
        },
    ),
    (
        recipes.chargeback_lost,
        OF_BOTH | {"amount": usd(100_00)},
        {"merchant_dispute_hold USD": 100_00, "dispute_receivable USD": -100_00},
    ),
    (
        recipes.payout_requested,
        OF_MERCHANT | {"amount": usd(20_00), "fee": usd(25)},
        {"merchant_available USD": 20_25, "payout_in_transit USD": -20_00, "payout_fee USD": -25},
    ),
    (recipes.payout_sent, OF_MERCHANT | {"amount": usd(20_00)}, {"payout_in_transit USD": 20_00, "bank USD": -20_00}),
    (
        recipes.payout_returned,
        OF_MERCHANT | {"amount": usd(20_00)},
        {"bank USD": 20_00, "payout_in_transit USD": 0, "merchant_available USD": -20_00},
    ),
    (
        recipes.wallet_topped_up,
        OF_BOTH | {"amount": usd(20_00), "holder": "cus_1"},
        {"gateway_receivable USD": 20_00, "wallet USD": -20_00},
    ),
    (
        recipes.wallet_held,
        OF_MERCHANT | {"amount": usd(12_00), "holder": "cus_1"},
        {"wallet USD": 12_00, "wallet_held USD": -12_00},
    ),
    (
        recipes.wallet_released,
        OF_MERCHANT | {"amount": usd(12_00), "holder": "cus_1"},
        {"wallet_held USD": 12_00, "wallet USD": -12_00},
    ),
    (
        recipes.wallet_spent,
        OF_MERCHANT | {"amount": usd(12_00), "fee": usd(36), "holder": "cus_1"},
        {"wallet USD": 12_00, "merchant_available USD": -11_64, "platform_fee USD": -36},
    ),
    (
        recipes.wallet_spent,
        OF_MERCHANT | {"amount": usd(12_00), "fee": usd(36), "holder": "cus_1", "is_held": True},
        {"wallet_held USD": 12_00, "merchant_available USD": -11_64, "platform_fee USD": -36},
    ),
    (
        recipes.gift_card_issued,
        OF_BOTH | {"amount": usd(50_00), "holder": "card_1"},
        {"gateway_receivable USD": 50_00, "gift_card USD": -50_00},
    ),
    (
        recipes.gift_card_redeemed,
        OF_MERCHANT | {"amount": usd(12_00), "fee": usd(36), "holder": "card_1"},
        {"gift_card USD": 12_00, "merchant_available USD": -11_64, "platform_fee USD": -36},
    ),
    (
        recipes.currency_converted,
        OF_MERCHANT | {"given": usd(100_00), "mid": eur(92_00), "received": eur(91_08)},
        {
            "merchant_available USD": 100_00,
            "fx_position USD": -100_00,
            "fx_position EUR": 92_00,
            "merchant_available EUR": -91_08,
            "fx_spread EUR": -92,
        },
    ),
    (
        recipes.late_success,
        OF_BOTH | {"amount": usd(100_00)},
        {"gateway_receivable USD": 100_00, "suspense USD": -100_00},
    ),
    (
        recipes.late_success_reversed,
        OF_BOTH | {"amount": usd(100_00)},
        {"suspense USD": 100_00, "gateway_receivable USD": -100_00},
    ),
    (
        recipes.line_parked,
        AT_GATEWAY | {"amount": usd(50_00)},
        {"gateway_receivable USD": 50_00, "suspense USD": -50_00},
    ),
    (
        recipes.line_parked,
        AT_GATEWAY | {"amount": usd(-8_00)},
        {"gateway_receivable USD": -8_00, "suspense USD": 8_00},
    ),
    (recipes.written_off, AT_GATEWAY | {"difference": usd(37)}, {"write_off USD": 37, "gateway_receivable USD": -37}),
    (
        recipes.written_off,
        AT_GATEWAY | {"difference": usd(10), "is_in_transit": True},
        {"write_off USD": 10, "gateway_in_transit USD": -10},
    ),
    (
        recipes.rounding_difference,
        AT_GATEWAY | {"difference": usd(1)},
        {"gateway_receivable USD": 1, "rounding USD": -1},
    ),
    (
        recipes.refund_adopted,
        OF_BOTH | {"from_available": usd(30_00), "from_receivable": usd(10_00)},
        {"merchant_available USD": 30_00, "merchant_receivable USD": 10_00, "gateway_receivable USD": -40_00},
    ),
    (
        recipes.gateway_fee_line,
        AT_GATEWAY | {"fee": usd(9_90)},
        {"gateway_fee USD": 9_90, "gateway_receivable USD": -9_90},
    ),
    (
        recipes.reserve_held,
        AT_GATEWAY | {"amount": usd(10_00)},
        {"gateway_reserve USD": 10_00, "gateway_receivable USD": -10_00},
    ),
    (
        recipes.reserve_released,
        AT_GATEWAY | {"amount": usd(10_00)},
        {"gateway_receivable USD": 10_00, "gateway_reserve USD": -10_00},
    ),
    (recipes.bank_fee, NOWHERE | {"fee": usd(1_50)}, {"bank_fee USD": 1_50, "bank USD": -1_50}),
]
# They have no line of their own: they mirror another entry, or are what a person says.
OTHERS = {"refund_failed", "reversal", "manual"}


@pytest.mark.parametrize(("recipe", "words", "legs"), RECIPES, ids=[recipe.__name__ for recipe, *_ in RECIPES])
def test_a_recipe_moves_exactly_this(recipe: Callable[..., JournalDraft], words: dict[str, Any], legs: Legs) -> None:
    moved: dict[str, int] = {}
    draft = recipe(**words)
    for leg in draft.postings:
        name = f"{leg.account.kind} {leg.amount.currency}"
        moved[name] = moved.get(name, 0) + leg.amount.amount_minor

    assert moved == legs
    assert (draft.reference, draft.mode) == ("r1", "test")
    assert (draft.merchant_id, draft.gateway_id) == (words.get("merchant_id"), words.get("gateway_id"))


def test_every_kind_of_entry_has_a_recipe_with_worked_numbers() -> None:
    drafted = {recipe(**words).kind for recipe, words, _ in RECIPES}
    assert drafted | OTHERS == set(JournalEntry.Kind.values)


@pytest.mark.parametrize("recipe", [recipes.payout_sent, recipes.reserve_held, recipes.bank_fee, recipes.wallet_spent])
def test_an_amount_that_has_one_direction_cannot_be_turned_around(recipe: Callable[..., JournalDraft]) -> None:
    words = {"fee": usd(-1)} if recipe is recipes.bank_fee else {"amount": usd(-1)}
    if recipe is recipes.wallet_spent:
        words |= {"fee": usd(0), "holder": "cus_1"}
    with pytest.raises(ValueError, match="negative"):
        recipe(**words, **(OF_BOTH if recipe is recipes.reserve_held else OF_MERCHANT))


def test_a_conversion_never_gives_more_than_the_middle_rate() -> None:
    with pytest.raises(ValueError, match="negative"):
        recipes.currency_converted(given=usd(100_00), mid=eur(92_00), received=eur(92_01), **OF_MERCHANT)


def test_legs_of_nothing_are_left_out() -> None:
    draft = recipes.payout_requested(amount=usd(20_00), fee=usd(0), **OF_MERCHANT)
    assert [leg.account.kind for leg in draft.postings] == ["merchant_available", "payout_in_transit"]
