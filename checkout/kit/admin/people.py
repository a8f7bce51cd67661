"""Who works here, and what needs somebody's attention?"""

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, AuthenticationForm, UserChangeForm, UserCreationForm

from checkout.kit import alerts, audit
from checkout.kit.admin.lists import DeskAdmin, ReadOnlyAdmin
from checkout.kit.admin.verbs import DiscreetForm, actor_of, user_of
from checkout.kit.display import badge, code, link, page_of_public_id
from checkout.kit.models import Alert, User

admin.site.unregister(Group)


class DeskLoginForm(DiscreetForm, AuthenticationForm):
    """Who comes in."""


admin.site.login_form = DeskLoginForm


class PersonForm(DiscreetForm, UserChangeForm):
    """What may be changed of a person."""


class NewPersonForm(DiscreetForm, UserCreationForm):
    """Somebody new."""


@admin.register(User)
class DeskUserAdmin(UserAdmin, DeskAdmin):  # type: ignore[misc, type-arg]
    """People are made and stopped here, never deleted: their names are in the audit."""

    form = PersonForm
    add_form = NewPersonForm
    change_password_form = AdminPasswordChangeForm
    list_display = ["username", "full_name", "roles", "is_active", "last_login"]
    list_filter = []
    search_fields = ["username", "first_name", "last_name", "email"]
    search_help_text = "Name or e-mail"
    readonly_fields = ["last_login", "date_joined"]
    list_before_template = ""

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("groups")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return super().get_fieldsets(request, obj)
        access = ["is_active", "is_staff", "is_superuser", "groups"]
        login = ["username", "password"] if self.has_change_permission(request, obj) else ["username"]
        return [
            (None, {"fields": login}),
            ("Person", {"fields": ["first_name", "last_name", "email"]}),
            ("Access", {"fields": access}),
            ("Dates", {"fields": ["last_login", "date_joined"]}),
        ]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        self._audit(request, obj, "user.change" if change else "user.create", form.changed_data)

    def log_change(self, request: HttpRequest, obj: User, message: Any) -> Any:
        if request.path.endswith("/password/"):
            self._audit(request, obj, "user.change", ["password"])
        return super().log_change(request, obj, message)

    def _audit(self, request: HttpRequest, user: User, verb: str, fields: list[str]) -> None:
        audit.record(actor=actor_of(request), verb=verb, obj=user, after={"changed": sorted(fields)})

    @display(description="name")
    def full_name(self, user: User) -> str:
        return user.get_full_name()

    @display(description="roles")
    def roles(self, user: User) -> str:
        return "everything" if user.is_superuser else ", ".join(group.name for group in user.groups.all())


@admin.register(Group)
class DeskGroupAdmin(GroupAdmin, DeskAdmin):  # type: ignore[misc]
    """Roles. Those the platform brings along are set right again after every migration."""

    list_before_template = ""
    search_fields = []
    filter_horizontal = ["permissions"]


class OpenFilter(DropdownFilter):
    """Open alerts, or those somebody has seen."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", "Open"), ("seen", "Acknowledged")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Alert]) -> QuerySet[Alert]:
        match self.value():
            case "open":
                return queryset.filter(acknowledged_at=None)
            case "seen":
                return queryset.exclude(acknowledged_at=None)
        return queryset


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    """What a person should look at, and who has."""

    list_display = ["severity_badge", "short", "about", "seen_count", "first_seen_at", "last_seen_at", "state"]
    list_display_links = ["short"]
    list_filter = [OpenFilter, ("severity", ChoicesDropdownFilter)]
    list_select_related = ["acknowledged_by"]
    quick_filters = (("Open", "state=open"), ("Acknowledged", "state=seen"))
    fields = ["severity_badge", "message", "about", "seen_count", "first_seen_at", "last_seen_at", "state"]
    readonly_fields = fields
    actions = ["acknowledge_selected"]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.acknowledge_view)
        return [path("<uuid:key>/acknowledge/", view, name="kit_alert_acknowledge"), *super().get_urls()]

    def has_acknowledge_permission(self, request: HttpRequest) -> bool:
        """Whether this person may say that an alert has been seen."""
        return bool(request.user.has_perm("kit.change_alert"))

    @admin.action(description="Acknowledge", permissions=["acknowledge"])
    def acknowledge_selected(self, request: HttpRequest, queryset: QuerySet[Alert]) -> None:
        """Say of several alerts that they have been seen."""
        for alert in queryset:
            alerts.acknowledge_alert(alert=alert, user=user_of(request))
        messages.success(request, "Acknowledged.")

    def acknowledge_view(self, request: HttpRequest, key: Any) -> HttpResponse:
        """Say of one alert that it has been seen, and return to where the button was."""
        if not self.has_acknowledge_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        alerts.acknowledge_alert(alert=get_object_or_404(Alert, pk=key), user=user_of(request))
        messages.success(request, "Acknowledged.")
        return HttpResponseRedirect(reverse("admin:index"))

    @display(description="severity")
    def severity_badge(self, alert: Alert) -> SafeString:
        return badge(alert.severity)

    @display(description="what")
    def short(self, alert: Alert) -> str:
        return Truncator(alert.message).chars(90)

    @display(description="about")
    def about(self, alert: Alert) -> SafeString:
        return link(code(alert.object_id), page_of_public_id(alert.object_id))

    @display(description="state")
    def state(self, alert: Alert) -> SafeString | str:
        if alert.acknowledged_at is None:
            return badge("open", "warn")
        return f"seen by {alert.acknowledged_by}"
