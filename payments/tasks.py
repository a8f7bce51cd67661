"""What runs later? Each task says that it heard the bell, then does whatever the rows say is due.

None is retried by Celery: the rows hold the schedule, and the sweeper finds what a lost message left.
"""

from celery import shared_task
from celery.exceptions import SoftTimeLimitExceeded

from checkout.kit.actors import Actor
from checkout.kit.defer import heard
from gateways import client
from payments import services


@shared_task(name="payments.run_due")
def run_due() -> None:
    """Carry committed intentions to their gateways."""
    heard("payments.run_due")
    try:
        services.run_due(actor=Actor.task("run_due"))
    except SoftTimeLimitExceeded:
        client.discard_loop()
        raise


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
