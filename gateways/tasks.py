"""What runs later for gateways? Their health is checked by the clock; nothing that moves money depends on it."""

from celery import shared_task

from gateways import services


@shared_task(name="gateways.check_health", time_limit=15)
def check_health() -> None:
    """Ask every watched gateway whether it is up, and forget what is old. Not retried: the next tick is the retry."""
    services.check_health()
    services.forget_old_health_checks()
    services.forget_decided_credentials()
