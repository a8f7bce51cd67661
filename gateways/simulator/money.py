"""How is an amount written, and what does it cost? Minor units, with the decimals of ISO 4217."""

# All others have two.
_NO_DECIMALS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_THREE_DECIMALS = "BHD IQD JOD KWD LYD OMR TND"
_DECIMALS = {**dict.fromkeys(_NO_DECIMALS.split(), 0), **dict.fromkeys(_THREE_DECIMALS.split(), 3)}


def decimals_of(currency: str) -> int:
    """How many decimals the major unit of a currency has."""
    return _DECIMALS.get(currency, 2)


def major(amount_minor: int, currency: str) -> str:
    """An amount in major units with exactly its currency's decimals: "-12.34", "500"."""
    decimals = decimals_of(currency)
    digits = str(abs(amount_minor)).zfill(decimals + 1)
    sign = "-" if amount_minor < 0 else ""
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}" if decimals else f"{sign}{digits}"


def fee_of(amount_minor: int, *, fee_bps: int, fee_fixed_minor: int) -> int:
    """A share in basis points, rounded half to even, plus a fixed part; never more than the amount, which is not
    negative.
    """
    share, rest = divmod(amount_minor * fee_bps, 10_000)
    share += rest > 5_000 or (rest == 5_000 and share % 2)
    return min(share + fee_fixed_minor, amount_minor)
