"""Who did what, when and why? Everything, about one thing, or by one person; and whether it still says what it said."""

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import display

from checkout.kit import clock, ids
from checkout.kit.admin.lists import ReadOnlyAdmin
from checkout.kit.display import (
    EMPTY,
    badge,
    code,
    deed,
    link,
    list_of,
    money,
    page_of_public_id,
    person,
    told,
    unaccounted,
    words,
)
from checkout.kit.models import Alert, AuditEntry, AuditSeal, PublicModel, User
from checkout.kit.money import CURRENCY_DECIMALS, Money
from checkout.kit.tasks import AUDIT_BROKEN

_DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}
_MANY_PEOPLE = 200


class ActorFilter(DropdownFilter):
    """By kind of actor: the text of an actor begins with it."""

    title = "kind of actor"
    parameter_name = "by"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("user", "People"),
            ("key", "Merchants' keys"),
            ("task", "The platform"),
            ("gateway", "Gateways"),
            ("command", "Commands"),
            ("database", "Users of the database"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        kind = self.value()
        if not kind:
            return queryset
        found = queryset.filter(actor__startswith=f"{kind}:")
        return found if kind in ("key", "task") else found.filter(AuditEntry.BY_HAND)


class PersonFilter(DropdownFilter):
    """By one person."""

    title = "person"
    parameter_name = "person"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        names = User.objects.order_by("username").values_list("username", flat=True)[:_MANY_PEOPLE]
        return [(name, name) for name in names]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        return queryset.filter(AuditEntry.BY_HAND, actor=f"user:{self.value()}") if self.value() else queryset


class KindFilter(DropdownFilter):
    """By what kind of thing it is about."""

    title = "about"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        named = {model._meta.model_name: model._meta for model in apps.get_models() if issubclass(model, PublicModel)}
        kinds = [(str(kind), str(about.verbose_name)) for kind, about in named.items()]
        return sorted([*kinds, ("user", "user"), ("group", "role")], key=lambda kind: kind[1].lower())

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        kind = self.value()
        if not kind:
            return queryset
        found = queryset.filter(object_type=kind)
        return found if kind in ("payment", "refund") else found.filter(AuditEntry.BUT_PAYMENTS)


class PeriodFilter(DropdownFilter):
    """The latest days: keys are in the order of time, so only the newest end of the table is read."""

    title = "period"
    parameter_name = "period"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("day", "24 hours"), ("week", "7 days"), ("month", "30 days"), ("year", "A year")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        days = _DAYS.get(self.value() or "")
        return queryset.filter(pk__gte=ids.first_id_at(clock.seconds_from_now(-86_400 * days))) if days else queryset


class TellerFilter(DropdownFilter):
    """What nobody accounted for."""

    title = "told by"
    parameter_name = "told"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("database", "The database alone")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        return queryset.filter(told_by_database=True) if self.value() else queryset


@admin.register(AuditEntry)
class AuditAdmin(ReadOnlyAdmin):
    """Who did what, when and why."""

    list_display = ["at", "who", "what", "about", "reason", "address"]
    list_display_links = ["what"]
    list_filter = [PeriodFilter, ActorFilter, PersonFilter, KindFilter, TellerFilter]
    list_before_template = "admin/desk/audit_list.html"
    change_form_template = "admin/desk/audit_entry.html"
    quick_filters = (
        ("By people", "by=user"),
        ("By merchants", "by=key"),
        ("By the platform", "by=task"),
        ("Not through the platform", "told=database"),
    )
    search_fields = ["object_id"]
    search_help_text = "An id in full, such as pay_…, or a person, such as user:ana"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry], search_term: str
    ) -> tuple[QuerySet[AuditEntry], bool]:
        term = search_term.strip()
        is_person = term.startswith("user:") or not (":" in term or "_" in term)
        if term and is_person:
            name = f"user:{term.removeprefix('user:')}"
            queryset = queryset.filter(AuditEntry.BY_HAND, Q(actor=name) | Q(object_id=name))
        elif term:
            queryset = queryset.filter(object_id=term)
        return queryset, False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {
            "seal": AuditSeal.objects.order_by("number").last(),
            "broken": Alert.objects.filter(kind=AUDIT_BROKEN, acknowledged_at=None).first(),
        }
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return []  # the page says it in its own way

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], add: bool = False, obj: Any = None, **options: Any
    ) -> HttpResponse:
        if obj is not None:
            query = f"q={obj.object_id}"
            context |= {
                "title": deed(obj),
                "rows": rows_of(obj),
                "about": self.about(obj),
                "badges": [badge(unaccounted(obj), "warn")] if obj.told_by_database else [],
                "links": [(f"Everything about {obj.object_id}", list_of(AuditEntry, query))],
            }
        return super().render_change_form(request, context, add=add, obj=obj, **options)  # type: ignore[no-any-return]

    @display(description="who")
    def who(self, entry: AuditEntry) -> str:
        return person(entry.actor)

    @display(description="what")
    def what(self, entry: AuditEntry) -> SafeString | str:
        if entry.told_by_database:
            return format_html("{} {}", deed(entry), badge(unaccounted(entry), "warn"))
        return deed(entry)

    @display(description="about")
    def about(self, entry: AuditEntry) -> SafeString:
        return link(code(entry.object_id), page_of_public_id(entry.object_id))


def rows_of(entry: AuditEntry) -> list[tuple[str, SafeString | str, SafeString | str, bool]]:
    """What an entry says of before and after: field in words, either side, and whether they differ."""
    before, after = entry.before, entry.after
    currency = str(after.get("currency", before.get("currency", "")))
    return [
        (
            words(name.removesuffix("_id").removesuffix("_minor")),
            _shown(name, before.get(name), currency),
            _shown(name, after.get(name), currency),
            before.get(name) != after.get(name),
        )
        for name in dict.fromkeys([*before, *after])
    ]


def _shown(name: str, value: Any, currency: str) -> SafeString | str:
    is_amount = isinstance(value, int) and not isinstance(value, bool) and currency in CURRENCY_DECIMALS
    if value in (None, "", [], {}):
        return EMPTY
    if is_amount and (name.startswith("amount") or name.endswith("_minor")):
        return money(Money(value, currency))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else told(value, currency)
