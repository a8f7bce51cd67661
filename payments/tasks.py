"""What runs later? Each task says that it heard the bell, then does whatever the rows say is due.

None is retried by Celery: the rows hold the schedule, and the sweeper finds what a lost message left.
"""

from typing import Any

from celery import shared_task
from celery.signals import worker_ready

from checkout.kit import heartbeats
from checkout.kit.actors import Actor
from checkout.kit.defer import heard
from payments import services


@shared_task(name="payments.run_due")
def run_due() -> None:
    """Carry committed intentions to their gateways."""
    heard("payments.run_due")
    services.run_due(actor=Actor.task("run_due"))


@shared_task(name="payments.apply_notices")
def apply_notices() -> None:
    """Act upon what gateways have told us."""
    heard("payments.apply_notices")
    while services.apply_notices():
        pass


@shared_task(name="payments.expire")
def expire() -> None:
    """Expire what is over, and delete what may not be kept any longer."""
    services.expire_due(actor=Actor.task("expire"))


@shared_task(name="payments.self_audit", time_limit=960)
def self_audit() -> None:
    """Examine the books. Not retried: the next hour is the retry, and a copy of this message finds it under way."""
    services.self_audit(actor=Actor.task("self_audit"))


@shared_task(name="payments.heartbeat")
def heartbeat() -> None:
    """Say that beat is alive: it sent this, and a worker heard it."""
    heartbeats.beat(heartbeats.BEAT)
    heartbeats.forget_the_dead()


@worker_ready.connect
def say_that_the_worker_is_alive(**about: Any) -> None:
    """From a worker's main process, which outlives its children."""
    heartbeats.keep_beating("worker")
