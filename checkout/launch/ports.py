"""Which ports are used? The preferred ones where they are free, others where not, and the same again next time."""

import json
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from checkout.launch.processes import wait_for

LOOPBACK = "127.0.0.1"
PREFERRED = {
    "web": 8000,
    "control": 8100,
    "north": 8101,
    "south": 8102,
    "east": 8103,
    "west": 8104,
    "spare": 8105,
    "postgres": 5433,
    "redis": 6380,
}
SIMULATED_GATEWAYS = ("north", "south", "east", "west", "spare")


def is_free(port: int) -> bool:
    """Whether nothing listens on this port of the loopback address and we may bind it."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        if probe.connect_ex((LOOPBACK, port)) == 0:
            return False
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def choose(
    names: Sequence[str], *, remembered_in: Path, preferred: Mapping[str, int], patience_seconds: float = 0
) -> dict[str, int]:
    """One free port per name, all different.

    A port used last time comes first, then the preferred one, then whatever the system offers. The choice is written
    to `remembered_in`. With patience, ports used last time may become free yet.
    """
    remembered = json.loads(remembered_in.read_text()) if remembered_in.exists() else {}
    wait_for(lambda: all(is_free(remembered[name]) for name in names if name in remembered), patience_seconds)
    chosen: dict[str, int] = {}
    for name in names:
        wishes = [port for port in (remembered.get(name), preferred.get(name)) if port and port not in chosen.values()]
        chosen[name] = next((port for port in wishes if is_free(port)), 0) or _any_free(set(chosen.values()))
    remembered_in.write_text(json.dumps({**remembered, **chosen}, indent=2) + "\n")
    return chosen


def _any_free(taken: set[int]) -> int:
    while True:
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            port: int = probe.getsockname()[1]
        if port not in taken:
            return port
