"""What do all lists and pages of the desk have in common? Bounded work, filters that cannot be used to probe and can be
kept, and files to take away.

A queue is a list of the same rows for one job: at its own address, in its own order, with the columns that it needs.
"""

from collections.abc import Callable, Sequence
from functools import cache, cached_property, partial
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.views.main import SEARCH_VAR
from django.core.paginator import Paginator
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import URLPattern, URLResolver, include, path
from django.views.decorators.http import require_POST
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.views import ChangeList

from checkout.kit.admin import exports, saved
from checkout.kit.card_numbers import holds_sensitive_data
from checkout.kit.display import moment, page_of
from checkout.kit.ids import parse_public_id
from checkout.kit.models import PublicModel
from checkout.kit.spreadsheets import FILE_FORMATS

LISTED_COUNT = 2_000
REFUSED_TERM = (
    "This looks like a card or account number or a secret, which is not looked for. A card is found by its last four."
)


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
        self.result_list = self.model_admin.completed(list(self.result_list))  # type: ignore[has-type]
        self.full_result_count = self.result_count  # there is no other count to compare it with


@cache
def _time_column(name: str) -> Any:
    @display(description=name.removesuffix("_at").replace("_", " ") if name != "at" else "when")
    def column(obj: Any) -> str:
        return moment(getattr(obj, name))

    return column


class DeskAdmin(ModelAdmin):
    """What every model at the desk has. `quick_filters` are links above the list: words and query string.

    `money_columns` names the columns of amounts, `queues` the lists of the same rows that are kept for one job each.
    """

    quick_filters: tuple[tuple[str, str], ...] = ()
    unfiltered = "All"
    money_columns: tuple[str, ...] = ()
    queues: tuple[type["Queue"], ...] = ()
    list_before_template = "admin/desk/quick_filters.html"
    list_per_page = 50
    list_max_show_all = 0
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = BoundedPaginator
    sortable_by = ()
    compressed_fields = True
    actions: Any = None

    @property
    def label(self) -> str:
        """What this list is called where something is remembered of it."""
        return str(self.opts.verbose_name_plural)

    def list_urls(self) -> list[URLPattern | URLResolver]:
        """What hangs below the address of a list."""
        return [
            path("export/<slug:form>/", self.served(exports.export_view)),
            path("filters/save/", self.served(saved.save_view, is_deed=True)),
            path("filters/<int:key>/forget/", self.served(saved.forget_view, is_deed=True)),
        ]

    def served(self, view: Callable[..., HttpResponseBase], *, is_deed: bool = False) -> Any:
        """A view of this list for whoever is logged in; one that does something is only posted to."""
        bound = partial(view, self)
        return self.admin_site.admin_view(require_POST(bound) if is_deed else bound)

    def get_urls(self) -> list[Any]:
        names = f"{self.opts.app_label}_{self.opts.model_name}"
        queues: list[Any] = []
        for kind in self.queues:
            queue = kind(self.model, self.admin_site)
            view = path("", queue.admin_site.admin_view(queue.changelist_view), name=f"{names}_{queue.queue_name}")
            queues.append(path(f"{queue.queue_name}/", include([view, *queue.list_urls()])))
        return [*self.list_urls(), *queues, *super().get_urls()]

    def completed(self, rows: Sequence[Any]) -> Sequence[Any]:
        """Rows with what their columns need beyond the query, looked up once for all of them."""
        return rows

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
        """The list; a filter that does not exist, or a search for what is kept nowhere, leads to the whole list and
        says so."""
        if holds_sensitive_data(request.GET.get(SEARCH_VAR, "")):
            messages.error(request, REFUSED_TERM)
            return HttpResponseRedirect(request.path)
        context: dict[str, Any] = {"file_formats": FILE_FORMATS}
        if request.method == "GET" and self.has_view_permission(request):
            context["saved_filters"] = saved.filters_of(self, request)
        try:
            return super().changelist_view(request, {**context, **(extra_context or {})})  # type: ignore[no-any-return]
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


class Queue(DeskAdmin):
    """A list of the model's rows that wait for somebody, the longest waiting first. It goes before the model's pages
    in the bases of a class. `queue_name` is the last part of its address, `title` and `explanation` stand above it.
    """

    queue_name = ""
    title = ""
    explanation = ""
    ordering: Any = ["pk"]
    quick_filters: tuple[tuple[str, str], ...] = ()
    list_filter: Any = []

    @property
    def label(self) -> str:
        return self.title.lower()

    def get_queryset(self, request: HttpRequest) -> Any:
        return self.waiting(super().get_queryset(request))

    @classmethod
    def waiting(cls, rows: Any) -> Any:
        """Those of the rows that wait here; the badge of the queue counts the same."""
        return rows

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {"title": self.title, **(extra_context or {})})
