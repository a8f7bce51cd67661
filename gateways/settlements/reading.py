"""Which format is a file in, and what are its lines?"""

import re
from collections.abc import Iterator
from io import BytesIO
from operator import itemgetter
from typing import BinaryIO

from checkout.kit.card_numbers import holds_card_number
from gateways.settlements.adyen import ADYEN
from gateways.settlements.checkout import CHECKOUT
from gateways.settlements.errors import CellRefused, FileRefused, LineError
from gateways.settlements.lines import SettlementLine
from gateways.settlements.profile import Profile, fitting
from gateways.settlements.strict_csv import rows
from gateways.settlements.stripe import STRIPE

PROFILES = {profile.code: profile for profile in (CHECKOUT, STRIPE, ADYEN)}
MOST_ERRORS = 1000

# What may be a card number, however it is grouped or escaped; whether it is one is asked afterwards.
_long_number = re.compile(
    r"(?<!\d)\d(?:(?:[-+.\u2010-\u2015\u2212]|(?:\s|%[0-9A-Fa-f]{2}|\\(?:[bfnrt]|u[0-9A-Fa-f]{4})){1,6}+)?+\d){12}"
).search
_BETWEEN_CELLS = "|"  # nothing that may stand in a number


def detect(head: bytes) -> Profile:
    """The profile of a file by its header line, which `head` holds in full: 64 kB are enough.

    Raises FileRefused.
    """
    refusals = []
    for dialect in dict.fromkeys((profile.encoding, profile.delimiter) for profile in PROFILES.values()):
        candidates = [p for p in PROFILES.values() if (p.encoding, p.delimiter) == dialect]
        try:
            return fitting(_header(rows(BytesIO(head), *dialect)), candidates)
        except FileRefused as refused:
            refusals.append(refused)
    raise refusals[0]


def read(profile: Profile, stream: BinaryIO) -> Iterator[SettlementLine | LineError]:
    """Every line of a file from its beginning, or what is wrong with it, holding no more than the line at hand.

    After MOST_ERRORS errors they are only counted: the last item is then one LineError for all the rest. Raises
    FileRefused where what spoils the whole file is met, with lines given by then.
    """
    table = rows(stream, profile.encoding, profile.delimiter)
    header = _header(table)
    read_line = fitting(header, [profile]).line_reader(header)
    searched = [index for index, column in enumerate(header) if column not in profile.gateway_names]
    to_search = itemgetter(*searched)
    number = errors = 0
    for number, cells in table:
        try:
            if len(cells) != len(header):
                _refuse_card_numbers(profile, header, number, cells, range(len(cells)))
                raise CellRefused("", f"has {len(cells)} cells where the header has {len(header)}")
            if _long_number(_BETWEEN_CELLS.join(to_search(cells))):
                _refuse_card_numbers(profile, header, number, cells, searched)
            line = read_line(number, cells)
        except CellRefused as refused:
            errors += 1
            if errors <= MOST_ERRORS:
                yield LineError(number, refused.column, refused.reason)
        else:
            yield line
    if not number:
        raise FileRefused(1, "", "is followed by no line")
    if errors > MOST_ERRORS:
        yield LineError(number, "", "and more lines up to this one have errors", errors - MOST_ERRORS)


def _header(table: Iterator[tuple[int, list[str]]]) -> list[str]:
    _, header = next(table, (0, []))
    if not header:
        raise FileRefused(0, "", "is empty, or does not begin with a header")
    return header


def _refuse_card_numbers(
    profile: Profile, header: list[str], number: int, cells: list[str], searched: list[int] | range
) -> None:
    for index in searched:
        if holds_card_number(cells[index]):
            is_known = len(cells) == len(header) and profile.known(header[index])
            column = header[index] if is_known else f"column {index + 1}"
            raise FileRefused(number, column, "holds what looks like a card number: the file must not be kept")
