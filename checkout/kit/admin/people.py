"""Who works here, and what needs somebody's attention?"""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, AuthenticationForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from checkout.kit import alerts, audit
from checkout.kit.access import lockout, sessions
from checkout.kit.access.codes import authenticator_of, remove_second_factor
from checkout.kit.access.models import Authenticator
from checkout.kit.actors import Actor
from checkout.kit.admin import fresh
from checkout.kit.admin.bulk import BulkAdmin, BulkVerb
from checkout.kit.admin.configuration import changes_of
from checkout.kit.admin.fresh import FreshCodeForm, always
from checkout.kit.admin.lists import DeskAdmin, ReadOnlyAdmin
from checkout.kit.admin.requests import actor_of, person_of, user_of
from checkout.kit.admin.verbs import DiscreetForm, PlainForm, Verb, VerbAdmin
from checkout.kit.display import badge, code, link, page_of_public_id
from checkout.kit.models import Alert, User
from checkout.kit.roles import ROLES, grantable, names_of

_ACCESS = ("is_active", "is_staff", "is_superuser", "groups")

admin.site.unregister(Group)


class DeskLoginForm(DiscreetForm, AuthenticationForm):
    """Who comes in."""

    def confirm_login_allowed(self, user: Any) -> None:
        super().confirm_login_allowed(user)
        address = self.request.META.get("REMOTE_ADDR", "")
        audit.record(actor=Actor.user(user.username, address), verb="user.log_in", obj=user)


admin.site.login_form = DeskLoginForm


class PersonForm(FreshCodeForm, DiscreetForm, UserChangeForm):
    """What may be changed of a person."""

    guarded = frozenset(_ACCESS)


class NewPersonForm(DiscreetForm, UserCreationForm):
    """Somebody new."""


def _reset(user: User, actor: Actor, data: dict[str, Any]) -> str:
    remove_second_factor(user=user, reason=data["reason"], actor=actor)
    return f"{user} is logged out, and sets up a new app after the next login."


def _unlock(user: User, actor: Actor, data: dict[str, Any]) -> str:
    lockout.unlock(user=user, reason=data["reason"], actor=actor)
    return f"{user} may try again."


@admin.register(User)
class DeskUserAdmin(UserAdmin, VerbAdmin):  # type: ignore[misc, type-arg]
    """People are made and stopped here, never deleted: their names are in the audit."""

    form = PersonForm
    add_form = NewPersonForm
    change_password_form = AdminPasswordChangeForm
    list_display = ["username", "full_name", "roles", "second_factor", "is_active", "last_login"]
    list_filter = []
    search_fields = ["username", "first_name", "last_name", "email"]
    search_help_text = "Name or e-mail"
    readonly_fields = ["last_login", "date_joined"]
    filter_horizontal = []
    verbs = (
        Verb(
            name="reset-second-factor",
            label="Reset two-factor",
            icon="no_encryption",
            permission="kit.change_user",
            consequence=lambda user: (
                f"The app and the recovery codes of {user} are forgotten, and {user} is logged out everywhere. Then the"
                " password alone leads to setting up a new app: be sure that it is really them who asked."
            ),
            act=_reset,
            is_offered=lambda user: authenticator_of(user) is not None,
            is_grave=True,
            needs_fresh_code=always,
        ),
        Verb(
            name="unlock",
            label="Unlock",
            icon="lock_open",
            permission="kit.change_user",
            consequence=lambda user: (
                f"Somebody guessed at the password or the codes of {user}. What was counted is forgotten, and {user}"
                " may try again at once."
            ),
            act=_unlock,
            is_offered=lockout.is_locked_out,
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        enrolled = Authenticator.objects.filter(user=OuterRef("pk"), confirmed=True)
        people: QuerySet[User] = super().get_queryset(request).prefetch_related("groups")
        return people.annotate(is_enrolled=Exists(enrolled))

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return super().get_fieldsets(request, obj)
        may_change = self.has_change_permission(request, obj)
        return [
            (None, {"fields": ["username", "password"] if may_change else ["username"]}),
            ("Person", {"fields": ["first_name", "last_name", "email"]}),
            ("Access", {"fields": list(_ACCESS)}),
            ("Dates", {"fields": ["last_login", "date_joined"]}),
            *code_fieldset(request, may_change),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Nobody changes what they may do themselves, and only who may do everything lets others.

        A name stays: the audit, and what follows from it, knows a person by it.
        """
        fixed = [*super().get_readonly_fields(request, obj), *(["username"] if obj is not None else [])]
        if obj is not None and obj.pk == request.user.pk:
            return [*fixed, *_ACCESS]
        return fixed if request.user.is_superuser else [*fixed, "is_superuser"]

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any) -> Any:
        form: Any = super().get_form(request, obj, change=change, **options)
        form.request = request
        return form

    def formfield_for_manytomany(self, db_field: Any, request: Any = None, **options: Any) -> Any:
        """There are few roles, so all of them are seen at once."""
        field: Any = super().formfield_for_manytomany(db_field, request, **options)
        field.widget = UnfoldAdminCheckboxSelectMultipleWidget(choices=field.choices)
        field.label, field.help_text = "Roles", ""
        return field

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever may do everything is changed by their like alone."""
        may: bool = super().has_change_permission(request, obj)
        return may and (obj is None or request.user.is_superuser or not obj.is_superuser)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def page_context(self, request: HttpRequest, obj: User) -> dict[str, Any]:
        return {
            **super().page_context(request, obj),
            "badges": [self.second_factor(obj)],
            "changes": changes_of(obj),
            "show_save_and_add_another": False,
        }

    def may_ask(self, request: HttpRequest, obj: User, verb: Verb) -> bool:
        return self.has_change_permission(request, obj)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        """A new password for somebody else lets one in as them, so it asks for a fresh code first."""
        if not sessions.is_fresh(request):
            return HttpResponseRedirect(f"{reverse('admin:code')}?{urlencode({'next': request.path})}")
        return super().user_change_password(request, id, form_url)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        obj._roles_before = self._role_names(obj) if change else []  # type: ignore[attr-defined]
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        user = form.instance
        before, after = user._roles_before, self._role_names(user)
        self._audit(
            request,
            user,
            "user.change" if change else "user.create",
            form.changed_data,
            **({"before": {"roles": before}, "roles": after} if before != after else {}),
        )

    def log_change(self, request: HttpRequest, obj: User, message: Any) -> Any:
        if request.path.endswith("/password/"):
            self._audit(request, obj, "user.change", ["password"])
        return super().log_change(request, obj, message)

    def _role_names(self, user: User) -> list[str]:
        return list(Group.objects.filter(user=user).order_by("name").values_list("name", flat=True))

    def _audit(
        self, request: HttpRequest, user: User, verb: str, fields: list[str], before: Any = None, **after: Any
    ) -> None:
        after["changed"] = sorted(fields)
        audit.record(actor=actor_of(request), verb=verb, obj=user, before=before, after=after)

    @display(description="name")
    def full_name(self, user: User) -> str:
        return user.get_full_name()

    @display(description="roles")
    def roles(self, user: User) -> str:
        return "everything" if user.is_superuser else ", ".join(group.name for group in user.groups.all())

    @display(description="two-factor")
    def second_factor(self, user: User) -> SafeString:
        return badge("two-factor on", "good") if user.is_enrolled else badge("no two-factor")  # type: ignore[attr-defined]


class RoleForm(FreshCodeForm, forms.ModelForm):  # type: ignore[type-arg]
    """What people with a role may do."""

    guarded = frozenset({"name", "permissions"})


@admin.register(Group)
class DeskGroupAdmin(GroupAdmin, DeskAdmin):  # type: ignore[misc]
    """Roles. Those that the platform brings along are as they are: every migration would set them right again."""

    form = RoleForm
    list_display = ["name"]
    search_fields = []
    filter_horizontal = ["permissions"]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and (obj is None or obj.name not in ROLES)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or obj.name not in ROLES)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any) -> Any:
        form: Any = super().get_form(request, obj, change=change, **options)
        form.request = request
        return form

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        may_change = self.has_change_permission(request, obj)
        return [(None, {"fields": ["name", "permissions"]}), *code_fieldset(request, may_change)]

    def formfield_for_manytomany(self, db_field: Any, request: Any = None, **options: Any) -> Any:
        """Only what the desk knows can be given."""
        options["queryset"] = grantable().select_related("content_type")
        return super().formfield_for_manytomany(db_field, request, **options)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        role = form.instance
        before = names_of(role) if change else []
        super().save_related(request, form, formsets, change)
        self._audit(request, role, "role.change" if change else "role.create", before, names_of(role))

    def delete_model(self, request: HttpRequest, obj: Group) -> None:
        self._audit(request, obj, "role.delete", names_of(obj), [])
        super().delete_model(request, obj)

    def _audit(self, request: HttpRequest, role: Group, verb: str, before: list[str], after: list[str]) -> None:
        audit.record(
            actor=actor_of(request), verb=verb, obj=role, before={"permissions": before}, after={"permissions": after}
        )


def code_fieldset(request: HttpRequest, may_change: bool) -> list[Any]:
    """Where a form that guards some of its fields asks for a code."""
    asks = may_change and not sessions.is_fresh(request)
    return [("Your code, if you change what somebody may do", {"fields": [fresh.FIELD]})] if asks else []


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


def _acknowledge(alert: Alert, actor: Actor, data: dict[str, Any]) -> str:
    alerts.acknowledge_alert(alert=alert, user=person_of(actor))
    return "Acknowledged."


_ACKNOWLEDGE = Verb(
    name="mark-seen",
    label="Acknowledge",
    icon="visibility",
    permission="kit.change_alert",
    consequence=lambda alert: "It has been seen, by you. The same thing happening again opens a new alert.",
    act=_acknowledge,
    is_offered=lambda alert: alert.acknowledged_at is None,
    form_class=PlainForm,
)


@admin.register(Alert)
class AlertAdmin(BulkAdmin, ReadOnlyAdmin):
    """What a person should look at, and who has."""

    list_display = ["severity_badge", "short", "about", "seen_count", "first_seen_at", "last_seen_at", "state"]
    list_display_links = ["short"]
    list_filter = [OpenFilter, ("severity", ChoicesDropdownFilter)]
    list_select_related = ["acknowledged_by"]
    quick_filters = (("Open", "state=open"), ("Acknowledged", "state=seen"))
    fields = ["severity_badge", "message", "about", "seen_count", "first_seen_at", "last_seen_at", "state"]
    readonly_fields = fields
    verbs = (_ACKNOWLEDGE,)
    bulk_verbs = (
        BulkVerb(
            verb=_ACKNOWLEDGE,
            consequence="Each of them has been seen, by you. The same thing happening again opens a new alert.",
            why_not=lambda alert: f"It was seen by {alert.acknowledged_by} before.",
            describe=lambda alert: f"{alert.severity}, {alert.seen_count} times",
        ),
    )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.acknowledge_view)
        return [path("<uuid:key>/acknowledge/", view, name="kit_alert_acknowledge"), *super().get_urls()]

    def acknowledge_view(self, request: HttpRequest, key: Any) -> HttpResponse:
        """Say of one alert that it has been seen, and return to where the button was."""
        if not request.user.has_perm(_ACKNOWLEDGE.permission):
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
