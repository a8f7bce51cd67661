"""What does a payment mean in debits and credits? Captures, fees, releases and refunds; `for_…` tells a whole event."""

from typing import Unpack

from checkout.kit.money import Money
from ledger import chart
from ledger.models import JournalEntry
from ledger.recipes.drafts import JournalDraft, Kind, MerchantFact, PostingDraft, credit, debit, draft


def capture(*, amount: Money, **fact: Unpack[MerchantFact]) -> JournalDraft:
    """The gateway now owes us the amount; we owe it to the merchant."""
    return draft(
        Kind.CAPTURE,
        fact,
        debit(chart.gateway_receivable(fact["gateway_id"]), amount),
        credit(chart.merchant_pending(fact["merchant_id"]), amount),
    )


def gateway_fee_charged(*, fee: Money, **fact: Unpack[MerchantFact]) -> JournalDraft:
    """The gateway will pay out that much less."""
    return draft(
        Kind.GATEWAY_FEE,
        fact,
        debit(chart.gateway_fee(fact["gateway_id"]), fee),
        credit(chart.gateway_receivable(fact["gateway_id"]), fee),
    )


def platform_fee_charged(*, fee: Money, tax: Money, **fact: Unpack[MerchantFact]) -> JournalDraft:
    """We keep our fee, and the tax on it for the state, of what the merchant is owed."""
    return draft(
        Kind.PLATFORM_FEE,
        fact,
        debit(chart.merchant_pending(fact["merchant_id"]), fee + tax),
        credit(chart.platform_fee(), fee),
        credit(chart.tax_payable(), tax),
    )


def funds_released(*, amount: Money, **fact: Unpack[MerchantFact]) -> JournalDraft:
    """What the merchant is owed may be used from now on."""
    return draft(
        Kind.FUNDS_RELEASED,
        fact,
        debit(chart.merchant_pending(fact["merchant_id"]), amount),
        credit(chart.merchant_available(fact["merchant_id"]), amount),
    )


def refund_requested(*, from_available: Money, from_receivable: Money, **fact: Unpack[MerchantFact]) -> JournalDraft:
    """Set aside what will be given back; what the merchant cannot cover it owes us from now on."""
    return draft(
        Kind.REFUND_REQUESTED,
        fact,
        debit(chart.merchant_available(fact["merchant_id"]), from_available),
        debit(chart.merchant_receivable(fact["merchant_id"]), from_receivable),
        credit(chart.refund_in_flight(fact["merchant_id"]), from_available + from_receivable),
    )


def refund_succeeded(*, amount: Money, **fact: Unpack[MerchantFact]) -> JournalDraft:
    """The gateway has given back what was set aside, and will pay out that much less."""
    return draft(
        Kind.REFUND_SUCCEEDED,
        fact,
        debit(chart.refund_in_flight(fact["merchant_id"]), amount),
        credit(chart.gateway_receivable(fact["gateway_id"]), amount),
    )


def refund_failed(*, requested: JournalEntry) -> JournalDraft:
    """What was set aside goes back to exactly where it came from. Reads the entry's postings and their accounts."""
    return JournalDraft(
        kind=Kind.REFUND_FAILED,
        reference=requested.reference,
        mode=requested.mode,
        postings=tuple(PostingDraft(leg.account.key, -leg.amount) for leg in requested.postings.all()),
        merchant_id=requested.merchant_id,
        gateway_id=requested.gateway_id,
        payment_reference=requested.payment_reference,
    )


def fee_returned(*, fee: Money, tax: Money, **fact: Unpack[MerchantFact]) -> JournalDraft:
    """A part of our fee, and of the tax on it, goes back to the merchant."""
    return draft(
        Kind.FEE_RETURNED,
        fact,
        debit(chart.platform_fee(), fee),
        debit(chart.tax_payable(), tax),
        credit(chart.merchant_available(fact["merchant_id"]), fee + tax),
    )


def late_success(*, amount: Money, **fact: Unpack[MerchantFact]) -> JournalDraft:
    """The gateway took money for an attempt that we had given up: it owes us what nobody has asked for."""
    return draft(
        Kind.LATE_SUCCESS,
        fact,
        debit(chart.gateway_receivable(fact["gateway_id"]), amount),
        credit(chart.suspense(fact["gateway_id"]), amount),
    )


def late_success_reversed(*, amount: Money, **fact: Unpack[MerchantFact]) -> JournalDraft:
    """The gateway has given back what nobody had asked for."""
    return draft(
        Kind.LATE_SUCCESS_REVERSED,
        fact,
        debit(chart.suspense(fact["gateway_id"]), amount),
        credit(chart.gateway_receivable(fact["gateway_id"]), amount),
    )


def for_capture(
    *,
    amount: Money,
    gateway_fee: Money,
    platform_fee: Money,
    tax: Money,
    release: bool,
    **fact: Unpack[MerchantFact],
) -> list[JournalDraft]:
    """Money was taken. With `release` the merchant's part may be used at once.

    `tax` comes on top of `platform_fee`. Refuses (ValueError) fee and tax of more than the amount.
    """
    drafts = [
        capture(amount=amount, **fact),
        gateway_fee_charged(fee=gateway_fee, **fact),
        platform_fee_charged(fee=platform_fee, tax=tax, **fact),
    ]
    if release:
        drafts.append(funds_released(amount=amount - platform_fee - tax, **fact))
    return _with_legs(drafts)


def for_refund_succeeded(
    *,
    amount: Money,
    returned_fee: Money | None = None,
    returned_tax: Money | None = None,
    **fact: Unpack[MerchantFact],
) -> list[JournalDraft]:
    """A requested refund was carried out; what is returned of our fee and of the tax on it goes to the merchant."""
    nothing = Money(0, amount.currency)
    drafts = [
        refund_succeeded(amount=amount, **fact),
        fee_returned(fee=returned_fee or nothing, tax=returned_tax or nothing, **fact),
    ]
    return _with_legs(drafts)


def for_refund_failed(*, requested: JournalEntry) -> list[JournalDraft]:
    """A requested refund will not be carried out. `requested` is what `selectors.refund_requested` found."""
    return [refund_failed(requested=requested)]


def for_late_success(*, amount: Money, **fact: Unpack[MerchantFact]) -> list[JournalDraft]:
    """Money was taken for an attempt that had been given up."""
    return [late_success(amount=amount, **fact)]


def for_late_success_reversed(*, amount: Money, **fact: Unpack[MerchantFact]) -> list[JournalDraft]:
    """Money that had been taken for an attempt given up was given back."""
    return [late_success_reversed(amount=amount, **fact)]


def _with_legs(drafts: list[JournalDraft]) -> list[JournalDraft]:
    return [entry for entry in drafts if entry.postings]
