"""What runs here? Whoever did not start the platform learns from `var/run.json` where it is and how to enter."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from checkout.launch import files
from checkout.launch.errors import LaunchError
from checkout.launch.files import ROOT
from checkout.launch.keys import Keyring

RUN_FILE = ROOT / "var" / "run.json"


class Running:
    """A platform that runs on this machine. Refuses with a LaunchError where none does."""

    def __init__(self, run_file: Path = RUN_FILE) -> None:
        self.facts: dict[str, Any] = files.read_json(run_file)
        if not self.facts:
            raise LaunchError(f"No platform runs here: there is no {run_file}. Start one with `make run`.")
        self._keyring = Keyring(run_file.with_name("secrets.json"))

    def manage(self, arguments: Sequence[str], *, capture: bool = False) -> subprocess.CompletedProcess[str]:
        """Run a management command on its database, with its secrets."""
        given = {**files.read_dotenv(ROOT / ".env"), **os.environ}
        environment = {
            **given,
            **self._keyring.complete(given),
            "DJANGO_SETTINGS_MODULE": "checkout.settings.local",
            "DATABASE_URL": self.facts["database_url"],
            "REDIS_URL": self.facts["redis_url"],
        }
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=environment,
            capture_output=capture,
            text=True,
            check=False,
        )
