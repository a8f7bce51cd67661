"""What is declared of a gateway's settlement file, and does a header fit it?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from checkout.kit.card_numbers import holds_card_number
from gateways.settlements.cells import AmountReader
from gateways.settlements.errors import FileRefused
from gateways.settlements.lines import SettlementLine

LineReader = Callable[[int, list[str]], SettlementLine]  # line number, cells; raises CellRefused

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Profile:
    """A format of settlement files.

    `needed` columns must be there, `optional` ones are read where they are; others are let be, unless the header
    `is_exact`: the needed columns in their order and nothing else. `gateway_names` are the columns with the gateway's
    own references, which may look like card numbers and are not searched for any. `amount` is the form of its amounts.
    `bind` is told where each column is and gives the reader of a line.
    """

    code: str
    title: str
    needed: tuple[str, ...]
    gateway_names: frozenset[str]
    amount: AmountReader
    bind: Callable[[Mapping[str, int], AmountReader], LineReader]
    optional: tuple[str, ...] = ()
    is_exact: bool = False
    encoding: str = "utf-8"
    delimiter: str = ","

    def missing(self, header: Sequence[str]) -> list[str]:
        """The needed columns that a header does not have."""
        return [column for column in self.needed if column not in header]

    def fits(self, header: Sequence[str]) -> bool:
        """Whether a file with this header is of this format."""
        return tuple(header) == self.needed if self.is_exact else not self.missing(header)

    def line_reader(self, header: Sequence[str]) -> LineReader:
        """What reads the lines below a header that fits."""
        return self.bind({column: index for index, column in enumerate(header)}, self.amount)

    def known(self, column: str) -> bool:
        """Whether a column is one of ours to name; what else stands in a header is not repeated."""
        return column in self.needed or column in self.optional


def fitting(header: Sequence[str], profiles: Sequence[Profile]) -> Profile:
    """The one of the profiles that a header fits. Raises FileRefused, naming the nearest and what is missing."""
    _refuse_no_header(header)
    for profile in profiles:
        if profile.fits(header):
            return profile
    nearest = min(profiles, key=lambda profile: len(profile.missing(header)) / len(profile.needed))
    missing = nearest.missing(header)
    if len(missing) == len(nearest.needed):
        titles = "; ".join(profile.title for profile in profiles)
        raise FileRefused(1, "", f"is no header of a format we read with {nearest.delimiter!r} between cells: {titles}")
    if missing:
        raise FileRefused(1, "", f"is nearest to {nearest.title}, and lacks {', '.join(missing)}")
    raise FileRefused(1, "", f"is nearest to {nearest.title}, whose columns are exactly {', '.join(nearest.needed)}")


def _refuse_no_header(header: Sequence[str]) -> None:
    for number, column in enumerate(header, 1):
        if not column or column != column.strip():
            raise FileRefused(1, f"column {number}", "has no name, or blanks around it")
        if column.startswith(_FORMULA):
            raise FileRefused(1, f"column {number}", "begins like a formula")
        if holds_card_number(column):
            raise FileRefused(1, f"column {number}", "holds what looks like a card number: the file must not be kept")
        if column in header[: number - 1]:
            raise FileRefused(1, f"column {number}", "has the name of another column")
