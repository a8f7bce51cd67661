"""What does somebody see first? What waits for them, and how the day goes, in the order of their job.

A tile is one figure with the list of exactly the rows that it counts, a panel a part of the page. Each has the
permission that shows it; the job, which follows from what a person may do, says what comes first. All of it takes a
fixed number of queries.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from django.db.models import Count, Min
from django.http import HttpRequest
from django.urls import reverse

from checkout.kit import clock
from checkout.kit.display import age, badge, list_of, page_of
from checkout.kit.models import Alert, Approval
from checkout.kit.money import Money
from gateways.admin.board import Figures, figures_today, standing_of
from gateways.models import Gateway
from ledger.models import ClosedDay, Discrepancy
from ledger.reconciliation.selectors import OpenKind, open_discrepancies
from ledger.reconciliation.statements import OpenDays, days_not_closed
from merchants.models import WebhookDelivery, WebhookEndpoint
from merchants.statuses import DeliveryStatus
from payments import selectors
from payments.admin.asked import kind_of, to_decide
from payments.admin.charts import charts
from payments.admin.today import Group, Moving, Today, latest, moving, today
from payments.models import AuditRun, Payment

_SHOWN = 5
_IN_A_ROW = 5  # tiles; more of them stand in two rows
_LATEST = 10


@dataclass(frozen=True)
class Tile:
    """One figure: how many, what else is to be said of them, how bad that is, and where they are."""

    title: str
    value: str
    address: str
    more: str = ""
    tone: str = ""


@dataclass(frozen=True)
class Panel:
    """A part of the page: the template that shows it, and what that shows."""

    template: str
    data: Any


@dataclass(frozen=True)
class Waiting:
    """How many messages wait for one endpoint, and since when."""

    endpoint: Any
    count: int
    since: datetime


class Home:
    """The first page of one person. What several parts show is read once."""

    def __init__(self, request: HttpRequest) -> None:
        self.request = request
        self.user: Any = request.user

    def context(self) -> dict[str, Any]:
        """What the template needs: tiles and panels in the order of the person's job."""
        job = next((job for job in _JOBS if self.user.has_perm(job.permission)), _JOBS[0])
        tiles = [tile for name in job.order(_TILES) if (tile := self._part(_TILES[name])) is not None]
        panels = [
            Panel(f"admin/desk/home/{name}.html", data)
            for name in job.order(_PANELS)
            if (data := self._part(_PANELS[name]))
        ]
        columns = len(tiles) if len(tiles) <= _IN_A_ROW else (len(tiles) + 1) // 2
        seen = self.today if self._may("payments.view_payment") else None
        return {"tiles": tiles, "columns": columns, "panels": panels, "today": seen}

    def _may(self, permission: str) -> bool:
        return bool(self.user.has_perm(permission))

    def _part(self, part: tuple[str, Callable[["Home"], Any]]) -> Any:
        permission, read = part
        return read(self) if self._may(permission) else None

    # What several parts show.

    @cached_property
    def today(self) -> Today:
        return today(self.request.GET.get("mode", ""))

    @cached_property
    def latest(self) -> list[Payment]:
        return latest(_LATEST)

    @cached_property
    def moving(self) -> Moving:
        return moving()

    @cached_property
    def gateways(self) -> list[tuple[Gateway, Figures, str]]:
        figures = figures_today()
        known = [(gateway, figures.get(gateway.pk, Figures())) for gateway in Gateway.objects.defer("credentials")]
        return [(gateway, figure, standing_of(gateway, figure)) for gateway, figure in known]

    @cached_property
    def differences(self) -> list[OpenKind]:
        return open_discrepancies()

    @cached_property
    def days(self) -> list[OpenDays]:
        return days_not_closed()

    @cached_property
    def backlog(self) -> list[Waiting]:
        """What is to be delivered still, endpoint by endpoint, the most first."""
        pending = WebhookDelivery.objects.filter(status=DeliveryStatus.PENDING).order_by().values_list("endpoint")
        rows = pending.annotate(count=Count("id"), since=Min("created_at"))
        return [Waiting(*row) for row in rows.order_by("-count")]

    @cached_property
    def approvals(self) -> list[tuple[str, int]]:
        """How many requests of each kind this person may decide."""
        rows = to_decide(self.user).order_by().values_list("kind").annotate(count=Count("id"))
        return sorted(rows, key=lambda row: -row[1])


@dataclass(frozen=True)
class _Job:
    """What one job looks at first; everything else comes after it, in the order in which it stands in the tables."""

    permission: str
    first: tuple[str, ...] = ()

    def order(self, table: Iterable[str]) -> list[str]:
        """The names of a table in this job's order."""
        names = list(table)
        return sorted(names, key=lambda name: self.first.index(name) if name in self.first else len(self.first))


# The first that somebody may do is their job.
_JOBS = (
    _Job("payments.change_attempt"),
    _Job(
        "ledger.change_closedday",
        ("approvals", "differences", "days", "books", "refunds", "reconciliation", "today", "breakdown"),
    ),
    _Job("payments.cancel_payment", ("today", "breakdown", "latest", "unknown", "refunds")),
    _Job("merchants.change_webhookendpoint", ("webhooks", "endpoints", "alerts", "charts", "latest")),
    _Job("payments.view_payment"),
)


def _ago(moment: datetime | None) -> str:
    return age(moment) if moment else ""


def _amounts(group: Group) -> str:
    more = len(group.amounts) - 2
    return ", ".join(group.amounts[:2]) + (f" and {more} more" if more > 0 else "")


def _counted(count: int, address: str, title: str, more: str = "", *, tone: str = "warn", none: str = "none") -> Tile:
    return Tile(title, f"{count:,}", address, more if count else none, tone if count else "")


# Tiles.


def _approvals(home: Home) -> Tile:
    more = ", ".join(f"{count} {kind_of(kind).label.lower()}" for kind, count in home.approvals[:2])
    count = sum(count for _, count in home.approvals)
    return _counted(count, list_of(Approval), "Waiting for you", more, tone="busy", none="nothing to decide")


def _unknown(home: Home) -> Tile:
    found = home.moving.unknown
    more = f"oldest {_ago(home.moving.unknown_since)}"
    return _counted(found.count, found.address, "Unknown outcomes", more, none="every outcome is known")


def _due(home: Home) -> Tile:
    found, more = home.moving.due, f"oldest for {_ago(home.moving.due_since)}"
    return _counted(found.count, found.address, "Due work", more, tone="", none="nothing is due")


def _in_flight(home: Home) -> Tile:
    found = home.moving.in_flight
    return _counted(found.count, found.address, "Money in flight", _amounts(found), tone="", none="nothing on its way")


def _refunds(home: Home) -> Tile:
    found = home.moving.refunds
    return _counted(found.count, found.address, "Refunds on their way", _amounts(found), tone="", none="all are over")


def _gateways_down(home: Home) -> Tile:
    down = [gateway for gateway, _, standing in home.gateways if standing != "enabled" or not gateway.is_healthy]
    more = ", ".join(str(gateway) for gateway in down[:3])
    return _counted(len(down), "#gateways", "Gateways down", more, tone="bad", none="all are well")


def _webhooks(home: Home) -> Tile:
    count = sum(waiting.count for waiting in home.backlog)
    address = list_of(WebhookDelivery, f"status__exact={DeliveryStatus.PENDING}")
    more = f"oldest {_ago(min((waiting.since for waiting in home.backlog), default=None))}"
    return _counted(count, address, "Webhooks undelivered", more, none="all are delivered")


def _books(home: Home) -> Tile:
    run, address = selectors.last_audit_run(), list_of(AuditRun)
    if run is None:
        return Tile("Self-audit", "–", address, "the books were never looked at", "warn")
    if run.is_green:
        return Tile("Self-audit", "balanced", address, f"{_ago(run.started_at)} ago", "good")
    broken = ", ".join(finding["code"] for finding in run.findings)
    return Tile("Self-audit", "not in order", address, broken, "bad")


def _differences(home: Home) -> Tile:
    count = sum(kind.count for kind in home.differences)
    oldest = min((kind.oldest_on for kind in home.differences), default=clock.now().date())
    days = (clock.now().date() - oldest).days
    more = f"oldest {days} day{'s' if days != 1 else ''}" if days > 0 else "since today"
    return _counted(count, list_of(Discrepancy, "state=unresolved"), "Differences open", more, none="all are explained")


def _days(home: Home) -> Tile:
    count = sum(open_days.count for open_days in home.days)
    more = f"since {min(open_days.first for open_days in home.days):%d %b}" if home.days else ""
    return _counted(count, list_of(ClosedDay), "Days to close", more, none="all are closed")


_TILES: dict[str, tuple[str, Callable[[Home], Any]]] = {
    "approvals": ("kit.change_approval", _approvals),
    "unknown": ("payments.view_attempt", _unknown),
    "due": ("payments.view_attempt", _due),
    "gateways": ("gateways.view_gateway", _gateways_down),
    "in_flight": ("payments.view_attempt", _in_flight),
    "refunds": ("payments.view_refund", _refunds),
    "webhooks": ("merchants.view_webhookdelivery", _webhooks),
    "differences": ("ledger.view_discrepancy", _differences),
    "days": ("ledger.view_closedday", _days),
    "books": ("payments.view_auditrun", _books),
}


# Panels. One without anything to show is left out.


def _alerts_panel(home: Home) -> dict[str, Any] | None:
    alerts = list(Alert.objects.filter(acknowledged_at=None)[: _SHOWN + 1])
    if not alerts:
        return None
    return {
        "rows": alerts[:_SHOWN],
        "has_more": len(alerts) > _SHOWN,
        "may_acknowledge": home.user.has_perm("kit.change_alert"),
        "address": list_of(Alert, "state=open"),
    }


def _approvals_panel(home: Home) -> dict[str, Any] | None:
    if not home.approvals:
        return None
    rows = to_decide(home.user).select_related("maker")[:_SHOWN]
    return {
        "rows": [(approval, kind_of(approval.kind).label, page_of(approval)) for approval in rows],
        "address": list_of(Approval),
        "count": sum(count for _, count in home.approvals),
    }


def _start_panel(home: Home) -> dict[str, Any] | None:
    """For an installation without any payment."""
    return None if home.latest else {"documentation": reverse("docs")}


def _today_panel(home: Home) -> Today | None:
    return home.today if home.latest else None


def _charts_panel(home: Home) -> Any:
    return charts([gateway for gateway, *_ in home.gateways if gateway.mode == home.today.mode])


def _gateways_panel(home: Home) -> list[dict[str, Any]]:
    return [
        {"gateway": gateway, "figures": figures, "standing": badge(_said_of(gateway, standing)), "since": since}
        for gateway, figures, standing in home.gateways
        for since in [_since(gateway, figures, standing)]
    ]


def _said_of(gateway: Gateway, standing: str) -> str:
    return gateway.health_status if standing == "enabled" else standing


def _since(gateway: Gateway, figures: Figures, standing: str) -> datetime | None:
    """Since when it takes no payments or is not well; None if all is well, or nobody wrote that down."""
    if standing == "stopped":
        return gateway.stopped_at
    if standing == "maintenance" and figures.maintenance:
        return figures.maintenance.starts_at
    return None if gateway.is_healthy or standing != "enabled" else gateway.health_changed_at


def _endpoints_panel(home: Home) -> list[dict[str, Any]]:
    """The endpoints that most is waiting for."""
    most = home.backlog[:_SHOWN]
    endpoints = WebhookEndpoint.objects.select_related("merchant").defer("secret", "previous_secret")
    known = endpoints.in_bulk([waiting.endpoint for waiting in most])
    return [
        {
            "endpoint": (endpoint := known[waiting.endpoint]),
            "count": waiting.count,
            "since": waiting.since,
            "address": list_of(
                WebhookDelivery, f"endpoint={endpoint.public_id}&status__exact={DeliveryStatus.PENDING}"
            ),
        }
        for waiting in most
    ]


def _reconciliation_panel(home: Home) -> dict[str, Any] | None:
    if not home.differences and not home.days:
        return None
    kinds = [
        {
            "kind": kind,
            "value": Money(kind.value_minor, kind.currency),
            "address": list_of(Discrepancy, _narrowed_to(kind)),
            "days": (clock.now().date() - kind.oldest_on).days,
        }
        for kind in home.differences[:_SHOWN]
    ]
    return {"kinds": kinds, "has_more": len(home.differences) > _SHOWN, "days": home.days[:_SHOWN]}


def _narrowed_to(kind: OpenKind) -> str:
    about = f"state=unresolved&kind__exact={kind.kind}&mode__exact={kind.mode}&currency={kind.currency}"
    return f"{about}&gateway__id__exact={kind.gateway.pk}" if kind.gateway else about


def _latest_panel(home: Home) -> list[Payment]:
    return home.latest


_PANELS: dict[str, tuple[str, Callable[[Home], Any]]] = {
    "approvals": ("kit.change_approval", _approvals_panel),
    "alerts": ("kit.view_alert", _alerts_panel),
    "start": ("payments.view_payment", _start_panel),
    "today": ("payments.view_payment", _today_panel),
    "charts": ("payments.view_attempt", _charts_panel),
    "gateways": ("gateways.view_gateway", _gateways_panel),
    "breakdown": ("payments.view_payment", _today_panel),
    "endpoints": ("merchants.view_webhookdelivery", _endpoints_panel),
    "reconciliation": ("ledger.view_discrepancy", _reconciliation_panel),
    "latest": ("payments.view_payment", _latest_panel),
}
