"""What if the doorbell failed? The rows do not: this loop finds what is overdue, with or without a broker.

Any number of sweepers may run; claims never collide.
"""

import threading

import structlog
from django.db import OperationalError, close_old_connections, connection

from checkout.kit import clock
from checkout.kit.actors import Actor
from checkout.kit.defer import ring
from checkout.settings import policy
from gateways.models import Notice
from payments import selectors, services
from payments.services.attempts import RUN_DUE
from payments.services.notices import APPLY_NOTICES

log = structlog.get_logger(__name__)


def sweep_once() -> float:
    """Look once: ring for what is due, carry it out here if nobody came. Returns for how many seconds it was due."""
    oldest = selectors.oldest_due_at()
    lag = (clock.now() - oldest).total_seconds() if oldest else 0.0
    if lag > policy.RUN_WHEN_DUE_FOR_SECONDS:
        log.warning("sweeper_runs", due_for_seconds=round(lag, 1))
        services.run_due(actor=Actor.task("sweeper"))
    elif lag > policy.RING_WHEN_DUE_FOR_SECONDS:
        ring(RUN_DUE)
    services.hasten_after_recovery()
    waiting = Notice.objects.filter(status=Notice.Status.WAITING).order_by("id").first()
    if waiting is not None:
        age = (clock.now() - waiting.received_at).total_seconds()
        if age > policy.RUN_WHEN_DUE_FOR_SECONDS:
            services.apply_notices()
        elif age > policy.RING_WHEN_DUE_FOR_SECONDS:
            ring(APPLY_NOTICES)
    return lag


def sweep(stop: threading.Event) -> None:
    """Look again and again until told to stop; a database that is away is waited for."""
    while not stop.wait(policy.SWEEP_SECONDS):
        try:
            close_old_connections()
            sweep_once()
        except OperationalError as error:
            log.warning("sweeper_waits_for_database", error=type(error).__name__)
            connection.close()
        except Exception:
            log.exception("sweep_failed")
