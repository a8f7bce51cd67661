"""Does every format say in our words what it said in its own? The golden files add up by themselves."""

from collections import Counter
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from checkout.kit.card_numbers import holds_card_number
from checkout.kit.money import CURRENCY_DECIMALS, Money
from gateways.settlements import PROFILES, FileRefused, LineKind, SettlementLine, detect, read
from gateways.tests.settling import GOLDEN, GOOD, every_profile, file_of, only_error, outcomes, table

K = LineKind
ADYEN, STRIPE = "adyen-settlement-details", "stripe-itemized"
FILES = {"checkout-1": "checkout.csv", STRIPE: "stripe.csv", ADYEN: "adyen.csv"}


def golden(code: str) -> list[SettlementLine]:
    with (GOLDEN / FILES[code]).open("rb") as stream:
        return [line for line in read(PROFILES[code], stream) if isinstance(line, SettlementLine)]


def only_line(code: str, **change: str) -> SettlementLine:
    (line,) = outcomes(file_of(code, change))
    assert isinstance(line, SettlementLine), line
    return line


@every_profile
def test_a_golden_file_is_known_and_every_line_of_it_is_read(code: str) -> None:
    content = (GOLDEN / FILES[code]).read_bytes()

    assert detect(content).code == code
    assert [line.line_number for line in golden(code)] == list(range(2, len(content.splitlines()) + 1))


@every_profile
def test_the_lines_of_a_batch_are_its_payout(code: str) -> None:
    lines = [line for line in golden(code) if line.raw_type != "payout_reversal"]
    paid = {(line.batch_reference, line.currency): -line.net_minor for line in lines if line.kind is K.PAYOUT}
    batches: Counter[tuple[str, str]] = Counter()
    for line in lines:
        if line.kind is not K.PAYOUT:
            batches[line.batch_reference, line.currency] += line.net_minor

    assert paid
    assert paid == batches


def told(code: str) -> list[tuple[Any, ...]]:
    """What the lines of a golden file come to: kind, names, gross, fee, net, day and batch."""
    return [
        (line.kind, line.gateway_reference, line.reference, line.gross_minor, line.fee_minor, line.net_minor)
        + (line.occurred_on.day, line.batch_reference)
        for line in golden(code)
    ]


def test_the_example_of_the_documentation_is_read_and_adds_up() -> None:
    page = (Path(__file__).parents[2] / "docs" / "settlement-files.md").read_text()
    example = page.split("```csv\n")[1].split("```")[0]

    *lines, payout = outcomes(example.encode())

    assert all(isinstance(line, SettlementLine) for line in lines)
    assert sum(line.net_minor for line in lines) == -payout.net_minor == 10255


def test_our_own_format() -> None:
    assert told("checkout-1") == [
        (K.CHARGE, "op_1", "att_1", 10000, 320, 9680, 1, "b_1"),
        (K.CHARGE, "op_2", "att_2", 5000, 175, 4825, 1, "b_1"),
        (K.REFUND, "op_3", "rfd_1", -4000, 0, -4000, 2, "b_1"),
        (K.REFUND_REVERSED, "op_3", "rfd_1", 4000, 0, 4000, 2, "b_1"),
        (K.CHARGEBACK, "op_4", "att_0", -5000, 1500, -6500, 2, "b_1"),
        (K.CHARGEBACK_REVERSED, "op_5", "att_0", 5000, 0, 5000, 2, "b_1"),
        (K.FEE, "op_6", "", -250, 0, -250, 2, "b_1"),
        (K.RESERVE_HELD, "op_7", "", -1000, 0, -1000, 2, "b_1"),
        (K.RESERVE_RELEASED, "op_8", "", 500, 0, 500, 2, "b_1"),
        (K.ADJUSTMENT, "op_9", "", 12, 0, 12, 2, "b_1"),
        (K.UNMAPPED, "op_10", "", 3, 0, 3, 2, "b_1"),
        (K.PAYOUT, "po_1", "", -12270, 0, -12270, 3, "b_1"),
        (K.CHARGE, "op_11", "att_3", 1050, 38, 1012, 2, "b_2"),
        (K.PAYOUT, "po_2", "", -1012, 0, -1012, 3, "b_2"),
    ]
    assert [line.raw_type for line in golden("checkout-1") if line.kind is K.UNMAPPED] == ["loyalty_bonus"]
    assert [line.currency for line in golden("checkout-1")[-3:]] == ["EUR", "JPY", "JPY"]


def test_stripes_itemized_report() -> None:
    assert told(STRIPE) == [
        (K.CHARGE, "ch_1", "att_1", 10000, 320, 9680, 1, "po_1"),
        (K.CHARGE, "ch_2", "att_2", 8000, 146, 7854, 1, "po_1"),
        (K.CHARGE, "ch_2", "att_2", -3000, 0, -3000, 1, "po_1"),
        (K.REFUND, "re_2", "rfd_1", -4000, 0, -4000, 2, "po_1"),
        (K.REFUND_REVERSED, "re_2", "rfd_1", 4000, 0, 4000, 3, "po_1"),
        (K.CHARGEBACK, "dp_1", "att_0", -5000, 1500, -6500, 3, "po_1"),
        (K.CHARGEBACK_REVERSED, "dp_1", "att_0", 5000, -1500, 6500, 3, "po_1"),
        (K.FEE, "txn_08", "", -120, 0, -120, 3, "po_1"),
        (K.FEE, "txn_09", "", -34, 0, -34, 3, "po_1"),
        (K.RESERVE_HELD, "rsv_1", "", -1000, 0, -1000, 3, "po_1"),
        (K.RESERVE_RELEASED, "rsv_0", "", 500, 0, 500, 3, "po_1"),
        (K.ADJUSTMENT, "txn_12", "", 20, 0, 20, 3, "po_1"),
        (K.UNMAPPED, "co_1", "", 100, 0, 100, 3, "po_1"),
        (K.PAYOUT, "po_1", "", -14000, 0, -14000, 5, "po_1"),
        (K.CHARGE, "py_1", "att_3", 1234, 50, 1184, 2, "po_2"),
        (K.PAYOUT, "po_2", "", -1184, 0, -1184, 5, "po_2"),
        (K.PAYOUT, "po_2", "", 1184, 0, 1184, 6, "po_2"),
    ]
    assert [line.currency for line in golden(STRIPE)[-4:]] == ["EUR", "KWD", "KWD", "KWD"]


def test_adyens_settlement_details() -> None:
    assert told(ADYEN) == [
        (K.CHARGE, "8816000000000101", "att_1", 10000, 124, 9876, 1, "7"),
        (K.CHARGE, "8816000000000102", "att_2", 5000, 75, 4925, 28, "7"),  # half past midnight, in Amsterdam
        (K.REFUND, "8816000000000103", "rfd_1", -4000, 10, -4010, 2, "7"),
        (K.REFUND_REVERSED, "8816000000000103", "rfd_1", 4000, 0, 4000, 2, "7"),
        (K.CHARGEBACK, "8816000000000104", "att_0", -3000, 750, -3750, 2, "7"),
        (K.CHARGEBACK_REVERSED, "8816000000000105", "att_0", 3000, 0, 3000, 2, "7"),
        (K.CHARGEBACK, "8816000000000106", "att_0", -3000, 0, -3000, 2, "7"),
        (K.FEE, "Transaction Fees Mar 2026", "", -200, 0, -200, 3, "7"),
        (K.FEE, "Invoice 12", "", -121, 0, -121, 3, "7"),
        (K.RESERVE_HELD, "Deposit", "", -500, 0, -500, 3, "7"),
        (K.RESERVE_RELEASED, "Deposit", "", 250, 0, 250, 3, "7"),
        (K.ADJUSTMENT, "From batch 6", "", 30, 0, 30, 3, "7"),
        (K.UNMAPPED, "Something new", "", 100, 0, 100, 3, "7"),
        (K.PAYOUT, "TX1 batch 7, 20260303", "", -10600, 0, -10600, 3, "7"),
    ]
    assert {line.currency for line in golden(ADYEN)} == {"EUR"}


@pytest.mark.parametrize("code", [STRIPE, ADYEN])
def test_columns_are_found_by_name_in_any_order_among_others(code: str) -> None:
    header = ["Something else", *reversed(GOOD[code])]

    (line,) = outcomes(table(header, ["?", *(GOOD[code][column] for column in header[1:])]))

    assert line == only_line(code)


def test_a_stripe_export_without_its_payouts_ids_is_refused_naming_the_column() -> None:
    header = [column for column in GOOD[STRIPE] if column != "automatic_payout_id"]

    with pytest.raises(FileRefused, match="lacks automatic_payout_id$"):
        detect(table(header))


def test_a_stripe_report_may_leave_out_the_metadata() -> None:
    header = [column for column in GOOD[STRIPE] if column != "payment_metadata[our_id]"]

    (line,) = outcomes(table(header, [GOOD[STRIPE][column] for column in header]))

    assert isinstance(line, SettlementLine)
    assert (line.gateway_reference, line.reference) == ("ch_1", "")


@pytest.mark.parametrize(
    ("moment", "zone", "day"),
    [
        ("2026-03-01 00:59:59", "CET", date(2026, 2, 28)),
        ("2026-03-01 01:00:00", "CET", date(2026, 3, 1)),
        ("2026-07-01 01:59:59", "CEST", date(2026, 6, 30)),
        ("2026-01-01 00:00:00", "UTC", date(2026, 1, 1)),
        ("2025-12-31 19:00:00", "EST", date(2026, 1, 1)),
        ("2025-12-31 18:59:59", "EST", date(2025, 12, 31)),
        ("2026-03-01 10:59:59", "AEDT", date(2026, 2, 28)),
    ],
)
def test_adyens_moments_are_dated_in_utc(moment: str, zone: str, day: date) -> None:
    assert only_line(ADYEN, **{"Creation Date": moment, "TimeZone": zone}).occurred_on == day


@pytest.mark.parametrize("zone", ["", "CST", "Europe/Amsterdam", "cet"])
def test_an_adyen_time_zone_that_could_be_several_is_the_lines_error(zone: str) -> None:
    assert only_error(ADYEN, TimeZone=zone).column == "TimeZone"


def test_an_adyen_line_in_two_currencies_is_its_own_error_naming_them() -> None:
    found = only_error(ADYEN, **{"Gross Currency": "USD"})

    assert found.column == "Gross Currency"
    assert "is USD and was settled in EUR" in found.reason


def test_adyens_total_of_fees_is_never_added_to_its_parts() -> None:
    fees = {"Commission (NC)": "", "Markup (NC)": "0.20", "Scheme Fees (NC)": "0.19", "Interchange (NC)": "0.20"}
    header = [*GOOD[ADYEN], "Payment Fees (NC)"]

    (line,) = outcomes(table(header, [*({**GOOD[ADYEN], **fees}[column] for column in header[:-1]), "0.59"]))

    assert isinstance(line, SettlementLine)
    assert (line.gross_minor, line.fee_minor, line.net_minor) == (1000, 59, 941)


def test_adyens_direction_is_the_column_whatever_the_type() -> None:
    debits = {"Gross Debit (GC)": "10.00", "Gross Credit (GC)": "", "Net Debit (NC)": "10.59", "Net Credit (NC)": "0"}

    assert only_line(ADYEN, **debits).gross_minor == -1000
    assert only_error(ADYEN, **{"Gross Debit (GC)": "10.00", "Gross Credit (GC)": ""}).column == "Net Credit (NC)"
    assert "is set beside" in only_error(ADYEN, **{"Net Debit (NC)": "0.01"}).reason
    assert "is negative" in only_error(ADYEN, **{"Gross Credit (GC)": "-10.00"}).reason


def test_an_adyen_payment_has_a_gross_amount() -> None:
    assert only_error(ADYEN, **{"Gross Credit (GC)": ""}).column == "Gross Credit (GC)"


def test_an_adyen_sum_of_fees_may_not_be_beyond_an_amount() -> None:
    largest = "92233720368547758.07"
    fees = {"Commission (NC)": largest, "Markup (NC)": "0.01", "Net Credit (NC)": "", "Net Debit (NC)": "1.00"}

    assert "beyond" in only_error(ADYEN, Type="Fee", **{**fees, "Gross Credit (GC)": ""}).reason


# Every line that can be said, written by a small writer of each format, must be read back as it was.

MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1)).map(lambda moment: moment.replace(microsecond=0))
VISIBLE = st.characters(codec="utf-8", exclude_categories=("C", "Z"), exclude_characters="+")
WORDS = st.text(VISIBLE | st.sampled_from(',"'), min_size=1)
NAMES = st.lists(WORDS, min_size=1, max_size=3).map(lambda words: " ".join(words)[:100].strip())
CURRENCIES = st.sampled_from(sorted(CURRENCY_DECIMALS))
OURS = st.from_regex(r"(att|rfd)_[a-zA-Z]{22}", fullmatch=True)
MINOR = st.integers(-(10**11), 10**11)
OWN_TYPES = {kind.value: kind for kind in LineKind if kind is not K.UNMAPPED} | {"loyalty_bonus": K.UNMAPPED}
STRIPE_TYPES = {
    "charge": K.CHARGE,
    "refund": K.REFUND,
    "dispute": K.CHARGEBACK,
    "payout": K.PAYOUT,
    "topup": K.UNMAPPED,
}
ADYEN_TYPES = {"Settled": K.CHARGE, "Refunded": K.REFUND, "MerchantPayout": K.PAYOUT, "Fee": K.FEE, "New": K.UNMAPPED}


SIGNS = {
    **dict.fromkeys((K.CHARGE, K.REFUND_REVERSED, K.CHARGEBACK_REVERSED, K.RESERVE_RELEASED), 1),
    **dict.fromkeys((K.REFUND, K.CHARGEBACK, K.RESERVE_HELD), -1),
}


@st.composite
def lines_of(draw: st.DrawFn, types: dict[str, LineKind]) -> list[SettlementLine]:
    lines = []
    for number in range(2, 2 + draw(st.integers(1, 5))):
        raw_type = draw(st.sampled_from(sorted(types)))
        gross, fee = draw(MINOR), draw(MINOR)
        if types is OWN_TYPES and types[raw_type] in SIGNS:
            gross = SIGNS[types[raw_type]] * abs(gross)
        gateway_reference, batch = draw(NAMES), draw(NAMES)
        reference, currency, day = draw(OURS | st.just("")), draw(CURRENCIES), draw(MOMENTS).date()
        lines.append(
            SettlementLine(
                number,
                types[raw_type],
                raw_type,
                gateway_reference,
                reference,
                currency,
                gross,
                fee,
                gross - fee,
                day,
                batch,
            )
        )
    return lines


def decimal(minor: int, currency: str) -> str:
    return f"{Money(minor, currency).as_decimal():f}"


def written_by_us(line: SettlementLine) -> dict[str, str]:
    return {
        "kind": line.raw_type,
        "gateway_reference": line.gateway_reference,
        "reference": line.reference,
        "currency": line.currency,
        "gross_minor": str(line.gross_minor),
        "fee_minor": str(line.fee_minor),
        "net_minor": str(line.net_minor),
        "occurred_on": line.occurred_on.isoformat(),
        "batch": line.batch_reference,
    }


def written_by_stripe(line: SettlementLine) -> dict[str, str]:
    return {
        "automatic_payout_id": line.batch_reference,
        "created_utc": f"{line.occurred_on} 23:59:59",
        "currency": line.currency.lower(),
        "gross": decimal(line.gross_minor, line.currency),
        "fee": decimal(line.fee_minor, line.currency),
        "net": decimal(line.net_minor, line.currency),
        "reporting_category": line.raw_type,
        "source_id": line.gateway_reference,
        "payment_metadata[our_id]": line.reference,
    }


def written_by_adyen(line: SettlementLine) -> dict[str, str]:
    def sides(minor: int) -> tuple[str, str]:
        amount = decimal(abs(minor), line.currency)
        return (amount, "") if minor < 0 else ("", amount)

    whole, rest = divmod(line.fee_minor, 3)
    return {
        "Modification Reference": line.gateway_reference,
        "Merchant Reference": line.reference,
        "Creation Date": f"{line.occurred_on + timedelta(days=1)} 00:30:00",
        "TimeZone": "CET",
        "Type": line.raw_type,
        "Gross Currency": line.currency,
        **dict(zip(("Gross Debit (GC)", "Gross Credit (GC)"), sides(line.gross_minor), strict=True)),
        "Net Currency": line.currency,
        **dict(zip(("Net Debit (NC)", "Net Credit (NC)"), sides(line.net_minor), strict=True)),
        "Commission (NC)": "",
        "Markup (NC)": decimal(whole, line.currency),
        "Scheme Fees (NC)": decimal(whole, line.currency),
        "Interchange (NC)": decimal(whole + rest, line.currency),
        "Batch Number": line.batch_reference,
    }


@pytest.mark.parametrize(
    ("code", "types", "write"),
    [
        ("checkout-1", OWN_TYPES, written_by_us),
        (STRIPE, STRIPE_TYPES, written_by_stripe),
        (ADYEN, ADYEN_TYPES, written_by_adyen),
    ],
)
@settings(deadline=None)
@given(data=st.data())
def test_what_was_written_is_read(code: str, types: dict[str, LineKind], write: Any, data: st.DataObject) -> None:
    lines = data.draw(lines_of(types))

    assert outcomes(file_of(code, *(write(line) for line in lines))) == lines


@settings(deadline=None)
@given(st.integers(-(2**63) + 1, 2**63 - 1), CURRENCIES)
def test_major_units_are_the_minor_units_of_money(minor: int, currency: str) -> None:
    text = decimal(minor, currency)
    assume(not holds_card_number(text))

    line = only_line(STRIPE, gross=text, net=text, fee="0", currency=currency.lower())

    assert Money.of_decimal(Decimal(text), currency).amount_minor == line.gross_minor == minor
