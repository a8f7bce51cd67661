"""By what are the lists of the books narrowed? What several of them have in common."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import DropdownFilter

from checkout.kit.display import words
from ledger.models import Account, Match
from ledger.statuses import UNRESOLVED


class CurrencyFilter(DropdownFilter):
    """By currency, of those that have accounts."""

    title = "currency"
    parameter_name = "currency"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(c, c) for c in Account.objects.order_by("currency").values_list("currency", flat=True).distinct()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(currency=self.value()) if self.value() else queryset


class MatchedFilter(DropdownFilter):
    """Lines and items that are open, or matched, in whichever way."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", "open"), ("matched", "matched"), *((how, words(how)) for how in Match.How.values)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.value():
            case None:
                return queryset
            case "open" | "matched" as state:
                return queryset.filter(match__isnull=state == "open")
            case how:
                return queryset.filter(match__how=how)


class UnresolvedFilter(DropdownFilter):
    """Differences that nothing and nobody has explained yet, whoever carries them."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("unresolved", "unresolved")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(status__in=UNRESOLVED) if self.value() else queryset
