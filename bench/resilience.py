"""What does a merchant notice when notices pour in, and when Redis hangs or is gone? Beside each figure its goal.

Redis well and Redis hanging take turns in one run, so that the machine and the hour are the same for both. What was
accepted meanwhile is followed until it has ended: no payment may be lost, and none may be refused.
"""

import asyncio
import itertools
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from bench.client import Client, opened
from bench.installation import Installation
from bench.load import Answered, crowded, paced, percentile

GATEWAY_MS = 50
PER_SECOND = 20
PAYS_PER_SECOND = 5
TURNS = 2  # of Redis well and Redis hanging, in one run
PATIENCE_SECONDS = 120  # for what was accepted to end
CLIENTS = 8
NOTICES = (f"notice, {PER_SECOND}/s", f"notice, {PER_SECOND}/s, {CLIENTS} at once")
UNPACED = f"notice, {CLIENTS} clients unpaced"  # without a goal: each answer waits for seven others
WELL, HANGS, GONE = "Redis well", "Redis hangs", "Redis gone"
NOTICE_P99_MS = 50.0
HANGING_MS = 100.0


@dataclass
class Report:
    """Over all runs: latencies in ms by what was asked; by what befell Redis, how many payments came to what, and after
    how many seconds of its return the last of them had ended."""

    latencies: dict[str, list[float]] = field(default_factory=dict)
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def answered(self, name: str, answered: Answered) -> None:
        """Add to the latencies of what goes by that name."""
        self.latencies.setdefault(name, []).extend(answered.latencies)

    def ended(self, name: str, asked: "Asked", statuses: list[str], seconds: float) -> None:
        """Add to what became of the payments that were asked for while that befell Redis."""
        counts = self.counts.setdefault(name, Counter())
        counts.update({f"answered {http_status}": count for http_status, count in asked.http_statuses.items()})
        counts.update(statuses)
        self.seconds.setdefault(name, []).append(seconds)

    def print(self) -> None:
        """Two tables, and which goals were met."""
        print(f"{'answer to':32}{'n':>7}{'p50 ms':>10}{'p99 ms':>10}{'max ms':>10}")
        for name, values in self.latencies.items():
            found = (statistics.median(values), percentile(values, 0.99), max(values))
            print(f"{name:32}{len(values):7}" + "".join(f"{value:10.1f}" for value in found))
        print()
        for name, counts in self.counts.items():
            told = ", ".join(f"{count} {status}" for status, count in counts.items())
            print(f"{f'payments, {name}':32}{told}; the last one {max(self.seconds[name]):.1f} s after its return")
        print()
        for goal, is_met in self._goals():
            print(f"{'met' if is_met else 'MISSED':8}{goal}")

    def _goals(self) -> Iterator[tuple[str, bool]]:
        p99 = {name: percentile(values, 0.99) for name, values in self.latencies.items()}
        for name in NOTICES:
            yield f"{name}: p99 {p99[name]:.1f} ms, at most {NOTICE_P99_MS:.0f}", p99[name] <= NOTICE_P99_MS
        for name in ("accept", "GET"):
            added = p99[f"{name}, {HANGS}"] - p99[f"{name}, {WELL}"]
            yield f"{name}: p99 {added:+.1f} ms while Redis hangs, less than +{HANGING_MS:.0f}", added < HANGING_MS
        for name, counts in self.counts.items():
            is_safe = counts.keys() == {"answered 202", "captured"} and len(set(counts.values())) == 1
            yield f"{name}: every payment is answered 202 and captured", is_safe


@dataclass
class Asked:
    """Payments that were asked for: the ids of those accepted, and how all were answered."""

    accepted: list[str] = field(default_factory=list)
    http_statuses: Counter[int] = field(default_factory=Counter)


def measure(installed: Installation, *, seconds: float, runs: int) -> None:
    """Print what was found in all runs together."""
    report = Report()
    for _ in range(runs):
        asyncio.run(_measure(installed, seconds, report))
    report.print()


async def _measure(installed: Installation, seconds: float, report: Report) -> None:
    async with opened(installed, latency_ms=GATEWAY_MS, notices="asynchronous") as client:
        await crowded(client.pay, clients=4, seconds=3)  # warm
        await _notices(client, seconds, report)
        await _hanging(client, seconds, report)
        await _gone(client, seconds, report)


async def _notices(client: Client, seconds: float, report: Report) -> None:
    """Notices of charges that are pending, so that a worker asks the gateway about each while more pour in."""
    await client.steer("PATCH", "/gateways/north", {"behaviour": "asynchronous", "async_seconds": 3600})
    payments = [await client.accept() for _ in range(2 * PER_SECOND)]
    await client.quiet()
    book = await client.steer("GET", "/book/north")
    references = itertools.cycle([row["reference"] for row in book if row["status"] == "pending"])

    async def notify() -> None:
        await client.notify(next(references))

    for name, at_once in zip(NOTICES, (1, CLIENTS), strict=True):
        answered = await paced(notify, per_second=PER_SECOND, seconds=seconds, at_once=at_once)
        report.answered(name, answered)
        await client.quiet()
    report.answered(UNPACED, await crowded(notify, clients=CLIENTS, seconds=seconds))
    await client.steer("PATCH", "/gateways/north", {"behaviour": "healthy"})
    await client.steer("POST", "/gateways/north/settle_pending")
    await _ends(client, payments)


async def _hanging(client: Client, seconds: float, report: Report) -> None:
    """Redis well, then stopped as it is: connections stay open, and nothing is answered."""
    redis = client.installed.platform.processes["redis"]
    for _ in range(TURNS):
        await _ask(client, seconds, report, WELL)
        await client.quiet()
        report.answered(f"pay, {WELL}", await paced(client.pay, per_second=PAYS_PER_SECOND, seconds=seconds))
        redis.stop()
        try:
            asked = await _ask(client, seconds, report, HANGS)
        finally:
            redis.cont()
        await _follow(client, asked, seconds, report, HANGS)


async def _gone(client: Client, seconds: float, report: Report) -> None:
    """Redis killed, and kept away."""
    platform = client.installed.platform
    platform.restarts = False
    platform.processes["redis"].kill()
    try:
        asked = await _ask(client, seconds, report, GONE)
    finally:
        platform.restart("redis")
        platform.restarts = True
    await _follow(client, asked, seconds, report, GONE)


async def _ask(client: Client, seconds: float, report: Report, how: str) -> Asked:
    """Ask for payments without waiting, and look at some of them, both at a pace."""
    asked = Asked()

    async def accept() -> None:
        http_status, payment = await client.create("respond-async")
        asked.http_statuses[http_status] += 1
        if http_status == 202:
            asked.accepted.append(payment["id"])

    async def get() -> None:
        await client.payment(asked.accepted[len(asked.accepted) // 2])

    await accept()
    accepted, got = await asyncio.gather(
        paced(accept, per_second=PER_SECOND, seconds=seconds), paced(get, per_second=PER_SECOND, seconds=seconds)
    )
    report.answered(f"accept, {how}", accepted)
    report.answered(f"GET, {how}", got)
    return asked


async def _follow(client: Client, asked: Asked, seconds: float, report: Report, how: str) -> None:
    """Redis is back: what becomes of all that was accepted meanwhile, and how long does a new payment take?"""
    began = time.perf_counter()
    paying = asyncio.create_task(paced(client.pay, per_second=PAYS_PER_SECOND, seconds=seconds))
    statuses = await _ends(client, asked.accepted)
    report.ended(how, asked, statuses, time.perf_counter() - began)
    report.answered(f"pay, just after {how}", await paying)
    await client.quiet()


async def _ends(client: Client, payments: list[str]) -> list[str]:
    """The status of each payment, once none is processing any more or patience has ended."""
    deadline = time.perf_counter() + PATIENCE_SECONDS
    statuses = dict.fromkeys(payments, "processing")
    while "processing" in statuses.values() and time.perf_counter() < deadline:
        await asyncio.sleep(0.1)
        for payment in [payment for payment, status in statuses.items() if status == "processing"]:
            statuses[payment] = (await client.payment(payment))["status"]
    return list(statuses.values())
