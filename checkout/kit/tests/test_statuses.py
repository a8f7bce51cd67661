"""Is the table the only way from one status to the next?"""

import pytest

from checkout.kit.errors import InvalidTransition
from checkout.kit.statuses import StatusMachine, advance, mermaid

DOOR = StatusMachine(
    "door",
    "closed",
    {("closed", "open"): "open", ("open", "close"): "closed", ("closed", "lock"): "locked", ("open", "lock"): "locked"},
)


class Door:
    def __init__(self, status: str) -> None:
        self.status = status


def test_a_machine_knows_its_statuses_events_and_sources() -> None:
    assert DOOR.statuses == ["closed", "open", "locked"]
    assert DOOR.events == ["open", "close", "lock"]
    assert DOOR.sources("lock") == ["closed", "open"]
    assert DOOR.sources("unlock") == []


def test_a_step_of_the_table_is_taken() -> None:
    door = Door("closed")
    advance(door, DOOR, "open")
    assert door.status == "open"


@pytest.mark.parametrize(
    ("status", "event"), [("locked", "open"), ("open", "open"), ("closed", "unlock"), ("", "open")]
)
def test_a_step_that_is_not_in_the_table_is_refused_and_changes_nothing(status: str, event: str) -> None:
    door = Door(status)
    assert not DOOR.allows(status, event)

    with pytest.raises(InvalidTransition) as refused:
        advance(door, DOOR, event)

    assert door.status == status
    assert (refused.value.status, refused.value.event) == (status, event)


def test_the_check_constraint_is_read_from_the_table() -> None:
    assert DOOR.check("door_status", field="state").condition.children == [("state__in", DOOR.statuses)]


def test_the_diagram_has_a_line_for_every_step() -> None:
    assert mermaid(DOOR).splitlines() == [
        "stateDiagram-v2",
        "    [*] --> closed",
        "    closed --> open: open",
        "    open --> closed: close",
        "    closed --> locked: lock",
        "    open --> locked: lock",
    ]
