"""How does a request wait for the outcome? One thread per web process looks for all that wait, in one query.

It is woken early by a message through Redis and works without one, only slower. Those who wait hold no database
connection.
"""

import queue
import threading
import time
import uuid
from collections import defaultdict

import redis
import structlog
from django.conf import settings
from django.db import connection

from checkout.settings import policy
from payments import selectors

log = structlog.get_logger(__name__)

_CHANNEL = "payments.settled"
_SHORTEST_SECONDS, _LONGEST_SECONDS = 0.02, 0.2
_RECONNECT_SECONDS = 2.0


class _Announcer(threading.Thread):
    """Tells the web processes, from a thread of its own, so that a hung Redis never delays who records money."""

    def __init__(self) -> None:
        super().__init__(name="announcer", daemon=True)
        self.news: queue.SimpleQueue[uuid.UUID] = queue.SimpleQueue()
        self.redis = redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=1, socket_timeout=1)

    def run(self) -> None:
        while True:
            payment_id = self.news.get()
            try:
                self.redis.publish(_CHANNEL, str(payment_id))
            except redis.RedisError as error:
                log.warning("not_announced", error=type(error).__name__)


class _Waiter(threading.Thread):
    """Knows who waits for what, and looks every 20 to 200 ms, or as soon as news arrives."""

    def __init__(self) -> None:
        super().__init__(name="waiter", daemon=True)
        self.lock = threading.Lock()
        self.waiting: dict[uuid.UUID, list[threading.Event]] = defaultdict(list)
        self.news = threading.Event()
        self.count = 0

    def wait(self, payment_id: uuid.UUID, seconds: float) -> None:
        done = threading.Event()
        with self.lock:
            if self.count >= policy.MAX_WAITING_REQUESTS:
                return
            self.count += 1
            self.waiting[payment_id].append(done)
        self.news.set()
        try:
            done.wait(seconds)
        finally:
            with self.lock:
                self.count -= 1
                events = self.waiting.get(payment_id, [])
                if done in events:
                    events.remove(done)
                if not events:
                    self.waiting.pop(payment_id, None)

    def run(self) -> None:
        threading.Thread(target=self._listen, name="waiter's ear", daemon=True).start()
        pause = _SHORTEST_SECONDS
        while True:
            with self.lock:
                asked = list(self.waiting)
            if not asked:
                self.news.wait()
                pause = _SHORTEST_SECONDS
            elif self.news.wait(pause):
                pause = _SHORTEST_SECONDS
            else:
                pause = min(pause * 1.5, _LONGEST_SECONDS)
            self.news.clear()
            with self.lock:
                asked = list(self.waiting)
            if asked:
                self._look(asked)

    def _look(self, asked: list[uuid.UUID]) -> None:
        try:
            settled = selectors.settled_among(asked)
        except Exception as error:
            log.warning("waiter_blind", error=type(error).__name__)
            time.sleep(_LONGEST_SECONDS)
            return
        finally:
            connection.close()
        with self.lock:
            for payment_id in settled:
                for done in self.waiting.pop(payment_id, []):
                    done.set()

    def _listen(self) -> None:
        while True:
            try:
                ear = redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=1).pubsub(
                    ignore_subscribe_messages=True
                )
                ear.subscribe(_CHANNEL)
                for message in ear.listen():
                    if uuid.UUID(message["data"].decode()) in self.waiting:
                        self.news.set()
            except (redis.RedisError, ValueError) as error:
                log.warning("waiter_deaf", error=type(error).__name__)
                time.sleep(_RECONNECT_SECONDS)


_announcer: _Announcer | None = None
_waiter: _Waiter | None = None
_lock = threading.Lock()


def announce(payment_id: uuid.UUID) -> None:
    """Say that something about a payment was recorded. Never blocks, never raises."""
    global _announcer
    with _lock:
        if _announcer is None or not _announcer.is_alive():
            _announcer = _Announcer()
            _announcer.start()
    _announcer.news.put(payment_id)


def until_final(payment_id: uuid.UUID, seconds: float) -> None:
    """Wait until a payment that the customer has come back for is decided, for that many seconds at most."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and selectors.awaits_customer(payment_id):
        connection.close()
        time.sleep(_LONGEST_SECONDS)


def until_settled(payment_id: uuid.UUID, seconds: float) -> None:
    """Wait until the payment has no attempt in flight, for that many seconds at most.

    Gives the database connection back first. Returns at once where too many wait already.
    """
    global _waiter
    connection.close()
    with _lock:
        if _waiter is None or not _waiter.is_alive():
            _waiter = _Waiter()
            _waiter.start()
    _waiter.wait(payment_id, seconds)
