"""Was everything that was planted found, and nothing else? The answers of gateways and bank, beside our reports.

Every planted error is one discrepancy of the kind that its answer names, at the line, item, payout or booking it is
about; a discrepancy that no answer accounts for is a false report.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ledger.models import Discrepancy

Place = tuple[str, str, object]


@dataclass
class Verdict:
    """What came of the planted errors."""

    planted: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)
    false_reports: list[str] = field(default_factory=list)

    @property
    def is_perfect(self) -> bool:
        """Whether all was found and nothing was made up."""
        return not self.missed and not self.false_reports


def judge(answers: Iterable[dict[str, Any]]) -> Verdict:
    """Compare the answers, each with the `file` and `gateway` it is of, with every discrepancy there is."""
    reported = [(discrepancy, _places(discrepancy)) for discrepancy in _discrepancies()]
    at: dict[Place, list[int]] = {}
    for number, (_, places) in enumerate(reported):
        for place in places:
            at.setdefault(place, []).append(number)
    verdict, explained = Verdict(), set[int]()
    for answer in answers:
        kind = answer["expected"]
        verdict.planted[kind] += 1
        hits = {number for place in _asked(answer) for number in at.get(place, ())}
        if any(reported[number][0].kind == kind for number in hits):
            verdict.found[kind] += 1
            explained |= {number for number in hits if reported[number][0].kind == kind}
        else:
            said = sorted(reported[number][0].kind for number in hits)
            verdict.missed.append(f"{answer['planted']} in {answer['file']}, lines {answer.get('lines')}: said {said}")
    verdict.false_reports = [
        f"{discrepancy.kind} {discrepancy.status} of {discrepancy.on} {places} {discrepancy.detail}"
        for number, (discrepancy, places) in enumerate(reported)
        if number not in explained
    ]
    return verdict


def _discrepancies() -> Iterable[Discrepancy]:
    return Discrepancy.objects.select_related(
        "item__gateway", "line__file", "batch__gateway", "bank_line__file"
    ).prefetch_related("bank_line__batches__gateway")


def _places(discrepancy: Discrepancy) -> list[Place]:
    """Where a discrepancy stands, in the words of the answers."""
    places: list[Place] = []
    if line := discrepancy.line:
        places.append(("line", line.file.name, line.line_number))
    if item := discrepancy.item:
        places.append(("item", item.gateway.code, item.reference))
    if batch := discrepancy.batch:
        places.append(("batch", batch.gateway.code, (batch.reference, batch.currency)))
    if bank_line := discrepancy.bank_line:
        places.append(("booking", bank_line.file.name, bank_line.reference))
        for batch in bank_line.batches.all():
            places.append(("batch", batch.gateway.code, (batch.reference, batch.currency)))
    return places


def _asked(answer: dict[str, Any]) -> list[Place]:
    """Where an answer says that its error stands."""
    places: list[Place] = [("line", answer["file"], number) for number in answer.get("lines") or ()]
    if answer.get("batch"):
        places.append(("batch", answer["gateway"], (answer["batch"], answer["currency"])))
    if answer.get("entry"):
        places.append(("booking", answer["file"], answer["entry"]))
    if answer.get("reference") and not answer.get("batch"):
        places.append(("item", answer["gateway"], answer["reference"]))
    return places
