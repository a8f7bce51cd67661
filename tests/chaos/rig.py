"""What is it that suffers? A platform as in production, only with every part there twice, over its own PostgreSQL.

PostgreSQL keeps what it promised (fsync is on), the simulated gateways stand behind proxies, and whatever dies is
started again by the supervisor of `make run`.
"""

import http.client
import json
import os
import random
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import django

from checkout.launch import Platform
from gateways.simulator.settings import ASYNCHRONOUS, BEHAVIOURS, DOWN, DUPLICATE_AND_LATE_NOTICES, HEALTHY
from tests.chaos.network import Network, Proxy
from tests.simulation import Simulation, their_credentials

DIALECTS = {"north": "json", "south": "xml", "east": "json"}
WEBS = ("web", "web2")
_PATIENCE_SECONDS = 90
_UNUSUAL = (ASYNCHRONOUS, DUPLICATE_AND_LATE_NOTICES)  # not wrong, only late or repeated
_FAULTY = tuple(name for name in BEHAVIOURS if name not in (HEALTHY, DOWN, *_UNUSUAL))
_FAULTY_SHARE = (0.30, 0.42)
_UNUSUAL_SHARE = 0.04


def faults(seed: int, code: str) -> dict[str, float]:
    """The share of each misbehaviour of a gateway in a round: at least 30 % of its answers are faulty."""
    draw = random.Random(f"{seed}:faults:{code}")
    weights = [draw.uniform(0.2, 1) for _ in _FAULTY]
    share = draw.uniform(*_FAULTY_SHARE) / sum(weights)
    mix = {name: weight * share for name, weight in zip(_FAULTY, weights, strict=True)}
    return {**mix, **dict.fromkeys(_UNUSUAL, _UNUSUAL_SHARE)}


class Rig:
    """The platform and its surroundings, kept over all rounds; a context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.book = folder / "book.sqlite3"
        self.network = Network()
        self.platform = Platform(
            var_dir=folder / "platform",
            environment={"DJANGO_SETTINGS_MODULE": "tests.chaos.settings"},
            web=len(WEBS),
            workers=2,
            sweepers=2,
            beat=True,
            simulator_config=folder / "simulator.json",
        )
        self.proxies = {code: Proxy(self.network, self.platform.ports[code]) for code in DIALECTS}
        self.simulation = Simulation(self.platform.url_of("control"), self.book)

    @property
    def urls(self) -> list[str]:
        """Where merchants call."""
        return [self.platform.url_of(name) for name in WEBS]

    def start(self) -> None:
        """Start everything on an empty database, and let this process use that database too."""
        self._configure({})
        self.platform.start_services()
        self.platform.manage("migrate", "--verbosity", "0")
        os.environ.update(self.platform.environment)
        django.setup()
        self.platform.start()

    def misbehave(self, seed: int) -> None:
        """Let the gateways be as faulty as this round wants them, also after each restart of the simulator."""
        self._configure({code: faults(seed, code) for code in DIALECTS}, seed=seed)
        self.platform.restart("simulator")
        self._wait_until_ready()

    def heal(self) -> None:
        """Let the gateways be well and wait until everything answers."""
        self._wait_until_ready()
        for code in DIALECTS:
            self.simulation.change(code)
        self.simulation.calm()

    def stop(self) -> None:
        """End everything."""
        self.platform.stop()
        self.network.stop()

    def __enter__(self) -> "Rig":
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *what: object) -> None:
        self.stop()

    def _configure(self, mixes: Mapping[str, Mapping[str, float]], seed: int = 0) -> None:
        gateways: list[dict[str, Any]] = [
            {
                "code": code,
                "name": code.title(),
                "dialect": dialect,
                "port": self.platform.ports[code],
                "notice_url": f"{self.urls[place % len(self.urls)]}/v1/notices/{code}",
                "mix": mixes.get(code, {}),
                **their_credentials(code),
            }
            for place, (code, dialect) in enumerate(DIALECTS.items())
        ]
        control = {"port": self.platform.ports["control"]}
        config = {"control": control, "book": str(self.book), "seed": seed, "gateways": gateways}
        (self.folder / "simulator.json").write_text(json.dumps(config))

    def _wait_until_ready(self) -> None:
        waiting = [f"{url}/health/ready" for url in self.urls] + [f"{self.platform.url_of('control')}/health"]
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while waiting:
            waiting = [url for url in waiting if not _answers(url)]
            if waiting and time.monotonic() > deadline:
                raise TimeoutError(f"no answer from {', '.join(waiting)}")
            time.sleep(0.2 if waiting else 0)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, http.client.HTTPException, OSError):
        return False
