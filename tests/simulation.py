"""How do tests get gateways that can be told how to behave? From the simulator: a process of its own, steered by HTTP.

It is empty until somebody adds a gateway.
"""

import json
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from checkout.launch.processes import Process, wait_for

# What a gateway goes back to after a test.
CALM = {
    "behaviour": "healthy",
    "profile": "by_card",
    "latency_ms": 0,
    "share": 1.0,
    "slow_seconds": 3.0,
    "async_seconds": 2.0,
    "mix": {},
}


class Simulation:
    """A simulator's control port, from the outside. `book_file` is where it writes what truly happened."""

    def __init__(self, url: str, book_file: Path) -> None:
        self.url = url
        self.book_file = book_file
        self._changed: set[str] = set()

    def add(self, code: str, dialect: str, **settings: Any) -> dict[str, Any]:
        """Add a gateway and describe it, with its `url`."""
        gateway = {"code": code, "name": code.title(), "dialect": dialect, **their_credentials(code), **settings}
        added: dict[str, Any] = self._ask("POST", "/gateways", gateway)
        return added

    def change(self, code: str, **settings: Any) -> None:
        """Let a gateway behave otherwise: `behaviour="charge_then_500"`, `share`, `latency_ms` and so on."""
        self._changed.add(code)
        self._ask("PATCH", f"/gateways/{code}", settings)

    def calm(self) -> None:
        """Let every gateway that was changed be well again, and decide what it had left pending."""
        while self._changed:
            code = self._changed.pop()
            self._ask("PATCH", f"/gateways/{code}", CALM)
            self._ask("POST", f"/gateways/{code}/settle_pending", {})

    def gateways(self) -> list[dict[str, Any]]:
        """Every gateway: its settings, its `url` and its `counters`."""
        found: list[dict[str, Any]] = self._ask("GET", "/gateways")
        return found

    def book(self, code: str, *, reference: str = "") -> list[dict[str, Any]]:
        """What truly happened at a gateway, oldest first; all of it, or what is about one of our references."""
        rows: list[dict[str, Any]] = self._ask("GET", f"/book/{code}")
        return [row for row in rows if reference in ("", row["reference"], row["parent_reference"])]

    def totals(self, code: str) -> dict[str, dict[str, int]]:
        """Per currency, in minor units, what a gateway has captured and given back."""
        totals: dict[str, dict[str, int]] = self._ask("GET", f"/book/{code}/totals")
        return totals

    def settle(self, code: str, **wanted: Any) -> dict[str, Any] | None:
        """Issue a settlement file of all that is final and in none yet, and describe it; None if that is nothing.

        `until`, `plant` and `seed` are as in `gateways.simulator.control`.
        """
        issued: dict[str, Any] | None = self._ask("POST", f"/settlements/{code}", wanted)
        return issued

    def settlement(self, code: str, name: str) -> bytes:
        """A settlement file, byte for byte."""
        with urllib.request.urlopen(f"{self.url}/settlements/{code}/{name}", timeout=10) as answer:
            content: bytes = answer.read()
        return content

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)


def their_credentials(code: str) -> dict[str, str]:
    """What a simulated gateway and we both know, in its own words."""
    return {"api_key": f"key-of-{code}", "notice_secret": f"notices-of-{code}", "merchant_id": f"merchant-at-{code}"}


def our_credentials(code: str, dialect: str) -> dict[str, str]:
    """The same in the words of our adapter for a dialect."""
    theirs = their_credentials(code)
    names = {"json": ("api_key", "notice_secret"), "xml": ("signing_key", "notice_secret", "merchant_id")}[dialect]
    return {name: theirs["api_key" if name == "signing_key" else name] for name in names}


@contextmanager
def simulator(folder: Path) -> Iterator[Simulation]:
    """A simulator without gateways, its book and log in a folder, until the block ends."""
    config = folder / "simulator.json"
    config.write_text(json.dumps({"control": {"port": 0}, "book": str(folder / "book.sqlite3"), "gateways": []}))
    process = Process(
        "simulator",
        [sys.executable, "-m", "gateways.simulator", "--config", str(config)],
        environment={"PATH": "/usr/bin:/bin"},
        log=folder / "simulator.log",
    )
    process.start()
    try:
        assert wait_for(lambda: "\n" in process.log.read_text(), 30), process.tail()
        yield Simulation(json.loads(process.log.read_text().splitlines()[0])["control"], folder / "book.sqlite3")
    finally:
        process.kill()
