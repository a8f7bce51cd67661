"""How fast is a payment? Ratios taken in one run, against the gateway alone called by the same client.

    make bench                         everything, about three minutes
    python -m bench --seconds 5        shorter

The platform runs with the processes of `make run`; the simulated gateway takes 50 ms for each call. "Added" is the
time of a confirmed payment, asked for over HTTP, less the time of the same charge asked of the gateway directly.
"""

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp

from checkout.launch import Platform

GATEWAY_MS = 50
CARD = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2034, "cvv": "123"}
Ask = Callable[[], Awaitable[None]]


class Bench:
    """One client, and the two things it can ask: us, and the gateway behind us."""

    def __init__(self, session: aiohttp.ClientSession, api_url: str, api_key: str, gateway: dict[str, str]) -> None:
        self.session, self.api_url, self.api_key, self.gateway = session, api_url, api_key, gateway

    async def pay(self) -> None:
        """A payment through the platform, until its outcome is known."""
        body = {
            "amount": 1099,
            "currency": "EUR",
            "country": "DE",
            "payment_method": {"type": "card", "card": CARD},
        }
        headers = {"Authorization": f"Bearer {self.api_key}", "Idempotency-Key": uuid.uuid4().hex, "Prefer": "wait=20"}
        async with self.session.post(f"{self.api_url}/v1/payments", json=body, headers=headers) as answer:
            payment = await answer.json()
            assert (answer.status, payment["status"]) == (201, "captured"), payment

    async def accept(self) -> None:
        """A payment that is only accepted; its outcome follows."""
        body = {"amount": 1099, "currency": "EUR", "country": "DE", "payment_method": {"type": "card", "card": CARD}}
        headers = {
            "Authorization": f"Bearer {self.api_key}",
            "Idempotency-Key": uuid.uuid4().hex,
            "Prefer": "respond-async",
        }
        async with self.session.post(f"{self.api_url}/v1/payments", json=body, headers=headers) as answer:
            assert answer.status == 202, await answer.text()

    async def quiet(self) -> None:
        """Wait until nothing is due any more, so that one figure's backlog does not slow the next."""
        calm = 0
        while calm < 5:
            await asyncio.sleep(0.5)
            async with self.session.get(f"{self.api_url}/health/ready") as answer:
                calm = calm + 1 if (await answer.json())["oldest_due_seconds"] == 0 else 0

    async def charge(self) -> None:
        """The same charge at the gateway itself."""
        reference = uuid.uuid4().hex
        body = {"reference": reference, "amount": 1099, "currency": "EUR", "capture": True, "card": CARD}
        headers = {"Authorization": f"Bearer {self.gateway['api_key']}", "Idempotency-Key": reference}
        async with self.session.post(f"{self.gateway['url']}/v1/charges", json=body, headers=headers) as answer:
            assert (await answer.json())["status"] == "approved"


async def paced(ask: Ask, *, per_second: float, seconds: float) -> list[float]:
    """Latencies in ms of requests sent at an even pace, whether or not the ones before were answered."""

    async def timed() -> float:
        began = time.perf_counter()
        await ask()
        return (time.perf_counter() - began) * 1000

    tasks = []
    began = time.perf_counter()
    for number in range(int(per_second * seconds)):
        await asyncio.sleep(max(0.0, began + number / per_second - time.perf_counter()))
        tasks.append(asyncio.create_task(timed()))
    return list(await asyncio.gather(*tasks))


async def crowded(ask: Ask, *, clients: int, seconds: float) -> float:
    """Requests per second with so many clients, each asking again as soon as it is answered."""
    until = time.perf_counter() + seconds

    async def client() -> int:
        count = 0
        while time.perf_counter() < until:
            await ask()
            count += 1
        return count

    began = time.perf_counter()
    counts = await asyncio.gather(*(client() for _ in range(clients)))
    return sum(counts) / (time.perf_counter() - began)


def percentile(values: list[float], share: float) -> float:
    """The value below which that share of the values lies."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def cpu_seconds(pids: dict[str, int]) -> dict[str, float]:
    """CPU time used so far by each of the platform's processes with its children, by name (Linux)."""
    ticks = os.sysconf("SC_CLK_TCK")
    used: dict[int, float] = {}
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            pid = int(path.parent.name)
            parents[pid] = int(fields[1])
            used[pid] = (int(fields[11]) + int(fields[12])) / ticks

    def total(pid: int) -> float:
        return used.get(pid, 0.0) + sum(total(child) for child, parent in parents.items() if parent == pid)

    return {name: total(pid) for name, pid in pids.items()}


async def measure(bench: Bench, seconds: float, pids: dict[str, int]) -> dict[str, float]:
    """All figures of one run."""
    await crowded(bench.pay, clients=4, seconds=3)  # warm
    alone = await paced(bench.charge, per_second=20, seconds=seconds)
    whole = await paced(bench.pay, per_second=20, seconds=seconds)
    figures = {
        "gateway alone, p50 ms": statistics.median(alone),
        "payment at 20/s, p50 ms": statistics.median(whole),
        "added, p50 ms": statistics.median(whole) - statistics.median(alone),
        "added, p99 ms": percentile(whole, 0.99) - percentile(alone, 0.5),
    }
    for clients in (8, 32):
        direct = await crowded(bench.charge, clients=clients, seconds=seconds)
        before, began = cpu_seconds(pids), time.perf_counter()
        paid = await crowded(bench.pay, clients=clients, seconds=seconds)
        count = paid * (time.perf_counter() - began)
        spent = {name: (used - before[name]) * 1000 / count for name, used in cpu_seconds(pids).items()}
        figures[f"{clients} clients: payments/s"] = paid
        figures[f"{clients} clients: gateway alone/s"] = direct
        figures[f"{clients} clients: ratio"] = paid / direct
        figures[f"{clients} clients: CPU ms per payment"] = sum(spent.values())
    figures |= {f"  of which {name}": value for name, value in spent.items()}
    figures["accepted/s, 32 clients"] = await crowded(bench.accept, clients=32, seconds=seconds)
    await bench.quiet()
    return figures


async def run(
    api_url: str, api_key: str, control_url: str, config: Path, seconds: float, pids: dict[str, int]
) -> dict[str, float]:
    """Prepare the gateway and measure."""
    settings = {gateway["code"]: gateway for gateway in json.loads(config.read_text())["gateways"]}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=30)) as session:
        url = f"{control_url}/gateways/north"
        async with session.patch(url, json={"latency_ms": GATEWAY_MS, "notices": "asynchronous"}) as answer:
            north = await answer.json()
        gateway = {"url": north["url"], "api_key": settings["north"]["api_key"]}
        return await measure(Bench(session, api_url, api_key, gateway), seconds, pids)


def main() -> None:
    """Start a platform, measure it, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10, help="how long each figure is measured")
    parser.add_argument("--runs", type=int, default=3, help="how often; the medians are printed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "simulator.json"
        platform = Platform(var_dir=Path(folder), simulator_config=config)
        platform.start_services()
        platform.manage("migrate", "--noinput")
        key = json.loads(platform.manage("seed_demo").strip().splitlines()[-1])["api_key"]
        with platform:
            api_url, control_url = platform.url_of("web"), platform.url_of("control")
            pids = {name: process.pid for name, process in platform.processes.items()}
            runs = [
                asyncio.run(run(api_url, key, control_url, config, options.seconds, pids)) for _ in range(options.runs)
            ]
    for name in runs[0]:
        values = sorted(figures[name] for figures in runs)
        print(f"{name:32} {statistics.median(values):9.2f}   ({values[0]:.2f} to {values[-1]:.2f})")


if __name__ == "__main__":
    main()
