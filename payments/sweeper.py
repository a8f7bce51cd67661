"""What if the doorbell failed? The rows do not: this loop finds what is overdue, with or without a broker.

Any number of sweepers may run; claims never collide.
"""

import threading
from collections.abc import Callable

import structlog
from django.db import OperationalError, close_old_connections, connection

from checkout.kit import clock, heartbeats
from checkout.kit.actors import Actor
from checkout.kit.defer import ring
from checkout.settings import policy
from gateways.models import Notice
from merchants import selectors as merchant_selectors
from merchants import services as merchant_services
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


def sweep_webhooks_once() -> float:
    """The same for what merchants are to be told."""
    since = merchant_selectors.webhooks_due_since()
    lag = (clock.now() - since).total_seconds() if since else 0.0
    if lag > policy.RUN_WHEN_DUE_FOR_SECONDS:
        merchant_services.deliver_due()
    elif lag > policy.RING_WHEN_DUE_FOR_SECONDS:
        ring(merchant_services.DELIVER_WEBHOOKS)
    return lag


def sweep(stop: threading.Event) -> None:
    """Look again and again until told to stop; money and webhooks each in a thread, so that neither waits."""
    threading.Thread(target=_keep_on, args=(sweep_webhooks_once, stop), name="webhooks' sweeper", daemon=True).start()
    _keep_on(_sweep_and_say_so, stop)


def _sweep_and_say_so() -> float:
    lag = sweep_once()
    heartbeats.beat("sweeper", due_for_seconds=round(lag, 1))
    return lag


def _keep_on(look: Callable[[], float], stop: threading.Event) -> None:
    """Look until told to stop; a database that is away is waited for."""
    while not stop.wait(policy.SWEEP_SECONDS):
        try:
            close_old_connections()
            look()
        except OperationalError as error:
            log.warning("sweeper_waits_for_database", error=type(error).__name__)
            connection.close()
        except Exception:
            log.exception("sweep_failed")
