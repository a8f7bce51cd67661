"""Who gets which report by e-mail, and when is it due?"""

from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q

from checkout.kit.models import PublicModel, User
from checkout.kit.modes import Mode
from gateways.models import Gateway
from merchants.models import Merchant


class ReportSubscription(PublicModel):
    """A report that is sent again and again. `period` is the name of one, counted from the day on which it is due.

    `due_at` is when it is due by the clock, empty while it is paused. `next_at` is the queue, the lease and the retry
    in one: when somebody looks.
    """

    PUBLIC_PREFIX = "rsb"

    class Every(models.TextChoices):
        DAY = "day", "day"
        WEEK = "week", "week, on Monday"
        MONTH = "month", "month, on the first"

    report = models.CharField(max_length=40)
    period = models.CharField(max_length=20)
    format = models.CharField(max_length=10)
    mode = models.CharField(max_length=4, choices=Mode)
    currency = models.CharField(max_length=3, blank=True)
    merchant = models.ForeignKey(Merchant, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    gateway = models.ForeignKey(Gateway, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    every = models.CharField(max_length=10, choices=Every, default=Every.DAY)
    hour = models.PositiveSmallIntegerField(
        "hour, UTC", default=6, validators=[MaxValueValidator(23)], help_text="0 to 23."
    )
    recipients = models.ManyToManyField(User, related_name="report_subscriptions")
    due_at = models.DateTimeField(null=True)
    next_at = models.DateTimeField(null=True)
    last_sent_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        permissions = [("view_report", "Can see, export and receive reports")]
        constraints = [
            models.CheckConstraint(condition=Q(mode__in=Mode.values), name="subscription_mode"),
            models.CheckConstraint(condition=Q(hour__lte=23), name="subscription_hour"),
            models.CheckConstraint(condition=Q(due_at=None) | Q(next_at__isnull=False), name="subscription_is_queued"),
        ]
        indexes = [
            models.Index(fields=["next_at"], condition=Q(next_at__isnull=False), name="subscription_due"),
        ]

    def __str__(self) -> str:
        return f"{self.report}, {self.period}".replace("_", " ").capitalize()

    @property
    def is_paused(self) -> bool:
        """Whether it is not sent by the clock."""
        return self.due_at is None

    @property
    def words(self) -> dict[str, str]:
        """What is asked of the report, in the words of `ledger.reports.scope`."""
        return {
            "mode": self.mode,
            "period": self.period,
            "currency": self.currency,
            "merchant": self.merchant.public_id if self.merchant else "",
            "gateway": self.gateway.public_id if self.gateway else "",
        }
