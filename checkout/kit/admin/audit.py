"""Who did what, when and why?"""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import display

from checkout.kit.admin.lists import ReadOnlyAdmin
from checkout.kit.display import code, differences, link, page_of_public_id, person, words
from checkout.kit.models import AuditEntry


class ActorFilter(DropdownFilter):
    """By kind of actor: the text of an actor begins with it."""

    title = "kind of actor"
    parameter_name = "by"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("user", "People"), ("key", "Merchants' keys"), ("task", "The platform"), ("command", "Commands")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        return queryset.filter(actor__startswith=f"{self.value()}:") if self.value() else queryset


@admin.register(AuditEntry)
class AuditAdmin(ReadOnlyAdmin):
    """Who did what, when and why."""

    list_display = ["at", "who", "what", "about", "reason"]
    list_filter = [ActorFilter]
    quick_filters = (("By people", "by=user"), ("By merchants", "by=key"), ("By the platform", "by=task"))
    search_fields = ["object_id"]
    search_help_text = "The id of what it is about, in full"
    fields = ["at", "who", "address", "what", "about", "reason", "changed"]
    readonly_fields = fields

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry], search_term: str
    ) -> tuple[QuerySet[AuditEntry], bool]:
        return (queryset.filter(object_id=search_term.strip()) if search_term else queryset), False

    @display(description="who")
    def who(self, entry: AuditEntry) -> str:
        return person(entry.actor)

    @display(description="what")
    def what(self, entry: AuditEntry) -> str:
        return words(entry.verb)

    @display(description="about")
    def about(self, entry: AuditEntry) -> SafeString:
        return link(code(entry.object_id), page_of_public_id(entry.object_id))

    @display(description="what changed")
    def changed(self, entry: AuditEntry) -> str:
        return "; ".join(
            f"{name}: {before} → {after}" for name, before, after in differences(entry.before, entry.after)
        )
