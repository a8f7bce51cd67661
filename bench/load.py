"""How is something asked again and again? At an even pace, or by a crowd."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

Ask = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Answered:
    """What came of asking: latencies in ms, and how many answers there were per second."""

    latencies: list[float]
    per_second: float


async def paced(ask: Ask, *, per_second: float, seconds: float, at_once: int = 1) -> Answered:
    """Requests sent at an even pace, so many at once, whether or not the ones before were answered."""
    tasks = []
    began = time.perf_counter()
    for number in range(0, int(per_second * seconds), at_once):
        await asyncio.sleep(max(0.0, began + number / per_second - time.perf_counter()))
        tasks += [asyncio.create_task(_timed(ask)) for _ in range(at_once)]
    latencies = await asyncio.gather(*tasks)
    return Answered(latencies, len(latencies) / (time.perf_counter() - began))


async def crowded(ask: Ask, *, clients: int, seconds: float) -> Answered:
    """So many clients, each asking again as soon as it is answered."""
    began = time.perf_counter()
    latencies: list[float] = []

    async def client() -> None:
        while time.perf_counter() < began + seconds:
            latencies.append(await _timed(ask))

    await asyncio.gather(*(client() for _ in range(clients)))
    return Answered(latencies, len(latencies) / (time.perf_counter() - began))


def percentile(values: list[float], share: float) -> float:
    """The value below which that share of the values lies."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


async def _timed(ask: Ask) -> float:
    began = time.perf_counter()
    await ask()
    return (time.perf_counter() - began) * 1000
