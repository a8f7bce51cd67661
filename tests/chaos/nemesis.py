"""Who does all the harm? A thread with a list of strikes, drawn from the seed before anything begins.

Every strike is written down with its time when it has been carried out; what was frozen or cut is let go again by
itself. A child process is struck alone as often as its whole group.
"""

import contextlib
import heapq
import itertools
import json
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
import redis

from checkout.launch import Platform, processes
from checkout.settings import policy
from tests.chaos.network import Proxy

# How often each is killed, of a hundred kills; a "child" is one process of a group, which its parent replaces.
KILLS: Mapping[tuple[str, str], int] = {
    ("kill", "worker"): 6,
    ("kill", "worker2"): 6,
    ("kill child", "worker"): 12,
    ("kill child", "worker2"): 12,
    ("kill", "sweeper"): 6,
    ("kill", "sweeper2"): 6,
    ("kill", "web"): 2,
    ("kill", "web2"): 2,
    ("kill child", "web"): 4,
    ("kill child", "web2"): 4,
    ("kill", "simulator"): 12,
    ("kill", "redis"): 14,
    ("kill", "postgres"): 6,
    ("kill child", "postgres"): 8,
}
# For how many seconds each is frozen, and by how many leases longer.
FREEZES: Mapping[str, tuple[float, float, int]] = {
    "worker": (1, 4, 1),
    "worker2": (1, 4, 1),
    "sweeper": (1, 4, 1),
    "sweeper2": (1, 4, 0),
    "web": (1, 4, 0),
    "web2": (1, 4, 0),
    "simulator": (1, 4, 0),
    "redis": (1, 5, 0),
    "postgres": (0.5, 3, 0),
}
_LOOK_SECONDS = 0.02
PATIENCE_SECONDS = 3  # how long a victim that is not there yet is waited for


@dataclass(frozen=True)
class Strike:
    """One act of harm, once that share of the payments has been begun; what is not over at once lasts `seconds`."""

    at: float
    kind: str
    target: str
    seconds: float = 0.0


def plan(seed: int, *, kills: int, gateways: Sequence[str]) -> list[Strike]:
    """What happens in a round: that many kills, and for every five of them about four of everything else."""
    draw = random.Random(f"{seed}:nemesis")
    strikes = [Strike(draw.random(), *target) for target in draw.choices(list(KILLS), list(KILLS.values()), k=kills)]
    freezes = list(FREEZES)
    draw.shuffle(freezes)
    for target in itertools.islice(itertools.cycle(freezes), max(2, kills * 3 // 10)):
        shortest, longest, leases = FREEZES[target]
        lasting = draw.uniform(shortest, longest) + leases * policy.LEASE_SECONDS
        strikes.append(Strike(draw.random(), "stop", target, lasting))
    for kind, shortest, longest in (("delay", 0.5, 4.0), ("refuse", 1.0, 5.0), ("reset", 0.0, 0.0)):
        for _ in range(max(1, kills // 10)):
            lasting = draw.uniform(shortest, longest)
            strikes.append(Strike(draw.random(), kind, draw.choice(list(gateways)), lasting))
    for kind, target in (("flush", "redis"), ("reset", "redis"), ("reset", "postgres")):
        strikes += [Strike(draw.random(), kind, target) for _ in range(max(1, kills // 15))]
    return sorted(strikes, key=lambda strike: strike.at)


class Nemesis(threading.Thread):
    """Carries the strikes out; `progress` says how much of the load has begun, `error` what stopped it, if anything.

    After `join` nothing is frozen, delayed or refused any more.
    """

    def __init__(
        self,
        platform: Platform,
        proxies: Mapping[str, Proxy],
        strikes: Sequence[Strike],
        *,
        progress: Callable[[], float],
        seed: int,
        journal: Path,
    ) -> None:
        super().__init__(name="nemesis", daemon=True)
        self.counts: Counter[str] = Counter()
        self.error: Exception | None = None
        self._platform = platform
        self._proxies = proxies
        self._strikes = strikes
        self._draw = random.Random(f"{seed}:victims")
        self._journal = journal
        self._progress = progress
        self._undo: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def run(self) -> None:
        """Strike when it is time, and let go when it is time."""
        try:
            for strike in self._strikes:
                while self._progress() < strike.at:
                    self._let_go()
                    time.sleep(_LOOK_SECONDS)
                began = time.time()
                if self._strike(strike):
                    self.counts[strike.kind.split()[0]] += 1
                    self._write(strike, began)
        except Exception as error:
            self.error = error
        while self._undo:
            self._let_go()
            time.sleep(_LOOK_SECONDS)

    def _let_go(self) -> None:
        while self._undo and self._undo[0][0] <= time.monotonic():
            heapq.heappop(self._undo)[2]()

    def _strike(self, strike: Strike) -> bool:
        """Whether it met anybody."""
        match strike.kind:
            case "kill" | "kill child":
                return self._kill(strike)
            case "stop":
                return self._freeze(strike)
            case "flush":
                return self._harm_redis("FLUSHALL")
            case "reset" if strike.target == "redis":
                return self._harm_redis("CLIENT", "KILL", "TYPE", "normal")
            case "reset" if strike.target == "postgres":
                return self._cut_postgres()
        proxy = self._proxies[strike.target]
        match strike.kind:
            case "reset":
                proxy.reset()
            case "delay":
                proxy.delay(strike.seconds)
                self._later(strike.seconds, lambda: proxy.delay(0))
            case "refuse":
                proxy.refuse()
                self._later(strike.seconds, proxy.listen)
        return True

    def _kill(self, strike: Strike) -> bool:
        process = self._platform.processes[strike.target]
        if not processes.wait_for(process.is_running, PATIENCE_SECONDS) or process.pid is None:
            return False
        if strike.kind == "kill":
            process.kill()
            return True
        children = family(process.pid)[1:]
        if not children:
            return False
        try:
            os.kill(self._draw.choice(children), signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def _freeze(self, strike: Strike) -> bool:
        process = self._platform.processes[strike.target]
        if not processes.wait_for(process.is_running, PATIENCE_SECONDS) or process.pid is None:
            return False
        frozen = [(pid, processes.birth(pid)) for pid in family(process.pid)]
        for pid, _ in frozen:
            _signal(pid, signal.SIGSTOP)

        def thaw() -> None:
            for pid, born in frozen:
                if born is not None and processes.birth(pid) == born:
                    _signal(pid, signal.SIGCONT)

        self._later(strike.seconds, thaw)
        return True

    def _harm_redis(self, *command: str) -> bool:
        url = self._platform.environment["REDIS_URL"]
        try:
            redis.Redis.from_url(url, socket_connect_timeout=1, socket_timeout=1).execute_command(*command)
        except redis.RedisError:
            return False
        return True

    def _cut_postgres(self) -> bool:
        try:
            with psycopg.connect(self._platform.environment["DATABASE_URL"], connect_timeout=2) as server:
                server.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
        except psycopg.Error:
            return False
        return True

    def _later(self, seconds: float, undo: Callable[[], None]) -> None:
        heapq.heappush(self._undo, (time.monotonic() + seconds, next(self._order), undo))

    def _write(self, strike: Strike, began: float) -> None:
        line = {"at": began, "until": time.time() + strike.seconds, "kind": strike.kind, "target": strike.target}
        with self._journal.open("a") as journal:
            journal.write(json.dumps(line) + "\n")


def family(pid: int) -> list[int]:
    """A process and everybody below it, the parents first."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True)
    parents = dict(tuple(map(int, line.split())) for line in listed.stdout.splitlines())
    found = [pid]
    for known in found:
        found += [child for child, parent in parents.items() if parent == known]
    return found


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
