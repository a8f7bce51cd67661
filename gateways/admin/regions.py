"""How does an operator change where payments are sent? By looking at what the change would do, then saving it."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponseRedirect
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextInputWidget, UnfoldBooleanSwitchWidget

from checkout.kit.actors import Actor
from checkout.kit.admin import CodesField, ConfigurationAdmin, DeskForm, Verb, VerbForm, actor_of, person_of
from checkout.kit.admin.verbs import show_as
from checkout.kit.countries import COUNTRIES
from checkout.kit.display import EMPTY, page_of
from gateways import selectors, services
from gateways.models import Gateway, Region, RegionGateway
from gateways.reach import Effect, Preview, count_countries
from gateways.regions import RegionPlan
from gateways.services.regions import needs_second_person, preview

_COUNTRIES_HELP = "ISO 3166-1 codes, such as DE FR PT. Each is in one region only."
_LOWEST_PRIORITY = 999


class PlacesInput(forms.Widget):
    """A line for every gateway, with a box for its priority in the region."""

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> dict[str, str]:
        start = f"{name}_"
        return {key.removeprefix(start): str(data[key]).strip() for key in data if key.startswith(start)}

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """The gateways of the region first, in their order."""
        priorities: Mapping[str, Any] = value or {}
        rows = [
            {"gateway": gateway, "name": f"{name}_{gateway.code}", "priority": priorities.get(gateway.code, "")}
            for gateway in Gateway.objects.defer("credentials")
        ]
        rows.sort(key=lambda row: (row["priority"] == "", _rank(row["priority"]), row["gateway"].code))
        return mark_safe(render_to_string("admin/desk/places.html", {"rows": rows}))


class PlacesField(forms.Field):
    """The priority of each gateway of a region, by code; a gateway without one has no place there."""

    widget = PlacesInput

    def clean(self, value: Mapping[str, str]) -> dict[str, int]:
        """The priorities. Refuses (ValidationError) whatever is no number from 1 up, and a gateway that is none."""
        named = {code: text for code, text in value.items() if text}
        known = set(Gateway.objects.filter(code__in=named).values_list("code", flat=True))
        for code, text in named.items():
            if code not in known or not (text.isascii() and text.isdecimal() and 1 <= int(text) <= _LOWEST_PRIORITY):
                raise ValidationError(f"Priorities are whole numbers from 1 to {_LOWEST_PRIORITY}.")
        return {code: int(text) for code, text in named.items()}


class RoutingForm(VerbForm):
    """A region as it is to be. `version` names the state that was looked at, `seen` the plan whose effects were."""

    name = forms.CharField(max_length=80, widget=UnfoldAdminTextInputWidget())
    countries = CodesField(allowed=COUNTRIES, required=False, help_text=_COUNTRIES_HELP)
    is_everywhere_else = forms.BooleanField(
        required=False, widget=UnfoldBooleanSwitchWidget(), help_text="All countries that no other region names."
    )
    places = PlacesField(
        required=False,
        label="Gateways by priority",
        help_text="The lowest number is asked first. An empty box is no place.",
    )
    version = forms.CharField(widget=forms.HiddenInput)
    seen = forms.CharField(widget=forms.HiddenInput, required=False)
    field_order = ["name", "countries", "is_everywhere_else", "places", "reason"]

    def __init__(self, data: Any = None, *, obj: Region) -> None:
        super().__init__(data, obj=obj)
        now = RegionPlan.of(obj)
        self.initial.update(
            name=now.name,
            countries=" ".join(now.countries),
            is_everywhere_else=now.is_everywhere_else,
            places=now.priorities,
            version=now.version,
        )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors:
            cleaned["plan"] = RegionPlan(
                cleaned["name"], tuple(cleaned["countries"]), cleaned["is_everywhere_else"], cleaned["places"]
            )
            cleaned["form"] = self
        return cleaned


class NewRegionForm(DeskForm):
    """What a new region is called; it has no country and no gateway yet."""


def _edit(region: Region, actor: Actor, data: dict[str, Any]) -> str | dict[str, Any]:
    plan: RegionPlan = data["plan"]
    asked = {"region": region, "plan": plan, "base_version": data["version"], "reason": data["reason"], "actor": actor}
    if data["seen"] != _mark(data):
        services.require_changeable(region=region, plan=plan, base_version=data["version"])
        return _looked_at(region, data)
    if needs_second_person(region, plan):
        services.request_region_change(**asked, maker=person_of(actor))
        return "Asked for. Nothing changes until somebody else agrees."
    services.change_region(**asked)
    return f"{plan.name} is changed."


def _looked_at(region: Region, data: dict[str, Any]) -> dict[str, Any]:
    """The page that says what the plan would do, with the form below it to go on or to think again."""
    form: RoutingForm = data["form"]
    show_as(form, "seen", _mark(data))
    seen = preview(region, data["plan"])
    return {"form": form, "effects": told(seen), "is_live": needs_second_person(region, data["plan"], seen)}


def _mark(data: dict[str, Any]) -> str:
    """What was shown: this plan, for this state of the region."""
    return f"{data['version']} {data['plan'].version}"


def told(seen: Preview) -> dict[str, Any]:
    """A preview for a template: groups of countries under a heading, what is lost first."""
    names = {gateway.code: gateway.name for gateway in Gateway.objects.only("code", "name")}

    def group(tone: str, what: str, effects: list[Effect]) -> dict[str, Any]:
        rows = [(effect, names.get(effect.now, ""), names.get(effect.then, "")) for effect in effects]
        return {"tone": tone, "what": what, "count": count_countries(effects), "rows": rows}

    groups = [
        group("bad", "left with none", seen.lost),
        group("busy", "first at another gateway", seen.moved),
        group("good", "served where nobody was", seen.gained),
        group("quiet", "without any, as now", seen.missing),
    ]
    return {"groups": [found for found in groups if found["count"]], "is_without": not seen.changed}


@admin.register(Region)
class RegionAdmin(ConfigurationAdmin):
    """Where payments from a country are sent, and in which order. It is changed by one verb only."""

    change_form_template = "admin/desk/region.html"
    add_form = NewRegionForm
    list_display = ["name", "order", "country_count", "is_everywhere_else"]
    fieldsets = [(None, {"fields": [("name", "code")]})]
    verbs = (
        Verb(
            name="routing",
            label="Edit routing",
            icon="alt_route",
            permission="gateways.change_region",
            consequence=lambda region: "Nothing is saved yet: the next page says which countries it would change.",
            act=_edit,
            form_class=RoutingForm,
            template="admin/desk/region_routing.html",
            result_template="admin/desk/region_routing.html",
        ),
    )

    def has_change_permission(self, request: HttpRequest, obj: Region | None = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> Any:
        places = RegionGateway.objects.select_related("gateway")
        return super().get_queryset(request).prefetch_related(Prefetch("regiongateway_set", places))

    def get_fieldsets(self, request: HttpRequest, obj: Region | None = None) -> Any:
        return [] if obj is not None else self.fieldsets

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        made = services.create_region(**form.cleaned_data, actor=actor_of(request))
        obj.pk = made.pk
        obj._state.adding = False

    def response_add(self, request: HttpRequest, obj: Region, post_url_continue: str | None = None) -> Any:
        """On to its own page, where its countries and gateways are asked for."""
        return HttpResponseRedirect(page_of(obj))

    def page_context(self, request: HttpRequest, obj: Region) -> dict[str, Any]:
        return {
            **super().page_context(request, obj),
            "places": list(RegionGateway.objects.filter(region=obj).select_related("gateway")),
            "windows": selectors.maintenance_now(),
        }

    @display(description="asked in this order")
    def order(self, region: Region) -> str:
        return " → ".join(str(place.gateway) for place in region.regiongateway_set.all()) or EMPTY

    @display(description="countries")
    def country_count(self, region: Region) -> str:
        return "all that no region names" if region.is_everywhere_else else str(len(region.countries))


def _rank(priority: Any) -> int:
    return int(priority) if str(priority).isdecimal() else _LOWEST_PRIORITY + 1
