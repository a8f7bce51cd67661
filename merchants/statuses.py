"""What may follow what, on an event's way to a merchant?"""

from django.db.models import TextChoices

from checkout.kit.statuses import StatusMachine


class DeliveryStatus(TextChoices):
    """Where one event is on its way to one endpoint."""

    PENDING = "pending"  # due, in flight, or waiting for its next try
    DELIVERED = "delivered"  # the endpoint answered 2xx
    FAILED = "failed"  # every try is used up, or the endpoint said that it is gone
    CANCELED = "canceled"  # the endpoint was disabled meanwhile


class DeliveryEvent(TextChoices):
    """What moves a delivery."""

    DELIVER = "deliver"
    FAIL = "fail"
    CANCEL = "cancel"
    REDELIVER = "redeliver"


DELIVERY = StatusMachine(
    "webhook delivery",
    DeliveryStatus.PENDING,
    {
        (DeliveryStatus.PENDING, DeliveryEvent.DELIVER): DeliveryStatus.DELIVERED,
        (DeliveryStatus.PENDING, DeliveryEvent.FAIL): DeliveryStatus.FAILED,
        (DeliveryStatus.PENDING, DeliveryEvent.CANCEL): DeliveryStatus.CANCELED,
        (DeliveryStatus.DELIVERED, DeliveryEvent.REDELIVER): DeliveryStatus.PENDING,
        (DeliveryStatus.FAILED, DeliveryEvent.REDELIVER): DeliveryStatus.PENDING,
        (DeliveryStatus.CANCELED, DeliveryEvent.REDELIVER): DeliveryStatus.PENDING,
    },
)
