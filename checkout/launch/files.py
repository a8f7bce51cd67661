"""Where do things lie on disk, and how is a private file written? Never readable by others, never half written."""

import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from checkout.launch.errors import LaunchError

ROOT = Path(__file__).resolve().parents[2]


def private_directory(path: Path) -> Path:
    """The directory, made where missing, open to its owner only."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def write_private(path: Path, content: Mapping[str, Any]) -> None:
    """Replace a JSON file in one step, readable by its owner only (0600)."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            json.dump(content, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty when there is no such file."""
    if not path.exists():
        return {}
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def read_dotenv(path: Path) -> dict[str, str]:
    """The `NAME=value` lines of a .env file; comments and blank lines are skipped, matching quotes removed."""
    values: dict[str, str] = {}
    if not path.exists():
        return values
    for line in path.read_text().splitlines():
        name, separator, value = line.strip().removeprefix("export ").partition("=")
        if not separator or name.startswith("#"):
            continue
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        values[name.strip()] = value
    return values


def lock(path: Path) -> IO[str]:
    """Hold a file so that a second launcher in the same directory is refused; the system lets go when we die.

    Refuses with a LaunchError that names the process holding it.
    """
    file = open(path, "a+")  # noqa: SIM115 (open as long as the lock is held)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise LaunchError(f"The platform is running already (process {holder}). Stop it first: kill {holder}") from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file
