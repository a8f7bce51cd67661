"""Is a child that dies started again, and are orphans recognised and ended?"""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from checkout.launch import processes
from checkout.launch.processes import Process
from checkout.launch.supervision import Supervisor


def sleeper(name: str, directory: Path, command: str = "sleep 60") -> Process:
    argv = ["sh", "-c", command]
    return Process(name, argv, environment={"PATH": "/usr/bin:/bin"}, log=directory / f"{name}.log")


@pytest.fixture
def changes() -> list[float]:
    return []


@pytest.fixture
def supervisor(changes: list[float]) -> Iterator[Supervisor]:
    supervisor = Supervisor(restarts=True, on_change=lambda: changes.append(time.monotonic()))
    supervisor.watch()
    yield supervisor
    supervisor.retire()
    processes.end(supervisor.processes.values(), grace_seconds=2)
    supervisor.stop()


def test_a_killed_child_is_started_again_and_its_new_pid_announced(
    supervisor: Supervisor, changes: list[float], tmp_path: Path
) -> None:
    child = sleeper("worker", tmp_path)
    supervisor.add(child)
    first = child.pid
    child.kill()
    assert processes.wait_for(lambda: child.is_running() and child.pid != first, 5)
    assert processes.wait_for(lambda: len(changes) == 2, 5)


def test_a_child_that_keeps_dying_is_started_ever_more_rarely(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.add(sleeper("worker", tmp_path, "echo started; exit 3"))
    time.sleep(2)
    starts = (tmp_path / "worker.log").read_text().count("started")
    assert 2 <= starts <= 4  # at 0, 0.2, 0.6 and 1.4 s, and later by what looking takes


def test_with_restarts_off_the_dead_stay_dead(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.restarts = False
    child = sleeper("worker", tmp_path)
    supervisor.add(child)
    child.kill()
    time.sleep(0.6)
    assert child.exit_code == -signal.SIGKILL
    supervisor.restart("worker", grace_seconds=1)
    assert child.is_running()


def test_a_frozen_child_does_nothing_until_it_may_go_on_and_can_still_be_ended(tmp_path: Path) -> None:
    child = sleeper("worker", tmp_path, "while true; do echo tick; sleep 0.05; done")
    child.start()
    assert processes.wait_for(lambda: "tick" in child.tail(), 5)
    child.stop()
    time.sleep(0.2)
    size = child.log.stat().st_size
    time.sleep(0.3)
    assert child.log.stat().st_size == size
    child.cont()
    assert processes.wait_for(lambda: child.log.stat().st_size > size, 5)
    child.stop()
    processes.end([child], grace_seconds=2)
    assert child.exit_code == -signal.SIGTERM


def test_killing_reaches_the_whole_group(tmp_path: Path) -> None:
    child = sleeper("web", tmp_path, "sleep 60 & echo $!; wait")
    child.start()
    assert processes.wait_for(lambda: child.tail().strip().isdigit(), 5)
    grandchild = int(child.tail())
    child.kill()
    assert processes.wait_for(lambda: processes.birth(grandchild) is None, 5)


def test_orphans_of_an_earlier_start_are_ended_but_a_reused_pid_is_left_alone(tmp_path: Path) -> None:
    orphan, stranger = sleeper("worker", tmp_path), sleeper("web", tmp_path)
    orphan.start()
    stranger.start()
    book = tmp_path / "processes.json"
    stranger_born, stranger.born = stranger.born, "at another time"
    processes.remember(book, [orphan, stranger])
    assert processes.end_orphans(book, grace_seconds=2) == ["worker"]
    assert (orphan.is_running(), stranger.is_running()) == (False, True)
    stranger.born = stranger_born
    processes.end([stranger], grace_seconds=2)
