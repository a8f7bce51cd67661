"""What came of the rounds? One line per round while they go on, one file of figures, and the table of the docs."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

_COLUMNS = (
    *("seed", "payments", "captured", "declined", "failed", "kills", "stops", "duplicates"),
    *("doubled", "lost", "unknown_left", "ledger_difference"),
)


@dataclass(frozen=True)
class Result:
    """One round. `ledger_difference` is in minor units, `recoveries` and `resolutions` are single times in seconds.

    `duplicates` is how many calls were sent again, or several times at once, under a key in use. `complaints` counts
    what the platform's own self-audit found, `given_up` what a merchant never got an answer to.
    """

    seed: int
    payments: int
    captured: int
    declined: int
    failed: int
    kills: int
    stops: int
    duplicates: int
    doubled: int
    lost: int
    unknown_left: int
    ledger_difference: int
    complaints: int
    given_up: int
    server_errors: int
    seconds: float
    recoveries: list[float] = field(default_factory=list)
    resolutions: list[float] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether nothing is there that must not be."""
        figures = (self.doubled, self.lost, self.unknown_left, self.ledger_difference, self.complaints, self.given_up)
        return not any(figures)

    def line(self) -> str:
        """The round in one line."""
        figures = ", ".join(f"{name.replace('_', ' ')} {getattr(self, name)}" for name in _COLUMNS)
        more = f", self-audit {self.complaints}, unanswered {self.given_up}, 500s {self.server_errors}"
        slowest = f", slowest recovery {_worst(self.recoveries)}, unknown known {_worst(self.resolutions)}"
        return f"{figures}{more}{slowest}, {self.seconds:.0f} s"

    def save(self, path: Path) -> None:
        """Add the round to a file, one JSON object per line."""
        with path.open("a") as file:
            file.write(json.dumps(asdict(self)) + "\n")


def read(path: Path) -> list[Result]:
    """The rounds of a file."""
    return [Result(**json.loads(line)) for line in path.read_text().splitlines()]


def table(results: Sequence[Result]) -> str:
    """The rounds as Markdown, with their sum and the times over all of them."""
    head = [name.replace("_", " ") for name in _COLUMNS] + ["slowest recovery", "slowest resolution", "seconds"]
    rows = [
        [*(f"{getattr(result, name):,}" if name != "seed" else str(result.seed) for name in _COLUMNS)]
        + [_worst(result.recoveries), _worst(result.resolutions), f"{result.seconds:.0f}"]
        for result in results
    ]
    total = [f"{sum(getattr(result, name) for result in results):,}" for name in _COLUMNS[1:]]
    recoveries = [seconds for result in results for seconds in result.recoveries]
    resolutions = [seconds for result in results for seconds in result.resolutions]
    worst = [_worst(recoveries), _worst(resolutions), f"{sum(result.seconds for result in results):.0f}"]
    rows.append([f"**{cell}**" for cell in (f"{len(results)} rounds", *total, *worst)])
    lines = [" | ".join(head), " | ".join(["---:"] * len(head)), *(" | ".join(row) for row in rows)]
    return "\n".join(
        [
            *(f"| {line} |" for line in lines),
            "",
            f"Recovery after the death of a worker: {_spread(recoveries)}.",
            f"An unknown outcome was known: {_spread(resolutions)} after it could be.",
        ]
    )


def _worst(seconds: Sequence[float]) -> str:
    return f"{max(seconds):.1f} s" if seconds else "–"


def _spread(seconds: Sequence[float]) -> str:
    if not seconds:
        return "never"
    ordered = sorted(seconds)
    p50, p99 = (ordered[math.ceil(len(ordered) * share) - 1] for share in (0.5, 0.99))
    return f"p50 {p50:.1f} s, p99 {p99:.1f} s, slowest {ordered[-1]:.1f} s of {len(ordered):,}"
