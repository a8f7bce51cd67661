"""What do we remember about payments?

Rows of `Attempt` are the queue of record: `next_action_at` says when somebody must look at one next.
"""

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Upper

from checkout.kit.fields import EncryptedTextField
from checkout.kit.models import PublicModel, User
from checkout.kit.modes import Mode
from checkout.kit.money import Money
from gateways.models import Gateway
from gateways.outcomes import Outcome
from merchants.models import Merchant
from payments.statuses import (
    ATTEMPT,
    IN_FLIGHT,
    LIVE,
    PAYMENT,
    REFUND,
    AttemptStatus,
    NextAction,
    Operation,
    RefundStatus,
    Status,
)


class Card(PublicModel):
    """A card in the vault: the number encrypted, everything that may be shown beside it.

    `fingerprint` is the same for the same number of one merchant and reveals nothing without its key.
    """

    PUBLIC_PREFIX = "card"

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="cards")
    mode = models.CharField(max_length=4, choices=Mode)
    number = EncryptedTextField(editable=False)
    fingerprint = models.CharField(max_length=64, db_index=True, editable=False)
    brand = models.CharField(max_length=20)
    last4 = models.CharField(max_length=4)
    exp_month = models.PositiveSmallIntegerField()
    exp_year = models.PositiveSmallIntegerField()
    holder_name = models.CharField(max_length=100, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["last4", "-id"], name="card_by_last4")]

    def __str__(self) -> str:
        return f"{self.brand} •••• {self.last4}"


class Payment(PublicModel):
    """What a merchant wants paid, how far it got, and how much money has moved.

    An index that begins with a foreign key stands for that of the key itself.
    """

    PUBLIC_PREFIX = "pay"

    class CaptureMode(models.TextChoices):
        AUTOMATIC = "automatic"
        MANUAL = "manual"

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="payments", db_index=False)
    mode = models.CharField(max_length=4, choices=Mode)
    status = models.CharField(max_length=20, choices=Status, default=Status.CREATED)
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    authorized_minor = models.BigIntegerField(default=0)
    captured_minor = models.BigIntegerField(default=0)
    refunded_minor = models.BigIntegerField(default=0)
    capture_mode = models.CharField(max_length=10, choices=CaptureMode, default=CaptureMode.AUTOMATIC)
    country = models.CharField(max_length=2)
    payment_method_type = models.CharField(max_length=20, default="card")
    card = models.ForeignKey(Card, null=True, on_delete=models.PROTECT, related_name="payments")
    merchant_reference = models.CharField(max_length=100, blank=True)
    description = models.CharField(max_length=255, blank=True)
    customer_email = models.CharField(max_length=254, blank=True)
    metadata = models.JSONField(default=dict)
    return_url = models.CharField(max_length=2000, blank=True)
    gateway = models.ForeignKey(Gateway, null=True, on_delete=models.PROTECT, related_name="payments", db_index=False)
    decline_code = models.CharField(max_length=40, blank=True)
    confirmation = models.PositiveSmallIntegerField(default=0)
    attempt_count = models.PositiveSmallIntegerField(default=0)
    event_count = models.PositiveIntegerField(default=0)
    cancel_requested_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-id"]
        permissions = [
            ("capture_payment", "Can capture payment"),
            ("cancel_payment", "Can cancel payment"),
            ("refund_payment", "Can refund payment"),
        ]
        constraints = [
            PAYMENT.check("payment_status"),
            models.CheckConstraint(condition=Q(mode__in=Mode.values), name="payment_mode"),
            models.CheckConstraint(condition=Q(amount_minor__gte=0), name="payment_amount_not_negative"),
            models.CheckConstraint(
                condition=Q(refunded_minor__gte=0)
                & Q(refunded_minor__lte=F("captured_minor"))
                & Q(captured_minor__lte=F("authorized_minor"))
                & Q(authorized_minor__lte=F("amount_minor")),
                name="refunded_lte_captured_lte_authorized_lte_amount",
            ),
        ]
        indexes = [
            models.Index(fields=["merchant", "mode", "-id"], name="payment_by_merchant"),
            models.Index(fields=["merchant", "mode", "status", "-id"], name="payment_by_status"),
            models.Index(
                fields=["merchant", "merchant_reference"],
                condition=~Q(merchant_reference=""),
                name="payment_by_reference",
            ),
            models.Index(fields=["gateway", "-id"], name="payment_by_gateway"),
            models.Index(
                Upper("customer_email"),
                F("id").desc(),
                condition=~Q(customer_email=""),
                name="payment_by_email",
            ),
            models.Index(fields=["mode", "currency", "-id"], name="payment_by_currency"),
            # Nearly all end captured, and the newest of those are found without an index.
            models.Index(fields=["status", "-id"], condition=~Q(status=Status.CAPTURED), name="payment_not_captured"),
            models.Index(fields=["decline_code", "-id"], condition=~Q(decline_code=""), name="payment_by_decline"),
            models.Index(
                fields=["expires_at"],
                condition=Q(
                    expires_at__isnull=False,
                    status__in=[Status.CREATED, Status.AUTHORIZED, Status.REQUIRES_ACTION],
                ),
                name="payment_to_expire",
            ),
        ]

    @property
    def amount(self) -> Money:
        """What the merchant asked for."""
        return Money(self.amount_minor, self.currency)


class CardSecret(models.Model):
    """A card's verification value, encrypted, until the last charge attempt of its payment is over (PCI DSS 3.3.1)."""

    payment = models.OneToOneField(Payment, primary_key=True, on_delete=models.CASCADE)
    cvv = EncryptedTextField(editable=False)
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"card secret of {self.payment_id}"


class Refund(PublicModel):
    """Money given back, in whole or in part. `alone` is the person at the desk who decided it without a second one."""

    PUBLIC_PREFIX = "rfd"

    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="refunds")
    status = models.CharField(max_length=20, choices=RefundStatus, default=RefundStatus.REQUESTED)
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    reason = models.CharField(max_length=255, blank=True)
    alone = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            REFUND.check("refund_status"),
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="refund_amount_positive"),
        ]
        indexes = [
            models.Index(fields=["alone", "created_at"], condition=Q(alone__isnull=False), name="refund_decided_alone"),
            models.Index(
                fields=["-id"],
                condition=Q(status__in=["requested", "awaiting_approval", "processing"]),
                name="refund_open",
            ),
        ]

    @property
    def amount(self) -> Money:
        """How much is given back."""
        return Money(self.amount_minor, self.currency)


class Attempt(PublicModel):
    """One try of one operation at one gateway, committed before the gateway hears of it.

    Its `reference` (the public id) is the gateway's idempotency key and the name it is asked about by. `decision` is
    the routing decision that led here. `next_action_at` is when `next_action` is due; while somebody is at it, when
    that lease ends; and empty once nothing more is to be done. One that `reverses` another gives back what a gateway
    took for it after it had been given up; `action_url` is where the customer must go while it is pending. Since
    `called_off_at` the gateway may have been told that it must never charge: no success is believed from then on.
    """

    PUBLIC_PREFIX = "att"

    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="attempts")
    refund = models.ForeignKey(Refund, null=True, on_delete=models.PROTECT, related_name="attempts")
    parent = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="followers")
    seq = models.PositiveSmallIntegerField()
    confirmation = models.PositiveSmallIntegerField()
    operation = models.CharField(max_length=10, choices=Operation)
    status = models.CharField(max_length=10, choices=AttemptStatus, default=AttemptStatus.CREATED)
    gateway = models.ForeignKey(Gateway, on_delete=models.PROTECT, related_name="attempts", db_index=False)
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    is_sale = models.BooleanField(default=False)
    reverses = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="reversals")
    action_url = models.CharField(max_length=2000, blank=True)
    gateway_reference = models.CharField(max_length=100, blank=True)
    decline_code = models.CharField(max_length=40, blank=True)
    decision = models.JSONField(null=True)
    actor = models.CharField(max_length=160)
    next_action = models.CharField(max_length=10, choices=NextAction, default=NextAction.SEND)
    next_action_at = models.DateTimeField(null=True)
    asked_count = models.PositiveIntegerField(default=0)
    retry_count = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)
    called_off_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["payment_id", "seq"]
        constraints = [
            ATTEMPT.check("attempt_status"),
            models.CheckConstraint(condition=Q(amount_minor__gte=0), name="attempt_amount_not_negative"),
            models.CheckConstraint(
                condition=~Q(status__in=IN_FLIGHT) | Q(next_action_at__isnull=False),
                name="attempt_in_flight_has_a_date",
            ),
            models.UniqueConstraint(fields=["payment", "seq"], name="attempt_seq"),
            models.UniqueConstraint(
                fields=["payment"],
                condition=Q(operation=Operation.AUTHORIZE, status__in=LIVE),
                name="one_live_charge_per_payment",
            ),
            models.UniqueConstraint(
                fields=["reverses"], condition=Q(status__in=LIVE), name="one_live_reversal_per_attempt"
            ),
            models.UniqueConstraint(
                fields=["gateway", "gateway_reference", "operation"],
                condition=~Q(gateway_reference=""),
                name="gateway_reference_once",
            ),
        ]
        indexes = [
            models.Index(fields=["next_action_at"], condition=Q(next_action_at__isnull=False), name="attempt_due"),
            models.Index(fields=["payment"], condition=Q(status__in=IN_FLIGHT), name="attempt_in_flight"),
            models.Index(fields=["gateway", "-id"], name="attempt_by_gateway"),
        ]

    @property
    def reference(self) -> str:
        """Our name for it at the gateway."""
        return self.public_id

    @property
    def amount(self) -> Money:
        """How much it is about."""
        return Money(self.amount_minor, self.currency)


class Evidence(models.Model):
    """Something we were told about an attempt, believed or not. Append-only, kept so by a trigger."""

    class Source(models.TextChoices):
        RESPONSE = "response"  # the answer to the call itself
        INQUIRY = "inquiry"  # the answer when asked by reference
        CANCEL = "cancel"  # the answer to cancel-by-reference
        LEASE = "lease"  # whoever sent it never came back
        OPERATOR = "operator"  # two people who looked at what the gateway's own books say
        SETTLEMENT = "settlement"  # a line of the gateway's settlement file

    attempt = models.ForeignKey(Attempt, on_delete=models.PROTECT, related_name="evidence")
    at = models.DateTimeField()
    source = models.CharField(max_length=10, choices=Source)
    outcome = models.CharField(max_length=10, choices=Outcome)
    gateway_reference = models.CharField(max_length=100, blank=True)
    decline_code = models.CharField(max_length=40, blank=True)
    detail = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["id"]
        verbose_name_plural = "evidence"

    def __str__(self) -> str:
        return f"{self.source}: {self.outcome}"


class IdempotencyKey(models.Model):
    """A merchant's word for one request: the object it made, and the answer once that is final.

    Neither the request nor a card number is kept, only a keyed fingerprint of what was asked.
    """

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT)
    mode = models.CharField(max_length=4, choices=Mode)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    object_id = models.UUIDField(null=True)
    answering_until = models.DateTimeField()
    http_status = models.PositiveSmallIntegerField(null=True)
    body = models.TextField(blank=True)
    created_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["merchant", "mode", "key"], name="idempotency_key_once")]

    def __str__(self) -> str:
        return self.key


class AuditRun(models.Model):
    """One look of the self-audit at the books: what it counted, and what it found broken."""

    class Result(models.TextChoices):
        GREEN = "green"
        RED = "red"

    started_at = models.DateTimeField()
    duration_ms = models.PositiveIntegerField()
    result = models.CharField(max_length=5, choices=Result)
    findings = models.JSONField(default=list)
    counts = models.JSONField(default=dict)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(result__in=["green", "red"]), name="audit_run_result"),
        ]

    def __str__(self) -> str:
        return f"{self.result} {self.started_at}"

    @property
    def is_green(self) -> bool:
        """Whether every invariant held."""
        return self.result == self.Result.GREEN
