"""What do we remember about how we reach the outside?"""

import json

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from simple_history.models import HistoricalRecords

from checkout.kit.countries import COUNTRIES
from checkout.kit.fields import EncryptedTextField
from checkout.kit.models import Approval, PublicModel
from checkout.kit.modes import Mode
from checkout.kit.money import CURRENCY_DECIMALS
from checkout.settings import policy
from gateways.outcomes import Outcome
from gateways.registry import adapter_choices, adapter_class

_SHORTEST_SECRET = 8

code_validator = RegexValidator("^[a-z][a-z0-9-]{0,38}[a-z0-9]$", "Lower-case letters, digits and dashes.")


class Gateway(PublicModel):
    """One configured account at a provider: what speaks to it, for what it may be used, and how it is doing."""

    PUBLIC_PREFIX = "gtw"

    class Status(models.TextChoices):
        ENABLED = "enabled"
        DRAINING = "draining"  # takes no new payments, and is watched
        DISABLED = "disabled"  # takes no new payments, and nobody asks whether it is up

    class Health(models.TextChoices):
        HEALTHY = "healthy"
        UNHEALTHY = "unhealthy"

    class DataFormat(models.TextChoices):
        JSON = "json", "JSON"
        XML = "xml", "XML"

    code = models.CharField(max_length=40, unique=True, validators=[code_validator])
    name = models.CharField(max_length=80)
    adapter = models.CharField(max_length=40, choices=adapter_choices)
    mode = models.CharField(max_length=4, choices=Mode)
    data_format = models.CharField(max_length=4, choices=DataFormat)
    base_url = models.URLField(max_length=300)
    credentials = EncryptedTextField(default="{}", blank=True)
    currencies = ArrayField(models.CharField(max_length=3))
    payment_method_types = ArrayField(models.CharField(max_length=20), default=list)
    connect_timeout_seconds = models.FloatField(
        default=policy.CONNECT_TIMEOUT_SECONDS,
        validators=[MinValueValidator(0.05), MaxValueValidator(policy.CONNECT_TIMEOUT_SECONDS)],
    )
    call_timeout_seconds = models.FloatField(
        default=policy.CALL_TIMEOUT_SECONDS,
        validators=[MinValueValidator(0.1), MaxValueValidator(policy.CALL_TIMEOUT_SECONDS)],
        help_text="One call in all, from connecting to the last byte.",
    )
    supports_cancel_by_reference = models.BooleanField(
        default=False, help_text="Without it, a payment whose outcome is unknown never falls back by itself."
    )
    settle_window_seconds = models.PositiveIntegerField(
        default=policy.SETTLE_WINDOW_SECONDS,
        help_text="How long after sending a request may still arrive there; before that, “not found” proves nothing.",
    )
    fee_bps = models.PositiveIntegerField("its fee, basis points", default=0, validators=[MaxValueValidator(10_000)])
    fee_fixed_minor = models.PositiveIntegerField(
        "its fee, fixed part", default=0, help_text="Minor units of the payment's currency."
    )
    status = models.CharField(max_length=10, choices=Status, default=Status.ENABLED)
    health_status = models.CharField(max_length=10, choices=Health, default=Health.HEALTHY, editable=False)
    health_changed_at = models.DateTimeField(null=True, editable=False)
    failure_count = models.PositiveIntegerField(default=0, editable=False)
    good_check_count = models.PositiveIntegerField(default=0, editable=False)
    last_checked_at = models.DateTimeField(null=True, editable=False)
    stopped_at = models.DateTimeField(null=True, editable=False)
    stopped_reason = models.CharField(max_length=200, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    history = HistoricalRecords(
        excluded_fields=["credentials", "health_status", "health_changed_at", "failure_count", "good_check_count"]
        + ["last_checked_at", "stopped_at", "stopped_reason"]
    )

    class Meta:
        ordering = ["code"]
        constraints = [
            models.CheckConstraint(condition=models.Q(mode__in=Mode.values), name="gateway_mode"),
            models.CheckConstraint(
                condition=models.Q(status__in=["enabled", "draining", "disabled"]), name="gateway_status"
            ),
            models.CheckConstraint(
                condition=models.Q(health_status__in=["healthy", "unhealthy"]), name="gateway_health_status"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_healthy(self) -> bool:
        """Whether payments are routed to it before all that are not."""
        return self.health_status == self.Health.HEALTHY

    @property
    def is_stopped(self) -> bool:
        """Whether the self-audit keeps new payments from it until a person has looked."""
        return self.stopped_at is not None

    @property
    def is_live(self) -> bool:
        """Whether real money goes there."""
        return self.mode == Mode.LIVE

    @property
    def secrets(self) -> dict[str, str]:
        """The decrypted credentials, by field name. Never shown."""
        value: dict[str, str] = json.loads(self.credentials or "{}")
        return value

    def without_secrets(self, text: str) -> str:
        """A text of the gateway's without our secret credentials there; one that is too short could be any word."""
        kept = self.secrets
        for field in adapter_class(self.adapter).credentials:
            secret = kept.get(field.name, "")
            if field.is_secret and len(secret) >= _SHORTEST_SECRET:
                text = text.replace(secret, "…")
        return text

    def clean(self) -> None:
        unknown = sorted(set(self.currencies or []) - set(CURRENCY_DECIMALS))
        if unknown:
            raise ValidationError({"currencies": f"Not payable currencies: {', '.join(unknown)}."})


class GatewayMaintenance(PublicModel):
    """A time in which a gateway is not to get new payments, planned with a reason. It begins and ends by itself."""

    PUBLIC_PREFIX = "mnt"

    gateway = models.ForeignKey(Gateway, on_delete=models.PROTECT, related_name="maintenances")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    reason = models.CharField(max_length=200)
    planned_by = models.CharField(max_length=160)
    created_at = models.DateTimeField(auto_now_add=True)
    canceled_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["starts_at", "id"]
        constraints = [
            models.CheckConstraint(condition=models.Q(ends_at__gt=models.F("starts_at")), name="maintenance_lasts")
        ]
        indexes = [models.Index(fields=["ends_at"], condition=models.Q(canceled_at=None), name="maintenance_open")]

    def __str__(self) -> str:
        return f"{self.starts_at:%Y-%m-%d %H:%M} to {self.ends_at:%Y-%m-%d %H:%M} UTC: {self.reason}"


class PendingCredentials(models.Model):
    """New credentials of a gateway that wait for a second person; gone as soon as somebody decided, or nobody did."""

    approval = models.OneToOneField(Approval, on_delete=models.PROTECT, related_name="+")
    values = EncryptedTextField(editable=False)

    def __str__(self) -> str:
        return self.approval_id.hex


class Region(PublicModel):
    """A named set of countries that share an order of gateways; one region stands for everywhere else."""

    PUBLIC_PREFIX = "reg"

    code = models.CharField(max_length=40, unique=True, validators=[code_validator])
    name = models.CharField(max_length=80)
    countries = ArrayField(models.CharField(max_length=2), default=list, blank=True)
    is_everywhere_else = models.BooleanField(default=False)
    gateways = models.ManyToManyField(Gateway, through="RegionGateway", related_name="regions")

    history = HistoricalRecords()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["is_everywhere_else"], condition=models.Q(is_everywhere_else=True), name="one_everywhere_else"
            )
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        unknown = sorted(set(self.countries or []) - COUNTRIES)
        if unknown:
            raise ValidationError({"countries": f"Not ISO 3166-1 countries: {', '.join(unknown)}."})
        others = Region.objects.exclude(pk=self.pk).filter(countries__overlap=self.countries or [])
        taken = sorted(set(self.countries or []) & {country for region in others for country in region.countries})
        if taken:
            raise ValidationError({"countries": f"Already in another region: {', '.join(taken)}."})
        if self.is_everywhere_else and self.countries:
            raise ValidationError({"countries": "Everywhere else is what no other region names; leave this empty."})


class RegionGateway(models.Model):
    """A gateway's place in a region: the lowest number is asked first."""

    region = models.ForeignKey(Region, on_delete=models.CASCADE)
    gateway = models.ForeignKey(Gateway, on_delete=models.CASCADE)
    priority = models.PositiveIntegerField(default=1, help_text="1 is asked first.")

    history = HistoricalRecords()

    class Meta:
        ordering = ["priority", "gateway__code"]
        verbose_name = "gateway of the region"
        verbose_name_plural = "gateways of the region"
        constraints = [models.UniqueConstraint(fields=["region", "gateway"], name="gateway_once_per_region")]

    def __str__(self) -> str:
        return f"{self.region} {self.priority}. {self.gateway}"


class GatewayCall(models.Model):
    """One conversation with a gateway, without anything that was said: what for, how long, what came of it."""

    gateway = models.ForeignKey(Gateway, on_delete=models.PROTECT, related_name="calls")
    operation = models.CharField(max_length=30)
    reference = models.CharField(max_length=32, db_index=True)
    started_at = models.DateTimeField()
    duration_ms = models.PositiveIntegerField()
    outcome = models.CharField(max_length=10, choices=Outcome)
    http_status = models.PositiveSmallIntegerField(null=True)
    error = models.CharField(max_length=60, blank=True)
    detail = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["gateway", "-started_at"], name="call_by_gateway_and_time")]

    def __str__(self) -> str:
        return f"{self.operation} {self.reference}: {self.outcome}"


class HealthCheck(models.Model):
    """One look at whether a gateway is up, and what was concluded."""

    gateway = models.ForeignKey(Gateway, on_delete=models.CASCADE, related_name="health_checks")
    checked_at = models.DateTimeField(db_index=True)
    is_good = models.BooleanField()
    duration_ms = models.PositiveIntegerField()
    http_status = models.PositiveSmallIntegerField(null=True)
    error = models.CharField(max_length=60, blank=True)
    health_status = models.CharField(max_length=10, choices=Gateway.Health)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["gateway", "-id"], name="health_check_by_gateway")]

    def __str__(self) -> str:
        return f"{self.gateway_id} {'up' if self.is_good else 'down'} {self.checked_at}"


class Notice(models.Model):
    """A message that a gateway sent us: verified, scrubbed of card numbers, kept once, acted upon later."""

    class Status(models.TextChoices):
        WAITING = "waiting"
        APPLIED = "applied"
        UNMATCHED = "unmatched"
        SET_ASIDE = "set_aside"  # somebody looked: it is about nothing of ours

    gateway = models.ForeignKey(Gateway, on_delete=models.PROTECT, related_name="notices")
    notice_id = models.CharField(max_length=100)
    reference = models.CharField(max_length=100, db_index=True)
    outcome = models.CharField(max_length=10, choices=Outcome)
    amount_minor = models.BigIntegerField(null=True)
    currency = models.CharField(max_length=3, blank=True)
    body = models.TextField()
    status = models.CharField(max_length=10, choices=Status, default=Status.WAITING)
    received_at = models.DateTimeField()
    applied_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["gateway", "notice_id"], name="notice_once")]
        indexes = [
            models.Index(fields=["id"], condition=models.Q(status="waiting"), name="notice_waiting"),
            models.Index(fields=["id"], condition=models.Q(status="unmatched"), name="notice_unmatched"),
            models.Index(fields=["id"], condition=models.Q(status="set_aside"), name="notice_set_aside"),
        ]

    def __str__(self) -> str:
        return self.notice_id

    @property
    def public_id(self) -> str:
        """The name that the audit knows it by."""
        return f"notice:{self.pk}"


class ObservedFee(models.Model):
    """What a gateway really charged for the payments whose settlement was matched on one day, in one currency."""

    gateway = models.ForeignKey(Gateway, on_delete=models.PROTECT, related_name="observed_fees", db_index=False)
    currency = models.CharField(max_length=3)
    on = models.DateField()
    charge_count = models.BigIntegerField(default=0)
    gross_minor = models.BigIntegerField(default=0)
    fee_minor = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["gateway", "currency", "-on"]
        constraints = [models.UniqueConstraint(fields=["gateway", "currency", "on"], name="observed_fee_once")]

    def __str__(self) -> str:
        return f"{self.gateway_id} {self.currency} {self.on}: {self.effective_bps} bps"

    @property
    def effective_bps(self) -> int:
        """All that was charged, the fixed parts too, as a share of what was taken, in basis points."""
        return round(self.fee_minor * 10_000 / self.gross_minor) if self.gross_minor else 0
