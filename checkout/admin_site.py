"""The operations desk: the one admin site, what its home page says, and how one finds the way.

It is loaded before the apps are ready, so whatever needs their models is imported when it is asked for.
"""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.apps import AdminConfig
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.dataclasses import SearchResult
from unfold.sites import UnfoldAdminSite

from checkout.kit import clock

_ALERTS_SHOWN = 5

# Group by group: title, icon, URL name, and the permission that shows it.
_NAVIGATION = (
    ("", (("Today", "today", "admin:index", ""),)),
    (
        "Payments",
        (
            ("Payments", "credit_card", "admin:payments_payment_changelist", "payments.view_payment"),
            ("Attempts", "route", "admin:payments_attempt_changelist", "payments.view_attempt"),
            ("Refunds", "undo", "admin:payments_refund_changelist", "payments.view_refund"),
            ("Notices", "mark_email_unread", "admin:gateways_notice_changelist", "gateways.view_notice"),
        ),
    ),
    (
        "Gateways",
        (
            ("Gateways", "hub", "admin:gateways_gateway_changelist", "gateways.view_gateway"),
            ("Regions", "public", "admin:gateways_region_changelist", "gateways.view_region"),
            ("Calls", "sync_alt", "admin:gateways_gatewaycall_changelist", "gateways.view_gatewaycall"),
            ("Health", "monitor_heart", "admin:gateways_healthcheck_changelist", "gateways.view_healthcheck"),
        ),
    ),
    (
        "Merchants",
        (
            ("Merchants", "storefront", "admin:merchants_merchant_changelist", "merchants.view_merchant"),
            ("API keys", "key", "admin:merchants_apikey_changelist", "merchants.view_apikey"),
            ("Events", "campaign", "admin:merchants_webhookevent_changelist", "merchants.view_webhookevent"),
            ("Endpoints", "link", "admin:merchants_webhookendpoint_changelist", "merchants.view_webhookendpoint"),
            ("Deliveries", "outbox", "admin:merchants_webhookdelivery_changelist", "merchants.view_webhookdelivery"),
        ),
    ),
    (
        "Money",
        (
            ("Trial balance", "balance", "admin:ledger_trial_balance", "ledger.view_account"),
            ("Reports", "summarize", "admin:ledger_reports", "ledger.view_report"),
            ("Files", "upload_file", "admin:ledger_settlementfile_changelist", "ledger.view_settlementfile"),
            ("Discrepancies", "rule", "admin:ledger_discrepancy_changelist", "ledger.view_discrepancy"),
            ("Days", "event_available", "admin:ledger_closedday_changelist", "ledger.view_closedday"),
            ("Payouts", "payments", "admin:ledger_settlementbatch_changelist", "ledger.view_settlementbatch"),
            ("Journal", "menu_book", "admin:ledger_journalentry_changelist", "ledger.view_journalentry"),
            ("Accounts", "account_balance_wallet", "admin:ledger_account_changelist", "ledger.view_account"),
            ("Self-audit", "verified", "admin:payments_auditrun_changelist", "payments.view_auditrun"),
        ),
    ),
    (
        "People",
        (
            ("Users", "person", "admin:kit_user_changelist", "kit.view_user"),
            ("Groups", "groups", "admin:auth_group_changelist", "auth.view_group"),
            ("Approvals", "how_to_reg", "admin:kit_approval_changelist", "kit.view_approval"),
            ("Audit", "history", "admin:kit_auditentry_changelist", "kit.view_auditentry"),
            ("Alerts", "notifications", "admin:kit_alert_changelist", "kit.view_alert"),
        ),
    ),
    ("For developers", (("API documentation", "api", "docs", ""),)),
)


class CheckoutAdminSite(UnfoldAdminSite):
    """Django's admin, as the place where payments are run."""

    index_title = "Today"

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """What happened today, as far as this person may know."""
        return super().index(request, {**home(request), **(extra_context or {})})


class CheckoutAdminConfig(AdminConfig):
    """Makes it the default site, so that every app registers with `admin.site`."""

    default_site = "checkout.admin_site.CheckoutAdminSite"

    def ready(self) -> None:
        """Schedules are set in settings; pages to change them by hand would be overruled by the next start."""
        super().ready()
        for model in [model for model in admin.site._registry if model._meta.app_label == "django_celery_beat"]:
            admin.site.unregister(model)


def environment(request: HttpRequest) -> tuple[str, str]:
    """The badge beside every title: which installation this is, and a colour."""
    name = settings.ENVIRONMENT_NAME
    return name, "danger" if name == "live" else "info"


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The sidebar, by job, with what this person may see; the one entry that this page belongs to is active."""
    groups: list[dict[str, Any]] = [
        {
            "title": title,
            "items": [
                {"title": name, "icon": icon, "link": reverse(address)}
                for name, icon, address, permission in items
                if not permission or request.user.has_perm(permission)
            ],
        }
        for title, items in _NAVIGATION
    ]
    entries = [entry for group in groups for entry in group["items"]]
    index = reverse("admin:index")
    around = [entry["link"] for entry in entries if entry["link"] != index and request.path.startswith(entry["link"])]
    here = max(around, key=len, default=request.path)
    for entry in entries:
        entry["active"] = entry["link"] == here
    return groups


def search(request: HttpRequest, term: str) -> list[SearchResult]:
    """What the command palette finds beyond pages: the object with the outside name that was pasted."""
    from checkout.kit.display import page_of_public_id

    name = request.GET.get("s", "").strip()
    address = page_of_public_id(name) if "_" in name else ""
    return [SearchResult(title=name, description="Open", link=address, icon="arrow_forward")] if address else []


def home(request: HttpRequest) -> dict[str, Any]:
    """The figures of the home page; a fixed number of queries."""
    from checkout.kit.models import Alert, Approval
    from gateways.admin.board import Figures, figures_today
    from gateways.models import Gateway
    from ledger.reconciliation.selectors import open_discrepancies
    from ledger.reconciliation.statements import days_not_closed
    from payments import selectors
    from payments.admin.today import today

    context: dict[str, Any] = {}
    if request.user.has_perm("payments.view_payment"):
        context["today"] = today(request.GET.get("mode", ""))
        context["self_audit"] = selectors.self_audit_summary()
    if request.user.has_perm("ledger.view_discrepancy") and (found := open_discrepancies()):
        oldest = min(kind.oldest_on for kind in found)
        context["differences"] = sum(kind.count for kind in found)
        context["oldest_difference_days"] = max(0, (clock.now().date() - oldest).days)
    if request.user.has_perm("ledger.view_closedday"):
        context["days_waiting"] = sum(waiting.count for waiting in days_not_closed())
    if request.user.has_perm("gateways.view_gateway"):
        figures = figures_today()
        context["gateways"] = [(gateway, figures.get(gateway.pk, Figures())) for gateway in Gateway.objects.all()]
    if request.user.has_perm("kit.view_alert"):
        alerts = Alert.objects.filter(acknowledged_at=None)[: _ALERTS_SHOWN + 1]
        context["alerts"], context["has_more_alerts"] = alerts[:_ALERTS_SHOWN], len(alerts) > _ALERTS_SHOWN
        context["may_acknowledge"] = request.user.has_perm("kit.change_alert")
    if request.user.has_perm("kit.change_approval"):
        waiting = Approval.objects.filter(status=Approval.Status.REQUESTED, expires_at__gt=clock.now())
        context["approvals"] = waiting.exclude(maker=request.user.pk).count()
    return context
