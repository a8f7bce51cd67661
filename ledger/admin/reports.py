"""How does somebody read a report at the desk? An index of questions, a page for each, and files to take away."""

import json
from collections.abc import Callable
from functools import partial
from tempfile import TemporaryFile
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from checkout.kit import audit
from checkout.kit.admin import DeskAdmin, actor_of
from checkout.kit.admin.requests import user_of
from checkout.kit.display import words
from checkout.settings import policy
from gateways.models import Gateway
from ledger.models import Account
from ledger.reports import REPORTS, links
from ledger.reports.declaration import Report
from ledger.reports.formats import FILE_FORMATS, FORMATS
from ledger.reports.running import TooManyRows, running
from ledger.reports.scope import PERIODS, USUAL_PERIOD, Asks, Scope, ScopeRefused, read_scope
from ledger.reports.screen import read_screen
from merchants.models import Merchant

PERMISSION = "ledger.view_report"
_MERCHANTS_OFFERED = 200
_INSTANTS = {"today": "now", "yesterday": "end of yesterday", "last_month": "end of last month"}  # as periods end
_TOO_SLOW = "This takes longer than anybody should wait here. Ask for less, or have it sent by e-mail."


def report_addresses(page: DeskAdmin) -> list[URLPattern]:
    """The addresses of the reports, below those of a model's pages."""

    def served(view: Callable[..., HttpResponseBase]) -> Any:
        return page.admin_site.admin_view(partial(view, page))

    return [
        path("reports/", served(index_view), name="ledger_reports"),
        path("reports/<slug:name>/", served(report_view), name="ledger_report"),
        path("reports/<slug:name>/<slug:form>/", served(export_view), name="ledger_report_export"),
    ]


def index_view(page: DeskAdmin, request: HttpRequest) -> HttpResponse:
    """Every report with the question that it answers."""
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    context = {**page.admin_site.each_context(request), "title": "Reports", "reports": REPORTS.values()}
    return TemplateResponse(request, "admin/desk/reports.html", context)


def report_view(page: DeskAdmin, request: HttpRequest, name: str) -> HttpResponse:
    """A report on the screen: the first of its rows, the totals of all, and what they tie to."""
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    report, said = _report(name), _said(request)
    context: dict[str, Any] = {**page.admin_site.each_context(request), "title": report.title, "report": report}
    scope = None
    try:
        scope = read_scope(said, report.asks)
        context |= _answer(report, scope)
    except ScopeRefused as refused:
        context["errors"] = [f"{words(word).capitalize()}: {error}" for word, error in refused.errors.items()]
        said = {word: text for word, text in said.items() if word not in refused.errors}  # it may be anything
    except OperationalError:
        context["errors"] = [_TOO_SLOW]
    return TemplateResponse(request, "admin/desk/report.html", {**context, **_choices(report, said, scope)})


def export_view(page: DeskAdmin, request: HttpRequest, name: str, form: str) -> HttpResponseBase:
    """A report as a file. It is written to its end before it is sent, so that it is never cut off unseen."""
    report, said = _report(name), _said(request)
    facts: dict[str, Any] = {"report": name, "format": form}
    if form not in FILE_FORMATS:
        raise Http404
    if not request.user.has_perm(PERMISSION):
        audit.record(actor=actor_of(request), verb="report.export_refused", obj=user_of(request), after=facts)
        raise PermissionDenied
    back = links.report(name, said)
    file = TemporaryFile()  # noqa: SIM115  the response closes it
    try:
        scope = read_scope(said, report.asks)
        limit = policy.REPORT_DOWNLOAD_ROWS
        with running(report, scope, seconds=policy.REPORT_PAGE_SECONDS, limit=limit) as run:
            FORMATS[form].write(run, file)
    except ScopeRefused:
        return HttpResponseRedirect(back)  # the page says what is wrong
    except TooManyRows as refused:
        messages.error(request, f"{refused} Ask for less, or have `manage.py report {name}` write all of them.")
        return HttpResponseRedirect(back)
    except OperationalError:
        messages.error(request, _TOO_SLOW)
        return HttpResponseRedirect(back)
    facts = {**facts, "scope": scope.as_words(report.asks), "rows": run.row_count, "ties": run.ties}
    audit.record(actor=actor_of(request), verb="report.export", obj=user_of(request), after=facts)
    file.seek(0)
    filename = f"{scope.file_name(report.name, report.asks)}.{form}"
    return FileResponse(file, as_attachment=True, filename=filename, content_type=FORMATS[form].content_type)


def _report(name: str) -> Report:
    if name not in REPORTS:
        raise Http404
    return REPORTS[name]


def _said(request: HttpRequest) -> dict[str, str]:
    return {word: text for word, text in request.GET.items() if isinstance(text, str) and text}


def _answer(report: Report, scope: Scope) -> dict[str, Any]:
    with running(report, scope, seconds=policy.REPORT_PAGE_SECONDS) as run:
        screen = read_screen(run, row_count=policy.REPORT_PAGE_ROWS)
    asked = urlencode(scope.as_words(report.asks))
    return {
        "screen": screen,
        "about": scope.in_words(report.asks),
        "chart": json.dumps(screen.chart) if screen.chart else "",
        "exports": [
            (form, f"{reverse('admin:ledger_report_export', args=[report.name, form])}?{asked}")
            for form in FILE_FORMATS
        ],
    }


def _choices(report: Report, said: dict[str, str], scope: Scope | None) -> dict[str, Any]:
    """What the page offers to ask for: a fixed number of queries."""
    accounts = list(Account.objects.order_by().values_list("mode", "currency").distinct())
    modes = sorted({found for found, _ in accounts})
    mode = scope.mode if scope else said.get("mode", "")
    kept = {word: said[word] for word in ("mode", "currency", "merchant", "gateway") if word in said}
    is_over_days = Asks.PERIOD in report.asks
    usual = USUAL_PERIOD if is_over_days else "today"
    offered = {name: words(name) for name in PERIODS} if is_over_days else _INSTANTS
    chosen = said.get("period") or ("" if said.keys() & {"from", "to", "at"} else usual)
    choices: dict[str, Any] = {
        "modes": [(one, one == mode, f"?{urlencode(said | {'mode': one})}") for one in modes if len(modes) > 1],
        "periods": [
            (label, name == chosen, f"?{urlencode(kept | {'period': name})}") for name, label in offered.items()
        ],
        "values": _values(said, scope),
        "mode": mode,
        "currencies": sorted({currency for _, currency in accounts}),
        "gateways": Gateway.objects.filter(mode=mode),
        "merchants": Merchant.objects.all()[:_MERCHANTS_OFFERED],
    }
    return choices


def _values(said: dict[str, str], scope: Scope | None) -> dict[str, str]:
    """What stands in the form: what was understood, or else what was said."""
    if scope is None:
        return said
    return {
        "from": scope.first.isoformat(),
        "to": scope.last.isoformat(),
        "at": f"{scope.at:%Y-%m-%dT%H:%M:%S}" if scope.at else "",
        "currency": scope.currency,
        "merchant": scope.merchant.public_id if scope.merchant else "",
        "gateway": scope.gateway.code if scope.gateway else "",
    }
