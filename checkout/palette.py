"""What does the command palette find? Pages by their names, whatever carries an id of ours, and payments.

Each only for those who may see it. A card number or a secret that was pasted is looked for nowhere and never repeated.
"""

import time
from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.dataclasses import SearchResult

from checkout.kit.admin.lists import REFUSED_TERM
from checkout.kit.card_numbers import holds_sensitive_data
from checkout.kit.display import money, page_of, page_of_public_id, words
from checkout.kit.ids import parse_public_id
from checkout.kit.inputs import is_printable
from checkout.kit.models import PublicModel
from payments.admin.search import payments_found
from payments.models import Payment

_SHORTEST, _LONGEST = 4, 254
_PAYMENTS_SHOWN, _SHOWN = 8, 50


def answer(site: Any, request: HttpRequest) -> HttpResponse:
    """The part of the page with what was found."""
    began, term = time.monotonic(), request.GET.get("s", "").strip()
    if not term:
        return HttpResponse()
    pages = Paginator(_found(site, request, term), _SHOWN)
    context = {
        "results": pages.page(1),
        "page_obj": pages,
        "page_counter": 0,
        "execution_time": time.monotonic() - began,
        "command_show_history": False,
    }
    kind = "command" if "extended" in request.GET else "search"
    response = TemplateResponse(request, f"unfold/helpers/{kind}_results.html", context)
    response["HX-Trigger"] = "search"
    return response


def _found(site: Any, request: HttpRequest, term: str) -> list[SearchResult]:
    if holds_sensitive_data(term):
        return [SearchResult(REFUSED_TERM, "nothing was looked for", "#", "block")]
    if len(term) > _LONGEST or not is_printable(term):
        return []
    pages = site._search_apps(site.get_app_list(request), term.lower())
    return [*pages, *(_named(request, term) or _payments(request, term))]


def _named(request: HttpRequest, term: str) -> list[SearchResult]:
    """The object with the outside name that was pasted."""
    for model, page in admin.site._registry.items():
        if issubclass(model, PublicModel) and parse_public_id(model.PUBLIC_PREFIX, term) is not None:
            if not page.has_view_permission(request):
                return []
            return [SearchResult(term, "open", page_of_public_id(term), "arrow_forward")]
    return []


def _payments(request: HttpRequest, term: str) -> list[SearchResult]:
    if len(term) < _SHORTEST or not request.user.has_perm("payments.view_payment"):
        return []
    found = payments_found(Payment.objects.select_related("merchant"), term)[:_PAYMENTS_SHOWN]
    return [SearchResult(money(payment.amount), _about(payment), page_of(payment), "credit_card") for payment in found]


def _about(payment: Payment) -> str:
    return ", ".join(filter(None, [words(payment.status), str(payment.merchant), payment.merchant_reference]))
