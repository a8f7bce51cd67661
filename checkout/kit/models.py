"""What do we remember about people, what they did, and what needs somebody's attention?"""

import uuid

from django.contrib.auth.models import AbstractUser
from django.db import models

from checkout.kit import ids
from checkout.kit.ids import uuid7


class User(AbstractUser):
    """Somebody who works in the admin."""

    class Meta(AbstractUser.Meta):
        verbose_name = "user"


class AuditEntry(models.Model):
    """One thing somebody or something did to money, configuration, keys or people. A trigger keeps it append-only."""

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

    class Meta:
        verbose_name_plural = "audit entries"
        ordering = ["-id"]
        indexes = [models.Index(fields=["object_id", "id"], name="audit_by_object")]

    def __str__(self) -> str:
        return f"{self.actor} {self.verb} {self.object_id}"


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
