"""How is a worker woken? By a doorbell that carries no work: the rows are the queue, a lost ring costs latency only.

The bell is rung by a thread of its own, so that a hung broker never delays whoever commits. Rings coalesce: while one
is waiting to be heard, another says nothing new.
"""

import threading
import time

import celery
import redis
import structlog
from django.conf import settings
from django.db import transaction

from checkout.kit.failpoints import reach

log = structlog.get_logger(__name__)

_EXPIRES_SECONDS = 10


class _Bell(threading.Thread):
    """One name's ringer: waits to be pressed, then publishes once for all presses so far."""

    def __init__(self, name: str, patience_seconds: float) -> None:
        super().__init__(name=f"doorbell {name}", daemon=True)
        self.task_name = name
        self.patience_seconds = patience_seconds
        self.pressed = threading.Event()

    def run(self) -> None:
        while True:
            self.pressed.wait()
            time.sleep(self.patience_seconds)
            self.pressed.clear()
            ring(self.task_name)


_bells: dict[str, _Bell] = {}
_lock = threading.Lock()
_redis = redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=1, socket_timeout=1)


def _press(name: str, patience_seconds: float) -> None:
    bell = _bells.get(name)
    if bell is None or not bell.is_alive():  # not alive: we are a fork of the process that started it
        with _lock:
            bell = _bells.get(name)
            if bell is None or not bell.is_alive():
                bell = _bells[name] = _Bell(name, patience_seconds)
                bell.start()
    bell.pressed.set()


def defer(name: str, *, patience_seconds: float = 0.0) -> None:
    """Once this transaction has committed, wake a worker for the task of that name. Never blocks, never raises.

    Work that can wait a little is rung for with patience, so that one ring stands for many commits.
    """
    transaction.on_commit(lambda: _press(name, patience_seconds))


def ring(name: str) -> bool:
    """Wake a worker now, unless a ring for it is still waiting to be heard. False if the broker cannot be reached.

    A waiting ring is heard after this call's commit, since `heard` runs before the worker looks at the rows.
    """
    reach("ring.before")
    try:
        if _redis.set(f"doorbell:{name}", 1, nx=True, px=1000):
            celery.current_app.send_task(name, expires=_EXPIRES_SECONDS, ignore_result=True, retry=False)
    except Exception as error:  # a doorbell that cannot ring is given up in silence: the sweeper finds the rows
        log.warning("doorbell_not_rung", task=name, error=type(error).__name__)
        return False
    return True


def heard(name: str) -> None:
    """A worker says that it is about to look: from now on, a new ring is news."""
    try:
        _redis.delete(f"doorbell:{name}")
    except redis.RedisError as error:
        log.warning("doorbell_not_cleared", task=name, error=type(error).__name__)
