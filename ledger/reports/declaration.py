"""What is a report? A question, what it may be told, its columns, where its rows come from, and what they must tie to.

A row is a mapping by column name, with `currency` for its amounts, which are minor units, and with whatever else its
links need; `is_result` marks one that the rows around it lead to. Totals are kept per currency.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any

from checkout.kit.display import words
from checkout.kit.money import Money
from ledger.reports.scope import Asks, Scope

Row = Mapping[str, Any]
Totals = Mapping[str, Mapping[str, int]]  # currency, column, sum
Value = Money | Decimal | int | date | str | None


class Type(StrEnum):
    """What a column holds. Money is minor units in a row, and a share is a part of a whole, so 1 is all of it."""

    MONEY = "money"
    COUNT = "count"
    DATE = "date"
    TEXT = "text"
    SHARE = "share"


@dataclass(frozen=True)
class Column:
    """One column. `link` says where what is behind a figure can be seen; a share is `part` of `whole`, both figures.

    Only what is summed has a total. A wide column is left out on a phone, and one for machines on every screen.
    """

    name: str
    type: Type = Type.TEXT
    label: str = ""
    is_summed: bool = False
    link: Callable[[Row, Scope], str] | None = None
    part: str = ""
    whole: str = ""
    is_wide: bool = False
    is_for_machines: bool = False

    @property
    def title(self) -> str:
        """What stands above it."""
        return self.label or words(self.name)

    @property
    def is_number(self) -> bool:
        """Whether it is read from its right end."""
        return self.type in (Type.MONEY, Type.COUNT, Type.SHARE)

    def value(self, row: Row) -> Value:
        """What it says of a row or of the totals of a currency; None of what is not known there."""
        if self.type is Type.SHARE:
            part, whole = row.get(self.part), row.get(self.whole)
            return round(Decimal(part) / whole, 6) if whole and part is not None else None
        found: Any = row.get(self.name)
        return Money(found, row["currency"]) if self.type is Type.MONEY and found is not None else found


@dataclass(frozen=True)
class Control:
    """One figure of a report beside the same figure of the books."""

    claim: str
    reported: Money
    booked: Money

    @property
    def difference(self) -> Money:
        """What the report says more than the books."""
        return self.reported - self.booked

    @property
    def ties(self) -> bool:
        """Whether the two are equal, to the minor unit."""
        return not self.difference

    def __str__(self) -> str:
        return f"{self.claim}: difference {self.difference}"


@dataclass(frozen=True)
class Chart:
    """What is drawn: the sums of some columns along another, in one currency. `colours` are CSS variables."""

    by: str
    columns: tuple[str, ...]
    is_stacked: bool = False
    colours: tuple[str, ...] = ("--chart-1", "--chart-2", "--chart-3", "--chart-4", "--chart-5", "--chart-6")


@dataclass(frozen=True)
class Report:
    """One report. `rows` streams; `controls` gets the totals of exactly those rows.

    `also_summed` names figures of a row that are in no column and have totals for the controls.
    """

    name: str
    title: str
    question: str
    asks: frozenset[Asks]
    columns: tuple[Column, ...]
    rows: Callable[[Scope], Iterator[Row]]
    controls: Callable[[Scope, Totals], list[Control]]
    chart: Chart | None = None
    note: str = ""
    also_summed: tuple[str, ...] = ()

    @property
    def summed(self) -> tuple[str, ...]:
        """The figures that have totals."""
        return (*(column.name for column in self.columns if column.is_summed), *self.also_summed)


def tie(claim: str, reported: Mapping[str, int], booked: Mapping[str, int], scope: Scope) -> list[Control]:
    """A control for every currency that either side knows, and for the one that was asked for."""
    currencies = sorted({*reported, *booked, *filter(None, [scope.currency])})
    return [Control(claim, Money(reported.get(code, 0), code), Money(booked.get(code, 0), code)) for code in currencies]


def sums(totals: Totals, *columns: str) -> dict[str, int]:
    """The totals of a column, or of several together, by currency."""
    return {currency: sum(found.get(column, 0) for column in columns) for currency, found in totals.items()}
