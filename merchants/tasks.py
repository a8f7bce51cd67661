"""What runs later for merchants? They are told what happened; no money depends on it."""

from celery import shared_task

from merchants import services


# A run claims for 15 s, and its last calls take 15 s more; the limit is below the visibility timeout of 120 s.
@shared_task(name="merchants.deliver_webhooks", time_limit=40)
def deliver_webhooks() -> None:
    """Tell merchants what is to be told. Not retried: the rows hold the schedule. The verb itself hears the bell."""
    services.deliver_due()


@shared_task(name="merchants.forget_old_events")
def forget_old_events() -> None:
    """Delete old events, batch by batch. Not retried: the next tick is the retry."""
    while services.forget_old_events():
        pass
