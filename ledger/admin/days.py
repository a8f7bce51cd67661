"""How does a finance person close a day? Which days wait, what keeps each open, and the statement of those closed."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.decorators import display

from checkout.kit.actors import Actor
from checkout.kit.admin import ReadOnlyAdmin, Verb, VerbAdmin, actor_of, person_of
from checkout.kit.display import EMPTY, amount, badge, list_of, page_of, person
from checkout.kit.errors import Refusal
from checkout.kit.modes import Mode
from checkout.kit.money import CURRENCY_DECIMALS, Money
from gateways.models import Gateway
from ledger.models import ClearingItem, ClosedDay, Discrepancy, SettlementFile, SettlementLine
from ledger.reconciliation.refusals import (
    DayAlreadyClosed,
    EarlierDayOpen,
    FileMissing,
    FileNotReconciled,
    NotCompared,
    UnmappedLines,
    UnresolvedDiscrepancies,
)
from ledger.reconciliation.statements import Statement, closed_days, days_not_closed, statement
from ledger.services.closing import close_day, request_reopen, what_hinders

PERMISSION = "ledger.change_closedday"
_WAITING_SHOWN = 40


class DayForm(forms.Form):
    """Which day of which gateway and currency."""

    gateway = forms.ModelChoiceField(Gateway.objects.all(), to_field_name="code")
    mode = forms.ChoiceField(choices=Mode.choices)
    currency = forms.ChoiceField(choices=[(currency, currency) for currency in CURRENCY_DECIMALS])
    on = forms.DateField(input_formats=["%Y-%m-%d"])


@dataclass(frozen=True)
class Hindrance:
    """Something that stands in the way of closing a day, and where it is found: words and addresses."""

    message: str
    links: list[tuple[str, str]]


def _reopen(day: ClosedDay, actor: Actor, data: dict[str, Any]) -> str:
    request_reopen(day=day, reason=data["reason"], maker=person_of(actor), actor=actor)
    return "Asked for. Somebody else has to agree before the day is open again."


@admin.register(ClosedDay)
class ClosedDayAdmin(VerbAdmin, ReadOnlyAdmin):
    """The days that are over, each with its statement; above them those that wait."""

    change_form_template = "admin/desk/closed_day.html"
    list_before_template = "admin/desk/closed_days.html"
    money_columns = ("closing", "file")
    list_display = [
        "on",
        "gateway",
        "currency",
        "closing",
        "file",
        "carried_count",
        "status_badge",
        "closed_at",
        "mode",
    ]
    list_filter = [("gateway", RelatedDropdownFilter), ("mode", ChoicesDropdownFilter)]
    list_select_related = ["gateway"]
    ordering = ["-on", "gateway", "currency"]
    fields = ["gateway", "mode", "currency", "on", "carried_count", "closed_at", "who", "reopened"]
    readonly_fields = fields
    verbs = (
        Verb(
            name="reopen",
            label="Open again",
            icon="lock_open",
            permission=PERMISSION,
            consequence=lambda day: (
                "A second person is asked to agree. Once the day is open, entries may be dated on it again, and it has "
                "to be closed once more."
            ),
            act=_reopen,
            is_offered=lambda day: day.reopened_at is None,
            is_grave=True,
        ),
    )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.day_view)
        return [path("day/", view, name="ledger_day"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        waiting = [found for mode in reversed(Mode.values) for found in days_not_closed(mode=mode)]
        context = {"waiting": waiting[:_WAITING_SHOWN], "more_waiting": max(0, len(waiting) - _WAITING_SHOWN)}
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def day_view(self, request: HttpRequest) -> HttpResponse:
        """The statement of one day, with what keeps it open; once nothing does, its button closes it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        form = DayForm(request.GET)
        if not form.is_valid():
            messages.warning(request, "There is no such day.")
            return HttpResponseRedirect(list_of(ClosedDay))
        about = form.cleaned_data
        may_close = request.user.has_perm(PERMISSION)
        refusal = ""
        if request.method == "POST":
            if not may_close:
                raise PermissionDenied
            try:
                day = close_day(**about, actor=actor_of(request))
            except Refusal as refused:
                refusal = refused.message
            else:
                messages.success(request, f"{day.on:%d %b %Y} is closed for {day.gateway} in {day.currency}.")
                return HttpResponseRedirect(page_of(day))
        figures = statement(**about)
        hindrances = [Hindrance(it.message, _rows_behind(it, **about)) for it in what_hinders(figures)]
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"{about['gateway']} in {about['currency']}, {about['on']:%d %b %Y}",
            "rows": rows_of(figures),
            "statement": figures,
            "hindrances": hindrances,
            "refusal": "" if refusal in [it.message for it in hindrances] else refusal,
            "may_close": may_close and not hindrances,
            "back": list_of(ClosedDay),
        }
        return TemplateResponse(request, "admin/desk/day.html", context)

    def page_context(self, request: HttpRequest, obj: ClosedDay) -> dict[str, Any]:
        return {
            **super().page_context(request, obj),
            "badges": [self.status_badge(obj)],
            "rows": rows_of(obj),
        }

    @display(description="receivable at its end")
    def closing(self, day: ClosedDay) -> SafeString:
        return amount(Money(day.closing_minor, day.currency))

    @display(description="in files")
    def file(self, day: ClosedDay) -> SafeString:
        return amount(Money(day.file_minor, day.currency))

    @display(description="status")
    def status_badge(self, day: ClosedDay) -> SafeString:
        return badge("opened again" if day.reopened_at else "closed")

    @display(description="closed by")
    def who(self, day: ClosedDay) -> str:
        return str(person(day.closed_by))

    @display(description="opened again")
    def reopened(self, day: ClosedDay) -> str:
        return f"{day.reopened_at:%d %b %Y %H:%M} by {person(day.reopened_by)}" if day.reopened_at else EMPTY


def _rows_behind(refusal: Refusal, gateway: Gateway, mode: str, currency: str, on: date) -> list[tuple[str, str]]:
    """Where somebody finds what a day is refused for: words and addresses."""
    of_gateway = f"gateway__id__exact={gateway.pk}&mode__exact={mode}"
    in_currency = f"{of_gateway}&currency={currency}"
    keeps_open = f"{of_gateway}&keeps_open={currency}.{on}"
    files = ("Files of the gateway", list_of(SettlementFile, of_gateway))
    movements = ("Movements that are open", list_of(ClearingItem, f"{in_currency}&state=open"))
    match refusal:
        case DayAlreadyClosed():
            return [("Its statement", page_of(day)) for day in closed_days(gateway, mode, currency).filter(on=on)]
        case EarlierDayOpen(day=earlier):
            address = f"{reverse('admin:ledger_day')}?gateway={gateway.code}&mode={mode}&currency={currency}"
            return [("Look at that day", f"{address}&on={earlier}")]
        case FileMissing():
            return [movements, files]
        case FileNotReconciled():
            return [files]
        case NotCompared():
            return [("Lines that are open", list_of(SettlementLine, f"{in_currency}&state=open")), movements]
        case UnmappedLines():
            return [
                ("Look at them", list_of(Discrepancy, f"{keeps_open}&kind__exact={Discrepancy.Kind.UNMAPPED_TYPE}"))
            ]
        case UnresolvedDiscrepancies():
            return [("Look at them", list_of(Discrepancy, keeps_open))]
    return []


def rows_of(day: ClosedDay | Statement) -> list[tuple[str, Money, bool]]:
    """The control figures, in the order in which they add up; the results are marked."""

    def money(minor: int) -> Money:
        return Money(minor, day.currency)

    return [
        ("Receivable at the beginning of the day", money(day.opening_minor), False),
        ("+ what moved it: our own facts, and what explained differences", money(day.movement_minor), False),
        ("− lines of files that were matched", money(-day.matched_minor), False),
        ("= receivable at the end of the day", money(day.closing_minor), True),
        ("Lines of the files of the day", money(day.file_minor), False),
        ("of which matched", money(day.matched_minor), False),
        ("of which exceptions", money(day.exceptions_minor), False),
    ]
