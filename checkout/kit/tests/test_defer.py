"""Is a worker woken after the commit, and never anybody held up by a broker that is away or hangs?"""

import socket
import threading
import time
from collections.abc import Callable, Iterator

import celery
import pytest
import redis
from django.conf import settings
from django.db import transaction

from checkout.kit import defer as doorbell
from checkout.kit.defer import defer, heard, ring

pytestmark = pytest.mark.xdist_group("broker")  # one queue of one Redis, which several test processes share

NAME = "tests.nobody"
QUEUE = "reports"


@pytest.fixture(autouse=True)
def broker() -> Iterator[redis.Redis]:
    """The tests' own Redis, without what these tests left in it."""
    broker = redis.Redis.from_url(settings.REDIS_URL)
    heard(NAME)
    broker.delete(QUEUE)
    yield broker
    heard(NAME)
    broker.delete(QUEUE)
    broker.close()


@pytest.fixture
def redirect(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """`redirect(port)`: the bell's own client, as it is set up, finds its broker there."""
    pool = doorbell._redis.connection_pool

    def redirect(port: int) -> None:
        monkeypatch.setitem(pool.connection_kwargs, "port", port)
        pool.reset()

    yield redirect
    monkeypatch.undo()
    pool.reset()


@pytest.fixture
def hung(redirect: Callable[[int], None]) -> Iterator[None]:
    """A Redis that lets everybody connect and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        redirect(server.getsockname()[1])
        yield


@pytest.fixture
def away(redirect: Callable[[int], None]) -> None:
    """A Redis that nobody listens for."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    redirect(port)


def test_rings_are_one_message_until_somebody_has_heard_them(broker: redis.Redis) -> None:
    assert all(ring(NAME) for _ in range(5))
    assert broker.llen(QUEUE) == 1

    heard(NAME)
    ring(NAME)

    assert broker.llen(QUEUE) == 2


def test_a_ring_carries_no_work_and_does_not_wait_for_ever(broker: redis.Redis) -> None:
    ring(NAME)

    (message,) = broker.lrange(QUEUE, 0, -1)
    assert b'"task": "tests.nobody"' in message
    assert b'"expires": "' in message
    assert b'"argsrepr": "()"' in message
    assert broker.pttl(f"doorbell:{NAME}") <= 1000  # forgotten even if nobody ever says that it was heard


@pytest.mark.django_db(transaction=True)
def test_the_bell_rings_after_the_commit_and_not_after_a_rollback(broker: redis.Redis) -> None:
    with transaction.atomic():
        defer(NAME)
        transaction.set_rollback(True)
    with transaction.atomic():
        defer(NAME)
        time.sleep(0.3)
        assert broker.llen(QUEUE) == 0

    assert eventually(lambda: broker.llen(QUEUE) == 1)


@pytest.mark.usefixtures("hung")
def test_a_bell_that_hangs_is_given_up_within_a_second_or_so() -> None:
    began = time.monotonic()
    assert ring(NAME) is False
    assert 0.5 < time.monotonic() - began < 2.5


@pytest.mark.usefixtures("hung")
@pytest.mark.django_db(transaction=True)
def test_a_bell_that_hangs_holds_up_nobody_who_commits() -> None:
    began = time.monotonic()
    for _ in range(20):
        with transaction.atomic():
            defer(NAME)
    assert time.monotonic() - began < 0.5


@pytest.mark.usefixtures("away")
def test_a_bell_that_is_away_is_given_up_in_silence_and_at_once() -> None:
    began = time.monotonic()
    assert ring(NAME) is False
    heard(NAME)
    assert time.monotonic() - began < 1


@pytest.mark.django_db(transaction=True)
def test_the_bell_still_rings_once_the_broker_is_back(broker: redis.Redis, redirect: Callable[[int], None]) -> None:
    back = int(doorbell._redis.connection_pool.connection_kwargs["port"])
    redirect(9)
    with transaction.atomic():
        defer(NAME)
    time.sleep(0.2)
    assert broker.llen(QUEUE) == 0

    redirect(back)
    with transaction.atomic():
        defer(NAME)

    assert eventually(lambda: broker.llen(QUEUE) == 1)


@pytest.mark.django_db(transaction=True)
def test_many_commits_at_once_are_few_messages(broker: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = []
    monkeypatch.setattr(celery.current_app, "send_task", lambda *words, **options: sent.append(words))
    threads = [threading.Thread(target=lambda: [defer(NAME) for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert eventually(lambda: sent)
    time.sleep(0.1)
    assert sent == [(NAME,)]


def eventually(condition: object, seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
