"""Which payout is which credit at the bank? By the references in the remittance text, else by amount and day.

Pure: given batches and bank lines that are open, it says which belong together. One credit may be of several batches.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from checkout.settings import policy
from ledger.models import BankLine, SettlementBatch

_SHORTEST_DISTINCTIVE = 6  # a shorter reference, such as a running number, may stand in a text for something else


@dataclass(frozen=True)
class Credited:
    """A bank line and the batches it pays. It `is_sure` if the line names them or nothing else could be meant."""

    line: BankLine
    batches: tuple[SettlementBatch, ...]

    @property
    def expected_minor(self) -> int:
        """What the batches come to."""
        return sum(expected_minor(batch) for batch in self.batches)

    @property
    def ties(self) -> bool:
        """Whether the bank got exactly that."""
        return self.line.amount_minor == self.expected_minor


def expected_minor(batch: SettlementBatch) -> int:
    """What should reach the bank: what the gateway says it paid out, else the sum of its lines."""
    return batch.net_minor if batch.payout_minor is None else batch.payout_minor


def pair_payouts(lines: Sequence[BankLine], batches: Sequence[SettlementBatch]) -> list[Credited]:
    """What belongs together. A line or batch is in at most one of them, but where several are named and do not tie."""
    found: list[Credited] = []
    by_reference = _by_reference(batches)
    pattern = _pattern(by_reference)
    silent, taken = [], set()
    for line in lines:
        named = [batch for batch in _named(line, pattern, by_reference) if batch.pk not in taken]
        credited = _told(line, named)
        if credited is None:
            silent.append(line)
            continue
        found.append(credited)
        if credited.ties or len(credited.batches) == 1:
            taken |= {batch.pk for batch in credited.batches}
    left = [batch for batch in batches if batch.pk not in taken]
    alone = _unique(silent, [(batch,) for batch in left])
    taken |= {batch.pk for credited in alone for batch in credited.batches}
    silent = [line for line in silent if line not in [credited.line for credited in alone]]
    together = _unique(silent, _same_day([batch for batch in left if batch.pk not in taken]))
    return found + alone + together


def _by_reference(batches: Iterable[SettlementBatch]) -> dict[str, list[SettlementBatch]]:
    found: dict[str, list[SettlementBatch]] = defaultdict(list)
    for batch in batches:
        found[batch.reference.casefold()].append(batch)
    return found


def _pattern(references: Iterable[str]) -> re.Pattern[str]:
    """Any of the references as a word of its own, the longest first."""
    words = "|".join(re.escape(word) for word in sorted(references, key=len, reverse=True))
    return re.compile(rf"(?<![0-9a-z])(?:{words or '(?!)'})(?![0-9a-z])")


def _named(
    line: BankLine, pattern: re.Pattern[str], by_reference: dict[str, list[SettlementBatch]]
) -> list[SettlementBatch]:
    words = dict.fromkeys(pattern.findall(f"{line.reference} {line.text}".casefold()))
    return [batch for word in words for batch in by_reference[word] if batch.currency == line.currency]


def _told(line: BankLine, named: list[SettlementBatch]) -> Credited | None:
    """What a line says that it pays; None if it names nothing, or only what may mean something else."""
    distinctive = [batch for batch in named if _is_distinctive(line, batch)]
    for batches in (named, distinctive, *([batch] for batch in named)):
        if batches and Credited(line, tuple(batches)).ties:
            return Credited(line, tuple(batches))
    return Credited(line, tuple(distinctive)) if distinctive else None


def _is_distinctive(line: BankLine, batch: SettlementBatch) -> bool:
    """Whether naming the batch leaves no doubt: a running number needs the word for it, and the gateway's name."""
    if len(batch.reference) >= _SHORTEST_DISTINCTIVE:
        return True
    text, gateway = f"{line.reference} {line.text}".casefold(), batch.gateway
    number = rf"\bbatch (?:no\.? |number |#)?{re.escape(batch.reference.casefold())}(?![0-9a-z])"
    return bool(re.search(number, text)) and any(name.casefold() in text for name in (gateway.code, gateway.name))


def _same_day(batches: Iterable[SettlementBatch]) -> list[tuple[SettlementBatch, ...]]:
    """The batches that a gateway paid on one day, where they are several."""
    days: dict[tuple[object, ...], list[SettlementBatch]] = defaultdict(list)
    for batch in batches:
        days[batch.gateway_id, batch.currency, batch.paid_on].append(batch)
    return [tuple(day) for day in days.values() if len(day) > 1]


def _unique(lines: Sequence[BankLine], payouts: Sequence[tuple[SettlementBatch, ...]]) -> list[Credited]:
    """Lines and payouts of one amount and about one day, where neither could be another."""
    options = [Credited(line, payout) for line in lines for payout in payouts if _is_near(line, payout)]
    return [
        option
        for option in options
        if sum(other.line is option.line for other in options) == 1
        and sum(other.batches is option.batches for other in options) == 1
    ]


def _is_near(line: BankLine, payout: tuple[SettlementBatch, ...]) -> bool:
    first = payout[0]
    if line.currency != first.currency or line.amount_minor != sum(map(expected_minor, payout)):
        return False
    earliest = first.paid_on - timedelta(days=policy.DATE_SLACK_DAYS)
    return earliest <= line.booked_on <= first.paid_on + timedelta(days=policy.BANK_CREDIT_DAYS)
