"""How much is a limit in another currency? Limits are written in units of whatever currency an amount is in, and never
converted: there is no exchange rate to be right or wrong about. A third of a limit used in one currency leaves two
thirds of it in any other.
"""

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from math import ceil

from checkout.kit.money import Money
from checkout.settings import policy


def limit_in(currency: str, units: int) -> Money:
    """A limit of so many units, in a currency; more of them where one buys next to nothing."""
    return Money.of_decimal(Decimal(units * policy.LIMIT_MULTIPLES.get(currency, 1)), currency)


def together_in(currency: str, amounts: Iterable[Money]) -> Money:
    """How much of a limit these use together, as an amount of one currency, rounded up to its minor unit."""
    used = (Fraction(amount.amount_minor, limit_in(amount.currency, 1).amount_minor) for amount in amounts)
    return Money(ceil(sum(used, Fraction(0)) * limit_in(currency, 1).amount_minor), currency)
