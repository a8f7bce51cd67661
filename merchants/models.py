"""What do we remember about whom we serve?"""

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from checkout.kit.models import PublicModel
from checkout.kit.modes import Mode
from checkout.kit.money import CURRENCY_DECIMALS

currency_validator = RegexValidator(f"^({'|'.join(CURRENCY_DECIMALS)})$", "Not an ISO 4217 code of a payable currency.")
country_validator = RegexValidator("^[A-Z]{2}$", "Two capital letters, ISO 3166-1 alpha-2.")


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

    `sequence` counts the events of one object without a gap, so that a receiver can put them in order.
    """

    PUBLIC_PREFIX = "evt"

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="webhook_events")
    mode = models.CharField(max_length=4, choices=Mode)
    type = models.CharField(max_length=60)
    object_id = models.CharField(max_length=32)
    sequence = models.PositiveIntegerField(validators=[MinValueValidator(1)])
    data = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["object_id", "sequence"], name="webhook_event_sequence")]
        indexes = [models.Index(fields=["merchant", "mode", "-id"], name="webhook_event_by_merchant")]

    def __str__(self) -> str:
        return f"{self.type} {self.object_id}"
