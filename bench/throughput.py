"""How fast is a payment? Ratios taken in one run, against the gateway alone called by the same client.

The simulated gateway takes 50 ms for each call. "Added" is the time of a confirmed payment, asked for over HTTP, less
the time of the same charge asked of the gateway directly.
"""

import asyncio
import statistics

from bench.client import opened
from bench.installation import Installation
from bench.load import crowded, paced, percentile

GATEWAY_MS = 50


def measure(installed: Installation, *, seconds: float, runs: int) -> None:
    """Print the median of each figure over the runs, and between which values they lay."""
    found = [asyncio.run(_measure(installed, seconds)) for _ in range(runs)]
    for name in found[0]:
        values = sorted(figures[name] for figures in found)
        print(f"{name:32} {statistics.median(values):9.2f}   ({values[0]:.2f} to {values[-1]:.2f})")


async def _measure(installed: Installation, seconds: float) -> dict[str, float]:
    """All figures of one run."""
    async with opened(installed, latency_ms=GATEWAY_MS, notices="asynchronous") as client:
        await crowded(client.pay, clients=4, seconds=3)  # warm
        alone = (await paced(client.charge, per_second=20, seconds=seconds)).latencies
        whole = (await paced(client.pay, per_second=20, seconds=seconds)).latencies
        figures = {
            "gateway alone, p50 ms": statistics.median(alone),
            "payment at 20/s, p50 ms": statistics.median(whole),
            "added, p50 ms": statistics.median(whole) - statistics.median(alone),
            "added, p99 ms": percentile(whole, 0.99) - percentile(alone, 0.5),
        }
        for clients in (8, 32):
            direct = await crowded(client.charge, clients=clients, seconds=seconds)
            before = installed.cpu_seconds()
            paid = await crowded(client.pay, clients=clients, seconds=seconds)
            count = len(paid.latencies)
            spent = {name: (used - before[name]) * 1000 / count for name, used in installed.cpu_seconds().items()}
            figures[f"{clients} clients: payments/s"] = paid.per_second
            figures[f"{clients} clients: gateway alone/s"] = direct.per_second
            figures[f"{clients} clients: ratio"] = paid.per_second / direct.per_second
            figures[f"{clients} clients: CPU ms per payment"] = sum(spent.values())
        figures |= {f"  of which {name}": value for name, value in spent.items()}
        accepted = await crowded(client.accept, clients=32, seconds=seconds)
        figures["accepted/s, 32 clients"] = accepted.per_second
        await client.quiet()
        return figures
