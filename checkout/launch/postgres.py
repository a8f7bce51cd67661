"""How does a private PostgreSQL come up? One cluster per major version, on loopback, with a password of its own.

The server refuses to run as root. There it runs in a user namespace, where it is user 1000 and the files are still
ours; where the system forbids that, as user 65534, with a directory which that user can reach.
"""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from checkout.launch import binaries, processes
from checkout.launch.errors import LaunchError
from checkout.launch.files import private_directory
from checkout.launch.ports import LOOPBACK
from checkout.launch.processes import Process

USER = "checkout"
DATABASE = "checkout"
NOBODY = 65534
START_SECONDS = 60
_NAMESPACE = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "512MB",
    "effective_cache_size": "1GB",
    "max_wal_size": "1GB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "log_min_messages": "warning",
    "log_min_error_statement": "panic",  # a statement may hold what no log may
    "logging_collector": "off",
}


class Postgres:
    """A private server with its data under `var_dir/pg/<major>`.

    `durable=False` gives up fsync: nothing is lost when processes die, all may be when the machine does. For tests,
    which empty all tables over and over: that reads all of the shared buffers each time, so they are few.
    """

    def __init__(
        self,
        *,
        var_dir: Path,
        port: int,
        password: str,
        source: str | None,
        environment: Mapping[str, str],
        durable: bool = True,
    ) -> None:
        self.var_dir = var_dir
        self.port = port
        self.password = password
        self.durable = durable
        self.binaries = binaries.postgres(source, var_dir / "pg")
        self.environment = {"PATH": environment.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
        settings = {**_SETTINGS, "port": str(port)}
        if not durable:
            settings |= {"fsync": "off", "full_page_writes": "off", "shared_buffers": "128MB"}
        options = [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]
        self.process = Process(
            "postgres",
            [*self._as_user, str(self.binaries.directory / "postgres"), "-D", str(self.directory), *options],
            environment=self.environment,
            log=var_dir / "log" / "postgres.log",
            stop_signal=signal.SIGINT,  # a fast shutdown: clients are sent away, nothing is lost
            user=self._uid,
            before_start=self._heal_lock_file,
        )

    @property
    def url(self) -> str:
        """The database's URL, password included."""
        return f"postgres://{USER}:{self.password}@{LOOPBACK}:{self.port}/{DATABASE}"

    @property
    def directory(self) -> Path:
        """Where the data lies."""
        return self.var_dir / "pg" / str(self.binaries.major)

    def start(self) -> None:
        """Create the cluster if there is none, start the server and wait until it takes connections."""
        self._end_orphan()
        if not (self.directory / "PG_VERSION").exists():
            self._create()
        self.process.start()
        ready = processes.wait_for(lambda: self._is_ready() or not self.process.is_running(), START_SECONDS)
        if not ready or not self.process.is_running():
            self.process.kill()
            raise LaunchError(f"PostgreSQL does not start. Its log, {self.process.log}, ends:\n{self.process.tail()}")

    @cached_property
    def _uid(self) -> int | None:
        """Whom the server runs as, when not ourselves."""
        if os.geteuid() != 0 or self._as_user:
            return None
        for needed in (self.binaries.directory, self.var_dir.parent):
            if not all(path.stat().st_mode & 0o001 for path in [needed, *needed.resolve().parents]):
                raise LaunchError(
                    f"PostgreSQL refuses to run as root, and no other user can reach {needed}."
                    " Run as an ordinary user, or set DATABASE_URL."
                )
        return NOBODY

    @cached_property
    def _as_user(self) -> list[str]:
        """The words before the command that make root another user to PostgreSQL; none if not needed or not allowed."""
        if os.geteuid() != 0 or not shutil.which(_NAMESPACE[0]):
            return []
        tried = subprocess.run([*_NAMESPACE, "true"], capture_output=True, check=False)
        return _NAMESPACE if tried.returncode == 0 else []

    def _create(self) -> None:
        """Make the cluster aside and move it into place, so that a half-made one is never taken for a whole one."""
        private_directory(self.directory.parent)
        making = self.directory.with_name(f"{self.directory.name}.new")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(mode=0o700)
        password_file = self.directory.parent / ".password"
        password_file.touch(mode=0o600)
        password_file.write_text(self.password)
        if self._uid is not None:
            for path in (self.var_dir, self.directory.parent):
                path.chmod(0o711)  # to pass through, not to look into
            for path in (making, password_file):
                os.chown(path, self._uid, self._uid)
        try:
            self._run(
                *("initdb", "-D", str(making), "-U", USER, "--pwfile", str(password_file), "--auth=scram-sha-256"),
                *("--encoding=UTF8", "--no-locale", *([] if self.durable else ["--no-sync"])),
            )
            self._run("postgres", "--single", "-D", str(making), "postgres", said=f"CREATE DATABASE {DATABASE};\n")
        finally:
            password_file.unlink()
        making.rename(self.directory)

    def _run(self, program: str, *arguments: str, said: str = "") -> None:
        done = subprocess.run(
            [*self._as_user, str(self.binaries.directory / program), *arguments],
            input=said,
            capture_output=True,
            text=True,
            env=self.environment,
            cwd="/",
            check=False,
            user=self._uid,
            group=self._uid,
            extra_groups=None if self._uid is None else [],
        )
        if done.returncode:
            raise LaunchError(f"{program} failed:\n{done.stdout}{done.stderr}")

    def _lock_file(self) -> list[str]:
        """The lines of postmaster.pid: pid, data directory, …, port, …, state. Empty when no server wrote one."""
        try:
            return (self.directory / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _is_ready(self) -> bool:
        lines = self._lock_file()
        return len(lines) > 7 and lines[0] == str(self.process.pid) and lines[7].strip() == "ready"

    def _end_orphan(self) -> None:
        """Stop a server that an earlier launcher left on our directory."""
        lines = self._lock_file()
        if not lines or not self._is_ours(pid := int(lines[0])):
            return
        for number in (signal.SIGINT, signal.SIGQUIT):  # fast, then immediate: both are safe for the data
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
                os.kill(pid, number)
            if processes.wait_for(lambda: processes.birth(pid) is None, 10):
                return
        raise LaunchError(f"A PostgreSQL left over from an earlier start (process {pid}) does not end.")

    def _heal_lock_file(self) -> None:
        """Disarm a lock file whose pid now belongs to a stranger, or to a dead server that nobody has reaped yet.

        PostgreSQL would take either for a server and refuse to start. It disregards its parent's pid, so ours is
        written in; its other check, for survivors on the shared memory named in the same file, stays in force.
        """
        lines = self._lock_file()
        if lines and not self._is_ours(int(lines[0])):
            (self.directory / "postmaster.pid").write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")

    def _is_ours(self, pid: int) -> bool:
        """Whether that process is a living PostgreSQL on our directory."""
        command = processes.command_line(pid)
        return "postgres" in command and str(self.directory) in command
