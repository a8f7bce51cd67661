"""What does a payment cost? A share in basis points, rounded half to even in the minor unit, plus a fixed part."""

from checkout.kit.money import Money


def gateway_fee(*, amount: Money, fee_bps: int, fixed_minor: int) -> Money:
    """What a gateway is expected to charge for an amount: never more than the amount itself."""
    fee = amount.share_bps(fee_bps) + Money(fixed_minor, amount.currency)
    return min(fee, amount)


def platform_fee(*, amount: Money, fee_bps: int, fixed_minor: int, tax_bps: int) -> tuple[Money, Money]:
    """Our fee for an amount, and the tax on top of it, in basis points of the fee.

    Together never more than the amount: of a smaller one all is taken, divided between fee and tax at the same rate.
    """
    fee = amount.share_bps(fee_bps) + Money(fixed_minor, amount.currency)
    tax = fee.share_bps(tax_bps)
    if fee + tax > amount:
        fee, tax = amount.split([10_000, tax_bps])
    return fee, tax
