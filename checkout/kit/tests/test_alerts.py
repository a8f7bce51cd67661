"""Is what needs a person said once, and counted?"""

import pytest

from checkout.kit import clock
from checkout.kit.alerts import raise_alert
from checkout.kit.models import Alert

pytestmark = pytest.mark.django_db


def test_the_same_alert_again_is_counted_and_tells_the_latest() -> None:
    for number in range(3):
        raise_alert(kind="k", object_id="1", message=f"message {number}")
    raise_alert(kind="k", object_id="2", message="another object")

    one = Alert.objects.get(object_id="1")
    assert (one.seen_count, one.message, one.severity) == (3, "message 2", "warning")
    assert one.last_seen_at >= one.first_seen_at
    assert Alert.objects.count() == 2


def test_after_it_was_acknowledged_it_is_a_new_one() -> None:
    raise_alert(kind="k", message="first", severity="critical")
    Alert.objects.update(acknowledged_at=clock.now())

    raise_alert(kind="k", message="m" * 500)

    assert Alert.objects.count() == 2
    assert len(Alert.objects.get(acknowledged_at=None).message) == 300
