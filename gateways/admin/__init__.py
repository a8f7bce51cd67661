"""How does an operator see gateways, where payments are sent, and what was said; and ask for a change?"""

import json
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.utils.safestring import SafeString
from unfold.admin import TabularInline
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.decorators import display
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

from checkout.kit.actors import Actor
from checkout.kit.admin import CodesField, ConfigurationAdmin, DeskForm, ReadOnlyAdmin, ReasonedForm, Verb, actor_of
from checkout.kit.admin.lists import DeskChangeList
from checkout.kit.countries import COUNTRIES
from checkout.kit.display import EMPTY, badge, code, duration, link, list_of, page_of, page_of_public_id, words
from checkout.kit.money import CURRENCY_DECIMALS
from gateways import services
from gateways.admin.board import Figures, figures_today
from gateways.models import Gateway, GatewayCall, HealthCheck, Notice, Region, RegionGateway
from gateways.registry import adapter_class

CHECKS_SHOWN = 60
CALLS_SHOWN = 15


class NewGatewayForm(DeskForm):
    """What a gateway is; its credentials are asked for once its adapter is known."""

    base_url = forms.URLField(label="Base URL", assume_scheme="https", widget=UnfoldAdminTextInputWidget)
    currencies = CodesField(allowed=CURRENCY_DECIMALS, help_text="ISO 4217 codes, such as EUR USD.")


class GatewayForm(ReasonedForm, NewGatewayForm):
    """What may be changed of a gateway. Credentials are written here and read by nobody."""


def _disable(gateway: Gateway, actor: Actor, data: dict[str, Any]) -> str:
    services.set_gateway_status(gateway=gateway, status="disabled", reason=data["reason"], actor=actor)
    return f"{gateway} is disabled: no new attempts are sent there."


def _enable(gateway: Gateway, actor: Actor, data: dict[str, Any]) -> str:
    services.set_gateway_status(gateway=gateway, status="enabled", reason=data["reason"], actor=actor)
    return f"{gateway} is enabled."


def _resume(gateway: Gateway, actor: Actor, data: dict[str, Any]) -> str:
    services.resume_gateway(gateway=gateway, reason=data["reason"], actor=actor)
    return f"{gateway} takes new payments again."


class Board(DeskChangeList):
    """The list of gateways, each with its figures of today."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        figures = figures_today()
        gateways: list[Any] = list(self.result_list)  # type: ignore[has-type]
        for gateway in gateways:
            gateway.figures = figures.get(gateway.pk, Figures())
        self.result_list = gateways


@admin.register(Gateway)
class GatewayAdmin(ConfigurationAdmin):
    """The board of gateways, and the page of each."""

    change_form_template = "admin/desk/gateway.html"
    add_form = NewGatewayForm
    form = GatewayForm
    list_display = [
        "name",
        "health",
        "status_badge",
        "places",
        "call_count",
        "success",
        "latency",
        "last_checked_at",
        "mode",
    ]
    list_filter = [("status", ChoicesDropdownFilter), ("health_status", ChoicesDropdownFilter)]
    quick_filters = (
        ("Enabled", "status__exact=enabled"),
        ("Disabled", "status__exact=disabled"),
        ("Unhealthy", "health_status__exact=unhealthy"),
    )
    audited_fields = (
        *("code", "name", "adapter", "mode", "base_url", "currencies", "payment_method_types"),
        *("connect_timeout_seconds", "call_timeout_seconds", "supports_cancel_by_reference", "settle_window_seconds"),
        *("fee_bps", "fee_fixed_minor"),
    )
    verbs = (
        Verb(
            name="disable",
            label="Disable",
            icon="block",
            permission="gateways.change_gateway",
            consequence=lambda gateway: (
                "No new attempts are sent there from now on. Captures, voids, refunds and questions about what was "
                "already sent go on."
            ),
            act=_disable,
            is_offered=lambda gateway: gateway.status == Gateway.Status.ENABLED,
            is_grave=True,
        ),
        Verb(
            name="enable",
            label="Enable",
            icon="check_circle",
            permission="gateways.change_gateway",
            consequence=lambda gateway: "From now on payments are sent there, in the order of their region.",
            act=_enable,
            is_offered=lambda gateway: gateway.status == Gateway.Status.DISABLED,
        ),
        Verb(
            name="resume",
            label="Resume",
            icon="play_arrow",
            permission="gateways.change_gateway",
            consequence=lambda gateway: (
                f"New payments go there again. It was stopped because: {gateway.stopped_reason}"
            ),
            act=_resume,
            is_offered=lambda gateway: gateway.is_stopped,
        ),
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        places = RegionGateway.objects.select_related("region").order_by("priority", "region__name")
        return super().get_queryset(request).prefetch_related(Prefetch("regiongateway_set", places))

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[Board]:
        return Board

    def get_fieldsets(self, request: HttpRequest, obj: Gateway | None = None) -> Any:
        what = ("adapter", "mode") if obj is None else ("code", "mode")
        fieldsets: list[Any] = [
            (None, {"fields": [("name", "code"), what] if obj is None else [("name", "code", "mode")]}),
            ("Connection", {"fields": ["base_url", ("connect_timeout_seconds", "call_timeout_seconds")]}),
        ]
        if obj is not None and self.has_change_permission(request, obj):
            fieldsets.append(("Credentials", {"fields": [tuple(_credential_fields(obj))]}))
        fieldsets += [
            ("What it takes", {"fields": ["currencies"]}),
            ("When nobody knows", {"fields": [("settle_window_seconds", "supports_cancel_by_reference")]}),
            ("Its fee", {"fields": [("fee_bps", "fee_fixed_minor")]}),
        ]
        if obj is not None and self.has_change_permission(request, obj):
            fieldsets.append(("Why", {"fields": ["reason"]}))
        return fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: Gateway | None = None) -> Any:
        return [] if obj is None else ["code", "mode"]

    def get_form(self, request: HttpRequest, obj: Gateway | None = None, change: bool = False, **options: Any) -> Any:
        if obj is not None:
            options["form"] = type("GatewayForm", (GatewayForm,), _credential_fields(obj))
        return super().get_form(request, obj, change=change, **options)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if change:
            written = {name: form.cleaned_data[field] for field, name in _credential_names(obj).items()}
            obj._written = sorted(name for name, value in written.items() if value)
            obj.credentials = json.dumps({**obj.secrets, **{name: value for name, value in written.items() if value}})
            super().save_model(request, obj, form, change)
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

    def facts(self, obj: Gateway) -> dict[str, Any]:
        return {**super().facts(obj), "credentials_written": getattr(obj, "_written", [])}

    def page_context(self, request: HttpRequest, obj: Gateway) -> dict[str, Any]:
        return {
            **super().page_context(request, obj),
            "badges": [badge(obj.health_status), badge(standing_of(obj)), badge(obj.mode)],
            "figures": figures_today().get(obj.pk),
            "checks": list(obj.health_checks.all()[:CHECKS_SHOWN])[::-1],
            "calls": obj.calls.all()[:CALLS_SHOWN],
            "places": obj.regiongateway_set.all(),
            "links": [
                ("Calls", list_of(GatewayCall, f"gateway__id__exact={obj.pk}")),
                ("Health", list_of(HealthCheck, f"gateway__id__exact={obj.pk}")),
                ("Notices", list_of(Notice, f"gateway__id__exact={obj.pk}")),
            ],
        }

    @display(description="calls today")
    def call_count(self, gateway: Any) -> str:
        return str(gateway.figures.calls)

    @display(description="succeeded")
    def success(self, gateway: Any) -> str:
        return str(gateway.figures.success)

    @display(description="median")
    def latency(self, gateway: Any) -> str:
        return str(gateway.figures.latency)

    @display(description="health")
    def health(self, gateway: Gateway) -> SafeString:
        return badge(gateway.health_status)

    @display(description="status")
    def status_badge(self, gateway: Gateway) -> SafeString:
        return badge(standing_of(gateway))

    @display(description="regions, by priority")
    def places(self, gateway: Gateway) -> str:
        return ", ".join(f"{place.region} {place.priority}" for place in gateway.regiongateway_set.all()) or EMPTY


def standing_of(gateway: Gateway) -> str:
    """Whether new payments are sent there: enabled, disabled by an operator, or stopped by the self-audit."""
    return "stopped" if gateway.is_stopped else str(gateway.status)


def _credential_names(gateway: Gateway) -> dict[str, str]:
    """Form field by form field, the names of what the gateway's adapter needs to be let in."""
    return {f"credential_{field.name}": field.name for field in adapter_class(gateway.adapter).credentials}


def _credential_fields(gateway: Gateway) -> dict[str, forms.Field]:
    return {
        field: forms.CharField(
            label=words(name).capitalize().replace("Api", "API"),
            required=False,
            max_length=500,
            help_text="Set. Leave empty to keep it." if gateway.secrets.get(name) else "Not set yet.",
            widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        )
        for field, name in _credential_names(gateway).items()
    }


class PlaceInline(TabularInline):
    """The region's gateways, in the order they are asked; rows are dragged into place."""

    model = RegionGateway
    ordering_field = "priority"
    fields = ["gateway", "priority"]
    extra = 0
    verbose_name = "gateway"
    verbose_name_plural = "Gateways, the first that fits is asked"
    hide_title = True

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        """A plain choice: gateways are set up on their own pages."""
        field = super().formfield_for_dbfield(db_field, request, **options)
        if isinstance(field.widget, RelatedFieldWidgetWrapper):
            field.widget = field.widget.widget
        return field


class NewRegionForm(DeskForm):
    """A region's countries as text."""

    countries = CodesField(
        allowed=COUNTRIES, required=False, help_text="ISO 3166-1 codes, such as DE FR PT. Each is in one region only."
    )


class RegionForm(ReasonedForm, NewRegionForm):
    """The same, with the reason for a change."""


@admin.register(Region)
class RegionAdmin(ConfigurationAdmin):
    """Where payments from a country are sent, and in which order."""

    change_form_template = "admin/desk/region.html"
    add_form = NewRegionForm
    form = RegionForm
    inlines = [PlaceInline]
    list_display = ["name", "order", "country_count", "is_everywhere_else"]
    audited_fields = ("code", "name", "countries", "is_everywhere_else")
    fieldsets = [(None, {"fields": [("name", "code"), "countries", "is_everywhere_else"]})]

    def get_queryset(self, request: HttpRequest) -> Any:
        places = RegionGateway.objects.select_related("gateway")
        return super().get_queryset(request).prefetch_related(Prefetch("regiongateway_set", places))

    def get_readonly_fields(self, request: HttpRequest, obj: Region | None = None) -> Any:
        return [] if obj is None else ["code"]

    def facts(self, obj: Region) -> dict[str, Any]:
        return {**super().facts(obj), "priorities": _priorities(obj)}

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        for formset in formsets:
            formset.save()
        for place, row in enumerate(RegionGateway.objects.filter(region=form.instance), 1):
            if row.priority != place:
                row.priority = place
                row.save(update_fields=["priority"])
        super().save_related(request, form, [], change)

    def page_context(self, request: HttpRequest, obj: Region) -> dict[str, Any]:
        places = RegionGateway.objects.filter(region=obj).select_related("gateway")
        return {**super().page_context(request, obj), "places": list(places)}

    @display(description="asked in this order")
    def order(self, region: Region) -> str:
        return " → ".join(str(place.gateway) for place in region.regiongateway_set.all()) or EMPTY

    @display(description="countries")
    def country_count(self, region: Region) -> str:
        return "all that no region names" if region.is_everywhere_else else str(len(region.countries))


def _priorities(region: Region) -> dict[str, int]:
    return dict(RegionGateway.objects.filter(region=region).values_list("gateway__code", "priority"))


@admin.register(GatewayCall)
class GatewayCallAdmin(ReadOnlyAdmin):
    """What was asked of gateways, how long it took and what came of it; never what was said."""

    list_display = ["started_at", "gateway", "operation", "about", "outcome_badge", "took", "http_status", "note"]
    list_display_links = None
    list_filter = [("gateway", RelatedDropdownFilter), ("outcome", ChoicesDropdownFilter)]
    list_select_related = ["gateway"]
    quick_filters = (("Unknown", "outcome__exact=unknown"), ("Declined", "outcome__exact=declined"))
    search_fields = ["reference"]
    search_help_text = "Our reference, in full (att_…)"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[GatewayCall], search_term: str
    ) -> tuple[QuerySet[GatewayCall], bool]:
        return (queryset.filter(reference=search_term.strip()) if search_term else queryset), False

    @display(description="about")
    def about(self, call: GatewayCall) -> SafeString:
        return link(code(call.reference), page_of_public_id(call.reference))

    @display(description="outcome")
    def outcome_badge(self, call: GatewayCall) -> SafeString:
        return badge(call.outcome)

    @display(description="took")
    def took(self, call: GatewayCall) -> str:
        return duration(call.duration_ms)

    @display(description="note")
    def note(self, call: GatewayCall) -> str:
        return call.detail or call.error or EMPTY


@admin.register(HealthCheck)
class HealthCheckAdmin(ReadOnlyAdmin):
    """Whether gateways were up, look by look."""

    list_display = ["checked_at", "gateway", "answer", "took", "http_status", "error", "concluded"]
    list_display_links = None
    list_filter = [("gateway", RelatedDropdownFilter)]
    list_select_related = ["gateway"]

    @display(description="answer")
    def answer(self, check: HealthCheck) -> SafeString:
        return badge("up" if check.is_good else "down")

    @display(description="took")
    def took(self, check: HealthCheck) -> str:
        return duration(check.duration_ms)

    @display(description="concluded")
    def concluded(self, check: HealthCheck) -> SafeString:
        return badge(check.health_status)


@admin.register(Notice)
class NoticeAdmin(ReadOnlyAdmin):
    """What gateways told us unasked."""

    list_display = ["received_at", "gateway", "about", "outcome_badge", "status_badge", "applied_at"]
    list_filter = [("gateway", RelatedDropdownFilter), ("status", ChoicesDropdownFilter)]
    list_select_related = ["gateway"]
    quick_filters = (("Waiting", "status__exact=waiting"), ("Unmatched", "status__exact=unmatched"))
    search_fields = ["reference"]
    search_help_text = "Our reference, in full (att_…)"
    fields = ["received_at", "gateway", "notice_id", "about", "outcome_badge", "status_badge", "applied_at", "body"]
    readonly_fields = fields

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Notice], search_term: str
    ) -> tuple[QuerySet[Notice], bool]:
        return (queryset.filter(reference=search_term.strip()) if search_term else queryset), False

    @display(description="about")
    def about(self, notice: Notice) -> SafeString:
        return link(code(notice.reference), page_of_public_id(notice.reference))

    @display(description="says")
    def outcome_badge(self, notice: Notice) -> SafeString:
        return badge(notice.outcome)

    @display(description="state")
    def status_badge(self, notice: Notice) -> SafeString:
        return badge(notice.status)
