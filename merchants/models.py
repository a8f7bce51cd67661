"""What do we remember about whom we serve, and of telling them what happened?"""

from datetime import datetime

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from checkout.kit.countries import COUNTRIES
from checkout.kit.fields import EncryptedTextField
from checkout.kit.ids import public_id
from checkout.kit.models import PublicModel
from checkout.kit.modes import Mode
from checkout.kit.money import CURRENCY_DECIMALS
from checkout.settings import policy
from merchants.statuses import DELIVERY, DeliveryStatus

currency_validator = RegexValidator(f"^({'|'.join(CURRENCY_DECIMALS)})$", "Not an ISO 4217 code of a payable currency.")
country_validator = RegexValidator(f"^({'|'.join(sorted(COUNTRIES))})$", "Not an ISO 3166-1 alpha-2 code.")
event_type_validator = RegexValidator(r"^[a-z_]+\.[a-z_]+\Z", "A type of event, such as payment.captured.")


class Merchant(PublicModel):
    """Somebody who takes payments through us.

    Fees: `fee_bps` of the amount plus `fee_fixed_minor` minor units of the payment's currency, and on top of that fee
    a tax of `tax_bps`.
    """

    PUBLIC_PREFIX = "mer"

    class Status(models.TextChoices):
        ACTIVE = "active"
        SUSPENDED = "suspended"

    name = models.CharField(max_length=120)
    country = models.CharField(max_length=2, validators=[country_validator])
    default_currency = models.CharField(max_length=3, validators=[currency_validator])
    status = models.CharField(max_length=10, choices=Status, default=Status.ACTIVE)
    fee_bps = models.PositiveIntegerField(
        "fee, basis points", default=0, validators=[MaxValueValidator(10_000)], help_text="320 is 3.20 %."
    )
    fee_fixed_minor = models.PositiveIntegerField(
        "fee, fixed part", default=0, help_text="Minor units of the payment's currency, added to the percentage."
    )
    tax_bps = models.PositiveIntegerField(
        "tax on the fee, basis points", default=0, validators=[MaxValueValidator(10_000)], help_text="2000 is 20 %."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(condition=models.Q(status__in=["active", "suspended"]), name="merchant_status"),
            models.CheckConstraint(condition=models.Q(fee_bps__lte=10_000, tax_bps__lte=10_000), name="merchant_rates"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_active(self) -> bool:
        """Whether new payments are taken for it."""
        return self.status == self.Status.ACTIVE


class Scope(models.TextChoices):
    """What an API key may be used for."""

    PAYMENTS_READ = "payments:read"
    PAYMENTS_WRITE = "payments:write"
    REFUNDS_READ = "refunds:read"
    REFUNDS_WRITE = "refunds:write"


def all_scopes() -> list[str]:
    """Every scope there is: the default of a new key."""
    return [str(scope) for scope in Scope]


class ApiKey(PublicModel):
    """What a merchant's software shows to be let in. The secret is shown once and kept only as a keyed hash."""

    PUBLIC_PREFIX = "key"

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="api_keys")
    name = models.CharField(max_length=80, blank=True)
    mode = models.CharField(max_length=4, choices=Mode)
    prefix = models.CharField(max_length=24, unique=True)
    hash = models.CharField(max_length=64, editable=False)
    scopes = ArrayField(models.CharField(max_length=30, choices=Scope), default=all_scopes)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "API key"
        ordering = ["-id"]
        constraints = [models.CheckConstraint(condition=models.Q(mode__in=Mode.values), name="api_key_mode")]

    def __str__(self) -> str:
        return f"{self.prefix}…"


class WebhookEvent(PublicModel):
    """Something that happened to a merchant's object, to be told to the merchant. Written once, with the change itself.

    `sequence` counts the events of one object without a gap, so that a receiver can put them in order. Until
    `dispatched_at` is set, no delivery has been made of it.
    """

    PUBLIC_PREFIX = "evt"

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="webhook_events")
    mode = models.CharField(max_length=4, choices=Mode)
    type = models.CharField(max_length=60)
    object_id = models.CharField(max_length=32)
    sequence = models.PositiveIntegerField(validators=[MinValueValidator(1)])
    data = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)
    dispatched_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["object_id", "sequence"], name="webhook_event_sequence")]
        indexes = [
            models.Index(fields=["merchant", "mode", "-id"], name="webhook_event_by_merchant"),
            models.Index(
                fields=["id"], condition=models.Q(dispatched_at__isnull=True), name="webhook_event_to_dispatch"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.object_id}"


class WebhookEndpoint(PublicModel):
    """An address of a merchant's that is told what happens, in one mode.

    `event_types` names what it wants to hear, empty is everything. After a rotation the previous secret signs too,
    until `previous_secret_until`. `failure_count` failures in a row began at `failing_since`; nothing is sent before
    `paused_until`, because the endpoint asked for it.
    """

    PUBLIC_PREFIX = "we"

    class Status(models.TextChoices):
        ENABLED = "enabled"
        DISABLED = "disabled"

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="webhook_endpoints")
    mode = models.CharField(max_length=4, choices=Mode)
    url = models.CharField("URL", max_length=2048)
    description = models.CharField(max_length=200, blank=True)
    event_types = ArrayField(
        models.CharField(max_length=60, validators=[event_type_validator]), default=list, blank=True, size=100
    )
    secret: "models.Field[str, str]" = EncryptedTextField(editable=False)
    previous_secret: "models.Field[str, str]" = EncryptedTextField(default="", editable=False)
    previous_secret_until = models.DateTimeField(null=True, editable=False)
    status = models.CharField(max_length=10, choices=Status, default=Status.ENABLED)
    disabled_reason = models.CharField(max_length=200, blank=True)
    failure_count = models.PositiveIntegerField(default=0)
    failing_since = models.DateTimeField(null=True, blank=True)
    paused_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=models.Q(mode__in=Mode.values), name="webhook_endpoint_mode"),
            models.CheckConstraint(
                condition=models.Q(status__in=["enabled", "disabled"]), name="webhook_endpoint_status"
            ),
        ]
        indexes = [models.Index(fields=["merchant", "mode", "-id"], name="webhook_endpoint_by_merchant")]

    @property
    def is_enabled(self) -> bool:
        """Whether it is told anything."""
        return self.status == self.Status.ENABLED

    def live_secrets(self, now: datetime) -> list[str]:
        """The secrets that sign at a moment, the newest first."""
        if self.previous_secret_until is not None and self.previous_secret_until > now:
            return [self.secret, self.previous_secret]
        return [self.secret]


# Deliveries that may need somebody: given up, or refused again and again. An index holds exactly these.
UNDELIVERED = models.Q(status=DeliveryStatus.FAILED) | models.Q(
    status=DeliveryStatus.PENDING, attempt_count__gte=policy.DELIVERY_TRIES_TO_LOOK
)


class WebhookDelivery(models.Model):
    """One event on its way to one endpoint. The row is the queue.

    `next_attempt_at` says when it is tried next; while a try is in flight it is the end of that try's lease.
    """

    event = models.ForeignKey(WebhookEvent, on_delete=models.PROTECT, related_name="deliveries", db_index=False)
    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.PROTECT, related_name="deliveries", db_index=False)
    status = models.CharField(max_length=10, choices=DeliveryStatus, default=DELIVERY.initial)
    attempt_count = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)
    last_http_status = models.PositiveSmallIntegerField("last HTTP status", null=True)
    last_error = models.CharField(max_length=120, blank=True)
    duration_ms = models.PositiveIntegerField("duration, ms", null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "webhook deliveries"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["event", "endpoint"], name="one_webhook_delivery_per_event_and_endpoint"),
            DELIVERY.check("webhook_delivery_status"),
            models.CheckConstraint(
                condition=models.Q(status=DeliveryStatus.PENDING, next_attempt_at__isnull=False)
                | (~models.Q(status=DeliveryStatus.PENDING) & models.Q(next_attempt_at__isnull=True)),
                name="webhook_delivery_is_due_while_pending",
            ),
        ]
        indexes = [
            models.Index(fields=["endpoint", "-id"], name="webhook_delivery_by_endpoint"),
            models.Index(
                fields=["endpoint", "next_attempt_at"],
                condition=models.Q(status=DeliveryStatus.PENDING),
                name="webhook_delivery_due",
            ),
            models.Index(fields=["id"], condition=UNDELIVERED, name="webhook_delivery_undelivered"),
        ]

    def __str__(self) -> str:
        return public_id(WebhookEvent.PUBLIC_PREFIX, self.event_id)


class WebhookRedelivery(models.Model):
    """What an endpoint missed of the events made from `since` up to before `until`, being sent again.

    The row is the queue: whoever delivers goes on with it, a batch at a time. Events up to `position` have been looked
    at, `count` deliveries were made of them; `served_at` is when its last batch was.
    """

    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.PROTECT, related_name="redeliveries")
    since = models.DateTimeField()
    until = models.DateTimeField()
    position = models.UUIDField()
    count = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    served_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "webhook redeliveries"
        ordering = ["-id"]
        default_permissions = ()
        indexes = [
            models.Index(
                fields=["id"], condition=models.Q(finished_at__isnull=True), name="webhook_redelivery_unfinished"
            )
        ]

    def __str__(self) -> str:
        return f"{self.endpoint_id} {self.since} {self.until}"
