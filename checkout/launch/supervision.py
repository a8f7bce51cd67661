"""Who looks after the children? One thread: it reaps whoever dies and starts it again, sooner at first, later later."""

import logging
import threading
import time
from collections.abc import Callable

from checkout.launch import processes
from checkout.launch.processes import Process

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 10.0
SOUND_AFTER_SECONDS = 10.0
LOOK_EVERY_SECONDS = 0.1

logger = logging.getLogger(__name__)


class Supervisor:
    """Keeps processes alive until told otherwise. `on_change` is called after every start, from whichever thread."""

    def __init__(self, *, restarts: bool, on_change: Callable[[], None]) -> None:
        self.restarts = restarts
        self.processes: dict[str, Process] = {}
        self.failures: dict[str, int] = {}
        self._on_change = on_change
        self._due: dict[str, float] = {}
        self._lock = threading.RLock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def watch(self) -> None:
        """Begin to look after the children."""
        self._thread.start()

    def add(self, process: Process) -> None:
        """Start a process, unless it runs already, and look after it from now on."""
        with self._lock:
            process.start()
            self.processes[process.name] = process
        self._on_change()

    def restart(self, name: str, *, grace_seconds: float) -> None:
        """End one child, politely at first, and start it again."""
        with self._lock:
            process = self.processes[name]
            processes.end([process], grace_seconds=grace_seconds)
            process.start()
            self._due.pop(name, None)
        self._on_change()

    def retire(self) -> None:
        """Restart nobody from now on, not even a child whose restart is due."""
        with self._lock:
            self.restarts = False

    def stop(self) -> None:
        """End the thread. Its children must have ended before: the kernel would signal them."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        while not self._ending.wait(LOOK_EVERY_SECONDS):
            if self._look():
                self._on_change()

    def _look(self) -> bool:
        """Reap and restart; whether anything was started."""
        started = False
        with self._lock:
            for name, process in self.processes.items():
                if process.is_running() or not self.restarts:
                    self._due.pop(name, None)
                elif name not in self._due:
                    self._due[name] = time.monotonic() + self._pause(process)
                elif time.monotonic() >= self._due[name]:
                    del self._due[name]
                    process.start()
                    started = True
        return started

    def _pause(self, process: Process) -> float:
        lived = time.monotonic() - process.started_at
        failures = 0 if lived > SOUND_AFTER_SECONDS else self.failures.get(process.name, 0)
        self.failures[process.name] = failures + 1
        pause = min(FIRST_PAUSE_SECONDS * float(1 << min(failures, 10)), LONGEST_PAUSE_SECONDS)
        logger.warning("%s ended (%s); it starts again in %.1f s", process.name, process.exit_code, pause)
        return pause
