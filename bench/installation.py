"""What is measured? A platform of its own, with the processes of `make run`, on an empty database."""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from checkout.launch import Platform


@dataclass(frozen=True)
class Installation:
    """A running platform: where it is called, with which key, and the words its north gateway is known by."""

    platform: Platform
    api_key: str
    north: dict[str, str]

    @property
    def api_url(self) -> str:
        """Where merchants and gateways call."""
        return self.platform.url_of("web")

    @property
    def control_url(self) -> str:
        """Where the simulated gateways are steered."""
        return self.platform.url_of("control")

    def cpu_seconds(self) -> dict[str, float]:
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

        def total(pid: int | None) -> float:
            if pid is None:
                return 0.0
            return used.get(pid, 0.0) + sum(total(child) for child, parent in parents.items() if parent == pid)

        return {name: total(process.pid) for name, process in self.platform.processes.items()}


@contextlib.contextmanager
def installation() -> Iterator[Installation]:
    """Install and start a platform; it is gone after the block."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "simulator.json"
        platform = Platform(var_dir=Path(folder), simulator_config=config)
        platform.start_services()
        platform.manage("migrate", "--noinput")
        key = json.loads(platform.manage("seed_demo").strip().splitlines()[-1])["api_key"]
        north = {gateway["code"]: gateway for gateway in json.loads(config.read_text())["gateways"]}["north"]
        with platform:
            yield Installation(platform, key, north)
