"""How many outcomes does nobody know at each gateway? The board of gateways asks, and cannot see payments itself."""

from typing import Any

from django.db.models import Count

from checkout.kit.display import list_of
from gateways.admin import board
from payments.models import Attempt
from payments.statuses import AttemptStatus


def unknowns_by_gateway() -> dict[Any, tuple[int, str]]:
    """By a gateway's key, how many attempts are unknown there and the list that shows them. One query."""
    rows = Attempt.objects.filter(status=AttemptStatus.UNKNOWN).order_by().values("gateway").annotate(count=Count("id"))
    return {
        row["gateway"]: (row["count"], list_of(Attempt, f"status__exact=unknown&gateway__id__exact={row['gateway']}"))
        for row in rows
    }


board.ask_unknowns_of(unknowns_by_gateway)
