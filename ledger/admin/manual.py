"""How does a finance person put the books right by hand? An entry, leg by leg, or the reversal of one, asked for here.

Somebody else decides; until then nothing is posted. The form of an entry needs no script: the server adds its rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from checkout.kit import clock
from checkout.kit.actors import Actor
from checkout.kit.admin import DeskAdmin, DiscreetForm, MoneyField, Verb, VerbForm, actor_of, person_of
from checkout.kit.admin.requests import user_of
from checkout.kit.admin.verbs import ReasonField
from checkout.kit.display import code, link, list_of, page_of, words
from checkout.kit.errors import Refusal
from checkout.kit.ids import parse_public_id
from checkout.kit.models import Approval
from checkout.kit.modes import Mode
from checkout.kit.money import CURRENCY_DECIMALS, Money
from gateways.models import Gateway
from ledger import recipes, selectors
from ledger.admin.legs import Leg, legs_named
from ledger.chart import AccountKey, AccountKind, Owner, kinds_owned_by
from ledger.models import JournalEntry
from ledger.recipes import PostingDraft
from ledger.services import manual
from merchants.models import Merchant

PERMISSION = "ledger.add_journalentry"
_ROWS, _MOST_ROWS = 2, 40
_MERCHANTS_OFFERED = 200
_WHOSE = {
    Owner.PLATFORM: "The platform's own",
    Owner.MERCHANT: "Of a merchant",
    Owner.GATEWAY: "Of a gateway",
    Owner.HOLDER: "Of a merchant's customer or card",
}
_ACCOUNTS = [("", "–"), *((_WHOSE[owner], [(k, words(k)) for k in kinds_owned_by(owner)]) for owner in Owner)]


class EvidenceField(forms.CharField):
    """Where it can be seen that it is so, for whoever has to agree."""

    def __init__(self) -> None:
        super().__init__(
            label="Evidence",
            max_length=2000,
            widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
            help_text="What shows it, and where: a letter, a line of a statement, a ticket.",
        )


class EntryForm(DiscreetForm, forms.Form):
    """What is said of an entry as a whole. Nothing is missing yet while it is only looked at."""

    on = forms.DateField(
        label="Accounting day",
        input_formats=["%Y-%m-%d"],
        widget=UnfoldAdminTextInputWidget(attrs={"type": "date"}),
        help_text="In UTC. If it is closed when somebody agrees, the entry is of the next open day.",
    )
    mode = forms.ChoiceField(choices=Mode.choices, widget=UnfoldAdminSelectWidget)
    reason = ReasonField()
    evidence = EvidenceField()

    def __init__(self, data: Any = None, *, is_asked: bool) -> None:
        mode = Mode.LIVE if Gateway.objects.filter(mode=Mode.LIVE).exists() else Mode.TEST
        super().__init__(data, label_suffix="", initial={"on": clock.now().date().isoformat(), "mode": mode})
        for field in self.fields.values():
            field.required = is_asked


class LegForm(DiscreetForm, forms.Form):
    """One leg. A row in which nothing is written is no leg."""

    account = forms.ChoiceField(choices=_ACCOUNTS, widget=UnfoldAdminSelectWidget)
    whose = forms.CharField(required=False, max_length=100)
    holder = forms.CharField(required=False, max_length=64)
    currency = forms.CharField(max_length=3)
    debit = forms.CharField(required=False, max_length=20)
    credit = forms.CharField(required=False, max_length=20)

    def __init__(self, *args: Any, mode: str, **options: Any) -> None:
        super().__init__(*args, **options)
        self.mode = mode
        placeholders = {"whose": "gateway, or mer_…", "holder": "customer or card", "currency": "EUR"}
        for name, field in self.fields.items():
            attrs = {"aria-label": words(name), "placeholder": placeholders.get(name, name), "autocomplete": "off"}
            if name != "account":
                field.widget = UnfoldAdminTextInputWidget()
            field.widget.attrs |= attrs | _ATTRIBUTES.get(name, {})

    @property
    def draft(self) -> PostingDraft | None:
        """The leg, as far as it is one."""
        draft: PostingDraft | None = self.cleaned_data.get("draft")
        return draft

    def clean_whose(self) -> tuple[UUID | None, UUID | None]:
        """The keys of the merchant and the gateway. Refuses (ValidationError) what is neither."""
        text: str = self.cleaned_data["whose"]
        if not text:
            return None, None
        if key := parse_public_id(Merchant.PUBLIC_PREFIX, text):
            if Merchant.objects.filter(pk=key).exists():
                return key, None
        elif gateway := Gateway.objects.filter(code=text, mode=self.mode).first():
            return None, gateway.pk
        raise ValidationError("Write a merchant's id (mer_…) or the code of a gateway of this mode.")

    def clean_currency(self) -> str:
        """The code in capital letters. Refuses (ValidationError) one that does not exist."""
        currency: str = self.cleaned_data["currency"].upper()
        if currency not in CURRENCY_DECIMALS:
            raise ValidationError("There is no such currency.")
        return currency

    def clean(self) -> dict[str, Any] | None:
        """Adds the leg as `draft`. Refuses (ValidationError) an amount on both sides, or on none."""
        data = super().clean() or self.cleaned_data
        if not self.errors and data.get("account"):
            sides = [side for side in ("debit", "credit") if data[side]]
            if len(sides) != 1:
                raise ValidationError("Write an amount, either as debit or as credit.")
            try:
                amount = MoneyField(currency=data["currency"]).clean(data[sides[0]])
            except ValidationError as error:
                self.add_error(sides[0], error)
            else:
                merchant_id, gateway_id = data["whose"]
                key = AccountKey(AccountKind(data["account"]), merchant_id, gateway_id, data["holder"])
                data["draft"] = recipes.debit(key, amount) if sides == ["debit"] else recipes.credit(key, amount)
        return data


_ATTRIBUTES = {
    "whose": {"list": "owners"},
    "currency": {"list": "currencies", "maxlength": "3"},
    "debit": {"inputmode": "decimal"},
    "credit": {"inputmode": "decimal"},
}
LegForms = forms.formset_factory(LegForm, extra=_ROWS, max_num=_MOST_ROWS, absolute_max=_MOST_ROWS)


@dataclass(frozen=True)
class Total:
    """What the legs of one currency come to. Both sums are positive."""

    debit: Money
    credit: Money

    @property
    def currency(self) -> str:
        """Of both."""
        return self.debit.currency

    @property
    def problem(self) -> str:
        """What keeps the currency from balancing; empty if nothing does."""
        difference = self.debit - self.credit
        if not difference:
            return ""
        more, less = ("Debits", "credits") if difference.amount_minor > 0 else ("Credits", "debits")
        return f"{more} exceed {less} by {Money(abs(difference.amount_minor), self.currency)}."


def totals_of(legs: Sequence[PostingDraft]) -> list[Total]:
    """Debits and credits of legs, by currency."""
    totals = []
    for currency in sorted({leg.amount.currency for leg in legs}):
        sums = [leg.amount.amount_minor for leg in legs if leg.amount.currency == currency]
        debit, credit = sum(s for s in sums if s > 0), -sum(s for s in sums if s < 0)
        totals.append(Total(Money(debit, currency), Money(credit, currency)))
    return totals


def new_entry_view(page: DeskAdmin, request: HttpRequest) -> HttpResponse:
    """Write an entry, look at what it comes to, and ask for it. What was typed stays until it is asked for."""
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    data = request.POST if request.method == "POST" else None
    is_asked = data is not None and "ask" in data
    form = EntryForm(data, is_asked=is_asked)
    rows = LegForms(data, prefix="legs", form_kwargs={"mode": data.get("mode", "") if data else ""})
    is_good = data is not None and all([form.is_valid(), rows.is_valid()])
    legs = [row.draft for row in rows if row.draft] if data is not None and rows.management_form.is_valid() else []
    if is_asked and is_good:
        try:
            said = {name: form.cleaned_data[name] for name in ("mode", "on", "reason", "evidence")}
            approval = manual.request_manual_entry(**said, legs=legs, maker=user_of(request), actor=actor_of(request))
        except Refusal as refusal:
            form.add_error(None, refusal.message)
        else:
            messages.success(request, "Asked for. Somebody else has to agree before it is posted.")
            return HttpResponseRedirect(page_of(approval))
    totals = totals_of(legs)
    context = {
        **page.admin_site.each_context(request),
        "opts": page.opts,
        "title": "New entry",
        "form": form,
        "rows": rows,
        "another": min(rows.total_form_count() + 1, _MOST_ROWS),
        "legs": legs_named(legs),
        "totals": totals,
        "problems": [total.problem for total in totals if total.problem],
        "is_partial": data is not None and not rows.is_valid(),
        "gateways": Gateway.objects.all(),
        "merchants": Merchant.objects.all()[:_MERCHANTS_OFFERED],
        "currencies": sorted(CURRENCY_DECIMALS),
        "back": list_of(JournalEntry),
    }
    return TemplateResponse(request, "admin/desk/new_entry.html", context)


class ReverseForm(VerbForm):
    """Why an entry is undone, and what shows that it should be."""

    evidence = EvidenceField()
    field_order = ["reason", "evidence"]


def _reverse(entry: JournalEntry, actor: Actor, data: dict[str, Any]) -> str:
    manual.request_reversal(
        entry=entry,
        reason=data["reason"],
        evidence=data["evidence"],
        maker=person_of(actor),
        actor=actor,
    )
    return "Asked for. Somebody else has to agree before it is reversed."


def _legs_of_reversal(entry: JournalEntry) -> list[Leg]:
    return legs_named(recipes.reversal(entry=selectors.entry_with_postings(entry.pk)).postings)


REVERSE = Verb(
    name="reverse",
    label="Reverse",
    icon="undo",
    permission=PERMISSION,
    consequence=lambda entry: (
        "A second person is asked to agree. Then the opposite of this entry is posted, on the day of their agreement. "
        "Both stay in the books."
    ),
    act=_reverse,
    is_offered=lambda entry: selectors.reversal_of(entry) is None,
    form_class=ReverseForm,
    is_grave=True,
    preview=_legs_of_reversal,
)


def background_of(entry: JournalEntry) -> list[tuple[str, Any]]:
    """What an entry reverses or is reversed by, and who wanted it and why, as labelled facts."""
    facts: list[tuple[str, Any]] = []
    if entry.kind == JournalEntry.Kind.REVERSAL:
        key = parse_public_id(JournalEntry.PUBLIC_PREFIX, entry.reference)
        assert key is not None  # a reversal goes by the name of what it reverses
        facts.append(("Reverses", _entry_link(JournalEntry.objects.get(pk=key))))
    if reversal := selectors.reversal_of(entry):
        facts.append(("Reversed by", _entry_link(reversal)))
    if approval := _approval_behind(entry):
        facts += [
            ("Reason", approval.reason),
            ("Evidence", approval.evidence),
            ("Asked for by", f"{approval.maker}, {approval.created_at:%d %b %Y %H:%M}"),
            ("Agreed to by", f"{approval.checker}, {approval.decided_at:%d %b %Y %H:%M}"),
            ("Request", link(code(approval.public_id), page_of(approval))),
        ]
    return facts


def _entry_link(entry: JournalEntry) -> Any:
    return link(f"{words(entry.kind)} of {entry.occurred_on:%d %b %Y}", page_of(entry))


def _approval_behind(entry: JournalEntry) -> Approval | None:
    """What a second person agreed to, if the entry was written by hand, or reversed another by hand."""
    approvals = Approval.objects.select_related("maker", "checker").filter(status=Approval.Status.APPROVED)
    if entry.kind == JournalEntry.Kind.MANUAL:
        return approvals.filter(kind=manual.WRITE, object_id=entry.public_id).first()
    return approvals.filter(kind=manual.REVERSE, object_id=entry.reference).first()
