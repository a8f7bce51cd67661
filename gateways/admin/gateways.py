"""How does an operator see gateways, and ask for a change of one?"""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponseRedirect
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextInputWidget

from checkout.kit import clock
from checkout.kit.admin import CodesField, ConfigurationAdmin, DeskForm, ReasonedForm, actor_of
from checkout.kit.display import EMPTY, badge, link, list_of, moment, page_of
from checkout.kit.money import CURRENCY_DECIMALS
from gateways import services
from gateways.admin.board import Figures, figures_today, hours_of, standing_of
from gateways.admin.verbs import VERBS
from gateways.models import Gateway, GatewayCall, GatewayMaintenance, HealthCheck, Notice, RegionGateway
from gateways.plain import said_at, said_when_checked
from gateways.registry import adapter_class

CHECKS_SHOWN = 60
CALLS_SHOWN = 15
WINDOWS_SHOWN = 2

# Where real cards go, which of them, and when "not found" is believed: what the second person saw who agreed to enable.
_AGREED_TO = ("base_url", "currencies", "settle_window_seconds", "supports_cancel_by_reference")
_READ_ONLY = (
    "It takes real payments or is to come back, so its address, its currencies and what decides when nobody knows are "
    "only read here. To change them, disable it first; whoever agrees to enable it again sees them."
)


class NewGatewayForm(DeskForm):
    """What a gateway is; its credentials are asked for once its adapter is known."""

    base_url = forms.URLField(label="Base URL", assume_scheme="https", widget=UnfoldAdminTextInputWidget)
    currencies = CodesField(allowed=CURRENCY_DECIMALS, help_text="ISO 4217 codes, such as EUR USD.")


class GatewayForm(ReasonedForm, NewGatewayForm):
    """What may be changed of a gateway. Its credentials and its standing have pages of their own."""


@admin.register(Gateway)
class GatewayAdmin(ConfigurationAdmin):
    """The board of gateways, and the page of each."""

    change_form_template = "admin/desk/gateway.html"
    add_form = NewGatewayForm
    form = GatewayForm
    list_display = [
        *("name", "mode_badge", "standing", "health", "share", "success", "median", "p95", "unknown", "trouble"),
    ]
    list_filter = [("status", ChoicesDropdownFilter), ("health_status", ChoicesDropdownFilter)]
    quick_filters = (
        ("Enabled", "status__exact=enabled"),
        ("Draining", "status__exact=draining"),
        ("Disabled", "status__exact=disabled"),
        ("Unhealthy", "health_status__exact=unhealthy"),
    )
    audited_fields = (
        *("code", "name", "adapter", "mode", "base_url", "currencies", "payment_method_types"),
        *("connect_timeout_seconds", "call_timeout_seconds", "supports_cancel_by_reference", "settle_window_seconds"),
        *("fee_bps", "fee_fixed_minor"),
    )
    verbs = VERBS

    def get_queryset(self, request: HttpRequest) -> Any:
        places = RegionGateway.objects.select_related("region").order_by("priority", "region__name")
        return super().get_queryset(request).prefetch_related(Prefetch("regiongateway_set", places))

    def completed(self, rows: Sequence[Any]) -> Sequence[Any]:
        figures = figures_today()
        for gateway in rows:
            gateway.figures = figures.get(gateway.pk, Figures())
        return rows

    def get_fieldsets(self, request: HttpRequest, obj: Gateway | None = None) -> Any:
        what = ("adapter", "mode") if obj is None else ("code", "mode")
        fieldsets: list[Any] = [
            (None, {"fields": [("name", "code"), what] if obj is None else [("name", "code", "mode")]}),
            (
                "Connection",
                {
                    "fields": ["base_url", ("connect_timeout_seconds", "call_timeout_seconds")],
                    "description": _READ_ONLY if obj is not None and _is_fixed(obj) else None,
                },
            ),
        ]
        fieldsets += [
            ("What it takes", {"fields": ["currencies"]}),
            ("When nobody knows", {"fields": [("settle_window_seconds", "supports_cancel_by_reference")]}),
            ("Its fee", {"fields": [("fee_bps", "fee_fixed_minor")]}),
        ]
        if obj is not None and self.has_change_permission(request, obj):
            fieldsets.append(("Why", {"fields": ["reason"]}))
        return fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: Gateway | None = None) -> Any:
        if obj is None:
            return []
        return ["code", "mode", *(_AGREED_TO if _is_fixed(obj) else ())]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            if obj.is_live and "base_url" in form.changed_data and obj.secrets:
                services.forget_credentials(gateway=obj, reason=form.cleaned_data["reason"], actor=actor_of(request))
                self.message_user(request, "Credentials are of an address: enter those of the new one.")
            return
        kind = adapter_class(form.cleaned_data["adapter"])
        services.create_gateway(
            id=obj.pk,
            credentials={},
            status=Gateway.Status.DISABLED,
            data_format=kind.data_format,
            payment_method_types=sorted(kind.payment_method_types),
            actor=actor_of(request),
            **form.cleaned_data,
        )
        obj._state.adding = False
        self.message_user(request, "Enter its credentials, give it a place in a region, then enable it.")

    def response_add(self, request: HttpRequest, obj: Gateway, post_url_continue: str | None = None) -> Any:
        """On to its own page, where the rest is asked for."""
        return HttpResponseRedirect(page_of(obj))

    def page_context(self, request: HttpRequest, obj: Gateway) -> dict[str, Any]:
        figures = figures_today().get(obj.pk, Figures())
        calls = f"gateway__id__exact={obj.pk}"
        return {
            **super().page_context(request, obj),
            "badges": [badge(obj.health_status), badge(standing_of(obj, figures)), badge(obj.mode)],
            "figures": figures,
            "charts": hours_of(obj),
            "checks": list(obj.health_checks.all()[:CHECKS_SHOWN])[::-1],
            "calls": [(call, said_at(call)) for call in obj.calls.all()[:CALLS_SHOWN]],
            "places": obj.regiongateway_set.all(),
            "links": [
                ("Calls", list_of(GatewayCall, calls)),
                ("Health", list_of(HealthCheck, calls)),
                ("Notices", list_of(Notice, calls)),
            ],
        }

    @display(description="mode")
    def mode_badge(self, gateway: Gateway) -> SafeString:
        return badge(gateway.mode)

    @display(description="new payments")
    def standing(self, gateway: Any) -> SafeString:
        return format_html(
            "<div>{}{}</div>", badge(standing_of(gateway, gateway.figures)), _windows(gateway.figures.windows)
        )

    @display(description="health, last checks")
    def health(self, gateway: Any) -> SafeString:
        return format_html("<div>{}{}</div>", badge(gateway.health_status), _strip(gateway.figures.checks))

    @display(description="share today")
    def share(self, gateway: Any) -> SafeString:
        return _number(gateway.figures.share)

    @display(description="approved")
    def success(self, gateway: Any) -> SafeString:
        return _number(gateway.figures.success)

    @display(description="p50")
    def median(self, gateway: Any) -> SafeString:
        return _number(gateway.figures.latency)

    @display(description="p95")
    def p95(self, gateway: Any) -> SafeString:
        return _number(gateway.figures.p95)

    @display(description="unknown now")
    def unknown(self, gateway: Any) -> SafeString | str:
        figures = gateway.figures
        return link(figures.unknown_count, figures.unknown_address) if figures.unknown_count else EMPTY

    @display(description="last error")
    def trouble(self, gateway: Any) -> SafeString | str:
        trouble = gateway.figures.trouble
        if trouble is None:
            return EMPTY
        return format_html('<span>{}, <span class="soft nowrap">{}</span></span>', trouble.said, trouble.ago)


def _is_fixed(gateway: Gateway) -> bool:
    """Whether nobody alone may change what two people agreed to."""
    return gateway.is_live and gateway.status != Gateway.Status.DISABLED


def _number(text: str) -> SafeString:
    return format_html('<span class="nowrap">{}</span>', text)


def _windows(windows: list[GatewayMaintenance]) -> SafeString:
    """The maintenance that is under way and the next one, each in one line."""
    now = clock.now()
    told = (
        ("until", moment(window.ends_at)) if window.starts_at <= now else ("maintenance from", moment(window.starts_at))
        for window in windows[:WINDOWS_SHOWN]
    )
    return format_html_join("", '<div class="soft">{} {}</div>', told)


def _strip(checks: list[HealthCheck]) -> SafeString:
    """The last checks as a row of bars, the newest on the right; nothing of none."""
    if not checks:
        return SafeString("")
    bars = format_html_join(
        "",
        '<span class="{}" title="{} {}"></span>',
        (("" if c.is_good else "down", f"{c.checked_at:%H:%M:%S}", said_when_checked(c)) for c in checks),
    )
    bad = sum(not check.is_good for check in checks)
    return format_html(
        '<div class="strip strip-small" role="img" aria-label="{} of {} bad">{}</div>', bad, len(checks), bars
    )
