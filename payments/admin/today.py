"""What happened today, and what is on its way? The home page's figures of payments, in a fixed number of queries."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Min, Q, Sum
from django.urls import reverse

from checkout.kit import clock
from checkout.kit.display import list_of, money, percentage
from checkout.kit.ids import first_id_at
from checkout.kit.modes import Mode
from checkout.kit.money import Money
from gateways.admin.board import midnight
from payments.admin.filters import GIVEN_BACK, REFUSED
from payments.models import Attempt, Payment, Refund
from payments.statuses import IN_FLIGHT, REFUND_UNDER_WAY, AttemptStatus, Status


@dataclass(frozen=True)
class Group:
    """Some rows: how many, how much per currency, and the list that shows exactly them."""

    word: str
    count: int
    amounts: list[str]
    address: str
    whole: int = 0

    @property
    def share(self) -> str:
        """Which part of the whole they are."""
        return percentage(self.count, self.whole)


@dataclass(frozen=True)
class Today:
    """The figures of one day in one mode."""

    mode: str
    modes: list[str]
    count: int
    address: str
    groups: list[Group]
    captured: Group
    refunded: Group
    approved: Group
    refused: Group
    declines: list[Group]

    @property
    def rate(self) -> str:
        """The share of what was decided that was authorized."""
        return percentage(self.approved.count, self.approved.count + self.refused.count)


@dataclass(frozen=True)
class Moving:
    """What has no final outcome yet, in both modes, and since when the oldest waits."""

    in_flight: Group
    unknown: Group
    unknown_since: datetime | None
    due: Group
    due_since: datetime | None
    refunds: Group


def today(asked_mode: str) -> Today:
    """The figures since midnight UTC, in the mode that was asked for, else live if there is anything live. Three
    queries."""
    since = first_id_at(midnight())
    rows: list[Any] = list(
        Payment.objects.filter(id__gte=since)
        .order_by()
        .values("mode", "status", "currency", "decline_code")
        .annotate(
            count=Count("id"),
            asked=Sum("amount_minor"),
            captured=Sum("captured_minor"),
            approved=Count("id", filter=Q(authorized_minor__gt=0)),
            authorized=Sum("authorized_minor"),
        )
    )
    newest = Payment.objects.values_list("mode", flat=True).first()
    modes = sorted({row["mode"] for row in rows} | ({newest} if newest else set()))
    mode = asked_mode if asked_mode in Mode.values else Mode.LIVE if Mode.LIVE in modes else Mode.TEST
    rows = [row for row in rows if row["mode"] == mode]
    count = sum(row["count"] for row in rows)
    return Today(
        mode=mode,
        modes=modes,
        count=count,
        address=list_of(Payment, f"created=today&mode__exact={mode}"),
        groups=[_of_status(status, rows, count, mode) for status in Status],
        captured=_of_status(Status.CAPTURED, rows, count, mode),
        refunded=_refunded(since, mode),
        approved=_group("authorized", rows, "authorized", f"job=approved_today&mode__exact={mode}", counted="approved"),
        refused=_group(
            "declined or failed",
            [row for row in rows if row["status"] in REFUSED],
            "asked",
            f"job=refused_today&mode__exact={mode}",
        ),
        declines=_declines(rows, mode),
    )


def moving() -> Moving:
    """What is on its way. Three queries."""
    now = clock.now()
    rows: list[Any] = list(
        Attempt.objects.filter(status__in=IN_FLIGHT)
        .order_by()
        .values("currency", "status")
        .annotate(count=Count("id"), asked=Sum("amount_minor"), since=Min("sent_at"))
    )
    unknown = [row for row in rows if row["status"] == AttemptStatus.UNKNOWN]
    due = Attempt.objects.filter(next_action_at__lte=now).aggregate(count=Count("id"), since=Min("next_action_at"))
    under_way: list[Any] = list(
        Refund.objects.filter(status__in=REFUND_UNDER_WAY)
        .order_by()
        .values("currency")
        .annotate(count=Count("id"), asked=Sum("amount_minor"))
    )
    return Moving(
        in_flight=_listed(rows, list_of(Attempt, "job=in_flight")),
        unknown=_listed(unknown, reverse("admin:payments_attempt_unknown")),
        unknown_since=min((row["since"] for row in unknown if row["since"]), default=None),
        due=Group("due", due["count"], [], list_of(Attempt, "job=due")),
        due_since=due["since"],
        refunds=_listed(under_way, list_of(Refund, "job=under_way")),
    )


def latest(count: int) -> list[Payment]:
    """The newest payments, in both modes. One query."""
    return list(Payment.objects.select_related("merchant", "card", "gateway").defer(*_NOT_SHOWN)[:count])


_NOT_SHOWN = ("card__number", "gateway__credentials", "metadata")


def _of_status(status: str, rows: list[Any], whole: int, mode: str) -> Group:
    """The payments that stand there, with what was asked for; of captured ones with what was captured."""
    found = [row for row in rows if row["status"] == status]
    column = "captured" if status == Status.CAPTURED else "asked"
    return _group(status, found, column, f"created=today&status__exact={status}&mode__exact={mode}", whole=whole)


def _declines(rows: list[Any], mode: str) -> list[Group]:
    """Why payments were declined, the most frequent first."""
    declined = [row for row in rows if row["status"] == Status.DECLINED]
    whole = sum(row["count"] for row in declined)
    by_reason: dict[str, list[Any]] = defaultdict(list)
    for row in declined:
        by_reason[row["decline_code"]].append(row)
    asked = f"created=today&status__exact=declined&mode__exact={mode}"
    groups = [
        _group(reason, found, "asked", f"{asked}&decline={reason}", whole=whole)
        for reason, found in by_reason.items()
        if reason
    ]
    return sorted(groups, key=lambda group: (-group.count, group.word))


def _refunded(since: Any, mode: str) -> Group:
    rows = list(
        Refund.objects.filter(id__gte=since, payment__mode=mode, status__in=GIVEN_BACK)
        .order_by()
        .values("currency")
        .annotate(count=Count("id"), asked=Sum("amount_minor"))
    )
    return _listed(rows, list_of(Refund, f"job=given_back&created=today&mode={mode}"), "refunded")


def _group(word: str, rows: list[Any], column: str, query: str, *, counted: str = "count", whole: int = 0) -> Group:
    return Group(
        word=word,
        count=sum(row[counted] for row in rows),
        amounts=_amounts((row["currency"], row[column]) for row in rows),
        address=list_of(Payment, query),
        whole=whole,
    )


def _listed(rows: list[Any], address: str, word: str = "") -> Group:
    amounts = _amounts((row["currency"], row["asked"]) for row in rows)
    return Group(word, sum(row["count"] for row in rows), amounts, address)


def _amounts(pairs: Iterable[tuple[str, int]]) -> list[str]:
    """Sums per currency, the largest first as the numbers stand."""
    sums: dict[str, int] = defaultdict(int)
    for currency, amount_minor in pairs:
        sums[currency] += amount_minor
    found = sorted(sums.items(), key=lambda pair: -pair[1])
    return [money(Money(amount, currency)) for currency, amount in found if amount]
