"""What do all lists and pages of the desk have in common? Bounded work, and filters that cannot be used to probe."""

from functools import cache, cached_property
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.core.paginator import Paginator
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.views import ChangeList

from checkout.kit.display import moment, page_of
from checkout.kit.ids import parse_public_id
from checkout.kit.models import PublicModel

LISTED_COUNT = 2_000


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Pages over the first rows of a list only, so that no table is ever counted to its end."""

    template_name = "admin/desk/pagination.html"

    @cached_property
    def count(self) -> int:
        """How many rows there are to page through, LISTED_COUNT at the most."""
        rows: Any = self.object_list
        return int(rows[:LISTED_COUNT].count())

    @property
    def is_cut_off(self) -> bool:
        """Whether there are more rows than are listed."""
        return self.count >= LISTED_COUNT


class DeskChangeList(ChangeList):
    """A list whose rows link to pages by outside name."""

    def url_for_result(self, result: Model) -> str:
        return page_of(result)

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.full_result_count = self.result_count  # there is no other count to compare it with


@cache
def _time_column(name: str) -> Any:
    @display(description=name.removesuffix("_at").replace("_", " ") if name != "at" else "when")
    def column(obj: Any) -> str:
        return moment(getattr(obj, name))

    return column


class DeskAdmin(ModelAdmin):
    """What every model at the desk has. `quick_filters` are links above the list: words and query string."""

    quick_filters: tuple[tuple[str, str], ...] = ()
    list_before_template = "admin/desk/quick_filters.html"
    list_per_page = 50
    list_max_show_all = 0
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = BoundedPaginator
    sortable_by = ()
    compressed_fields = True
    actions: Any = None

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """Columns of times are shown short."""
        names = super().get_list_display(request)
        return [_time_column(name) if str(name) == "at" or str(name).endswith("_at") else name for name in names]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[DeskChangeList]:
        return DeskChangeList

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """By key or by outside name."""
        is_public = issubclass(self.model, PublicModel)
        key = parse_public_id(self.model.PUBLIC_PREFIX, object_id) if is_public else None
        return super().get_object(request, str(key or object_id), from_field)

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Only the parameters of this list's own filters: any other would let a viewer probe what is not shown."""
        allowed = set()
        for entry in self.get_list_filter(request):
            if isinstance(entry, tuple):
                allowed |= {f"{entry[0]}__exact", f"{entry[0]}__id__exact"}
            else:
                allowed.add(entry.parameter_name)
        return lookup in allowed

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list; a filter that does not exist leads to the whole list and says so."""
        try:
            return super().changelist_view(request, extra_context)  # type: ignore[no-any-return]
        except DisallowedModelAdminLookup:
            messages.warning(request, "This list has no such filter, so all of it is shown.")
            return HttpResponseRedirect(request.path)


class ReadOnlyAdmin(DeskAdmin):
    """Rows to look at: nothing is added, changed or deleted here, by anybody."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
