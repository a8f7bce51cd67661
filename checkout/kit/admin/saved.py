"""How does somebody keep a filter for tomorrow? Under a name, for themselves alone, as the words of its address."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict

from checkout.kit.admin.requests import user_of
from checkout.kit.card_numbers import holds_sensitive_data
from checkout.kit.inputs import is_printable
from checkout.kit.models import SavedFilter
from checkout.settings import policy

_MAX_NAME, _MAX_QUERY = 40, 500


def filters_of(page: Any, request: HttpRequest) -> list[SavedFilter]:
    """What this person keeps for a list. One query."""
    return list(SavedFilter.objects.filter(user=user_of(request), list_name=page.label)[: policy.SAVED_FILTERS])


def save_view(page: Any, request: HttpRequest) -> HttpResponse:
    """Keep the list's filter under a name; an existing one of that name is replaced."""
    back = _list_below(page, request, "filters/save/")
    name, query = request.POST.get("name", "").strip(), request.POST.get("query", "")
    kept = kept_of(page, request, query)
    if problem := _problem(page, request, name, kept):
        messages.error(request, problem)
        return HttpResponseRedirect(back)
    try:
        with transaction.atomic():
            SavedFilter.objects.update_or_create(
                user=user_of(request), list_name=page.label, name=name, defaults={"query": kept}
            )
    except IntegrityError:
        pass  # the same was saved at the same moment
    messages.success(request, f"Saved as “{name}”, for you alone.")
    return HttpResponseRedirect(f"{back}?{kept}")


def forget_view(page: Any, request: HttpRequest, key: int) -> HttpResponse:
    """Forget one of one's own filters; those of others are not there."""
    back = _list_below(page, request, f"filters/{key}/forget/")
    forgotten, _ = SavedFilter.objects.filter(pk=key, user=user_of(request), list_name=page.label).delete()
    if not forgotten:
        raise Http404
    messages.success(request, "Forgotten.")
    return HttpResponseRedirect(back)


def kept_of(page: Any, request: HttpRequest, query: str) -> str:
    """Of a query string what this list allows, in a fixed order: its filters and its search."""
    asked = QueryDict(query[:4_000])
    kept = QueryDict(mutable=True)
    for name in sorted(asked):
        is_search = name == "q" and bool(page.search_fields)
        if is_search or page.lookup_allowed(name, asked[name], request):
            kept[name] = asked[name]
    return kept.urlencode()


def _list_below(page: Any, request: HttpRequest, address: str) -> str:
    """The list that this address belongs to, for whoever may see it."""
    if not page.has_view_permission(request):
        raise PermissionDenied
    return request.path.removesuffix(address)


def _problem(page: Any, request: HttpRequest, name: str, kept: str) -> str:
    """Why this cannot be saved, in words; nothing of what must not be kept is repeated."""
    words = " ".join(map(str, QueryDict(kept).values()))
    if not name or len(name) > _MAX_NAME or not is_printable(name):
        return f"Give it a name of one to {_MAX_NAME} printable characters."
    if holds_sensitive_data(name) or holds_sensitive_data(words):
        return "This looks like a card or account number or a secret, which is not kept here."
    if not kept:
        return "Choose a filter or search for something first."
    if len(kept) > _MAX_QUERY or not is_printable(words):
        return "This search cannot be saved."
    others = SavedFilter.objects.filter(user=user_of(request), list_name=page.label).exclude(name=name)
    if others.count() >= policy.SAVED_FILTERS:
        return f"At most {policy.SAVED_FILTERS} filters are kept for a list. Forget one first."
    return ""
