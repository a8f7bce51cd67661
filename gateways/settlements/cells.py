"""What does a cell say? Amounts, dates, currencies and references, each in the one form that its format declares.

Every reader raises CellRefused, with a hint where a spreadsheet or another locale has been at work, and never with the
cell itself. Called a few times per line: no Decimal, no strptime.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from functools import lru_cache

from checkout.kit.money import CURRENCY_DECIMALS
from gateways.settlements.errors import CellRefused
from gateways.settlements.lines import LineKind

AmountReader = Callable[[str, str, str], int]  # cell, currency, column -> minor units

LARGEST_MINOR = 2**63 - 1
LONGEST_NAME = 100
LONGEST_REFERENCE = 64  # of ours
LONGEST_TYPE = 60

_integer = re.compile(r"-?(?:0|[1-9][0-9]{0,18})").fullmatch
_decimal = re.compile(r"(-?)(0|[1-9][0-9]{0,18})(?:\.([0-9]+))?").fullmatch
_day = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}").fullmatch
_time = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]").fullmatch
_type = re.compile(rf"[A-Za-z][A-Za-z0-9_ -]{{0,{LONGEST_TYPE - 1}}}").fullmatch
_scientific = re.compile(r"-?[0-9](?:[.,][0-9]+)?[Ee][+-]?[0-9]+").fullmatch

_SPREADSHEET = "is in scientific notation, as a spreadsheet leaves it: import the file as the gateway wrote it"
_TOO_LARGE = "is beyond what an amount can be"

# What a gateway's abbreviation of a time zone adds to UTC, in hours. Those that mean several zones are left out.
UTC_OFFSETS = {
    **{"UTC": 0, "GMT": 0, "WET": 0, "BST": 1, "WEST": 1, "CET": 1, "CEST": 2, "EET": 2, "EEST": 3},
    **{"BRT": -3, "EDT": -4, "EST": -5, "CDT": -5, "MDT": -6, "MST": -7, "PDT": -7, "PST": -8},
    **{"SGT": 8, "HKT": 8, "JST": 9, "AEST": 10, "AEDT": 11, "NZST": 12, "NZDT": 13},
}


def minor_units(cell: str, currency: str, column: str) -> int:
    """An integer of minor units."""
    if _integer(cell) and -LARGEST_MINOR <= (value := int(cell)) <= LARGEST_MINOR:
        return value
    raise CellRefused(column, _why_no_amount(cell, _integer(cell), "an integer of minor units"))


def major_units(cell: str, currency: str, column: str) -> int:
    """Minor units of a decimal of major units: a point, and no more decimals than the currency has."""
    if match := _decimal(cell):
        sign, whole, fraction = match.groups("")
        decimals = CURRENCY_DECIMALS[currency]
        if len(fraction) > decimals:
            raise CellRefused(column, f"has more decimals than {currency}")
        value = int(sign + whole + fraction.ljust(decimals, "0"))
        if -LARGEST_MINOR <= value <= LARGEST_MINOR:
            return value
    raise CellRefused(column, _why_no_amount(cell, match, "a decimal with a point"))


def bounded(value: int, column: str) -> int:
    """A sum, if it is still an amount."""
    if -LARGEST_MINOR <= value <= LARGEST_MINOR:
        return value
    raise CellRefused(column, _TOO_LARGE)


def currency_code(cell: str, column: str) -> str:
    """An ISO 4217 code in capital letters."""
    if cell in CURRENCY_DECIMALS:
        return cell
    raise CellRefused(column, "is not the ISO 4217 code of a payable currency, in capital letters")


def iso_day(cell: str, column: str) -> date:
    """A date as YYYY-MM-DD."""
    try:
        return _parsed_day(cell)
    except ValueError:
        raise CellRefused(column, "is not a date as YYYY-MM-DD") from None


def utc_day(cell: str, column: str) -> date:
    """The date of a moment in UTC, as YYYY-MM-DD HH:MM:SS."""
    return zoned_day(cell, "UTC", column, column)


def zoned_day(cell: str, zone: str, column: str, zone_column: str) -> date:
    """The date in UTC of a moment as YYYY-MM-DD HH:MM:SS in the zone of an abbreviation."""
    if zone not in UTC_OFFSETS:
        raise CellRefused(zone_column, "is not a time zone we know, or an abbreviation with several meanings")
    try:
        if cell[10:11] == " " and _time(cell[11:]):
            return _parsed_hour(cell[:13], zone)
    except (ValueError, OverflowError):
        pass
    raise CellRefused(column, "is not a moment as YYYY-MM-DD HH:MM:SS")


def kind_of(cell: str, kinds: Mapping[str, LineKind], column: str) -> LineKind:
    """What a gateway's word for a kind of line means, unmapped where nobody has said."""
    kind = kinds.get(cell)
    if kind is not None:
        return kind
    if _type(cell):
        return LineKind.UNMAPPED
    raise CellRefused(column, "is empty, or not a word")


def name(cell: str, column: str) -> str:
    """A gateway's own name of something, printable, or ""."""
    if len(cell) > LONGEST_NAME:
        raise CellRefused(column, f"is longer than {LONGEST_NAME} characters")
    if cell != cell.strip():
        raise CellRefused(column, "has blanks around it")
    return _printable(cell, column)


def reference(cell: str, column: str) -> str:
    """A reference that may be ours. A longer one is not: its beginning is kept, since the line does name something."""
    return _printable(cell, column)[:LONGEST_REFERENCE]


def _printable(cell: str, column: str) -> str:
    if not cell.isprintable():
        raise CellRefused(column, "has a character that cannot be printed")
    if "E+" in cell and _scientific(cell):
        raise CellRefused(column, _SPREADSHEET)
    return cell


@lru_cache(maxsize=4096)
def _parsed_day(text: str) -> date:
    if not _day(text):
        raise ValueError
    return date.fromisoformat(text)


@lru_cache(maxsize=16384)
def _parsed_hour(text: str, zone: str) -> date:
    """The date in UTC of an hour as YYYY-MM-DD HH."""
    hour = int(text[11:]) - UTC_OFFSETS[zone]
    return _parsed_day(text[:10]) + timedelta(days=hour // 24)


def _why_no_amount(cell: str, is_formed: object, form: str) -> str:
    if is_formed:
        return _TOO_LARGE
    if not cell:
        return "is empty"
    if cell != cell.strip():
        return "has blanks around it"
    if not cell.isascii() and any(character.isdecimal() and not character.isascii() for character in cell):
        return "has digits that are not ASCII"
    if _scientific(cell):
        return _SPREADSHEET
    if "," in cell:
        return f"has a comma: it must be {form}, without separators of thousands"
    if cell.endswith("-") or cell.startswith("("):
        return "must have its minus sign in front"
    return f"is not {form}"
