"""How is an act made durable? In one transaction of its own, committed before anybody hears of it."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction

from checkout.kit.failpoints import reach


@contextmanager
def durable(act: str) -> Iterator[None]:
    """The outermost transaction of an act, a decorator or a `with` block; `act` names its failpoints."""
    with transaction.atomic(durable=True):
        yield
        reach(f"{act}.before_commit")
    reach(f"{act}.after_commit")
