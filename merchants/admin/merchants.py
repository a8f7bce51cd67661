"""How does an operator see merchants and their keys, and ask for a change?"""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.decorators import display
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminSingleDateWidget,
    UnfoldAdminTextInputWidget,
)

from checkout.kit import clock
from checkout.kit.actors import Actor
from checkout.kit.admin import ConfigurationAdmin, PlainForm, ReadOnlyAdmin, Verb, VerbAdmin, actor_of, fresh
from checkout.kit.countries import COUNTRIES
from checkout.kit.display import badge, code, link, list_of, page_of
from checkout.kit.modes import Mode
from checkout.kit.money import CURRENCY_DECIMALS
from merchants import services
from merchants.models import ApiKey, Merchant, Scope, WebhookEvent, all_scopes

_KEYS_SHOWN = 20


class NewKeyForm(PlainForm):
    """What a new key is for."""

    name = forms.CharField(max_length=80, widget=UnfoldAdminTextInputWidget, help_text="Who will use it, or where.")
    mode = forms.ChoiceField(choices=Mode.choices, widget=UnfoldAdminSelectWidget)
    scopes = forms.MultipleChoiceField(
        choices=[(scope.value, scope.value) for scope in Scope],
        initial=all_scopes,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        label="May",
        help_text="A live key made here cannot have refunds:write.",
    )
    expires_at = forms.DateTimeField(
        required=False, widget=UnfoldAdminSingleDateWidget, label="Expires on", help_text="Empty: until it is revoked."
    )
    field_order = ["name", "mode", "scopes", "expires_at"]


def _suspend(merchant: Merchant, actor: Actor, data: dict[str, Any]) -> str:
    services.set_merchant_status(merchant=merchant, status="suspended", reason=data["reason"], actor=actor)
    return f"{merchant} is suspended: it takes no new payments."


def _activate(merchant: Merchant, actor: Actor, data: dict[str, Any]) -> str:
    services.set_merchant_status(merchant=merchant, status="active", reason=data["reason"], actor=actor)
    return f"{merchant} takes payments again."


def _create_key(merchant: Merchant, actor: Actor, data: dict[str, Any]) -> dict[str, Any]:
    new = services.create_api_key(
        merchant=merchant,
        mode=data["mode"],
        name=data["name"],
        scopes=data["scopes"],
        expires_at=data["expires_at"],
        actor=actor,
    )
    return {"key": new.key, "secret": new.secret}


def _revoke(key: ApiKey, actor: Actor, data: dict[str, Any]) -> str:
    services.revoke_api_key(key=key, reason=data["reason"], actor=actor)
    return f"The key {key} is revoked."


@admin.register(Merchant)
class MerchantAdmin(ConfigurationAdmin):
    """Whom we serve, and on what terms."""

    change_form_template = "admin/desk/merchant.html"
    list_display = ["name", "status_badge", "country", "default_currency", "fee", "tax", "created_at"]
    list_filter = [("status", ChoicesDropdownFilter)]
    quick_filters = (("Active", "status__exact=active"), ("Suspended", "status__exact=suspended"))
    search_fields = ["name"]
    search_help_text = "Name"
    audited_fields = ("name", "country", "default_currency", "fee_bps", "fee_fixed_minor", "tax_bps")
    fieldsets = [
        (None, {"fields": [("name", "country", "default_currency")]}),
        ("Our fee", {"fields": [("fee_bps", "fee_fixed_minor", "tax_bps")]}),
    ]
    verbs = (
        Verb(
            name="new-key",
            label="New API key",
            icon="key",
            permission="merchants.add_apikey",
            consequence=lambda merchant: (
                "The key works at once. Its secret is shown on the next page, and never again."
            ),
            act=_create_key,
            needs_fresh_code=fresh.always,
            form_class=NewKeyForm,
            result_template="admin/desk/new_key.html",
        ),
        Verb(
            name="suspend",
            label="Suspend",
            icon="block",
            permission="merchants.change_merchant",
            consequence=lambda merchant: "New payments are refused from now on. Payments that are under way go on.",
            act=_suspend,
            is_offered=lambda merchant: merchant.is_active,
            is_grave=True,
        ),
        Verb(
            name="activate",
            label="Activate",
            icon="check_circle",
            permission="merchants.change_merchant",
            consequence=lambda merchant: "New payments are taken again from now on.",
            act=_activate,
            is_offered=lambda merchant: not merchant.is_active,
        ),
    )

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        choices = {"country": sorted(COUNTRIES), "default_currency": sorted(CURRENCY_DECIMALS)}.get(db_field.name)
        if choices:
            pairs = [("", "Choose"), *((choice, choice) for choice in choices)]
            return forms.ChoiceField(choices=pairs, widget=UnfoldAdminSelectWidget)
        return super().formfield_for_dbfield(db_field, request, **options)

    def save_model(self, request: HttpRequest, obj: Merchant, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        created = services.create_merchant(**form.cleaned_data, actor=actor_of(request))
        obj.pk, obj._state.adding = created.pk, False

    def page_context(self, request: HttpRequest, obj: Merchant) -> dict[str, Any]:
        return {
            **super().page_context(request, obj),
            "keys": obj.api_keys.all()[:_KEYS_SHOWN] if request.user.has_perm("merchants.view_apikey") else [],
            "badges": [badge(obj.status)],
            "links": [
                ("Keys", list_of(ApiKey, f"merchant__id__exact={obj.pk}")),
                ("Events", list_of(WebhookEvent, f"merchant__id__exact={obj.pk}")),
            ],
        }

    @display(description="status")
    def status_badge(self, merchant: Merchant) -> SafeString:
        return badge(merchant.status)

    @display(description="fee")
    def fee(self, merchant: Merchant) -> str:
        return f"{merchant.fee_bps / 100:.2f} % + {merchant.fee_fixed_minor} minor units"

    @display(description="tax on it")
    def tax(self, merchant: Merchant) -> str:
        return f"{merchant.tax_bps / 100:.2f} %"


@admin.register(ApiKey)
class ApiKeyAdmin(VerbAdmin, ReadOnlyAdmin):
    """Which keys open the API. The hash of a secret is nobody's business, so it is not here."""

    list_display = ["prefix_code", "merchant", "name", "mode", "state", "created_at", "last_used_at"]
    list_filter = [("merchant", RelatedDropdownFilter), ("mode", ChoicesDropdownFilter)]
    list_select_related = ["merchant"]
    search_fields = ["prefix", "name"]
    search_help_text = "Beginning of the key, or its name"
    quick_filters = (("Test", "mode__exact=test"), ("Live", "mode__exact=live"))
    fields = ["merchant_link", "name", "mode", "may", "created_at", "expires_at", "revoked_at", "last_used_at"]
    readonly_fields = fields
    verbs = (
        Verb(
            name="revoke",
            label="Revoke",
            icon="key_off",
            permission="merchants.change_apikey",
            consequence=lambda key: "The key opens nothing any more, within a second. This cannot be undone.",
            act=_revoke,
            needs_fresh_code=fresh.always,
            is_offered=lambda key: key.revoked_at is None,
            is_grave=True,
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        return super().get_queryset(request).select_related("merchant").defer("hash")

    def page_context(self, request: HttpRequest, obj: ApiKey) -> dict[str, Any]:
        return {**super().page_context(request, obj), "badges": [badge(obj.mode), self.state(obj)]}

    @display(description="key")
    def prefix_code(self, key: ApiKey) -> SafeString | str:
        return code(str(key))

    @display(description="merchant")
    def merchant_link(self, key: ApiKey) -> SafeString:
        return link(key.merchant, page_of(key.merchant))

    @display(description="may")
    def may(self, key: ApiKey) -> str:
        return ", ".join(key.scopes)

    @display(description="state")
    def state(self, key: ApiKey) -> SafeString:
        return badge(state_of(key))


def state_of(key: ApiKey) -> str:
    """Whether a key opens anything: valid, expired or revoked."""
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= clock.now() else "valid"
