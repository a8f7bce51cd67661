"""What does a settlement file of our own documented format say? Everything is in our words already."""

from collections.abc import Mapping

from gateways.settlements.cells import AmountReader, currency_code, iso_day, kind_of, minor_units, name, reference
from gateways.settlements.errors import CellRefused
from gateways.settlements.lines import LineKind, SettlementLine
from gateways.settlements.profile import LineReader, Profile

_COLUMNS = (
    "kind",
    "gateway_reference",
    "reference",
    "currency",
    "gross_minor",
    "fee_minor",
    "net_minor",
    "occurred_on",
    "batch",
)
_KINDS = {kind.value: kind for kind in LineKind}
_SIGNS = {
    **dict.fromkeys(
        (LineKind.CHARGE, LineKind.REFUND_REVERSED, LineKind.CHARGEBACK_REVERSED, LineKind.RESERVE_RELEASED), 1
    ),
    **dict.fromkeys((LineKind.REFUND, LineKind.CHARGEBACK, LineKind.RESERVE_HELD), -1),
}


def _bind(columns: Mapping[str, int], amount: AmountReader) -> LineReader:
    def read_line(number: int, cells: list[str]) -> SettlementLine:
        raw_type, gateway_reference, ours, currency, gross_cell, fee_cell, net_cell, day, batch = cells
        currency_code(currency, "currency")
        gross = amount(gross_cell, currency, "gross_minor")
        fee = amount(fee_cell, currency, "fee_minor")
        net = amount(net_cell, currency, "net_minor")
        if net != gross - fee:
            raise CellRefused("net_minor", "is not gross - fee")
        kind = kind_of(raw_type, _KINDS, "kind")
        if gross * _SIGNS.get(kind, 0) < 0:
            raise CellRefused("gross_minor", "has the wrong sign: what the gateway owes us is positive")
        if kind is LineKind.PAYOUT and not batch:
            raise CellRefused("batch", "is empty: a payout names its batch")
        return SettlementLine(
            number,
            kind,
            raw_type,
            name(gateway_reference, "gateway_reference"),
            reference(ours, "reference"),
            currency,
            gross,
            fee,
            net,
            iso_day(day, "occurred_on"),
            name(batch, "batch"),
        )

    return read_line


CHECKOUT = Profile(
    code="checkout-1",
    title="Checkout settlement CSV, version 1",
    needed=_COLUMNS,
    gateway_names=frozenset({"gateway_reference", "batch"}),
    amount=minor_units,
    bind=_bind,
    is_exact=True,
)
