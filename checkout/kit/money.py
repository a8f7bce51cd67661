"""How much, in what currency? Amounts are integers of minor units and never travel without their currency.

Decimals per currency are those of ISO 4217; percentages round half to even, in the minor unit, in this module only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

# ISO 4217 list one, active currencies a card payment can be made in: code -> decimals.
_TWO_DECIMALS = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC "
    "CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR "
    "JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD "
    "NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN "
    "SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG"
)
_ZERO_DECIMALS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_THREE_DECIMALS = "BHD IQD JOD KWD LYD OMR TND"

CURRENCY_DECIMALS: dict[str, int] = {
    **dict.fromkeys(_TWO_DECIMALS.split(), 2),
    **dict.fromkeys(_ZERO_DECIMALS.split(), 0),
    **dict.fromkeys(_THREE_DECIMALS.split(), 3),
}


class CurrencyMismatch(ValueError):
    """Two amounts of different currencies met in one sum or comparison."""


def round_half_even(value: Decimal) -> int:
    """Round a decimal number of minor units to an integer, half to even."""
    return int(value.quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


@dataclass(frozen=True, order=False)
class Money:
    """An exact amount: integer minor units and an ISO 4217 code, never apart."""

    amount_minor: int
    currency: str

    def __add__(self, other: "Money") -> "Money":
        return Money(self.amount_minor + self._same(other), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.amount_minor - self._same(other), self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.amount_minor, self.currency)

    def __lt__(self, other: "Money") -> bool:
        return self.amount_minor < self._same(other)

    def __le__(self, other: "Money") -> bool:
        return self.amount_minor <= self._same(other)

    def __gt__(self, other: "Money") -> bool:
        return self.amount_minor > self._same(other)

    def __ge__(self, other: "Money") -> bool:
        return self.amount_minor >= self._same(other)

    def __bool__(self) -> bool:
        return self.amount_minor != 0

    def __str__(self) -> str:
        return f"{self.as_decimal()} {self.currency}"

    def share_bps(self, rate_bps: int) -> "Money":
        """The share of this amount that a rate in basis points makes, rounded half to even."""
        return Money(round_half_even(Decimal(self.amount_minor) * rate_bps / 10_000), self.currency)

    def as_decimal(self) -> Decimal:
        """The amount in major units, with exactly the decimals of its currency."""
        return Decimal(self.amount_minor).scaleb(-CURRENCY_DECIMALS[self.currency])

    @classmethod
    def of_decimal(cls, value: Decimal, currency: str) -> "Money":
        """Money from major units. Refuses (ValueError) a value with more decimals than its currency has."""
        minor = value.scaleb(CURRENCY_DECIMALS[currency])
        if minor != minor.to_integral_value():
            raise ValueError(f"{value} has more decimals than {currency}")
        return cls(int(minor), currency)

    def split(self, weights: Sequence[int]) -> list["Money"]:
        """Parts in proportion to non-negative integer weights that sum exactly to the whole (largest remainder)."""
        total = sum(weights)
        floors = [self.amount_minor * weight // total for weight in weights]
        remainders = [self.amount_minor * weight % total for weight in weights]
        missing = self.amount_minor - sum(floors)
        for index in sorted(range(len(weights)), key=lambda i: -remainders[i])[:missing]:
            floors[index] += 1
        return [Money(part, self.currency) for part in floors]

    def _same(self, other: "Money") -> int:
        if self.currency != other.currency:
            raise CurrencyMismatch(f"{self} and {other}")
        return other.amount_minor
