"""How is one management command run with nothing around it? On a private PostgreSQL and Redis, thrown away after it."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from checkout.launch import keys
from checkout.launch.files import ROOT
from checkout.launch.services import Services


def alone(arguments: Sequence[str]) -> int:
    """Make the tables, run the command with these arguments, and return its exit code."""
    with tempfile.TemporaryDirectory(prefix="checkout-") as folder, Services(Path(folder), durable=False) as services:
        environment = {
            **os.environ,
            **keys.fresh(),
            "DATABASE_URL": services.start_postgres(),
            "REDIS_URL": services.start_redis(),
            "DJANGO_SETTINGS_MODULE": "checkout.settings.test",
            "PROCESS_ROLE": "report",
        }
        for command in (["migrate", "--verbosity", "0"], arguments):
            done = subprocess.run([sys.executable, "manage.py", *command], cwd=ROOT, env=environment, check=False)
            if done.returncode:
                return done.returncode
        return 0
