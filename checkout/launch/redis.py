"""How does a private Redis come up? On loopback, with a password, remembering what it was told (append-only file)."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path

from checkout.launch import binaries, processes
from checkout.launch.errors import LaunchError
from checkout.launch.files import private_directory
from checkout.launch.ports import LOOPBACK
from checkout.launch.processes import Process

START_SECONDS = 30


class Redis:
    """A private Redis or Valkey server with its data under `var_dir/redis`."""

    def __init__(
        self, *, var_dir: Path, port: int, password: str, source: str | None, environment: Mapping[str, str]
    ) -> None:
        self.port = port
        self.password = password
        self.directory = private_directory(var_dir / "redis")
        self.configuration = self.directory / "redis.conf"  # not arguments: those are shown to every user
        self.process = Process(
            "redis",
            [str(binaries.redis(source)), str(self.configuration)],
            environment={"PATH": environment.get("PATH", os.defpath), "LC_ALL": "C"},
            log=var_dir / "log" / "redis.log",
        )

    @property
    def url(self) -> str:
        """The server's URL, password included."""
        return f"redis://:{self.password}@{LOOPBACK}:{self.port}/0"

    def start(self) -> None:
        """Start the server and wait until it has loaded its data and answers."""
        settings = {
            "bind": LOOPBACK,
            "port": str(self.port),
            "requirepass": self.password,
            "dir": f'"{self.directory}"',
            "appendonly": "yes",
            "maxmemory-policy": "noeviction",  # a full memory refuses, it does not forget
            "daemonize": "no",
        }
        self.configuration.touch(mode=0o600)
        self.configuration.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        self.process.start()
        ready = processes.wait_for(lambda: self._answers() or not self.process.is_running(), START_SECONDS)
        if not ready or not self.process.is_running():
            self.process.kill()
            raise LaunchError(f"Redis does not start. Its log, {self.process.log}, ends:\n{self.process.tail()}")

    def _answers(self) -> bool:
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=1) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2 and (received := connection.recv(256)):
                    answer += received
        except OSError:
            return False
        return answer.endswith(b"+PONG\r\n")
