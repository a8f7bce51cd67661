"""Who comes in, and at what time?"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import Group

from checkout.kit.models import User
from tests.access.coming_in import PASSWORD

NOON = datetime(2026, 3, 2, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def ana(db: None) -> User:
    """Somebody of operations, with a password."""
    user = User.objects.create_user("ana", password=PASSWORD, is_staff=True)
    user.groups.add(Group.objects.get(name="Operations"))
    return user


@pytest.fixture
def clock() -> Iterator[Any]:
    """Time that stands still until it is shifted."""
    with time_machine.travel(NOON, tick=False) as clock:
        yield clock
