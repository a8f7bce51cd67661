"""What does a running platform consist of? Web, workers, sweepers, beat and simulator over PostgreSQL and Redis.

`make run` and the tests of whole journeys use this one class. Each part is a process of its own that may be killed,
frozen and started again.
"""

import contextlib
import http.client
import json
import logging
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from checkout.launch import ports, processes
from checkout.launch.errors import LaunchError
from checkout.launch.files import ROOT, private_directory, write_private
from checkout.launch.processes import Process
from checkout.launch.services import Services
from checkout.launch.supervision import Supervisor

READY_SECONDS = 60
GRACE_SECONDS = 10
ORPHANS_SECONDS = 5  # within which the children of killed children notice, end, and let go of their ports
HOPELESS_AFTER_FAILURES = 4
QUEUES = "money,notices,webhooks,reports"
RUN, PROCESSES = "run.json", "processes.json"

logger = logging.getLogger(__name__)


class Platform:
    """The processes of one installation; a context manager.

    `database_url` and `redis_url` name services to use; without one, a private service is started under `var_dir`.
    `environment` goes over our own for every process. `web`, `workers` and `sweepers` count instances, named web, web2
    and so on. The simulator runs when its configuration file is given. With `restarts` off, the dead stay dead.
    What a killed launcher left running on the same directory is ended first.
    """

    def __init__(
        self,
        *,
        var_dir: Path,
        database_url: str | None = None,
        redis_url: str | None = None,
        environment: Mapping[str, str] | None = None,
        web: int = 1,
        workers: int = 1,
        sweepers: int = 1,
        beat: bool = False,
        simulator_config: Path | None = None,
        restarts: bool = True,
        preferred_ports: Mapping[str, int] | None = None,
    ) -> None:
        self.var_dir = private_directory(Path(var_dir).resolve())
        self.simulator_config = simulator_config
        self.facts: dict[str, Any] = {}
        self._database_url = database_url
        self._redis_url = redis_url
        self._webs = list(_names("web", web))
        self._workers = list(_names("worker", workers))
        self._sweepers = list(_names("sweeper", sweepers))
        self._beat = beat
        self._services_started = False
        preferred = preferred_ports or {}
        was_killed = self._end_orphans()
        self.ports = ports.choose(
            [*self._webs, "control", *ports.SIMULATED_GATEWAYS],
            remembered_in=self.var_dir / "ports.json",
            preferred=preferred,
            patience_seconds=ORPHANS_SECONDS if was_killed else 0,
        )
        given = {**os.environ, **(environment or {})}
        self.services = Services(self.var_dir, environment=given, preferred_ports=preferred)
        self.keyring = self.services.keyring
        self.environment: dict[str, str] = {
            "DJANGO_SETTINGS_MODULE": "checkout.settings.local",
            "PYTHONUNBUFFERED": "1",
            **({"PUBLIC_URL": self.url_of("web")} if web else {}),
            **({"SIMULATOR_CONFIG": str(simulator_config)} if simulator_config else {}),
            **given,
            **self.keyring.complete(given),
            "SIMULATOR_PORTS": json.dumps({name: self.ports[name] for name in ("control", *ports.SIMULATED_GATEWAYS)}),
        }
        self.supervisor = Supervisor(restarts=restarts, on_change=self._write_down)

    @property
    def processes(self) -> dict[str, Process]:
        """Every child by its name, the services' among them."""
        return self.supervisor.processes

    @property
    def restarts(self) -> bool:
        """Whether a child that dies is started again."""
        return self.supervisor.restarts

    @restarts.setter
    def restarts(self, wanted: bool) -> None:
        self.supervisor.restarts = wanted

    def url_of(self, name: str) -> str:
        """The address of a web process, of the simulator's "control" or of a simulated gateway."""
        return f"http://{ports.LOOPBACK}:{self.ports[name]}"

    def start_services(self) -> None:
        """Start the private services that no URL replaces.

        `start` does this too; done before it, there is a database to migrate and seed.
        """
        self.environment["REDIS_URL"] = self._redis_url or self.services.start_redis()
        self.environment["DATABASE_URL"] = self._database_url or self.services.start_postgres()
        for process in self.services.processes.values():
            self.supervisor.add(process)
        self._services_started = True

    def manage(self, *arguments: str) -> str:
        """Run a management command in this platform's environment and return what it printed.

        Refuses with a LaunchError that ends with the command's own last words.
        """
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            words = "\n".join((done.stdout + done.stderr).strip().splitlines()[-20:])
            raise LaunchError(f"manage.py {arguments[0]} failed:\n{words}")
        return done.stdout

    def start(self) -> None:
        """Start everything and return when the web processes and the simulator say that they are ready."""
        if not self._services_started:
            self.start_services()
        self.supervisor.watch()
        for process in self._own_processes():
            self.supervisor.add(process)
        self._wait_until_ready()

    def stop(self) -> None:
        """End everything, the services last, and forget who ran."""
        self.supervisor.retire()
        own = [process for name, process in self.processes.items() if name not in self.services.processes]
        processes.end(reversed(own), grace_seconds=GRACE_SECONDS)
        self.services.stop()
        self.supervisor.stop()
        for name in (RUN, PROCESSES):
            (self.var_dir / name).unlink(missing_ok=True)

    def restart(self, name: str) -> None:
        """End one process, politely at first, and start it again."""
        self.supervisor.restart(name, grace_seconds=GRACE_SECONDS)

    def __enter__(self) -> "Platform":
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _end_orphans(self) -> bool:
        """Whether an earlier launcher on this directory was killed; what it left behind is ended."""
        book = self.var_dir / PROCESSES
        was_killed = book.exists()
        for name in processes.end_orphans(book, grace_seconds=GRACE_SECONDS):
            logger.warning("%s was left over from an earlier start and has been ended", name)
        return was_killed

    def _own_processes(self) -> Iterator[Process]:
        celery = [sys.executable, "-m", "celery", "-A", "checkout.celery"]
        if self.simulator_config:
            yield self._process(
                "simulator", [sys.executable, "-m", "gateways.simulator", "--config", str(self.simulator_config)]
            )
        for name in self._webs:
            gunicorn = [sys.executable, "-m", "gunicorn", "--config", "python:checkout.launch.gunicorn"]
            address = f"{ports.LOOPBACK}:{self.ports[name]}"
            yield self._process(name, [*gunicorn, "--bind", address, "checkout.wsgi:application"], role="web")
        for name in self._workers:
            worker = [*celery, "worker", "--hostname", f"{name}@%h", "--queues", QUEUES, "--loglevel", "INFO"]
            pool = ["--pool", "prefork", "--concurrency", "4", "--prefetch-multiplier", "1", "-O", "fair"]
            yield self._process(name, [*worker, *pool, "--without-gossip", "--without-mingle"])
        for name in self._sweepers:
            yield self._process(name, [sys.executable, "manage.py", "sweep"])
        if self._beat:
            yield self._process("beat", [*celery, "beat", "--loglevel", "INFO", "--pidfile="])

    def _process(self, name: str, argv: list[str], *, role: str = "worker") -> Process:
        environment = {**self.environment, "PROCESS_ROLE": role}
        return Process(name, argv, environment=environment, log=self.var_dir / "log" / f"{name}.log")

    def _wait_until_ready(self) -> None:
        waiting = {name: f"{self.url_of(name)}/health/ready" for name in self._webs}
        if self.simulator_config:
            waiting["simulator"] = f"{self.url_of('control')}/health"
        deadline = time.monotonic() + READY_SECONDS
        while waiting:
            waiting = {name: url for name, url in waiting.items() if not _answers(url)}
            for name, process in self.processes.items():
                hopeless = self.supervisor.failures.get(name, 0) >= HOPELESS_AFTER_FAILURES
                late = name in waiting and time.monotonic() > deadline
                if hopeless or late:
                    said = "keeps ending" if hopeless else f"is not ready after {READY_SECONDS} s"
                    raise LaunchError(f"{name} {said}. Its log, {process.log}, ends:\n{process.tail()}")
            time.sleep(0.1 if waiting else 0)

    def _write_down(self) -> None:
        living = self.processes
        write_private(
            self.var_dir / RUN,
            {
                "api_url": self.url_of("web") if self._webs else None,
                "simulator_url": self.url_of("control") if self.simulator_config else None,
                "database_url": self.environment.get("DATABASE_URL"),
                "redis_url": self.environment.get("REDIS_URL"),
                **self.facts,
                "pids": {name: process.pid for name, process in living.items()},
            },
        )
        processes.remember(self.var_dir / PROCESSES, living.values())


def _names(stem: str, count: int) -> Iterator[str]:
    for number in range(1, count + 1):
        yield stem if number == 1 else f"{stem}{number}"


def _answers(url: str) -> bool:
    with (
        contextlib.suppress(urllib.error.URLError, http.client.HTTPException, OSError),
        urllib.request.urlopen(url, timeout=5) as answer,
    ):
        return bool(answer.status == 200)
    return False
