"""What needs a person? An alert is a row, deduplicated; a log line is not an alert."""

from django.db import connection

from checkout.kit import clock
from checkout.kit.ids import uuid7
from checkout.kit.models import Alert, User

_UPSERT = """
INSERT INTO kit_alert (id, kind, object_id, severity, message, first_seen_at, last_seen_at, seen_count)
VALUES (%s, %s, %s, %s, %s, now(), now(), 1)
ON CONFLICT (kind, object_id) WHERE acknowledged_at IS NULL
DO UPDATE SET last_seen_at = now(), seen_count = kit_alert.seen_count + 1, message = EXCLUDED.message
"""


def raise_alert(*, kind: str, message: str, object_id: str = "", severity: str = "warning") -> None:
    """Open an alert, or count up the open one of the same kind and object."""
    with connection.cursor() as cursor:
        cursor.execute(_UPSERT, [uuid7(), kind, object_id, severity, message[:300]])


def acknowledge_alert(*, alert: Alert, user: User) -> None:
    """A person has seen it. From now on the same thing opens a new alert; acknowledging twice changes nothing."""
    Alert.objects.filter(pk=alert.pk, acknowledged_at=None).update(acknowledged_at=clock.now(), acknowledged_by=user)
