"""Who is alive? Every process says so in a row of its own, a few times a minute and never more often.

A heartbeat is worth less than whatever the process is for: failing to write one never disturbs it.
"""

import os
import socket
import threading
import time
from typing import Any

import structlog
from django.db import close_old_connections, connection
from django.db.models import Max

from checkout.kit import clock
from checkout.kit.models import Heartbeat
from checkout.settings import policy

BEAT = "beat"
KINDS = ("web", "worker", "sweeper", BEAT)  # without each of these something stands still

log = structlog.get_logger(__name__)

_last: dict[tuple[int, str], float] = {}
_kept: set[tuple[int, str]] = set()


def beat(name: str, **details: Any) -> None:
    """Say that this process is alive, unless it said so within the last seconds. `details` hold no secrets.

    The row of beat is that of the schedule: whichever worker hears it writes it.
    """
    key = os.getpid(), name
    now = time.monotonic()
    if now - _last.get(key, -policy.HEARTBEAT_SECONDS) < policy.HEARTBEAT_SECONDS:
        return
    _last[key] = now
    host, pid = ("", 0) if name == BEAT else (socket.gethostname()[:80], os.getpid())
    try:
        Heartbeat.objects.bulk_create(
            [Heartbeat(name=name, host=host, pid=pid, beat_at=clock.now(), details=details)],
            update_conflicts=True,
            unique_fields=["name", "host", "pid"],
            update_fields=["beat_at", "details"],
        )
    except Exception as error:
        log.warning("no_heartbeat", process=name, error=type(error).__name__)


def keep_beating(name: str) -> None:
    """Say so again and again from a thread of its own, until the process ends. Once per process and name."""
    key = os.getpid(), name
    if key not in _kept:
        _kept.add(key)
        threading.Thread(target=_beat_for_ever, args=[name], name="heartbeat", daemon=True).start()


def ages() -> dict[str, float | None]:
    """For each kind of process, how many seconds ago the youngest of its heartbeats was; None if never."""
    now = clock.now()
    youngest = dict(Heartbeat.objects.values_list("name").annotate(at=Max("beat_at")))
    return {name: round((now - youngest[name]).total_seconds(), 1) if name in youngest else None for name in KINDS}


def forget_the_dead() -> int:
    """Delete the rows of processes that have been gone for long; returns how many."""
    limit = clock.seconds_from_now(-policy.HEARTBEAT_KEPT_SECONDS)
    count, _ = Heartbeat.objects.filter(beat_at__lt=limit).delete()
    return count


def _beat_for_ever(name: str) -> None:
    while True:
        close_old_connections()
        beat(name)
        if "pool" in connection.settings_dict["OPTIONS"]:
            connection.close()  # back to the pool: requests need it more often
        time.sleep(policy.HEARTBEAT_SECONDS)
