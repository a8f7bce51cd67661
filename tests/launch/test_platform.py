"""Does a platform keep what it had over a restart, and say truthfully who runs?"""

import json
from pathlib import Path

import psycopg

from checkout.launch import Platform, processes

BARE = {"PATH": "/usr/bin:/bin", "CHECKOUT_EMBEDDED": "wheel"}


def bare(directory: Path) -> Platform:
    return Platform(var_dir=directory, environment=BARE, web=0, workers=0, sweepers=0)


def test_data_and_secrets_outlive_a_restart(tmp_path: Path) -> None:
    with bare(tmp_path) as platform:
        platform.keyring.keep("DEMO_API_KEY", "sk_test_kept")
        first = platform.environment
        with psycopg.connect(first["DATABASE_URL"], autocommit=True) as connection:
            connection.execute("CREATE TABLE kept (word text)")

    with bare(tmp_path) as platform:
        assert platform.keyring.get("DEMO_API_KEY") == "sk_test_kept"
        assert platform.environment["FERNET_KEYS"] == first["FERNET_KEYS"]
        with psycopg.connect(platform.environment["DATABASE_URL"]) as connection:
            connection.execute("SELECT * FROM kept")


def test_the_run_file_names_living_processes_also_after_one_was_killed_and_goes_at_the_end(tmp_path: Path) -> None:
    run_file = tmp_path / "run.json"

    def told() -> dict[str, int]:
        pids: dict[str, int] = json.loads(run_file.read_text())["pids"]
        return pids

    with bare(tmp_path) as platform:
        assert run_file.stat().st_mode & 0o077 == 0
        first = told()
        assert set(first) == {"postgres", "redis"}
        platform.processes["redis"].kill()
        assert processes.wait_for(lambda: told()["redis"] != first["redis"], 5)
        assert processes.birth(told()["redis"])
    assert not run_file.exists()
    assert all(processes.birth(pid) is None for pid in first.values())
