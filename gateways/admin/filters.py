"""Which calls does somebody look for? Filters of their list, named for the job."""

from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import DropdownFilter

from checkout.kit import clock
from gateways.models import GatewayCall


def a_day_ago() -> datetime:
    """When the oldest of the last 24 hours by the clock began, the present hour being the last."""
    return clock.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=23)


class CallJobFilter(DropdownFilter):
    """What somebody on duty looks for; an index keeps the charges of a gateway in the order of time."""

    title = "job"
    parameter_name = "job"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("charges_of_a_day", "Charges of the last 24 hours")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[GatewayCall]) -> QuerySet[GatewayCall]:
        if self.value() != "charges_of_a_day":
            return queryset
        return queryset.filter(operation="authorize", started_at__gte=a_day_ago())
