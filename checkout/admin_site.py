"""The operations desk: the one admin site, what its home page says, and how one finds the way.

It is loaded before the apps are ready, so whatever needs their models is imported when it is asked for.
"""

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.apps import AdminConfig
from django.db import connection
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from unfold.sites import UnfoldAdminSite

from checkout.settings import policy

# Group by group: title, icon, URL name, and the permission that shows it.
_NAVIGATION = (
    ("", (("Today", "today", "admin:index", ""),)),
    (
        "Queues",
        (
            ("Unknown outcomes", "question_mark", "admin:payments_attempt_unknown", "payments.view_attempt"),
            ("Stuck payments", "hourglass_bottom", "admin:payments_payment_stuck", "payments.view_payment"),
            ("Approvals", "how_to_reg", "admin:kit_approval_changelist", "kit.view_approval"),
            ("Unmatched notices", "link_off", "admin:gateways_notice_unmatched", "gateways.view_notice"),
            (
                *("Failed webhooks", "unsubscribe", "admin:merchants_webhookdelivery_failed"),
                "merchants.view_webhookdelivery",
            ),
        ),
    ),
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
            ("Audit", "history", "admin:kit_auditentry_changelist", "kit.view_auditentry"),
            ("Alerts", "notifications", "admin:kit_alert_changelist", "kit.view_alert"),
        ),
    ),
    ("For developers", (("API documentation", "api", "docs", ""),)),
)


class CheckoutAdminSite(UnfoldAdminSite):
    """Django's admin, as the place where payments are run."""

    index_title = "Today"

    def extra_urls(self) -> list[URLPattern]:
        """The pages on which people prove who they are."""
        from checkout.kit.admin.access import Pages

        return Pages(self).urls()

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """What happened today, as far as this person may know."""
        from checkout.home import Home

        return super().index(request, {**Home(request).context(), **(extra_context or {})})

    def search(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """What the command palette finds; nothing of it is kept."""
        from checkout import palette

        return palette.answer(self, request)


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
    badges = queue_badges(request)
    groups: list[dict[str, Any]] = [
        {
            "title": title,
            "items": [
                {"title": name, "icon": icon, "link": reverse(address), **badges.get(address, {})}
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


def queue_badges(request: HttpRequest) -> dict[str, dict[str, Any]]:
    """How many wait in each queue that this person may see, by the queue's address. One query, and once per request."""
    from checkout.kit.admin.requests import user_of
    from payments.admin.asked import to_decide

    if not hasattr(request, "_queue_badges"):
        waiting = {
            f"admin:{model._meta.app_label}_{model._meta.model_name}_{queue.queue_name}": queue.waiting(
                model._default_manager.all()
            )
            for model, page in admin.site._registry.items()
            for queue in getattr(page, "queues", ())
            if page.has_view_permission(request)
        }
        if request.user.has_perm("kit.change_approval"):
            waiting["admin:kit_approval_changelist"] = to_decide(user_of(request))
        request._queue_badges = {  # type: ignore[attr-defined]
            address: {"badge": shown, "badge_variant": "warning"}
            for address, shown in zip(waiting, _counted(waiting.values()), strict=True)
            if shown
        }
    badges: dict[str, dict[str, Any]] = request._queue_badges  # type: ignore[attr-defined]
    return badges


def _counted(queues: Iterable[QuerySet[Any]]) -> list[str]:
    """The number of rows of each query, as far as anybody needs to know: nothing for none, and “99+” for many."""
    parts: list[str] = []
    values: list[Any] = []
    for rows in queues:
        query, its_values = rows.order_by().values("pk")[: policy.QUEUE_COUNT + 1].query.sql_with_params()
        parts.append(f"(SELECT count(*) FROM ({query}) AS waiting)")  # noqa: S608
        values += its_values
    if not parts:
        return []
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(parts)}", values)
        found = cursor.fetchone()
    return [f"{policy.QUEUE_COUNT}+" if count > policy.QUEUE_COUNT else str(count or "") for count in found]
