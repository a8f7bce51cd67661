"""How does a finance person work off what does not agree? A queue by kind, both sides of each, and what explains it."""

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from checkout.kit.actors import Actor
from checkout.kit.admin import ReadOnlyAdmin, Verb, VerbAdmin, VerbForm, actor_of, person_of
from checkout.kit.admin.verbs import show_as
from checkout.kit.display import EMPTY, amount, badge, code, link, list_of, page_of, page_of_public_id, person, words
from checkout.kit.errors import Refusal
from checkout.kit.inputs import is_printable
from checkout.kit.models import AuditEntry, User
from checkout.kit.money import Money
from gateways.models import Gateway
from ledger.admin.filters import CurrencyFilter, KeepsOpenFilter, UnresolvedFilter
from ledger.models import ClearingItem, Discrepancy, SettlementLine
from ledger.reconciliation import selectors
from ledger.reconciliation.refusals import SecondPersonNeeded
from ledger.reconciliation.resolutions import FACTS, IN_BULK
from ledger.services.agreeing import is_requested, request_match, request_resolution
from ledger.services.discrepancies import (
    carry,
    comment,
    lock_discrepancies,
    match_by_hand,
    preview,
    preview_many,
    resolve,
    resolve_many,
    suggest,
)
from ledger.statuses import UNRESOLVED, DiscrepancyStatus

PERMISSION = "ledger.change_discrepancy"
Resolution = Discrepancy.Resolution

# What each resolution does, in words that a finance person would use.
MEANINGS = {
    Resolution.WRITE_OFF: "Give the difference up: it becomes a write-off.",
    Resolution.FEE_TRUE_UP: "The gateway charged another fee than expected: book what it charged.",
    Resolution.PARK_IN_SUSPENSE: "Take over the gateway's figure, against suspense, until somebody knows what it is.",
    Resolution.ADOPT_REFUND: "The gateway gave money back at its own desk: make it a refund of the payment.",
    Resolution.CHARGEBACK: "It is a chargeback: book it as one.",
    Resolution.REVERSE_OURS: "We booked it twice: reverse ours.",
    Resolution.NO_ENTRY: "It needs no entry: only close it.",
}
_BY_FORM = [choice for choice in MEANINGS if choice is not Resolution.ADOPT_REFUND]
_BULK_COUNT = 5_000
_ASKED = "This is more than one person may book alone. Somebody else has been asked to agree."
_CHANGED = "This is no longer what you were shown, so nothing is booked yet. Look at what it comes to now."


class ResolveForm(VerbForm):
    """What explains the difference."""

    resolution = forms.ChoiceField(
        label="What explains it",
        choices=[(choice.value, MEANINGS[choice]) for choice in _BY_FORM],
        widget=UnfoldAdminSelectWidget,
    )
    field_order = ["resolution", "reason"]

    def __init__(self, data: Any = None, *, obj: Any) -> None:
        super().__init__(data, obj=obj)
        suggested = suggest(obj) if isinstance(obj, Discrepancy) else None
        if suggested in _BY_FORM:
            self.fields["resolution"].initial = suggested
        self.order_fields(self.field_order)


class BulkForm(ResolveForm):
    """What explains all of them alike. `shown` names what was looked at."""

    shown = forms.CharField(widget=forms.HiddenInput, required=False)

    def __init__(self, data: Any = None, *, obj: Any) -> None:
        super().__init__(data, obj=obj)
        bulk = [(choice.value, MEANINGS[choice]) for choice in _BY_FORM if choice in IN_BULK]
        self.fields["resolution"].choices = bulk  # type: ignore[attr-defined]

    def show(self, rows: list[Discrepancy]) -> None:
        """Let the next confirmation be of these rows, explained as the form says."""
        show_as(self, "shown", _mark(rows, self.cleaned_data["resolution"]))


class CarryForm(VerbForm):
    """Under whose name it stands until it is explained."""

    owner = forms.ModelChoiceField(User.objects.none(), widget=UnfoldAdminSelectWidget)
    field_order = ["owner", "reason"]

    def __init__(self, data: Any = None, *, obj: Any) -> None:
        super().__init__(data, obj=obj)
        owners = User.objects.with_perm(PERMISSION).filter(is_staff=True)  # the active ones
        self.fields["owner"].queryset = owners.order_by("username")  # type: ignore[attr-defined]


class CommentForm(VerbForm):
    """Something worth knowing about it."""

    reason = None  # type: ignore[assignment]
    text = forms.CharField(label="Comment", max_length=2000, widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}))


class MatchForm(VerbForm):
    """The other side of it."""

    other = forms.CharField(
        label="The same movement on the other side",
        max_length=100,
        widget=UnfoldAdminTextInputWidget(),
        help_text="Our reference (att_…, rfd_…) or the gateway's, in full.",
    )
    field_order = ["other", "reason"]


def _resolve(discrepancy: Discrepancy, actor: Actor, data: dict[str, Any]) -> str:
    try:
        resolve(discrepancy=discrepancy, resolution=data["resolution"], reason=data["reason"], actor=actor)
    except SecondPersonNeeded:
        return _ask([discrepancy], data, actor)
    return "Explained and booked."


def _ask(discrepancies: list[Discrepancy], data: dict[str, Any], actor: Actor) -> str:
    request_resolution(
        discrepancies=discrepancies,
        resolution=data["resolution"],
        reason=data["reason"],
        maker=person_of(actor),
        actor=actor,
    )
    return _ASKED


def _carry(discrepancy: Discrepancy, actor: Actor, data: dict[str, Any]) -> str:
    carry(discrepancy=discrepancy, owner=data["owner"], reason=data["reason"], actor=actor)
    return f"{data['owner']} carries it now; its day can be closed."


def _comment(discrepancy: Discrepancy, actor: Actor, data: dict[str, Any]) -> str:
    comment(discrepancy=discrepancy, text=data["text"], actor=actor)
    return "Written down."


def _match(discrepancy: Discrepancy, actor: Actor, data: dict[str, Any]) -> str:
    line, item = discrepancy.line, discrepancy.item
    if line is None:
        line = _named(SettlementLine.objects.filter(match=None), discrepancy, data["other"])
    elif item is None:
        item = _named(ClearingItem.objects.filter(match=None), discrepancy, data["other"])
    if line is None or item is None:
        raise forms.ValidationError("Nothing open at this gateway has that reference.")
    try:
        match_by_hand(line=line, item=item, reason=data["reason"], actor=actor)
    except SecondPersonNeeded:
        request_match(line=line, item=item, reason=data["reason"], maker=person_of(actor), actor=actor)
        return _ASKED
    return "Matched."


def _named(rows: Any, discrepancy: Discrepancy, name: str) -> Any:
    """The one open row of the gateway that carries the name."""
    rows = rows.filter(gateway=discrepancy.gateway, mode=discrepancy.mode)
    return rows.filter(reference=name).first() or rows.filter(gateway_reference=name).first()


def _is_unresolved(discrepancy: Discrepancy) -> bool:
    return discrepancy.status in UNRESOLVED


def _is_free(discrepancy: Discrepancy) -> bool:
    """Unresolved, and not waiting for somebody's decision."""
    return _is_unresolved(discrepancy) and not is_requested(discrepancy)


@dataclass(frozen=True)
class Side:
    """One side of a difference, as a few labelled facts."""

    title: str
    facts: list[tuple[str, Any]]


@admin.register(Discrepancy)
class DiscrepancyAdmin(VerbAdmin, ReadOnlyAdmin):
    """Everything in which the gateways, the bank and our books differ."""

    change_form_template = "admin/desk/discrepancy.html"
    list_before_template = "admin/desk/discrepancies.html"
    money_columns = ("ours", "theirs", "difference")
    list_display = ["on", "what", "gateway", "ours", "theirs", "difference", "status_badge", "owner", "mode"]
    list_display_links = ["what"]
    list_filter = [
        UnresolvedFilter,
        ("status", ChoicesDropdownFilter),
        ("kind", ChoicesDropdownFilter),
        ("gateway", RelatedDropdownFilter),
        CurrencyFilter,
        ("mode", ChoicesDropdownFilter),
        KeepsOpenFilter,
    ]
    list_select_related = ["gateway", "owner"]
    quick_filters = (
        ("Open", "status__exact=open"),
        ("Carried", "status__exact=carried"),
        ("Waiting for approval", "status__exact=requested"),
        ("Resolved", "status__exact=resolved"),
    )
    fields = ["kind", "gateway", "mode", "on", "found_at", "detail", "owner", "resolution_shown", "ended", "entry_link"]
    readonly_fields = fields
    verbs: tuple[Verb, ...] = (
        Verb(
            name="resolve",
            label="Explain",
            icon="task_alt",
            permission=PERMISSION,
            consequence=lambda discrepancy: (
                "What is chosen is booked at once, and this is closed. Above the limit of one person, somebody else is "
                "asked to agree first."
            ),
            act=_resolve,
            is_offered=_is_free,
            form_class=ResolveForm,
        ),
        Verb(
            name="match",
            label="Match by hand",
            icon="join_inner",
            permission=PERMISSION,
            consequence=lambda discrepancy: (
                "Both sides become one movement. What they differ by is booked: as a fee if their gross is the same, "
                "else as a write-off."
            ),
            act=_match,
            is_offered=lambda discrepancy: (
                _is_free(discrepancy) and (discrepancy.line_id is None) != (discrepancy.item_id is None)
            ),
            form_class=MatchForm,
        ),
        Verb(
            name="carry",
            label="Carry",
            icon="person",
            permission=PERMISSION,
            consequence=lambda discrepancy: "It stays open under somebody's name, and its day can be closed.",
            act=_carry,
            is_offered=lambda discrepancy: discrepancy.status in (DiscrepancyStatus.OPEN, DiscrepancyStatus.CARRIED),
            form_class=CarryForm,
        ),
        Verb(
            name="comment",
            label="Comment",
            icon="comment",
            permission=PERMISSION,
            consequence=lambda discrepancy: "What is written stays, with your name.",
            act=_comment,
            form_class=CommentForm,
        ),
    )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.bulk_view)
        return [path("explain-all/", view, name="ledger_discrepancy_bulk"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The queue, with what is unresolved by kind, gateway and currency above it."""
        groups = [_group(found) for found in selectors.open_discrepancies()]
        context = {"groups": groups, "may_explain": request.user.has_perm(PERMISSION), **(extra_context or {})}
        return super().changelist_view(request, context)

    def page_context(self, request: HttpRequest, obj: Discrepancy) -> dict[str, Any]:
        context = super().page_context(request, obj)
        suggested = suggest(obj) if _is_unresolved(obj) else None
        return {
            **context,
            "badges": [badge(obj.status)],
            "sides": sides(obj),
            "difference": Money(obj.difference_minor, obj.currency),
            "suggested": MEANINGS.get(suggested, words(suggested)) if suggested else "",
            "preview": _previewed(obj, suggested) if suggested and request.user.has_perm(PERMISSION) else None,
            "notes": obj.notes.all(),
            "history": AuditEntry.objects.filter(object_id=obj.public_id).order_by("id")[:50],
        }

    def bulk_view(self, request: HttpRequest) -> HttpResponse:
        """Explain all open discrepancies of one kind, gateway and currency alike: those whose totals were shown."""
        if not request.user.has_perm(PERMISSION):
            raise PermissionDenied
        words_asked = {name: request.GET.get(name, "") for name in ("kind", "gateway", "mode", "currency")}
        asked = {name: word if is_printable(word) else "" for name, word in words_asked.items()}
        rows = _open_alike(asked)
        back = list_of(Discrepancy)
        if not rows:
            messages.info(request, "Nothing of that is open any more.")
            return HttpResponseRedirect(back)
        form = BulkForm(request.POST if request.method == "POST" else None, obj=None)
        totals = None
        if request.method == "POST" and form.is_valid():
            try:
                if "confirmed" in request.POST:
                    if said := self._explain_all(request, rows, form.cleaned_data):
                        messages.success(request, said)
                        return HttpResponseRedirect(back)
                    form.add_error(None, _CHANGED)
                    rows = _open_alike(asked)
                totals = preview_many(discrepancies=rows, resolution=form.cleaned_data["resolution"])
                form.show(rows)
            except Refusal as refusal:
                form.add_error(None, refusal.message)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Explain {len(rows):,} at once",
            "form": form,
            "rows": rows[:20],
            "count": len(rows),
            "asked": asked,
            "what": words(asked["kind"]),
            "totals": [
                (total, Money(total.difference_minor, total.currency), Money(total.value_minor, total.currency))
                for total in totals or ()
            ],
            "back": back,
        }
        return TemplateResponse(request, "admin/desk/explain_all.html", context)

    def _explain_all(self, request: HttpRequest, rows: list[Discrepancy], data: dict[str, Any]) -> str:
        """Book all of them, and what to say of it; nothing where they are not, or no longer, what was shown."""
        actor, resolution = actor_of(request), data["resolution"]
        try:
            with transaction.atomic():
                if _mark(lock_discrepancies(rows), resolution) != data["shown"]:
                    return ""
                resolve_many(discrepancies=rows, resolution=resolution, reason=data["reason"], actor=actor)
        except SecondPersonNeeded:
            return _ask(rows, data, actor)
        return f"{len(rows):,} explained and booked."

    @display(description="difference")
    def what(self, discrepancy: Discrepancy) -> str:
        return words(discrepancy.kind)

    @display(description="ours")
    def ours(self, discrepancy: Discrepancy) -> SafeString | str:
        return _money(discrepancy.ours_minor, discrepancy.currency)

    @display(description="theirs")
    def theirs(self, discrepancy: Discrepancy) -> SafeString | str:
        return _money(discrepancy.theirs_minor, discrepancy.currency)

    @display(description="differs by")
    def difference(self, discrepancy: Discrepancy) -> SafeString:
        return amount(Money(discrepancy.difference_minor, discrepancy.currency))

    @display(description="status")
    def status_badge(self, discrepancy: Discrepancy) -> SafeString:
        return badge(discrepancy.status)

    @display(description="explained by")
    def resolution_shown(self, discrepancy: Discrepancy) -> str:
        return words(discrepancy.resolution) if discrepancy.resolution else EMPTY

    @display(description="ended")
    def ended(self, discrepancy: Discrepancy) -> str:
        if discrepancy.ended_at is None:
            return EMPTY
        return f"{discrepancy.ended_at:%d %b %Y %H:%M} by {person(discrepancy.ended_by)}: {discrepancy.end_reason}"

    @display(description="journal entry")
    def entry_link(self, discrepancy: Discrepancy) -> SafeString | str:
        return link(discrepancy.entry, page_of(discrepancy.entry)) if discrepancy.entry else EMPTY


def sides(discrepancy: Discrepancy) -> list[Side]:
    """What we say and what they say, next to each other."""
    ours, theirs = Side("Our books", []), Side("The gateway", [])
    if item := discrepancy.item:
        entry = item.entry
        ours.facts.extend(
            [
                ("Movement", words(item.kind)),
                ("Reference", code(item.reference)),
                ("Theirs of it", code(item.gateway_reference)),
                ("Gross", _money(item.gross_minor, item.currency)),
                ("Expected fee", _money(item.fee_minor, item.currency)),
                ("Day", f"{item.occurred_on:%d %b %Y}"),
                ("Payment", link(code(entry.payment_reference), page_of_public_id(entry.payment_reference))),
                ("Entry", link(code(entry.public_id), page_of(entry))),
            ]
        )
    if line := discrepancy.line:
        theirs.facts.extend(
            [
                ("Movement", f"{words(line.kind)} (“{line.raw_type}”)"),
                ("Reference", code(line.gateway_reference)),
                ("Ours of it", code(line.reference)),
                ("Gross", _money(line.gross_minor, line.currency)),
                ("Fee", _money(line.fee_minor, line.currency)),
                ("Day", f"{line.occurred_on:%d %b %Y}"),
                ("Payout", code(line.batch_reference)),
                ("Line", link(f"{line.file.name}, line {line.line_number}", page_of(line))),
            ]
        )
    if batch := discrepancy.batch:
        ours.facts.append(("Sum of the lines", _money(batch.net_minor, batch.currency)))
        theirs.facts.extend(
            [
                ("Payout", link(code(batch.reference), page_of(batch))),
                ("Said to be paid", _money(batch.payout_minor, batch.currency)),
                ("On", f"{batch.paid_on:%d %b %Y}"),
            ]
        )
    if bank_line := discrepancy.bank_line:
        theirs = Side("The bank", theirs.facts)
        theirs.facts.extend(
            [
                ("Booked", _money(bank_line.amount_minor, bank_line.currency)),
                ("On", f"{bank_line.booked_on:%d %b %Y}"),
                ("Text", bank_line.text),
            ]
        )
    return [ours, theirs]


def _money(minor: int | None, currency: str) -> SafeString | str:
    return EMPTY if minor is None else amount(Money(minor, currency))


def _open_alike(asked: dict[str, str]) -> list[Discrepancy]:
    """The open ones of a kind, gateway, mode and currency, with what their totals are made of. One query."""
    rows = Discrepancy.objects.filter(
        status=DiscrepancyStatus.OPEN,
        kind=asked["kind"],
        gateway__code=asked["gateway"],
        mode=asked["mode"],
        currency=asked["currency"],
    )
    sides = ("gateway", "line", "item__entry", "batch", "bank_line")
    return list(rows.select_related(*sides).order_by("pk")[:_BULK_COUNT])


def _mark(rows: list[Discrepancy], resolution: str) -> str:
    """What was shown: these discrepancies with these figures, to be explained so."""
    told = [
        (str(row.pk), row.status, row.kind, row.ours_minor, row.theirs_minor, row.difference_minor)
        for row in sorted(rows, key=lambda row: row.pk)
    ]
    return sha256(json.dumps([resolution, told]).encode()).hexdigest()


def _group(found: selectors.OpenKind) -> dict[str, Any]:
    gateway: Gateway | None = found.gateway
    query = f"state=unresolved&kind__exact={found.kind}&mode__exact={found.mode}&currency={found.currency}"
    if gateway is not None:
        query += f"&gateway__id__exact={gateway.pk}"
    return {
        "found": found,
        "value": Money(found.value_minor, found.currency),
        "address": list_of(Discrepancy, query),
        "bulk": f"explain-all/?kind={found.kind}&gateway={gateway.code}&mode={found.mode}&currency={found.currency}"
        if gateway is not None
        else "",
    }


def _previewed(discrepancy: Discrepancy, suggested: str) -> list[tuple[str, Money]] | None:
    """The legs that the suggestion would post, or None where it needs more than a click."""
    if suggested in FACTS or suggested not in _BY_FORM:
        return None
    try:
        drafts = preview(discrepancy=discrepancy, resolution=suggested).drafts
    except Refusal:
        return None
    return [(words(leg.account.kind), leg.amount) for draft in drafts for leg in draft.postings]
