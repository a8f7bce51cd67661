"""Does the merchant hear of everything, at least once and without a gap, whoever dies while telling it?"""

from typing import ClassVar

from django.db import connection

from checkout.kit import failpoints
from checkout.kit.actors import Actor
from merchants import services
from merchants.models import WebhookDelivery, WebhookEndpoint, WebhookEvent
from merchants.statuses import DeliveryStatus
from merchants.tests.receiver import Reply
from tests.failpoints.story import ROUNDS_UNTIL_QUIET, Story, again

ENDPOINTS = ("accepts", "refuses at first")


class Webhooks(Story):
    """A payment is created and canceled, and the merchant's endpoint is told; the behaviour is the endpoint's."""

    steps: ClassVar = ("happen", "deliver")

    def happen(self) -> None:
        merchant = self.world.merchant
        if not WebhookEndpoint.objects.filter(merchant=merchant).exists():
            services.create_endpoint(
                merchant=merchant, mode="test", url=self.world.post.url, actor=Actor.command("test")
            )
        self.pay(confirm=False)
        self.ask_for("cancel")

    def deliver(self) -> None:
        again(services.deliver_due)

    def turn(self) -> None:
        self.world.post.replies = [Reply(500)] if self.behaviour == "refuses at first" else []

    def heal(self) -> None:
        failpoints.disarm()
        self.world.post.replies = []
        for _ in range(ROUNDS_UNTIL_QUIET):
            services.deliver_due()
            if not WebhookDelivery.objects.filter(status=DeliveryStatus.PENDING).exists():
                return
            _pass_time()
        raise AssertionError("something is still to be told")

    def others(self) -> None:
        _pass_time()
        services.deliver_due()

    def end(self) -> None:
        super().end()
        (secret,) = WebhookEndpoint.objects.filter(merchant=self.world.merchant).values_list("secret", flat=True)
        messages = [
            each.verified(secret)
            for each in self.world.post.received
            if each.path == "/hook" and self.paid.public_id.encode() in each.body
        ]
        assert {message["sequence"] for message in messages} == set(range(1, self.paid.event_count + 1))
        events = {event.public_id for event in WebhookEvent.objects.filter(object_id=self.paid.public_id)}
        assert {message["id"] for message in messages} == events


def _pass_time() -> None:
    """Leases end, and what was put off is due."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE merchants_webhookdelivery SET next_attempt_at = now() WHERE status = 'pending'")
