"""Which payout is which credit at the bank? By the references in the remittance text, else by amount and day.

Pure: given batches and bank lines that are open, it says which belong together. One credit may be of several batches.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from checkout.settings import policy
from ledger.models import BankLine, SettlementBatch

_SHORTEST_DISTINCTIVE = 6  # a shorter reference, such as a running number, may stand in a text for something else


@dataclass(frozen=True)
class Credited:
    """A bank line and the batches it pays."""

    line: BankLine
    batches: tuple[SettlementBatch, ...]

    @property
    def shares_minor(self) -> list[int]:
        """What of it each batch should get: what was paid out, unless the bank got exactly what the lines come to."""
        nets = [batch.net_minor for batch in self.batches]
        return nets if sum(nets) == self.line.amount_minor else [expected_minor(batch) for batch in self.batches]

    @property
    def expected_minor(self) -> int:
        """What the batches come to."""
        return sum(self.shares_minor)

    @property
    def ties(self) -> bool:
        """Whether the bank got exactly that."""
        return self.line.amount_minor == self.expected_minor


def expected_minor(batch: SettlementBatch) -> int:
    """What should reach the bank: what the gateway says it paid out, else the sum of its lines."""
    return batch.net_minor if batch.payout_minor is None else batch.payout_minor


def pair_payouts(lines: Sequence[BankLine], batches: Sequence[SettlementBatch]) -> list[Credited]:
    """What belongs together. A line or batch is in at most one of them, but where several are named and do not tie."""
    by_reference = _by_reference(batches)
    pattern = _pattern(by_reference)
    naming = {line: named for line in lines if (named := _named(line, pattern, by_reference))}
    by_name = _by_name(naming)
    taken = {batch.pk for credited in by_name if _is_sure(credited) for batch in credited.batches}
    silent = _without(lines, by_name)
    alone = _by_day(silent, [(batch,) for batch in batches if batch.pk not in taken], naming)
    taken |= {batch.pk for credited in alone for batch in credited.batches}
    days = _same_day(batch for batch in batches if batch.pk not in taken)
    return by_name + alone + _by_day(_without(silent, alone), days, naming)


def _by_name(naming: dict[BankLine, list[SettlementBatch]]) -> list[Credited]:
    """What lines say that they pay. Charges and interest may name a payout too: the lines that tie come first, then
    those nearest in amount.
    """
    found: dict[BankLine, Credited] = {}
    taken: set[UUID] = set()
    nearest_first = sorted(naming, key=lambda line: abs(line.amount_minor - sum(map(expected_minor, naming[line]))))
    for must_tie in (True, False):
        for line in nearest_first:
            if line in found:
                continue
            credited = _told(line, [batch for batch in naming[line] if batch.pk not in taken])
            if credited is None or must_tie and not credited.ties:
                continue
            found[line] = credited
            if _is_sure(credited):
                taken |= {batch.pk for batch in credited.batches}
    return list(found.values())


def _is_sure(credited: Credited) -> bool:
    """Whether it is those batches' credit: one that names several and is not their sum may yet be of others."""
    return credited.ties or len(credited.batches) == 1


def _without(lines: Iterable[BankLine], found: Iterable[Credited]) -> list[BankLine]:
    placed = {credited.line for credited in found}
    return [line for line in lines if line not in placed]


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
    """The batches whose references are in the text; of those that share one, the named gateway's."""
    said = _said(line)
    named: list[SettlementBatch] = []
    for word in dict.fromkeys(pattern.findall(said)):
        alike = [batch for batch in by_reference[word] if batch.currency == line.currency]
        named += [batch for batch in alike if len(alike) > 1 and _is_by_named_gateway(batch, said)] or alike
    return named


def _said(line: BankLine) -> str:
    return f"{line.reference} {line.text}".casefold()


def _told(line: BankLine, named: list[SettlementBatch]) -> Credited | None:
    """What a line says that it pays; None if it names nothing, or only what may mean something else.

    Also None where several of the named are of its amount, each alone, or where the money went the other way.
    """
    distinctive = _distinctive(line, named)
    for batches in (named, distinctive):
        if batches and Credited(line, tuple(batches)).ties:
            return Credited(line, tuple(batches))
    tying = [credited for batch in named if (credited := Credited(line, (batch,))).ties]
    if tying:
        return tying[0] if len(tying) == 1 else None
    differing = Credited(line, tuple(distinctive))
    return differing if line.amount_minor * differing.expected_minor > 0 else None


def _distinctive(line: BankLine, named: list[SettlementBatch]) -> list[SettlementBatch]:
    """Those whose reference in the text can mean nothing else: a running number needs the word for it."""
    said = _said(line)
    return [
        batch
        for batch in named
        if len(batch.reference) >= _SHORTEST_DISTINCTIVE
        or re.search(rf"\bbatch\W{{0,3}}(?:no\W{{1,2}})?{re.escape(batch.reference.casefold())}(?![0-9a-z])", said)
    ]


def _is_by_named_gateway(batch: SettlementBatch, said: str) -> bool:
    return bool(_pattern(name.casefold() for name in (batch.gateway.code, batch.gateway.name)).search(said))


def _same_day(batches: Iterable[SettlementBatch]) -> list[tuple[SettlementBatch, ...]]:
    """The batches that a gateway paid on one day, where they are several."""
    days: dict[tuple[object, ...], list[SettlementBatch]] = defaultdict(list)
    for batch in batches:
        days[batch.gateway_id, batch.currency, batch.paid_on].append(batch)
    return [tuple(day) for day in days.values() if len(day) > 1]


def _by_day(
    lines: Iterable[BankLine],
    payouts: Iterable[tuple[SettlementBatch, ...]],
    naming: dict[BankLine, list[SettlementBatch]],
) -> list[Credited]:
    """Lines and payouts of one amount and about one day, where neither could be another."""
    by_amount: dict[tuple[str, int], list[BankLine]] = defaultdict(list)
    for line in lines:
        by_amount[line.currency, line.amount_minor].append(line)
    options = [
        Credited(line, payout)
        for payout in payouts
        for minor in {sum(batch.net_minor for batch in payout), sum(map(expected_minor, payout))}
        for line in by_amount.get((payout[0].currency, minor), ())
        if _is_near(line, payout) and not _means_another(line, payout, naming.get(line, []))
    ]
    per_line = Counter(option.line for option in options)
    per_payout = Counter(option.batches for option in options)
    return [option for option in options if per_line[option.line] == per_payout[option.batches] == 1]


def _means_another(line: BankLine, payout: tuple[SettlementBatch, ...], named: list[SettlementBatch]) -> bool:
    distinctive = _distinctive(line, named)
    return bool(distinctive) and not set(payout) <= set(distinctive)


def _is_near(line: BankLine, payout: tuple[SettlementBatch, ...]) -> bool:
    first = payout[0]
    earliest = first.paid_on - timedelta(days=policy.DATE_SLACK_DAYS)
    return earliest <= line.booked_on <= first.paid_on + timedelta(days=policy.BANK_CREDIT_DAYS)
