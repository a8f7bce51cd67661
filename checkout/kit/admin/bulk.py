"""How is one thing done to many rows? Chosen in a list, shown beforehand row by row, then done by the very verb of the
single button, each in its own transaction, with a report of what came of every one.
"""

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import OperationalError
from django.db.models import QuerySet
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path

from checkout.kit import audit, clock
from checkout.kit.actors import Actor
from checkout.kit.admin.lists import LISTED_COUNT
from checkout.kit.admin.requests import actor_of, user_of
from checkout.kit.admin.verbs import NOT_IN_TIME, AlreadyDone, Verb, VerbAdmin, VerbForm
from checkout.kit.card_numbers import scrub
from checkout.kit.display import page_of
from checkout.kit.errors import Refusal
from checkout.kit.models import BulkRun
from checkout.kit.spreadsheets import Cell, csv_pieces
from checkout.settings import policy

log = structlog.get_logger(__name__)

_SHOWN = 50
_GONE = "Is not in this list any more."
_OUT_OF_TIME = "Was not reached in time; do it again for what is left."


@dataclass(frozen=True)
class BulkVerb:
    """A verb that may be asked of many rows at once.

    `consequence` says what will happen to those it is offered for, `why_not` why it is not for one that it is not, and
    `describe` what a row is, beside its name.
    """

    verb: Verb
    consequence: str
    why_not: Callable[[Any], str]
    describe: Callable[[Any], str]

    @property
    def address(self) -> str:
        """The last part of where it is asked for."""
        return f"bulk-{self.verb.name}"


class BulkAdmin(VerbAdmin):
    """A model of whose rows many can be chosen for one deed."""

    bulk_verbs: tuple[BulkVerb, ...] = ()

    def list_urls(self) -> list[URLPattern | URLResolver]:
        asking: list[URLPattern | URLResolver] = [
            path(f"{bulk.address}/", self.served(partial(_bulk_view, bulk), is_deed=True)) for bulk in self.bulk_verbs
        ]
        return [
            *asking,
            path("bulk-report/<uuid:key>/", self.served(report_view)),
            path("bulk-report/<uuid:key>/csv/", self.served(report_file)),
            *super().list_urls(),
        ]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """What may be done to the chosen rows; nothing for those who may only look."""
        actions = dict(super().get_actions(request))
        for bulk in self.bulk_verbs:
            if request.user.has_perm(bulk.verb.permission):
                actions[bulk.address] = (partial(_begin, bulk), bulk.address, bulk.verb.label)
        return actions

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponseBase | None:
        try:
            return super().response_action(request, queryset)  # type: ignore[no-any-return]
        except (ValidationError, ValueError):  # what was chosen cannot be the key of anything
            messages.warning(request, "Choose rows of this list.")
            return HttpResponseRedirect(request.path)


@dataclass(frozen=True)
class _Chosen:
    """The rows that were chosen, in the order of the list, and how many there would have been."""

    rows: list[Any]
    total: int
    gone: list[str]

    @property
    def keys(self) -> str:
        return ",".join(str(row.pk) for row in self.rows)


def _begin(bulk: BulkVerb, page: BulkAdmin, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
    """What was chosen in a list, as what would be done to it. Nothing is done yet."""
    total = queryset[:LISTED_COUNT].count()
    chosen = _Chosen(list(page.completed(list(queryset[: policy.BULK_ROWS]))), total, [])
    return _preview(bulk, page, request, chosen, bulk.verb.form_class(None, obj=None), request.path)


def _bulk_view(bulk: BulkVerb, page: BulkAdmin, request: HttpRequest) -> HttpResponse:
    """Do it to each of the rows that were shown, once, and lead to the report."""
    back = request.path.removesuffix(f"{bulk.address}/")
    if not request.user.has_perm(bulk.verb.permission) or not page.has_view_permission(request):
        raise PermissionDenied
    keys = [key for key in request.POST.get("chosen", "").split(",") if key]
    if not keys or len(keys) > policy.BULK_ROWS:
        messages.error(request, f"Choose 1 to {policy.BULK_ROWS} rows. Nothing was done.")
        return HttpResponseRedirect(back)
    try:
        found = page.get_queryset(request).filter(pk__in=keys).order_by(*page.get_ordering(request))
        rows = list(page.completed(list(found)))
    except (ValidationError, ValueError):
        messages.error(request, "Choose rows of this list. Nothing was done.")
        return HttpResponseRedirect(back)
    there = {str(row.pk) for row in rows}
    chosen = _Chosen(rows, len(keys), [key for key in keys if key not in there])
    form = bulk.verb.form_class(request.POST, obj=None)
    if not form.is_valid():
        return _preview(bulk, page, request, chosen, form, back)
    run, is_new = BulkRun.objects.get_or_create(
        pk=form.cleaned_data["token"],
        defaults={
            "user": user_of(request),
            "list_name": page.label,
            "label": bulk.verb.label,
            "reason": scrub(form.cleaned_data.get("reason", "")),
            "started_at": clock.now(),
        },
    )
    if is_new:
        _carry_out(bulk, run, chosen, actor_of(request), form.cleaned_data)
    else:
        messages.info(request, "This form was already submitted, and was not carried out again.")
    return HttpResponseRedirect(f"{back}bulk-report/{run.pk}/")


def _carry_out(bulk: BulkVerb, run: BulkRun, chosen: _Chosen, actor: Actor, data: dict[str, Any]) -> None:
    """Row after row, until all are done or the time is over; what came of each is kept, and audited as one deed."""
    until = clock.seconds_from_now(policy.BULK_SECONDS)
    for row in chosen.rows:
        is_done, said = (
            _one(bulk.verb, bulk.why_not, row, actor, data) if clock.now() < until else (False, _OUT_OF_TIME)
        )
        run.outcomes.append({"name": str(row), "page": page_of(row), "done": is_done, "said": scrub(said)})
    run.outcomes += [{"name": key, "page": "", "done": False, "said": _GONE} for key in chosen.gone]
    run.finished_at = clock.now()
    run.save(update_fields=["outcomes", "finished_at"])
    done = sum(outcome["done"] for outcome in run.outcomes)
    audit.record(
        actor=actor,
        verb="bulk.carry_out",
        obj=run.user,
        reason=run.reason,
        after={"what": run.label, "list": run.list_name, "done": done, "refused": len(run.outcomes) - done},
    )


def _one(verb: Verb, why_not: Callable[[Any], str], row: Any, actor: Actor, data: dict[str, Any]) -> tuple[bool, str]:
    """Whether it was done to one row, and what is to be said of it."""
    if not verb.is_offered(row):
        return False, why_not(row)
    if verb.needs_fresh_code(row, data):
        return False, "Needs a one-time code: do it on its own page."
    try:
        said = verb.act(row, actor, {**data, "token": uuid.uuid5(data["token"], str(row.pk))})
    except Refusal as refusal:
        return False, refusal.message
    except ValidationError as error:
        return False, " ".join(error.messages)
    except OperationalError:
        return False, NOT_IN_TIME
    except AlreadyDone:
        return False, "Was done by this very form before."
    except Exception as error:
        log.exception("bulk_verb_failed", verb=verb.name, error=type(error).__name__)
        return False, "Failed; the log says more."
    return True, said if isinstance(said, str) else "Done."


def _preview(
    bulk: BulkVerb, page: BulkAdmin, request: HttpRequest, chosen: _Chosen, form: VerbForm, back: str
) -> TemplateResponse:
    lines = [
        {
            "row": row,
            "page": page_of(row),
            "described": bulk.describe(row),
            "why": "" if bulk.verb.is_offered(row) else bulk.why_not(row),
        }
        for row in chosen.rows
    ]
    skipped = sum(bool(line["why"]) for line in lines)
    context = {
        **page.admin_site.each_context(request),
        "opts": page.opts,
        "title": f"{bulk.verb.label}: {len(lines)} chosen",
        "bulk": bulk,
        "verb": bulk.verb,
        "form": form,
        "address": f"{back}{bulk.address}/",
        "back": back,
        "chosen": chosen.keys,
        "total": chosen.total,
        "is_cut_off": chosen.total > len(lines) and not chosen.gone,
        "limit": policy.BULK_ROWS,
        "count": len(lines) - skipped,
        "skipped": skipped,
        "lines": lines[:_SHOWN],
        "hidden": max(0, len(lines) - _SHOWN),
    }
    return TemplateResponse(request, "admin/desk/bulk.html", context)


def report_view(page: BulkAdmin, request: HttpRequest, key: uuid.UUID) -> HttpResponse:
    """What came of a deed, for whoever did it."""
    run = _run_of(page, request, key)
    done = sum(outcome["done"] for outcome in run.outcomes)
    context = {
        **page.admin_site.each_context(request),
        "opts": page.opts,
        "title": f"{run.label}: report",
        "run": run,
        "done": done,
        "refused": len(run.outcomes) - done,
        "outcomes": sorted(run.outcomes, key=lambda outcome: bool(outcome["done"])),
        "back": request.path.removesuffix(f"bulk-report/{key}/"),
    }
    return TemplateResponse(request, "admin/desk/bulk_report.html", context)


def report_file(page: BulkAdmin, request: HttpRequest, key: uuid.UUID) -> HttpResponseBase:
    """The same as a file."""
    run = _run_of(page, request, key)

    def lines() -> Iterator[Sequence[Cell]]:
        yield ["row", "done", "what came of it"]
        for outcome in run.outcomes:
            yield [outcome["name"], "yes" if outcome["done"] else "no", outcome["said"]]

    response = StreamingHttpResponse(csv_pieces(lines()), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="report_{run.started_at:%Y-%m-%dT%H%M%S}.csv"'
    return response


def _run_of(page: BulkAdmin, request: HttpRequest, key: uuid.UUID) -> BulkRun:
    if not page.has_view_permission(request):
        raise PermissionDenied
    return get_object_or_404(BulkRun, pk=key, user=user_of(request), list_name=page.label)
