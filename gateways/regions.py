"""What can be said of a region? Its name, its countries and the priority of each of its gateways, as one value."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from gateways.models import Region, RegionGateway
from gateways.reach import Area


@dataclass(frozen=True)
class RegionPlan:
    """A region as it is or as it is to be. `priorities` are by gateway code; the lowest number is asked first."""

    name: str
    countries: tuple[str, ...] = ()
    is_everywhere_else: bool = False
    priorities: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, region: Region) -> "RegionPlan":
        """A region as it is. One query."""
        places = RegionGateway.objects.filter(region_id=region.pk).values_list("gateway__code", "priority")
        return cls(region.name, tuple(sorted(region.countries)), region.is_everywhere_else, dict(places))

    @property
    def area(self) -> Area:
        """What routing knows of it."""
        return Area(frozenset(self.countries), self.is_everywhere_else, self.priorities)

    @property
    def version(self) -> str:
        """A short hash of all of it: two that are equal have equal ones."""
        return hashlib.sha256(json.dumps(self.as_json(), sort_keys=True).encode()).hexdigest()[:12]

    def as_json(self) -> dict[str, Any]:
        """As it is kept in the audit and in requests."""
        return {
            "name": self.name,
            "countries": [*self.countries],
            "is_everywhere_else": self.is_everywhere_else,
            "priorities": self.priorities,
        }

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> "RegionPlan":
        """The plan that was kept."""
        return cls(kept["name"], tuple(kept["countries"]), kept["is_everywhere_else"], dict(kept["priorities"]))
