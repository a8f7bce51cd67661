"""Are rows of different tables written in one statement, as each would be by itself?"""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import DataError, connection, transaction
from django.test.utils import CaptureQueriesContext

from checkout.kit import clock
from checkout.kit.inserts import insert_all
from checkout.kit.models import Alert, AuditEntry, User

pytestmark = pytest.mark.django_db


def an_entry(**fields: Any) -> AuditEntry:
    return AuditEntry(**{"actor": "command:test", "verb": "a.b", "object_type": "a", "object_id": "1", **fields})


def test_rows_of_several_tables_are_written_in_one_statement() -> None:
    rows = [an_entry(after={"a": [1, None, "ü"]}), Alert(kind="k", severity="warning", message="m"), an_entry()]

    with CaptureQueriesContext(connection) as queries:
        insert_all(rows)

    assert len(queries) == 1
    assert set(AuditEntry.objects.filter(verb="a.b").values_list("pk", flat=True)) == {rows[0].pk, rows[2].pk}
    assert AuditEntry.objects.get(pk=rows[0].pk).after == {"a": [1, None, "ü"]}
    assert Alert.objects.get().message == "m"


def test_times_are_filled_in_and_rows_can_be_saved_on() -> None:
    alert = Alert(kind="k", severity="warning", message="m")
    insert_all([alert])
    assert clock.now() - Alert.objects.get().first_seen_at < timedelta(seconds=5)

    alert.message = "changed"
    alert.save(update_fields=["message"])

    assert Alert.objects.get().message == "changed"


def test_a_row_may_refer_to_one_that_comes_later() -> None:
    user = User(username="ana")
    group = Group(name="a group whose key the database gives")
    alert = Alert(kind="k", severity="warning", message="m", acknowledged_at=clock.now())
    user.pk = 10**9
    alert.acknowledged_by = user
    user.save(force_insert=True)

    insert_all([alert, group])

    assert Alert.objects.get().acknowledged_by == user
    assert Group.objects.filter(name=group.name).exists()


def test_all_or_nothing() -> None:
    with pytest.raises(DataError), transaction.atomic():
        insert_all([an_entry(), an_entry(verb="v" * 81)])

    assert not AuditEntry.objects.filter(actor="command:test").exists()


def test_nothing_costs_nothing() -> None:
    with CaptureQueriesContext(connection) as queries:
        insert_all([])
    assert len(queries) == 0
