"""Do the private services come up from the wheels alone, keep their data, and survive being killed?"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from checkout.launch import LaunchError, Services, binaries, files, ports, processes

WHEEL_ONLY = {"PATH": "/usr/bin:/bin", "CHECKOUT_EMBEDDED": "wheel"}


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    with Services(tmp_path, environment=WHEEL_ONLY, durable=False) as services:
        yield services


def restarted(services: Services) -> Services:
    services.stop()
    return Services(services.var_dir, environment=WHEEL_ONLY, durable=False)


def test_a_second_start_finds_the_rows_of_the_first(services: Services) -> None:
    with psycopg.connect(services.start_postgres(), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (word text)")
        connection.execute("INSERT INTO kept VALUES ('zażółć')")

    with restarted(services) as again, psycopg.connect(again.start_postgres()) as connection:
        assert connection.execute("SELECT word FROM kept").fetchall() == [("zażółć",)]


def test_rows_committed_before_the_server_was_killed_are_there_after_its_restart(services: Services) -> None:
    url = services.start_postgres()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (word text)")
        connection.execute("INSERT INTO kept VALUES ('paid')")
        services.processes["postgres"].kill()

    again = services.start_postgres()
    with psycopg.connect(again) as connection:
        assert connection.execute("SELECT word FROM kept").fetchall() == [("paid",)]


def test_a_lock_file_that_names_a_stranger_does_not_keep_the_server_from_starting(services: Services) -> None:
    services.start_postgres()
    services.processes["postgres"].kill()
    lock_file = next(services.var_dir.glob("pg/*/postmaster.pid"))
    lines = lock_file.read_text().splitlines()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        lock_file.write_text("\n".join([str(stranger.pid), *lines[1:]]))
        psycopg.connect(services.start_postgres()).close()
        assert stranger.poll() is None, "the stranger was harmed"
        stranger.communicate(b"\n")


def test_a_dead_server_that_nobody_reaped_does_not_keep_the_next_from_starting(services: Services) -> None:
    services.start_postgres()
    zombie = services.processes["postgres"]
    assert zombie.pid
    os.kill(zombie.pid, signal.SIGKILL)

    with Services(services.var_dir, environment=WHEEL_ONLY, durable=False) as later:
        psycopg.connect(later.start_postgres()).close()


def test_a_server_left_over_from_an_earlier_start_is_ended_and_its_data_used(services: Services) -> None:
    with psycopg.connect(services.start_postgres(), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (word text)")
    orphan = services.processes["postgres"]

    with Services(services.var_dir, environment=WHEEL_ONLY, durable=False) as later:
        with psycopg.connect(later.start_postgres()) as connection:
            connection.execute("SELECT * FROM kept")
        assert orphan.exit_code == 0


def test_redis_remembers_what_it_was_told_before_it_was_killed(services: Services) -> None:
    redis.Redis.from_url(services.start_redis()).set("bell", "rung")
    client = redis.Redis.from_url(services.start_redis())
    client.execute_command("WAITAOF", 1, 0, 2000)
    services.processes["redis"].kill()

    again = redis.Redis.from_url(services.start_redis())
    assert again.get("bell") == b"rung"
    assert again.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_both_services_refuse_whoever_has_no_password(services: Services) -> None:
    database, broker = services.start_postgres(), services.start_redis()
    password = services.keyring.password("POSTGRES_PASSWORD")
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(database.replace(password, "wrong"))
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=int(broker.rpartition(":")[2].split("/")[0])).ping()


def test_secrets_are_the_same_at_the_next_start_and_private(services: Services) -> None:
    first = services.keyring.complete({})
    again = Services(services.var_dir, environment={}).keyring
    assert again.complete({"SECRET_KEY": "given"}) == {**first, "SECRET_KEY": "given"}
    assert again.path.stat().st_mode & 0o077 == 0


def test_a_taken_port_is_avoided_and_the_choice_remembered(tmp_path: Path) -> None:
    remembered = tmp_path / "ports.json"
    with socket.socket() as taken:
        taken.bind((ports.LOOPBACK, 0))
        taken.listen()
        wanted = taken.getsockname()[1]
        first = ports.choose(["web"], remembered_in=remembered, preferred={"web": wanted})
        assert first["web"] != wanted
    assert ports.choose(["web"], remembered_in=remembered, preferred={"web": wanted}) == first


def test_a_second_launcher_is_refused_and_told_who_runs(tmp_path: Path) -> None:
    with files.lock(tmp_path / "lock"), pytest.raises(LaunchError, match=f"process {os.getpid()}"):
        files.lock(tmp_path / "lock")
    files.lock(tmp_path / "lock").close()


def test_an_unknown_source_of_binaries_is_refused() -> None:
    with pytest.raises(LaunchError, match="CHECKOUT_EMBEDDED"):
        binaries.source_from("somewhere")


def test_children_end_when_their_launcher_is_killed(tmp_path: Path) -> None:
    launcher = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time; from pathlib import Path; from checkout.launch.processes import Process\n"
            "child = Process('child', ['sleep', '60'], environment={'PATH': '/usr/bin:/bin'}, log=Path(sys.argv[1]))\n"
            "child.start(); print(child.pid, flush=True); time.sleep(60)",
            str(tmp_path / "child.log"),
        ],
        stdout=subprocess.PIPE,
        text=True,
        cwd=files.ROOT,
    )
    assert launcher.stdout
    child = int(launcher.stdout.readline())
    assert processes.birth(child)
    launcher.kill()
    launcher.communicate()
    if sys.platform == "linux":
        assert processes.wait_for(lambda: processes.birth(child) is None, 5)
    else:
        os.kill(child, 15)
