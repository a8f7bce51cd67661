"""How much of PostgreSQL's speed is left when a fact is posted through Python, and how does another ledger do?

    python -m bench.posting --seconds 5 --runs 3

On one private, durable server, in turns: `record_entries`, the same statements in pgbench, and django-hordak, which
posts the same transfer: one entry, two legs. By one process and by four, one at a time and a hundred in a transaction.
django-hordak is installed from PyPI into `var/bench`, with what it needs and we do not have.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.database import database, make_gateway
from checkout.launch import binaries
from checkout.launch.files import ROOT

_HORDAK = ROOT / "var" / "bench" / "hordak-2.0.0"
_HORDAK_NEEDS = ["django-hordak==2.0.0", "django-mptt==0.20.0", "django-money==3.6.2", "py-moneyed==3.0"]
_HORDAK_NEEDS += ["django-import-export==4.4.3", "tablib==3.10.0", "diff-match-patch==20241021", "babel==2.18.0"]
_HORDAK_NEEDS += ["django-extensions==4.1", "dj-database-url==3.1.2", "django-js-asset==5.0.0"]
_BATCH = 100
_PROCESSES = (1, 4)


def transfers() -> Iterator[Any]:
    """For ever another transfer: money from a gateway that nobody has asked for."""
    from checkout.kit.ids import uuid7
    from checkout.kit.money import Money
    from gateways.models import Gateway
    from ledger import recipes

    gateway = Gateway.objects.get(code="north").pk
    legs = recipes.late_success(amount=Money(10_00, "EUR"), gateway_id=gateway, mode="test", reference="any").postings
    while True:
        name = f"bench_{uuid7().hex}"
        yield recipes.manual(legs=legs, merchant_id=None, gateway_id=gateway, mode="test", reference=name)


def work(seconds: float, batch: int) -> int:
    """Post transfers for so long, so many in a transaction; returns how many."""
    import django

    django.setup()
    from django.db import transaction

    from ledger.services import record_entries

    drafts, count = transfers(), 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with transaction.atomic():
            record_entries([next(drafts) for _ in range(batch)])
        count += batch
    return count


def script() -> str:
    """The statements of one posting as they are sent, with names of its own at each turn, for pgbench."""
    from django.db import connection, transaction
    from django.test.utils import CaptureQueriesContext

    from ledger.services import record_entries

    draft = next(transfers())
    with transaction.atomic():
        record_entries([next(transfers())])  # so that the accounts are known, as they are after the first
    with CaptureQueriesContext(connection) as captured, transaction.atomic():
        record_entries([draft])
    text = ";\n".join(query["sql"].strip() for query in captured.captured_queries) + ";\n"
    (entry_id,) = set(re.findall(r'"entry_id": "([0-9a-f-]+)"', text))
    text = text.replace(draft.reference, "bench_:n").replace(entry_id, f"{entry_id[:24]}:n")
    return f"\\set n random(100000000000, 999999999999)\n{text}"


def ours(seconds: float, processes: int, batch: int) -> float:
    """Transfers per second through `record_entries`."""
    return _together([sys.executable, "-m", "bench.posting", "--work", str(batch)], seconds, processes)


def hordak(seconds: float, processes: int, batch: int, how: str = "transfer") -> float:
    """Transfers per second through django-hordak: `transfer_to`, or rows by `bulk_create`."""
    return _together(
        [sys.executable, "-m", "bench.hordak", how, str(batch)], seconds, processes, {"PYTHONPATH": str(_HORDAK)}
    )


def pgbench(path: Path, seconds: float, processes: int) -> float:
    """Transfers per second of the same statements alone."""
    program = shutil.which("pgbench", path=f"{binaries.postgres(None, Path()).directory}:{os.environ['PATH']}")
    if program is None:
        raise SystemExit("pgbench is needed, and is not beside the PostgreSQL that was found.")
    asked = [program, "-n", "-T", str(round(seconds)), "-c", str(processes), "-j", str(processes), "-f", str(path)]
    told = subprocess.run([*asked, os.environ["DATABASE_URL"]], check=True, capture_output=True, text=True).stdout
    (rate,) = re.findall(r"tps = ([0-9.]+)", told)
    return float(rate)


def _together(command: list[str], seconds: float, processes: int, more: dict[str, str] | None = None) -> float:
    """What so many processes do at once, per second; each tells how many, and takes its time to start uncounted."""
    begun = [
        subprocess.Popen(
            [*command, "--seconds", str(seconds)], env={**os.environ, **(more or {})}, stdout=subprocess.PIPE, text=True
        )
        for _ in range(processes)
    ]
    counts = [int(process.communicate()[0]) for process in begun]
    if any(process.returncode for process in begun):
        raise SystemExit("One of them failed.")
    return sum(counts) / seconds


def install_hordak() -> None:
    """Bring django-hordak and what it needs to a folder of its own, and make its tables in this database."""
    if not _HORDAK.exists():
        asked = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(_HORDAK)]
        subprocess.run([*asked, *_HORDAK_NEEDS], check=True)
    environment = {**os.environ, "PYTHONPATH": str(_HORDAK)}
    subprocess.run([sys.executable, "-m", "bench.hordak", "install", "1"], check=True, env=environment)


def measure(seconds: float, runs: int, path: Path) -> None:
    """Everything in turns, so many times; prints the medians and what they are of each other."""
    columns: dict[str, Callable[[int], float]] = {
        "ours": lambda processes: ours(seconds, processes, 1),
        "pgbench": lambda processes: pgbench(path, seconds, processes),
        "hordak": lambda processes: hordak(seconds, processes, 1),
        "ours, by 100": lambda processes: ours(seconds, processes, _BATCH),
        "hordak, by 100": lambda processes: hordak(seconds, processes, _BATCH),
        "hordak, bulk of 100": lambda processes: hordak(seconds, processes, _BATCH, "bulk"),
    }
    print(f"{'transfers per second':24}" + "".join(f"{f'{count} processes':>14}" for count in _PROCESSES))
    found: dict[str, list[float]] = {}
    for _ in range(runs):
        for name, rate in columns.items():
            for place, processes in enumerate(_PROCESSES):
                found.setdefault(f"{name}/{place}", []).append(rate(processes))
    medians = {name: statistics.median(rates) for name, rates in found.items()}
    for name in columns:
        print(f"{name:24}" + "".join(f"{medians[f'{name}/{place}']:14,.0f}" for place in range(len(_PROCESSES))))
    for above, below in (
        ("ours", "pgbench"),
        ("ours", "hordak"),
        ("ours, by 100", "hordak, by 100"),
        ("ours, by 100", "hordak, bulk of 100"),
    ):
        ratios = (medians[f"{above}/{place}"] / medians[f"{below}/{place}"] for place in range(len(_PROCESSES)))
        print(f"{f'{above} : {below}':40}" + "".join(f"{ratio:8.2f}" for ratio in ratios))


def main() -> None:
    """Measure; or, as one of several processes, work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5, help="how long each figure is measured")
    parser.add_argument("--runs", type=int, default=3, help="how often")
    parser.add_argument("--work", type=int, metavar="BATCH", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        print(work(options.seconds, options.work))
        return
    with database(), tempfile.TemporaryDirectory() as folder:
        make_gateway()
        path = Path(folder, "posting.sql")
        path.write_text(script())
        install_hordak()
        measure(options.seconds, options.runs, path)


if __name__ == "__main__":
    main()
