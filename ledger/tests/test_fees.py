"""Shares, fixed parts, rounding and limits of fees."""

import pytest

from ledger.fees import gateway_fee, platform_fee


def test_a_gateway_charges_a_share_and_a_fixed_part(usd):
    assert gateway_fee(amount=usd(100_00), fee_bps=290, fixed_minor=30) == usd(3_20)


def test_a_share_is_rounded_half_to_even(usd):
    assert gateway_fee(amount=usd(50), fee_bps=100, fixed_minor=0) == usd(0)
    assert gateway_fee(amount=usd(150), fee_bps=100, fixed_minor=0) == usd(2)


def test_a_gateway_fee_is_never_more_than_the_amount(usd):
    assert gateway_fee(amount=usd(20), fee_bps=290, fixed_minor=30) == usd(20)


def test_our_fee_bears_tax_on_top(usd):
    assert platform_fee(amount=usd(100_00), fee_bps=320, fixed_minor=30, tax_bps=2_000) == (usd(3_50), usd(70))


@pytest.mark.parametrize(("amount_minor", "fee_minor", "tax_minor"), [(36, 30, 6), (35, 29, 6), (1, 1, 0), (0, 0, 0)])
def test_fee_and_tax_together_are_never_more_than_the_amount(usd, amount_minor, fee_minor, tax_minor):
    fee, tax = platform_fee(amount=usd(amount_minor), fee_bps=0, fixed_minor=30, tax_bps=2_000)
    assert (fee, tax) == (usd(fee_minor), usd(tax_minor))
