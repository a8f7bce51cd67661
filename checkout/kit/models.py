"""What do we remember about people, what they did, and what needs somebody's attention?"""

import uuid

from django.contrib.auth.models import AbstractUser
from django.db import models

from checkout.kit import ids
from checkout.kit.ids import uuid7


class User(AbstractUser):  # type: ignore[django-manager-missing]  # that of a library's abstract model
    """Somebody who works in the admin."""

    class Meta(AbstractUser.Meta):
        verbose_name = "user"

    @property
    def public_id(self) -> str:
        """The name that the audit knows a person by, within the length it keeps."""
        return f"user:{self.username}"[:64]


# Nearly all of the audit is the platform's own, about payments; whoever looks for the rest need not read that.
_BY_HAND = ~models.Q(actor__startswith="key:") & ~models.Q(actor__startswith="task:")
_BUT_PAYMENTS = ~models.Q(object_type__in=["payment", "refund"])


class AuditEntry(models.Model):
    """One thing somebody or something did to money, configuration, keys or people. A trigger keeps it append-only.

    `told_by_database`: nobody accounted for a change, so the database did (`checkout.kit.watching`). `transaction_id`
    is the number of the transaction that wrote it; numbers grow.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    at = models.DateTimeField(auto_now_add=True, db_index=True)
    actor = models.CharField(max_length=160)
    verb = models.CharField(max_length=80)
    object_type = models.CharField(max_length=40)
    object_id = models.CharField(max_length=64)
    reason = models.CharField(max_length=500, blank=True)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    address = models.CharField(max_length=45, blank=True)
    told_by_database = models.BooleanField(default=False, db_default=False)
    transaction_id = models.BigIntegerField(db_default=models.Func(function="audit_transaction"), editable=False)

    BY_HAND = _BY_HAND
    BUT_PAYMENTS = _BUT_PAYMENTS

    class Meta:
        verbose_name_plural = "audit entries"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["object_id", "id"], name="audit_by_object"),
            models.Index(fields=["transaction_id", "id"], name="audit_by_transaction"),
            models.Index(fields=["id"], condition=_BY_HAND, name="audit_by_hand"),
            models.Index(fields=["object_type", "id"], condition=_BUT_PAYMENTS, name="audit_but_payments"),
            models.Index(fields=["id"], condition=models.Q(told_by_database=True), name="audit_told_by_database"),
        ]

    def __str__(self) -> str:
        return f"{self.actor} {self.verb} {self.object_id}"


class AuditSeal(models.Model):
    """A stretch of the audit, hashed together with the seal before it: a later change cannot hide. Append-only.

    It covers the entries of the transactions in `[begins_at, ends_at)`, by their numbers.
    """

    number = models.BigIntegerField(primary_key=True)
    begins_at = models.BigIntegerField()
    ends_at = models.BigIntegerField()
    entry_count = models.BigIntegerField()
    content_hash = models.BinaryField(max_length=32)
    seal_hash = models.BinaryField(max_length=32)
    sealed_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-number"]

    def __str__(self) -> str:
        return f"seal {self.number}"


class Alert(models.Model):
    """Something a person should look at. One open row per kind and object; seeing it again counts it up."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=60)
    object_id = models.CharField(max_length=64, blank=True)
    severity = models.CharField(max_length=10, choices=[("warning", "warning"), ("critical", "critical")])
    message = models.CharField(max_length=300)
    first_seen_at = models.DateTimeField(auto_now_add=True)
    last_seen_at = models.DateTimeField(auto_now=True)
    seen_count = models.PositiveIntegerField(default=1)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.PROTECT)

    class Meta:
        ordering = ["-last_seen_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "object_id"],
                condition=models.Q(acknowledged_at__isnull=True),
                name="one_open_alert_per_kind_and_object",
            )
        ]

    def __str__(self) -> str:
        return self.message


class PublicModel(models.Model):
    """A row with a UUIDv7 key and a prefixed outside name."""

    PUBLIC_PREFIX = ""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)

    class Meta:
        abstract = True

    @property
    def public_id(self) -> str:
        """The name that the outside knows this row by."""
        key: uuid.UUID = self.id
        return ids.public_id(self.PUBLIC_PREFIX, key)

    def __str__(self) -> str:
        return self.public_id


class Approval(PublicModel):
    """Something that one person asked for and another must agree to; bound to a hash of what exactly was asked.

    `answer` is what whoever decided had to say.
    """

    PUBLIC_PREFIX = "apr"

    class Status(models.TextChoices):
        REQUESTED = "requested"
        APPROVED = "approved"
        REJECTED = "rejected"
        WITHDRAWN = "withdrawn"
        EXPIRED = "expired"

    kind = models.CharField(max_length=60)
    object_id = models.CharField(max_length=64)
    payload = models.JSONField()
    payload_hash = models.CharField(max_length=64)
    reason = models.CharField(max_length=500)
    evidence = models.CharField(max_length=2000, blank=True)
    status = models.CharField(max_length=10, choices=Status, default=Status.REQUESTED)
    maker = models.ForeignKey(User, on_delete=models.PROTECT, related_name="approvals_made")
    checker = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="approvals_checked")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)
    answer = models.CharField(max_length=500, blank=True, default="", db_default="")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(status__in=["requested", "approved", "rejected", "withdrawn", "expired"]),
                name="approval_status",
            ),
            models.CheckConstraint(
                condition=models.Q(checker=None) | ~models.Q(status="approved", checker=models.F("maker")),
                name="approval_maker_is_not_checker",
            ),
            models.UniqueConstraint(
                fields=["kind", "object_id"],
                condition=models.Q(status="requested"),
                name="approval_requested_once",
            ),
        ]
        indexes = [models.Index(fields=["object_id", "kind"], name="approval_by_object")]


class Heartbeat(models.Model):
    """When a process was last alive: one row per process, written over and over."""

    name = models.CharField(max_length=20)
    host = models.CharField(max_length=80, blank=True)
    pid = models.PositiveIntegerField()
    beat_at = models.DateTimeField()
    details = models.JSONField(default=dict)

    class Meta:
        ordering = ["name", "-beat_at"]
        constraints = [models.UniqueConstraint(fields=["name", "host", "pid"], name="heartbeat_once")]

    def __str__(self) -> str:
        return f"{self.name} {self.host} {self.pid}"


class SavedFilter(models.Model):
    """A filter of a list that somebody keeps for themselves: the words of its address, under a name."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="saved_filters", db_index=False)
    list_name = models.CharField(max_length=80)
    name = models.CharField(max_length=40)
    query = models.CharField(max_length=500)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["user", "list_name", "name"], name="saved_filter_once")]

    def __str__(self) -> str:
        return self.name


class BulkRun(models.Model):
    """One deed done to many rows of a list, by its form's token: what came of each. A form sent twice is done once."""

    id = models.UUIDField(primary_key=True, editable=False)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="bulk_runs")
    list_name = models.CharField(max_length=80)
    label = models.CharField(max_length=80)
    reason = models.CharField(max_length=200, blank=True)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    outcomes = models.JSONField(default=list)

    class Meta:
        ordering = ["-started_at"]
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.label} {self.started_at}"
