"""What is refused of a single line of a settlement file?"""

import pytest

from gateways.settlements import SettlementLine
from gateways.tests.settling import (
    CURRENCY,
    DAY,
    GATEWAY_NAME,
    GROSS,
    KIND,
    NET,
    OURS,
    every_profile,
    file_of,
    only_error,
    outcomes,
)

AMOUNTS = [
    ("V13 separators of thousands", "1,234.56", "has a comma"),
    ("V13 another locale", "1.234,56", "has a comma"),
    ("V13 an exponent", "1e3", "scientific notation"),
    ("V13 digits of another script", "１２", "digits that are not ASCII"),
    ("V13 Arabic digits", "١٢٣", "digits that are not ASCII"),
    ("V13 a blank in front", " 12", "has blanks around it"),
    ("V13 a blank behind", "12 ", "has blanks around it"),
    ("V13 parentheses", "(12)", "minus sign in front"),
    ("V13 a minus behind", "12-", "minus sign in front"),
    ("V13 a currency sign", "€12", "is not a"),
    ("V13 not a number", "NaN", "is not a"),
    ("V13 infinity", "Infinity", "is not a"),
    ("V13 an underscore", "1_000", "is not a"),
    ("V13 hexadecimal", "0x10", "is not a"),
    ("V13 a plus", "+12", "is not a"),
    ("V13 leading zeros", "007", "is not a"),
    ("V13 a minus that is none", "−12", "is not a"),
    ("V13 an apostrophe", "1'000", "is not a"),
    ("V37 what a spreadsheet makes of it", "1.23E+15", "as a spreadsheet leaves it"),
    ("V13 beyond what can be stored", "9223372036854775808", "is beyond what an amount can be"),
    ("V13 beyond it, negative", "-9223372036854775808", "is beyond what an amount can be"),
    ("V13 5,000 digits", "9" * 5000, "is not a"),
]


@every_profile
@pytest.mark.parametrize(("cell", "words"), [row[1:] for row in AMOUNTS], ids=[row[0] for row in AMOUNTS])
def test_an_amount_in_another_form_is_the_lines_error(code: str, cell: str, words: str) -> None:
    found = only_error(code, **{GROSS[code]: cell})

    assert found.column == GROSS[code]
    assert words in found.reason
    assert cell not in found.reason


@every_profile
def test_v13_an_empty_amount_is_the_lines_error(code: str) -> None:
    found = only_error(code, **{NET[code]: ""})

    assert found.column == NET[code]
    assert "is empty" in found.reason


@pytest.mark.parametrize("code", ["stripe-itemized", "adyen-settlement-details"])
def test_an_amount_has_no_more_decimals_than_its_currency(code: str) -> None:
    assert "more decimals than EUR" in only_error(code, **{GROSS[code]: "10.000"}).reason


def test_our_own_format_has_no_decimals_at_all() -> None:
    assert "is not an integer" in only_error("checkout-1", gross_minor="10.00").reason


def test_the_largest_amount_that_can_be_stored_is_read() -> None:
    largest = {"gross_minor": str(2**63 - 1), "fee_minor": "0", "net_minor": str(2**63 - 1)}
    (line,) = outcomes(file_of("checkout-1", largest))

    assert isinstance(line, SettlementLine)
    assert line.gross_minor == 2**63 - 1


@every_profile
def test_a_net_that_is_not_gross_less_fee_is_the_lines_error(code: str) -> None:
    cell = "942" if code == "checkout-1" else "9.42"

    assert "is not gross - fee" in only_error(code, **{NET[code]: cell}).reason


DAYS = [
    ("V15 day, month or year first", "01/02/03"),
    ("V15 a spreadsheet's number", "45000"),
    ("V15 a year of two digits", "26-03-01"),
    ("V15 without dashes", "20260301"),
    ("V15 a week", "2026-W09-7"),
    ("V15 a day that is not", "2026-02-30"),
    ("V15 the year nought", "0000-01-01"),
    ("V15 digits of another script", "２０26-03-01"),
    ("V15 empty", ""),
    ("V15 a blank", "2026-03-01 "),
]


@every_profile
@pytest.mark.parametrize("cell", [row[1] for row in DAYS], ids=[row[0] for row in DAYS])
def test_a_date_in_another_form_is_the_lines_error(code: str, cell: str) -> None:
    for text in (cell, f"{cell} 10:00:00"):
        assert only_error(code, **{DAY[code]: text}).column == DAY[code]


@pytest.mark.parametrize("code", ["stripe-itemized", "adyen-settlement-details"])
@pytest.mark.parametrize("time", ["24:00:00", "10:60:00", "10:00:60", "10:00", "10:00:00Z", "1:00:00", ""])
def test_a_moment_has_a_time_of_day(code: str, time: str) -> None:
    assert only_error(code, **{DAY[code]: f"2026-03-01 {time}"}).column == DAY[code]


@every_profile
@pytest.mark.parametrize(
    "cell", ["ЕUR", "EÚR", "EUR\u202e", "E", "EURO", "978", "XXX", "BTC", "HRK", "", " EUR"], ids=ascii
)
def test_v35_a_currency_that_only_looks_like_one_is_the_lines_error(code: str, cell: str) -> None:
    assert only_error(code, **{CURRENCY[code]: cell}).column == CURRENCY[code]


def test_a_currency_in_the_other_case_is_the_lines_error() -> None:
    assert only_error("checkout-1", currency="eur").column == "currency"
    assert only_error("stripe-itemized", currency="EUR").column == "currency"


@every_profile
@pytest.mark.parametrize("cell", ["", "'charge'", "# note", "=cmd()", "x" * 61, "сharge", "1"], ids=ascii)
def test_a_kind_that_is_no_word_is_the_lines_error(code: str, cell: str) -> None:
    assert only_error(code, **{KIND[code]: cell}).column == KIND[code]


@every_profile
@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("1.23E+15", "as a spreadsheet leaves it"),
        ("8,81E+15", "as a spreadsheet leaves it"),
        ("op\u202e1", "cannot be printed"),
        ("op\t1", "cannot be printed"),
        ("\ufeffop", "cannot be printed"),
        (" op", "has blanks"),
        ("x" * 101, "longer than 100"),
    ],
    ids=ascii,
)
def test_v37_a_gateways_reference_that_was_damaged_is_the_lines_error(code: str, cell: str, words: str) -> None:
    found = only_error(code, **{GATEWAY_NAME[code]: cell})

    assert found.column == GATEWAY_NAME[code]
    assert words in found.reason


@every_profile
def test_v37_our_reference_in_scientific_notation_is_the_lines_error(code: str) -> None:
    assert only_error(code, **{OURS[code]: "1.23E+15"}).column == OURS[code]


@every_profile
def test_a_reference_that_is_too_long_to_be_ours_is_kept_as_far_as_there_is_room(code: str) -> None:
    long, fitting = outcomes(file_of(code, {OURS[code]: "x" * 65}, {OURS[code]: "x" * 64}))

    assert isinstance(long, SettlementLine)
    assert isinstance(fitting, SettlementLine)
    assert (long.reference, fitting.reference) == ("x" * 64, "x" * 64)


def test_a_payout_names_its_batch() -> None:
    assert only_error("checkout-1", kind="payout", batch="").column == "batch"


@pytest.mark.parametrize(
    ("kind", "right"),
    [
        *((kind, "1000") for kind in ("charge", "refund_reversed", "chargeback_reversed", "reserve_released")),
        *((kind, "-1000") for kind in ("refund", "chargeback", "reserve_held")),
    ],
)
def test_our_own_format_says_who_owes_whom_by_the_sign(kind: str, right: str) -> None:
    wrong = right.removeprefix("-") if right.startswith("-") else f"-{right}"
    said = {"kind": kind, "fee_minor": "0"}

    (line,) = outcomes(file_of("checkout-1", {**said, "gross_minor": right, "net_minor": right}))
    found = only_error("checkout-1", **said, gross_minor=wrong, net_minor=wrong)

    assert isinstance(line, SettlementLine)
    assert found.column == "gross_minor"
    assert "wrong sign" in found.reason


@pytest.mark.parametrize("kind", ["fee", "adjustment", "payout", "loyalty_bonus", "charge", "refund"])
def test_what_may_go_either_way_or_is_nothing_has_no_wrong_sign(kind: str) -> None:
    amounts = ("0",) if kind in ("charge", "refund") else ("1000", "-1000", "0")
    for amount in amounts:
        (line,) = outcomes(
            file_of("checkout-1", {"kind": kind, "gross_minor": amount, "fee_minor": "0", "net_minor": amount})
        )
        assert isinstance(line, SettlementLine)
