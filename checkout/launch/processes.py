"""How does one child process live? Started in a session of its own, logged to a file, signalled as a group, reaped.

A child must not outlive us: on Linux the kernel signals it when we die, even by SIGKILL. That holds for the *thread*
which started it, so a thread that starts children ends them before it ends itself.
"""

import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from checkout.launch.files import ROOT, private_directory, read_json, write_private

LOG_LIMIT_BYTES = 10_000_000
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None

logger = logging.getLogger(__name__)


class Process:
    """One child, which may be started again after it has ended.

    `stop_signal` asks it to end; `user` is the uid and gid it runs as, when not our own; `before_start` runs before
    each start.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        log: Path,
        stop_signal: signal.Signals = signal.SIGTERM,
        user: int | None = None,
        before_start: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self.argv = list(argv)
        self.environment = dict(environment)
        self.log = log
        self.stop_signal = stop_signal
        self.user = user
        self._before_start = before_start
        self._popen: subprocess.Popen[bytes] | None = None
        self.born: str | None = None
        self.started_at = 0.0

    @property
    def pid(self) -> int | None:
        """The process id, once started."""
        return self._popen.pid if self._popen else None

    @property
    def exit_code(self) -> int | None:
        """How it ended, minus the signal's number where one did it; None while it runs or before it ran."""
        return self._popen.poll() if self._popen else None

    def is_running(self) -> bool:
        """Whether it lives. Asking also reaps it, which PostgreSQL's lock file needs before a restart."""
        return self._popen is not None and self._popen.poll() is None

    def start(self) -> None:
        """Start it, with whatever is left of an earlier run of its group removed first."""
        if self.is_running():
            return
        self._signal_group(signal.SIGKILL)
        if self._before_start:
            self._before_start()
        private_directory(self.log.parent)
        _rotate(self.log)
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                self.argv,
                env=self.environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with(os.getpid(), self.stop_signal) if _libc else None,
                user=self.user,
                group=self.user,
                extra_groups=None if self.user is None else [],
            )
        self.born = birth(self._popen.pid)
        self.started_at = time.monotonic()

    def terminate(self) -> None:
        """Ask it to end. One that is frozen is woken to hear it."""
        if self._popen and self.is_running():
            self._popen.send_signal(self.stop_signal)
            self._signal_group(signal.SIGCONT)

    def wait(self, timeout: float) -> bool:
        """Whether it has ended within so many seconds."""
        if self._popen is None:
            return True
        try:
            self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """SIGKILL to the whole group, and reap: no handler runs, nothing is flushed."""
        self._signal_group(signal.SIGKILL)
        self.wait(10)

    def stop(self) -> None:
        """Freeze the whole group (SIGSTOP): alive, holding everything, answering nothing."""
        self._signal_group(signal.SIGSTOP)

    def cont(self) -> None:
        """Let a frozen group go on (SIGCONT)."""
        self._signal_group(signal.SIGCONT)

    def tail(self, lines: int = 15) -> str:
        """The last lines of its log."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _signal_group(self, number: signal.Signals) -> None:
        if self._popen:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._popen.pid, number)


def end(processes: Iterable[Process], *, grace_seconds: float) -> None:
    """Ask all to end, in the order given, wait for them together, and kill what is left."""
    processes = list(processes)
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + grace_seconds
    for process in processes:
        if not process.wait(max(0.0, deadline - time.monotonic())):
            logger.warning("%s did not end within %g s and is killed", process.name, grace_seconds)
        process.kill()


def birth(pid: int) -> str | None:
    """When that process was born, in the system's own words; None when it does not live.

    A pid is handed on after its process has died. Pid and birth together are not.
    """
    if sys.platform == "linux":
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        state, started = fields[0], fields[19]
        return None if state == "Z" else started
    shown = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return shown.stdout.strip() or None


def command_line(pid: int) -> str:
    """What that process was started with; empty when it does not live."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    shown = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return shown.stdout


def remember(path: Path, processes: Iterable[Process]) -> None:
    """Write down who lives, so that a later launcher can recognise orphans."""
    living = [process for process in processes if process.pid and process.born]
    write_private(path, {p.name: {"pid": p.pid, "born": p.born, "signal": p.stop_signal.value} for p in living})


def end_orphans(path: Path, *, grace_seconds: float) -> list[str]:
    """End the children of an earlier launcher that died without doing so, and name them."""
    orphans = {name: known for name, known in read_json(path).items() if known["born"] == birth(known["pid"])}
    for known in orphans.values():
        _signal(known["pid"], known["signal"])
        _signal(known["pid"], signal.SIGCONT)
    deadline = time.monotonic() + grace_seconds
    for name, known in orphans.items():
        while birth(known["pid"]) == known["born"]:
            if time.monotonic() > deadline:
                logger.warning("%s of an earlier start did not end within %g s and is killed", name, grace_seconds)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(known["pid"], signal.SIGKILL)
                break
            time.sleep(0.05)
    path.unlink(missing_ok=True)
    return list(orphans)


def wait_for(condition: Callable[[], bool], timeout: float) -> bool:
    """Whether the condition came true within so many seconds; looked at every 50 ms."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _die_with(parent: int, number: signal.Signals) -> Callable[[], None]:
    def ask_the_kernel() -> None:
        assert _libc is not None
        _libc.prctl(_PR_SET_PDEATHSIG, number.value)
        if os.getppid() != parent:
            os._exit(1)

    return ask_the_kernel


def _rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(log.suffix + ".1"))
