"""Is an amount exact, and does it never meet another currency?"""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkout.kit.money import CURRENCY_DECIMALS, CurrencyMismatch, Money, round_half_even

amounts = st.integers(-(10**12), 10**12)
currencies = st.sampled_from(sorted(CURRENCY_DECIMALS))


@pytest.mark.parametrize(
    ("currency", "text"), [("JPY", "1234 JPY"), ("EUR", "12.34 EUR"), ("KWD", "1.234 KWD"), ("ISK", "1234 ISK")]
)
def test_an_amount_is_shown_with_its_currencys_decimals(currency: str, text: str) -> None:
    assert str(Money(1234, currency)) == text
    assert str(Money(0, currency)).split(" ")[0].strip("0") in ("", ".")


@pytest.mark.parametrize(
    ("value", "currency"), [("0.5", "JPY"), ("10.005", "EUR"), ("1.0001", "KWD"), ("NaN", "EUR"), ("Infinity", "EUR")]
)
def test_more_decimals_than_the_currency_has_are_refused(value: str, currency: str) -> None:
    with pytest.raises((ValueError, ArithmeticError)):
        Money.of_decimal(Decimal(value), currency)


@given(amounts, currencies)
def test_major_units_and_back_is_the_same(amount_minor: int, currency: str) -> None:
    money = Money(amount_minor, currency)
    assert Money.of_decimal(money.as_decimal(), currency) == money
    assert -money.as_decimal().as_tuple().exponent == CURRENCY_DECIMALS[currency]


@pytest.mark.parametrize(
    ("minor", "rounded"),
    [("0.5", 0), ("1.5", 2), ("2.5", 2), ("-0.5", 0), ("-1.5", -2), ("0.51", 1), ("0.49", 0), ("1", 1)],
)
def test_half_is_rounded_to_even(minor: str, rounded: int) -> None:
    assert round_half_even(Decimal(minor)) == rounded


@pytest.mark.parametrize(
    ("amount_minor", "rate_bps", "share"),
    [(100_00, 320, 3_20), (50, 100, 0), (150, 100, 2), (250, 100, 2), (1, 10_000, 1), (99, 0, 0), (-150, 100, -2)],
)
def test_a_share_in_basis_points_is_rounded_half_to_even(amount_minor: int, rate_bps: int, share: int) -> None:
    assert Money(amount_minor, "EUR").share_bps(rate_bps) == Money(share, "EUR")


@given(st.integers(0, 10**14), st.integers(0, 10_000))
def test_a_share_is_never_further_than_half_a_unit_from_exact(amount_minor: int, rate_bps: int) -> None:
    share = Money(amount_minor, "EUR").share_bps(rate_bps).amount_minor
    assert abs(share * 10_000 - amount_minor * rate_bps) <= 5_000


@given(
    st.integers(0, 10**12),
    st.lists(st.integers(0, 10**6), min_size=1, max_size=12).filter(any),
)
def test_a_split_sums_to_the_whole_and_is_fair_to_a_unit(amount_minor: int, weights: list[int]) -> None:
    parts = Money(amount_minor, "EUR").split(weights)

    assert sum(part.amount_minor for part in parts) == amount_minor
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part.amount_minor * sum(weights) - amount_minor * weight) < sum(weights)
        assert weight or not part


def test_the_odd_unit_goes_to_the_largest_remainder_and_the_first_of_equals() -> None:
    assert [part.amount_minor for part in Money(100, "EUR").split([1, 1, 1])] == [34, 33, 33]
    assert [part.amount_minor for part in Money(10, "JPY").split([1, 5])] == [2, 8]


@pytest.mark.parametrize("sum_up", ["__add__", "__sub__", "__lt__", "__le__", "__gt__", "__ge__"])
def test_two_currencies_never_meet(sum_up: str) -> None:
    with pytest.raises(CurrencyMismatch):
        getattr(Money(1, "EUR"), sum_up)(Money(1, "USD"))
    assert Money(1, "EUR") != Money(1, "USD")


@given(amounts, amounts)
def test_sums_and_comparisons_are_those_of_integers(one: int, other: int) -> None:
    a, b = Money(one, "EUR"), Money(other, "EUR")
    assert (a + b, a - b, -a) == (Money(one + other, "EUR"), Money(one - other, "EUR"), Money(-one, "EUR"))
    assert (a < b, a <= b, a > b, a >= b, bool(a)) == (one < other, one <= other, one > other, one >= other, one != 0)
