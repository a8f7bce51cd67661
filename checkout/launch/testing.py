"""How do the tests get a real PostgreSQL and Redis? A private pair per run, thrown away afterwards.

Several runs may go on at once. What a killed run left behind is removed by the next one.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

from checkout.launch import files, processes
from checkout.launch.errors import LaunchError
from checkout.launch.files import ROOT, private_directory
from checkout.launch.services import GRACE_SECONDS, Services

RUNS = ROOT / "var" / "test"
PROCESSES = "processes.json"


def test(arguments: Sequence[str]) -> int:
    """Run pytest with these arguments and return its exit code.

    DATABASE_URL and REDIS_URL are used where the environment has them. Later arguments win over ours, so `-n 0` works.
    """
    signal.signal(signal.SIGTERM, _end)
    private_directory(RUNS)
    _sweep()
    directory = private_directory(RUNS / str(os.getpid()))
    lock = files.lock(directory / "lock")
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "checkout.settings.test"}
    with Services(directory, durable=False) as services:
        try:
            if not environment.get("REDIS_URL"):
                environment["REDIS_URL"] = services.start_redis()
            if not environment.get("DATABASE_URL"):
                environment["DATABASE_URL"] = services.start_postgres()
            processes.remember(directory / PROCESSES, services.processes.values())
            pytest = [sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadgroup", *arguments]
            return subprocess.run(pytest, cwd=ROOT, env=environment, check=False).returncode
        except KeyboardInterrupt:
            return 130
        finally:
            services.stop()
            lock.close()
            shutil.rmtree(directory, ignore_errors=True)


def _sweep() -> None:
    for directory in RUNS.iterdir():
        with contextlib.suppress(LaunchError, FileNotFoundError), files.lock(directory / "lock"):
            processes.end_orphans(directory / PROCESSES, grace_seconds=GRACE_SECONDS)
            shutil.rmtree(directory, ignore_errors=True)


def _end(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
