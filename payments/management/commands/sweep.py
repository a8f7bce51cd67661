"""Run a sweeper until it is told to stop."""

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand

from payments.sweeper import sweep


class Command(BaseCommand):
    """`manage.py sweep`"""

    help = "Find and carry out what a lost message left behind. Any number of these may run."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        sweep(stop)
