"""Do the settings refuse what would lock everybody out, and give a migration the time that it takes?"""

import os
import subprocess
import sys

import pytest
from django.conf import settings

from checkout.launch import keys

MIGRATE = """
import runpy, sys
sys.argv = ["manage.py", *{arguments!r}]
runpy.run_path("manage.py", run_name="__main__")
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute("SELECT current_setting('statement_timeout'), current_setting('lock_timeout')")
    print(*cursor.fetchone())
"""


def run(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A program in a process of its own, as somebody would start it."""
    given = {**os.environ, **keys.fresh(), **environment}
    argv = [sys.executable, "-c", program]
    return subprocess.run(argv, cwd=settings.BASE_DIR, env=given, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("given", [{}, {"PROXY_COUNT": "0"}])
def test_production_does_not_start_without_knowing_its_proxies(given: dict[str, str]) -> None:
    refused = run("import checkout.settings.production", **given)

    assert refused.returncode == 1
    assert "ImproperlyConfigured: Set PROXY_COUNT to the number of proxies" in refused.stderr
    assert run("import checkout.settings.production", PROXY_COUNT="1").returncode == 0


def test_a_migration_may_take_its_time_and_others_may_not() -> None:
    for arguments, limits in ((["migrate", "--plan"], "0 2s"), (["check"], "10s 2s")):
        done = run(MIGRATE.format(arguments=arguments), DJANGO_SETTINGS_MODULE="checkout.settings.local")

        assert done.stdout.splitlines()[-1:] == [limits], done.stderr
