"""What may follow what? A status machine is a table; CHECK constraints, docs, buttons and tests are read from it."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import models

from checkout.kit.errors import InvalidTransition


class StatusMachine:
    """A named table of (status, event) → status. `initial` is where an object starts."""

    def __init__(self, name: str, initial: str, table: Mapping[tuple[str, str], str]) -> None:
        self.name = name
        self.initial = str(initial)
        self.table = {(str(status), str(event)): str(after) for (status, event), after in table.items()}

    @property
    def statuses(self) -> list[str]:
        """Every status, the initial one first, then in the order of the table."""
        seen = dict.fromkeys([self.initial])
        for (before, _), after in self.table.items():
            seen.update(dict.fromkeys([before, after]))
        return list(seen)

    @property
    def events(self) -> list[str]:
        """Every event, in the order of the table."""
        return list(dict.fromkeys(event for _, event in self.table))

    def allows(self, status: str, event: str) -> bool:
        """Whether the table has a step for this event from this status."""
        return (str(status), str(event)) in self.table

    def after(self, status: str, event: str) -> str:
        """The status that follows. Refuses: InvalidTransition."""
        try:
            return self.table[str(status), str(event)]
        except KeyError:
            raise InvalidTransition(machine=self.name, status=str(status), event=str(event)) from None

    def sources(self, event: str) -> list[str]:
        """The statuses from which an event is possible."""
        return [before for (before, what) in self.table if what == str(event)]

    def check(self, name: str, field: str = "status") -> models.CheckConstraint:
        """The CHECK constraint that lets a column hold only the statuses of this table."""
        return models.CheckConstraint(condition=models.Q(**{f"{field}__in": self.statuses}), name=name)


def advance(obj: Any, machine: StatusMachine, event: str) -> None:
    """Move an object that the caller has locked along its table; the caller saves it. Refuses: InvalidTransition."""
    obj.status = machine.after(obj.status, event)


def advance_where(rows: models.QuerySet[Any], machine: StatusMachine, event: str, **changes: Any) -> int:
    """Move those of the rows whose status allows the event, in one conditional UPDATE; 0 means the race was lost.

    All rows must arrive at the same status; other columns may be set along with it.
    """
    arrivals = {machine.after(source, event) for source in machine.sources(event)}
    (arrival,) = arrivals
    return rows.filter(status__in=machine.sources(event)).update(status=arrival, **changes)


def mermaid(machine: StatusMachine) -> str:
    """The table as a Mermaid state diagram, for the generated documentation."""
    lines: Iterable[str] = (f"    {before} --> {after}: {event}" for (before, event), after in machine.table.items())
    return "\n".join(["stateDiagram-v2", f"    [*] --> {machine.initial}", *lines])
