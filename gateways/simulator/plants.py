"""What shall be wrong with a settlement file, and who would notice? Errors on request, and the answers to them.

Each error sits in lines of its own, so that a reconciliation that sees everything reports each of them once and nothing
else. The answers say under which name; the platform never sees them.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gateways.simulator.calls import CHARGE
from gateways.simulator.formats import Line
from gateways.simulator.money import decimals_of
from gateways.simulator.settings import SettingsRefused

# What may be planted in a file, and what a perfect reconciliation reports it as.
LINE_ERRORS: Mapping[str, str] = {
    "missing_line": "missing_at_gateway",  # never told of, and never paid
    "late_line": "timing",  # held back until the next file
    "extra_line": "missing_in_ledger",  # a charge that nobody here made
    "dashboard_refund": "missing_in_ledger",  # made in the gateway's own back office, and in its book
    "duplicate_line": "duplicate_at_gateway",
    "wrong_amount": "amount_differs",
    "wrong_fee": "fee_differs",
    "wrong_currency": "currency_differs",
    "unmapped_type": "unmapped_type",
}
BATCH_ERRORS: Mapping[str, str] = {"batch_total": "batch_total_differs"}  # the payout line is wrong, not the payout
BANK_ERRORS: Mapping[str, str] = {"missing_credit": "missing_bank_credit", "wrong_credit": "bank_amount_differs"}

UNMAPPED_WORD = "loyalty_credit"
_SMALLEST_DIFFERENCE = 2  # what differs by one may be taken for rounding
_CURRENCIES = ("EUR", "USD", "GBP", "CHF", "JPY", "KRW", "KWD", "BHD")


class PlantRefused(SettingsRefused):
    """It cannot be planted: not a known error, not a count, or there is not enough to plant it in."""


@dataclass(frozen=True)
class Planted:
    """One error. `lines` are those of the file that show it; amounts are minor units, as a reconciliation sees them."""

    kind: str
    expected: str
    about: Line
    lines: tuple[Line, ...] = ()
    ours_minor: int | None = None
    theirs_minor: int | None = None

    def as_answer(self, numbers: Mapping[int, int]) -> dict[str, Any]:
        """As JSON. `numbers` are the lines' numbers in the file by the identity of the line."""
        return {
            "planted": self.kind,
            "expected": self.expected,
            "lines": sorted(numbers[id(line)] for line in self.lines),
            "gateway_reference": self.about.id,
            "reference": self.about.reference,
            "charge_reference": self.about.charge_reference,
            "currency": self.about.currency,
            "their_currency": self.lines[0].currency if self.lines else None,
            "ours_minor": self.ours_minor,
            "theirs_minor": self.theirs_minor,
        }


def wanted(plant: Mapping[str, Any], known: Mapping[str, str]) -> dict[str, int]:
    """How many of each error, from decoded JSON. Raises PlantRefused."""
    for kind, number in plant.items():
        if kind not in known:
            raise PlantRefused(f"plant: {kind} is not one of {', '.join(known)}")
        if type(number) is not int or not 0 <= number <= 100_000:
            raise PlantRefused(f"plant: {kind} must be a whole number from 0 to 100000")
    return {kind: plant[kind] for kind in known if plant.get(kind)}


class Planter:
    """Plants errors among the lines of one file: at most one in each line, always the same ones for the same `rng`.

    `refund` gives some of a charge back in the back office and returns the line of that, or None if nothing is left to
    give back; `price` is the gateway's fee for an amount.
    """

    def __init__(
        self,
        owed: Sequence[Line],
        rng: random.Random,
        *,
        at: str,
        price: Callable[[int], int],
        refund: Callable[[Line], Line | None],
    ) -> None:
        self.lines = {line.id: line for line in owed}
        self.added: list[Line] = []
        self.held_back: set[str] = set()
        self.errors: list[Planted] = []
        self._untouched = list(owed)
        self._currencies = sorted({line.currency for line in owed}) or ["EUR"]
        self._rng = rng
        self._at = at
        self._price = price
        self._refund = refund
        rng.shuffle(self._untouched)

    def plant(self, kind: str, number: int) -> None:
        """Plant so many errors of a kind of LINE_ERRORS. Raises PlantRefused where there are too few lines."""
        for _ in range(number):
            getattr(self, f"_{kind}")()

    def _missing_line(self) -> None:
        line = self._take()
        del self.lines[line.id]
        self._note("missing_line", line, ours_minor=line.gross_minor)

    def _late_line(self) -> None:
        line = self._take()
        del self.lines[line.id]
        self.held_back.add(line.id)
        self._note("late_line", line, ours_minor=line.gross_minor)

    def _extra_line(self) -> None:
        gross = self._rng.randint(500, 50_000)
        line = self._made_up(CHARGE, "ch", f"order-{self._hex(10)}", gross, self._price(gross))
        self._note("extra_line", line, line, theirs_minor=gross)

    def _dashboard_refund(self) -> None:
        while (line := self._refund(self._take(CHARGE))) is None:
            pass
        self.added.append(line)
        self._note("dashboard_refund", line, line, theirs_minor=line.gross_minor)

    def _duplicate_line(self) -> None:
        line = self._take()
        self.added.append(again := replace(line))
        self._note("duplicate_line", line, line, again, theirs_minor=line.gross_minor)

    def _wrong_amount(self) -> None:
        line = self._take()
        sign = -1 if line.gross_minor < 0 else 1
        wrong = self._other(abs(line.gross_minor), lowest=line.fee_minor + 1)
        changed = self._change(line, gross_minor=sign * wrong)
        self._note("wrong_amount", line, changed, ours_minor=line.gross_minor, theirs_minor=changed.gross_minor)

    def _wrong_fee(self) -> None:
        line = self._take(CHARGE)
        changed = self._change(line, fee_minor=self._other(line.fee_minor, lowest=0))
        self._note("wrong_fee", line, changed, ours_minor=line.fee_minor, theirs_minor=changed.fee_minor)

    def _wrong_currency(self) -> None:
        line = self._take()
        alike = [
            currency
            for currency in dict.fromkeys([*self._currencies, *_CURRENCIES])
            if currency != line.currency and decimals_of(currency) == decimals_of(line.currency)
        ]
        changed = self._change(line, currency=alike[0])
        self._note("wrong_currency", line, changed, ours_minor=line.gross_minor, theirs_minor=line.gross_minor)

    def _unmapped_type(self) -> None:
        line = self._made_up(UNMAPPED_WORD, "ad", "", self._rng.randint(100, 5_000), 0)
        self._note("unmapped_type", line, line, theirs_minor=line.gross_minor)

    def _take(self, kind: str = "") -> Line:
        """A line that has no error yet, of one kind if that is given."""
        passed_over = []
        try:
            while True:
                line = self._untouched.pop()
                if kind in ("", line.kind):
                    return line
                passed_over.append(line)
        except IndexError:
            raise PlantRefused(f"plant: there are not enough {kind or 'line'}s for so many errors") from None
        finally:
            self._untouched[:0] = passed_over

    def _other(self, amount_minor: int, *, lowest: int) -> int:
        """Another amount, by at least so much that nobody takes it for rounding."""
        difference = self._rng.randint(_SMALLEST_DIFFERENCE, max(_SMALLEST_DIFFERENCE, amount_minor // 10))
        is_less = self._rng.random() < 0.5 and amount_minor - difference >= lowest
        return amount_minor - difference if is_less else amount_minor + difference

    def _change(self, line: Line, **changes: Any) -> Line:
        changed = self.lines[line.id] = replace(line, **changes)
        return changed

    def _made_up(self, kind: str, prefix: str, reference: str, gross_minor: int, fee_minor: int) -> Line:
        made_up = f"{prefix}_{self._hex(24)}"
        charge_id = made_up if kind == CHARGE else ""
        currency = self._rng.choice(self._currencies)
        line = Line(kind, made_up, reference, charge_id, reference, currency, gross_minor, fee_minor, self._at)
        self.added.append(line)
        return line

    def _hex(self, length: int) -> str:
        return "".join(self._rng.choices("0123456789abcdef", k=length))

    def _note(self, kind: str, about: Line, *lines: Line, **amounts: int) -> None:
        self.errors.append(Planted(kind, LINE_ERRORS[kind], about, lines, **amounts))
