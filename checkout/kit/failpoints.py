"""What if the process died exactly here? Named points at every commit and every send, silent unless a test arms one.

Nothing can be armed where `settings.FAILPOINTS` is off, which it is everywhere but under the test settings.
"""

from collections.abc import Callable

from django.conf import settings

_armed: dict[str, Callable[[], None]] = {}


class Died(BaseException):
    """The process is gone, as far as the test is concerned: no handler may mistake it for an error."""


def reach(name: str) -> None:
    """Pass a point; whatever a test has armed there happens now."""
    if not settings.FAILPOINTS:
        return
    action = _armed.get(name)
    if action is not None:
        action()


def arm(name: str, action: Callable[[], None]) -> None:
    """Let something happen at a point. Refuses (RuntimeError) outside the test settings."""
    if not settings.FAILPOINTS:
        raise RuntimeError("failpoints exist under the test settings only")
    _armed[name] = action


def disarm() -> None:
    """Let nothing happen anywhere."""
    _armed.clear()


def die() -> None:
    """The action of a process that is killed."""
    raise Died
