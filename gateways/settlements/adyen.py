"""What does Adyen's Settlement details report say? Columns are found by name: their order and number differ.

Amounts are unsigned major units; whether the debit or the credit column holds them is their direction. A row of the
batch as a whole has a net amount only. The fee is the commission or, with interchange++, markup, scheme fees and
interchange; "Payment Fees (NC)" is their total, and never added.
"""

from collections.abc import Mapping

from gateways.settlements.cells import (
    AmountReader,
    bounded,
    currency_code,
    kind_of,
    major_units,
    name,
    reference,
    zoned_day,
)
from gateways.settlements.errors import CellRefused
from gateways.settlements.lines import LineKind, SettlementLine
from gateways.settlements.profile import LineReader, Profile

_KINDS = {
    "Settled": LineKind.CHARGE,
    "Refunded": LineKind.REFUND,
    "RefundedReversed": LineKind.REFUND_REVERSED,
    "Chargeback": LineKind.CHARGEBACK,
    "SecondChargeback": LineKind.CHARGEBACK,
    "ChargebackReversed": LineKind.CHARGEBACK_REVERSED,
    "Fee": LineKind.FEE,
    "MiscCosts": LineKind.FEE,
    "PaymentCost": LineKind.FEE,
    "InvoiceDeduction": LineKind.FEE,
    "DepositCorrection": LineKind.RESERVE_HELD,  # released, where it is a credit
    "ManualCorrected": LineKind.ADJUSTMENT,
    "MatchedStatement": LineKind.ADJUSTMENT,
    "Balancetransfer": LineKind.ADJUSTMENT,
    "BankInstructionReturned": LineKind.ADJUSTMENT,  # it is paid out with the batch it stands in
    "MerchantPayout": LineKind.PAYOUT,
}
_OF_A_PAYMENT = {
    *(LineKind.CHARGE, LineKind.REFUND, LineKind.REFUND_REVERSED),
    *(LineKind.CHARGEBACK, LineKind.CHARGEBACK_REVERSED),
}
_GROSS = ("Gross Debit (GC)", "Gross Credit (GC)")
_NET = ("Net Debit (NC)", "Net Credit (NC)")
_FEES = ("Commission (NC)", "Markup (NC)", "Scheme Fees (NC)", "Interchange (NC)")
_OURS_OF_MODIFICATION = "Modification Merchant Reference"


def _bind(columns: Mapping[str, int], amount: AmountReader) -> LineReader:
    type_at, created, zone = columns["Type"], columns["Creation Date"], columns["TimeZone"]
    gross_code, net_code, batch = columns["Gross Currency"], columns["Net Currency"], columns["Batch Number"]
    payment, modification = columns["Psp Reference"], columns["Modification Reference"]
    ours, ours_of_modification = columns["Merchant Reference"], columns.get(_OURS_OF_MODIFICATION)
    gross_at, net_at = [[columns[column] for column in pair] for pair in (_GROSS, _NET)]
    fees_at = [(columns[column], column) for column in _FEES]

    def directed(cells: list[str], at: list[int], names: tuple[str, str], currency: str) -> int | None:
        debit, credit = cells[at[0]], cells[at[1]]
        if not debit and not credit:
            return None
        owed_by_us = amount(debit, currency, names[0]) if debit else 0
        owed_to_us = amount(credit, currency, names[1]) if credit else 0
        if owed_by_us < 0 or owed_to_us < 0:
            raise CellRefused(names[owed_by_us >= 0], "is negative, where the column gives the direction")
        if owed_by_us and owed_to_us:
            raise CellRefused(names[1], f"is set beside {names[0]}")
        return owed_to_us - owed_by_us

    def read_line(number: int, cells: list[str]) -> SettlementLine:
        raw_type = cells[type_at]
        currency = currency_code(cells[net_code], "Net Currency")
        if cells[gross_code] and currency_code(cells[gross_code], "Gross Currency") != currency:
            reason = f"is {cells[gross_code]} and was settled in {currency}: lines of two currencies are not read"
            raise CellRefused("Gross Currency", reason)
        fee = 0
        for at, column in fees_at:
            if cells[at]:
                fee += amount(cells[at], currency, column)
        net = directed(cells, net_at, _NET, currency)
        if net is None:
            raise CellRefused(_NET[1], f"is empty, and so is {_NET[0]}")
        kind = kind_of(raw_type, _KINDS, "Type")
        if kind is LineKind.RESERVE_HELD and net > 0:
            kind = LineKind.RESERVE_RELEASED
        gross = directed(cells, gross_at, _GROSS, currency)
        if gross is None:
            if kind in _OF_A_PAYMENT:
                raise CellRefused(_GROSS[1], f"is empty, and so is {_GROSS[0]}")
            gross = bounded(net + fee, _GROSS[1])
        elif net != gross - fee:
            raise CellRefused(_NET[1], "less the debit is not gross - fees")
        of_modification = cells[ours_of_modification] if ours_of_modification is not None else ""
        return SettlementLine(
            number,
            kind,
            raw_type,
            name(cells[modification] or cells[payment], "Modification Reference"),
            reference(of_modification or cells[ours], "Merchant Reference"),
            currency,
            gross,
            bounded(fee, _FEES[0]),
            net,
            zoned_day(cells[created], cells[zone], "Creation Date", "TimeZone"),
            name(cells[batch], "Batch Number"),
        )

    return read_line


ADYEN = Profile(
    code="adyen-settlement-details",
    title="Adyen Settlement details report",
    needed=(
        "Psp Reference",
        "Merchant Reference",
        "Creation Date",
        "TimeZone",
        "Type",
        "Modification Reference",
        "Gross Currency",
        *_GROSS,
        "Net Currency",
        *_NET,
        *_FEES,
        "Batch Number",
    ),
    optional=(_OURS_OF_MODIFICATION,),
    gateway_names=frozenset({"Psp Reference", "Modification Reference", "Batch Number"}),
    amount=major_units,
    bind=_bind,
)
