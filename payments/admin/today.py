"""What happened today? The home page's figures: since midnight UTC, in one mode, in a fixed number of queries."""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Min, Q, Sum
from django.db.models.functions import TruncHour

from checkout.kit import clock
from checkout.kit.display import duration, list_of, money, percentage
from checkout.kit.ids import first_id_at
from checkout.kit.modes import Mode
from checkout.kit.money import Money
from gateways.admin.board import midnight
from payments.models import Attempt, Payment, Refund
from payments.statuses import IN_FLIGHT, AttemptStatus, Operation, RefundStatus, Status

_LATEST_COUNT = 10
_REFUSED = (Status.DECLINED, Status.FAILED)


@dataclass(frozen=True)
class Group:
    """Some payments: how many, how much per currency, and the list that shows them."""

    word: str
    count: int
    amounts: list[str]
    address: str


@dataclass(frozen=True)
class Today:
    """The figures of one day in one mode."""

    mode: str
    modes: list[str]
    groups: list[Group]
    captured: Group
    refunded: Group
    rate: str
    approved_count: int
    decided_count: int
    refused_address: str
    chart: str
    latest: list[Payment]
    waiting: dict[str, Any]

    @property
    def count(self) -> int:
        """How many payments were made today."""
        return sum(group.count for group in self.groups)


def today(asked_mode: str) -> Today:
    """The figures since midnight, in the mode that was asked for, else live if there is anything live. Four queries."""
    began = midnight()
    rows: list[Any] = list(
        Payment.objects.filter(id__gte=first_id_at(began))
        .order_by()
        .values("mode", "status", "currency", hour=TruncHour("created_at"))
        .annotate(
            count=Count("id"),
            asked=Sum("amount_minor"),
            captured=Sum("captured_minor"),
            approved=Count("id", filter=Q(authorized_minor__gt=0)),
        )
    )
    latest = list(Payment.objects.select_related("merchant", "card", "gateway")[:_LATEST_COUNT])
    modes = sorted({row["mode"] for row in rows} | {payment.mode for payment in latest})
    mode = asked_mode if asked_mode in Mode.values else Mode.LIVE if Mode.LIVE in modes else Mode.TEST
    rows = [row for row in rows if row["mode"] == mode]
    approved = sum(row["approved"] for row in rows)
    refused = sum(row["count"] for row in rows if row["status"] in _REFUSED)
    return Today(
        mode=mode,
        modes=modes,
        groups=[_group(status, [row for row in rows if row["status"] == status], "asked", mode) for status in Status],
        captured=_group(Status.CAPTURED, [row for row in rows if row["captured"]], "captured", mode),
        refunded=_refunded(began, mode),
        rate=percentage(approved, approved + refused),
        approved_count=approved,
        decided_count=approved + refused,
        refused_address=list_of(Payment, f"job=refused_today&mode__exact={mode}"),
        chart=_chart(rows, began),
        latest=latest,
        waiting=_waiting(),
    )


def _group(word: str, rows: list[dict[str, Any]], column: str, mode: str) -> Group:
    return Group(
        word=word,
        count=sum(row["count"] for row in rows),
        amounts=_amounts((row["currency"], row[column]) for row in rows),
        address=list_of(Payment, f"created=today&status__exact={word}&mode__exact={mode}"),
    )


def _refunded(began: datetime, mode: str) -> Group:
    rows = list(
        Refund.objects.filter(id__gte=first_id_at(began), payment__mode=mode)
        .exclude(status=RefundStatus.FAILED)
        .order_by()
        .values("currency")
        .annotate(count=Count("id"), amount=Sum("amount_minor"))
    )
    return Group(
        word="refunded",
        count=sum(row["count"] for row in rows),
        amounts=_amounts((row["currency"], row["amount"]) for row in rows),
        address=list_of(Refund, "created=today"),
    )


def _amounts(pairs: Iterable[tuple[str, int]]) -> list[str]:
    """Sums per currency, the largest first as the numbers stand."""
    sums: dict[str, int] = defaultdict(int)
    for currency, amount_minor in pairs:
        sums[currency] += amount_minor
    return [money(Money(amount, currency)) for currency, amount in sorted(sums.items(), key=lambda pair: -pair[1])]


def _waiting() -> dict[str, Any]:
    """What has no final outcome yet, in both modes, and since when the oldest due work waits."""
    now = clock.now()
    work = Attempt.objects.filter(status__in=IN_FLIGHT).aggregate(
        processing=Count("payment", distinct=True, filter=Q(operation=Operation.AUTHORIZE)),
        unknown=Count("id", filter=Q(status=AttemptStatus.UNKNOWN)),
        pending=Count("id", filter=Q(status=AttemptStatus.PENDING)),
        oldest=Min("next_action_at", filter=Q(next_action_at__lte=now)),
    )
    oldest = work["oldest"]
    return {
        **work,
        "overdue": duration((now - oldest).total_seconds() * 1000) if oldest else "",
        "processing_address": list_of(Payment, "job=processing"),
        "unknown_address": list_of(Payment, "job=unknown"),
        "pending_address": list_of(Attempt, "status__exact=pending"),
        "due_address": list_of(Attempt, "job=due"),
    }


def _chart(rows: list[dict[str, Any]], began: datetime) -> str:
    """Payments per hour, captured beside declined, as the chart component wants them; empty while there are none."""
    if not rows:
        return ""
    hours = [began + timedelta(hours=number) for number in range(clock.now().hour + 1)]

    def counts(*statuses: str) -> list[int]:
        found: dict[datetime, int] = defaultdict(int)
        for row in rows:
            if row["status"] in statuses:
                found[row["hour"]] += row["count"]
        return [found[hour] for hour in hours]

    look = {"grouped": True, "displayYAxis": True, "maxTicksXLimit": 12, "borderRadius": 2, "maxBarThickness": 14}
    return json.dumps(
        {
            "labels": [f"{hour:%H}:00" for hour in hours],
            "datasets": [
                {"label": "captured", "data": counts(Status.CAPTURED), "backgroundColor": "var(--chart-good)", **look},
                {
                    "label": "declined or failed",
                    "data": counts(*_REFUSED),
                    "backgroundColor": "var(--chart-bad)",
                    **look,
                },
            ],
        }
    )
