"""How does a refund that was made at the gateway's own desk become one of ours? By a button on its discrepancy's page.

The ledger knows no payments, so its page of discrepancies gets the button from here.
"""

from typing import Any

from django import forms
from django.contrib import admin
from unfold.widgets import UnfoldAdminTextInputWidget

from checkout.kit.actors import Actor
from checkout.kit.admin import Verb, VerbForm
from checkout.kit.display import money
from checkout.kit.ids import parse_public_id
from checkout.kit.money import Money
from ledger.admin.discrepancies import PERMISSION, DiscrepancyAdmin
from ledger.models import Discrepancy
from ledger.reconciliation.selectors import refunds_to_adopt
from payments import selectors, services
from payments.models import Payment


class AdoptForm(VerbForm):
    """Whose refund it is: what the line seems to be about, unless somebody knows better."""

    payment = forms.CharField(label="Payment", max_length=40, widget=UnfoldAdminTextInputWidget())
    field_order = ["payment", "reason"]

    def __init__(self, data: Any = None, *, obj: Discrepancy) -> None:
        super().__init__(data, obj=obj)
        seems = selectors.payment_of_line(obj.line) if obj.line else None
        self.fields["payment"].initial = seems.public_id if seems else ""
        named = _payment_named(data.get("payment", "")) if data is not None else seems
        self.fields["payment"].help_text = (
            f"Of {named.merchant}, {money(named.amount)}; {money(selectors.refundable(named))} of it can be refunded."
            if named
            else "Its id in full, pay_…"
        )
        self.fields["reason"].help_text = "Kept in the audit with your name, and shown to the merchant."

    def clean_payment(self) -> Payment:
        """The payment. Refuses (ValidationError) what names none."""
        payment = _payment_named(self.cleaned_data["payment"])
        if payment is None:
            raise forms.ValidationError("There is no payment with this id.")
        return payment


def _payment_named(text: str) -> Payment | None:
    key = parse_public_id(Payment.PUBLIC_PREFIX, text.strip())
    return Payment.objects.select_related("merchant").filter(pk=key).first() if key else None


def _amount(discrepancy: Discrepancy) -> Money:
    assert discrepancy.line is not None
    return Money(-discrepancy.line.gross_minor, discrepancy.line.currency)


def _adopt(discrepancy: Discrepancy, actor: Actor, data: dict[str, Any]) -> str:
    refund = services.adopt_refund(discrepancy=discrepancy, payment=data["payment"], reason=data["reason"], actor=actor)
    return f"{money(_amount(discrepancy))} is now {refund.public_id}, a refund of {data['payment'].public_id}."


ADOPT = Verb(
    name="adopt",
    label="Adopt refund",
    icon="undo",
    permission=PERMISSION,
    consequence=lambda discrepancy: (
        f"{discrepancy.gateway} says that {money(_amount(discrepancy))} was given back, and nobody asked for it here. "
        "It becomes a refund of the payment below: the merchant is told, its balance goes down, and this is closed."
    ),
    act=_adopt,
    is_offered=lambda discrepancy: refunds_to_adopt().filter(pk=discrepancy.pk).exists(),
    form_class=AdoptForm,
)

admin.site.unregister(Discrepancy)


@admin.register(Discrepancy)
class AdoptingDiscrepancyAdmin(DiscrepancyAdmin):
    """The ledger's own pages, with the refunds that can be adopted."""

    verbs = (ADOPT, *DiscrepancyAdmin.verbs)
