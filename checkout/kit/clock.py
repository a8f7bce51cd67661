"""What time is it? One place, so that a test can move it."""

from datetime import datetime, timedelta

from django.utils import timezone


def now() -> datetime:
    """The current time, aware, in UTC."""
    return timezone.now()


def seconds_from_now(seconds: float) -> datetime:
    """The moment that many seconds ahead; negative for the past."""
    return now() + timedelta(seconds=seconds)
