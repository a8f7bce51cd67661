"""What does Stripe's itemized payout reconciliation report say? Versions 5 to 7, with a point as decimal separator.

Amounts are major units, net = gross - fee. A fee that belongs to no charge is a row of its own, with its amount in the
gross. Withheld tax is a part of the fee already. Rows of a payout are the payout itself.
"""

from collections.abc import Mapping

from checkout.kit.money import CURRENCY_DECIMALS
from gateways.settlements.cells import AmountReader, kind_of, major_units, name, reference, utc_day
from gateways.settlements.errors import CellRefused
from gateways.settlements.lines import LineKind, SettlementLine
from gateways.settlements.profile import LineReader, Profile

_KINDS = {
    "charge": LineKind.CHARGE,
    "partial_capture_reversal": LineKind.CHARGE,  # the part that was authorized and not captured, negative
    "refund": LineKind.REFUND,
    "refund_failure": LineKind.REFUND_REVERSED,
    "dispute": LineKind.CHARGEBACK,
    "dispute_reversal": LineKind.CHARGEBACK_REVERSED,
    "fee": LineKind.FEE,
    "network_cost": LineKind.FEE,
    "tax": LineKind.FEE,
    "risk_reserved_funds": LineKind.RESERVE_HELD,  # released, where positive
    "connect_reserved_funds": LineKind.RESERVE_HELD,
    "charge_failure": LineKind.ADJUSTMENT,
    "other_adjustment": LineKind.ADJUSTMENT,
    "payout": LineKind.PAYOUT,
    "payout_reversal": LineKind.PAYOUT,
}
_CURRENCIES = {currency.lower(): currency for currency in CURRENCY_DECIMALS}

# Our reference, as we send it in the metadata: of the refund where there is one, else of the payment.
_OURS = ("payment_metadata[our_id]", "payment_intent_metadata[our_id]")
_OURS_OF_REFUND = "refund_metadata[our_id]"


def _bind(columns: Mapping[str, int], amount: AmountReader) -> LineReader:
    category, code, created = columns["reporting_category"], columns["currency"], columns["created_utc"]
    gross_at, fee_at, net_at = columns["gross"], columns["fee"], columns["net"]
    source, transaction = columns["source_id"], columns["balance_transaction_id"]
    payout, charge = columns["automatic_payout_id"], columns.get("charge_id")
    ours = [(columns[column], column) for column in (_OURS_OF_REFUND, *_OURS) if column in columns]

    def read_line(number: int, cells: list[str]) -> SettlementLine:
        raw_type = cells[category]
        currency = _CURRENCIES.get(cells[code])
        if currency is None:
            raise CellRefused("currency", "is not the ISO 4217 code of a payable currency, in small letters")
        gross = amount(cells[gross_at], currency, "gross")
        fee = amount(cells[fee_at], currency, "fee")
        net = amount(cells[net_at], currency, "net")
        if net != gross - fee:
            raise CellRefused("net", "is not gross - fee")
        kind = kind_of(raw_type, _KINDS, "reporting_category")
        if kind is LineKind.RESERVE_HELD and net > 0:
            kind = LineKind.RESERVE_RELEASED
        of_charge = cells[charge] if charge is not None and raw_type == "partial_capture_reversal" else ""
        gateway_reference = of_charge or cells[source] or cells[transaction]
        batch = cells[payout] or (gateway_reference if kind is LineKind.PAYOUT else "")
        our_reference = ""
        for at, column in ours:
            if cells[at]:
                our_reference = reference(cells[at], column)
                break
        return SettlementLine(
            number,
            kind,
            raw_type,
            name(gateway_reference, "source_id"),
            our_reference,
            currency,
            gross,
            fee,
            net,
            utc_day(cells[created], "created_utc"),
            name(batch, "automatic_payout_id"),
        )

    return read_line


STRIPE = Profile(
    code="stripe-itemized",
    title="Stripe payout reconciliation, itemized",
    needed=(
        "automatic_payout_id",
        "balance_transaction_id",
        "created_utc",
        "currency",
        "gross",
        "fee",
        "net",
        "reporting_category",
        "source_id",
    ),
    optional=("charge_id", _OURS_OF_REFUND, *_OURS),
    gateway_names=frozenset(
        {
            *("automatic_payout_id", "balance_transaction_id", "source_id"),
            *("charge_id", "payment_intent_id", "trace_id"),
        }
    ),
    amount=major_units,
    bind=_bind,
)
