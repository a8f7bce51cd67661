"""By what are the lists of the books narrowed? What several of them have in common."""

from datetime import date
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import DropdownFilter

from checkout.kit.display import words
from checkout.kit.ids import parse_public_id
from checkout.kit.money import CURRENCY_DECIMALS
from gateways.settlements import LineKind
from ledger.models import Account, Match, SettlementFile
from ledger.reconciliation.selectors import loose_ends
from ledger.statuses import UNRESOLVED, DiscrepancyStatus


class CurrencyFilter(DropdownFilter):
    """By currency, of those that have accounts."""

    title = "currency"
    parameter_name = "currency"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(c, c) for c in Account.objects.order_by("currency").values_list("currency", flat=True).distinct()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(currency=self.value()) if self.value() else queryset


class FileFilter(DropdownFilter):
    """The lines of one file, to which the file's page leads; nobody chooses among thousands of files here."""

    title = "file"
    parameter_name = "file"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        file = SettlementFile.objects.filter(pk=_file_key(request.GET.get(self.parameter_name, ""))).first()
        return [(file.public_id, file.name)] if file else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(file=_file_key(self.value())) if self.value() else queryset


class MatchedFilter(DropdownFilter):
    """What is open, or matched, in whichever way."""

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


class MatchedLineFilter(MatchedFilter):
    """The same of lines. A payout is the sum of other lines: there is nothing to match it with, so it is neither."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        found = super().queryset(request, queryset)
        return found.exclude(kind=LineKind.PAYOUT) if self.value() else found


class UnresolvedFilter(DropdownFilter):
    """Differences that nothing and nobody has explained yet, whoever carries them."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("unresolved", "unresolved")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(status__in=UNRESOLVED) if self.value() else queryset


class KeepsOpenFilter(DropdownFilter):
    """What keeps the days of one currency up to one of them from being closed: the page of that day leads here."""

    title = "keeps open"
    parameter_name = "keeps_open"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        value = request.GET.get(self.parameter_name, "")
        asked = _currency_and_day(value)
        return [(value, f"{asked[0]}, {asked[1]:%d %b %Y}")] if asked else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        asked = _currency_and_day(self.value() or "")
        if asked is None:
            return queryset
        ends = loose_ends(currency=asked[0], on=asked[1])
        return queryset.filter(pk__in=ends.exclude(status=DiscrepancyStatus.CARRIED))


def _currency_and_day(text: str) -> tuple[str, date] | None:
    """Of `EUR.2026-01-31`; None of anything else."""
    currency, _, day = text.partition(".")
    try:
        return (currency, date.fromisoformat(day)) if currency in CURRENCY_DECIMALS else None
    except ValueError:
        return None


def _file_key(public_id: str) -> Any:
    return parse_public_id(SettlementFile.PUBLIC_PREFIX, public_id)
