"""How does an operator see payments and ask for something? Lists with filters named for the job, and one story each.

Attempts and refunds have no pages of their own: they are told on the page of their payment.
"""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.decorators import display

from checkout.kit.admin import ReadOnlyAdmin, VerbAdmin
from checkout.kit.display import EMPTY, badge, code, document, duration, page_of, words
from payments.admin import adopting, approvals, unknowns
from payments.admin.columns import PartColumns, PaymentColumns
from payments.admin.filters import (
    AttemptJobFilter,
    CreatedFilter,
    CurrencyFilter,
    DeclineFilter,
    PaymentJobFilter,
    RefundJobFilter,
    RefundModeFilter,
)
from payments.admin.queues import StuckPayments, UnknownOutcomes, next_step
from payments.admin.refunding import RefundDesk
from payments.admin.search import HELP, payment_named, payments_found
from payments.admin.story import facts_of, story_of
from payments.admin.unknown import ATTEMPT_VERBS
from payments.admin.verbs import VERBS
from payments.models import Attempt, AuditRun, Payment, Refund

__all__ = ["adopting", "approvals", "unknowns"]

# Whose part of a story may be looked at alone.
_GROUPS = (
    ("all", "Everything"),
    ("payment", "Steps"),
    ("gateway", "Gateways"),
    ("money", "Ledger"),
    ("merchant", "Events"),
)


@admin.register(Payment)
class PaymentAdmin(PaymentColumns, RefundDesk, ReadOnlyAdmin):
    """Payments, and the story of each."""

    change_form_template = "admin/desk/payment.html"
    verbs = VERBS
    queues = (StuckPayments,)
    money_columns = ("total",)
    list_display = [
        "public_code",
        "merchant",
        "total",
        "status_badge",
        "gateway",
        "card_text",
        "reference",
        "created_at",
    ]
    list_filter = [
        PaymentJobFilter,
        CreatedFilter,
        ("status", ChoicesDropdownFilter),
        ("merchant", RelatedDropdownFilter),
        ("gateway", RelatedDropdownFilter),
        CurrencyFilter,
        DeclineFilter,
        ("mode", ChoicesDropdownFilter),
    ]
    list_select_related = ["merchant", "gateway", "card"]
    quick_filters = (
        ("Unknown outcomes", "job=unknown"),
        ("Processing", "job=processing"),
        ("Declined or failed today", "job=refused_today"),
        ("Today", "created=today"),
        ("Authorized", "status__exact=authorized"),
        ("Captured", "status__exact=captured"),
    )
    search_fields = ["merchant_reference"]
    search_help_text = HELP
    fields = ["public_code"]
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Payment]:
        rows = super().get_queryset(request).select_related("merchant", "gateway", "card")
        return rows.defer("card__number", "gateway__credentials")  # nobody here needs a secret to be decrypted

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list; somebody who searches for one of our ids is taken to the payment at once."""
        if self.has_view_permission(request) and (payment := payment_named(request.GET.get("q", "").strip())):
            return HttpResponseRedirect(page_of(payment))
        return super().changelist_view(request, extra_context)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Payment], search_term: str
    ) -> tuple[QuerySet[Payment], bool]:
        return (payments_found(queryset, search_term) if search_term.strip() else queryset), False

    def page_context(self, request: HttpRequest, obj: Payment) -> dict[str, Any]:
        attempts = self.admin_site.get_model_admin(Attempt)
        story = story_of(obj)
        return {
            **super().page_context(request, obj),
            "payment": obj,
            "story": story,
            "tried": [(tried, attempts.buttons(request, tried.attempt)) for tried in story.tried],
            "groups": _GROUPS,
            "facts": facts_of(obj),
            "badges": [badge(obj.status), badge(obj.mode)],
        }

    @display(description="card")
    def card_text(self, payment: Payment) -> str:
        return str(payment.card) if payment.card else EMPTY

    @display(description="reference")
    def reference(self, payment: Payment) -> str:
        return payment.merchant_reference or EMPTY


class ToldByPaymentAdmin(PartColumns, ReadOnlyAdmin):
    """A list whose rows lead to their place on the payment's page."""

    money_columns: tuple[str, ...] = ("total",)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Where this is told."""
        obj = self.get_object(request, object_id)
        if not self.has_view_permission(request, obj):
            raise PermissionDenied
        if obj is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        return HttpResponseRedirect(f"{page_of(obj.payment)}#{obj.public_id}")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not search_term:
            return queryset, False
        payment = payment_named(search_term.strip())
        return (queryset.filter(payment=payment) if payment else queryset.none()), False


@admin.register(Attempt)
class AttemptAdmin(VerbAdmin, ToldByPaymentAdmin):
    """What was tried at gateways; where nobody knows the outcome, what can be done about it."""

    verbs = ATTEMPT_VERBS
    queues = (UnknownOutcomes,)

    list_display = [
        *("created_at", "what", "payment_link", "total", "gateway", "status_badge", "why", "took", "next_step"),
    ]
    list_display_links = ["what"]
    list_filter = [
        AttemptJobFilter,
        CreatedFilter,
        ("status", ChoicesDropdownFilter),
        ("operation", ChoicesDropdownFilter),
        ("gateway", RelatedDropdownFilter),
    ]
    ordering = ["-id"]
    quick_filters = (
        ("Unknown", "status__exact=unknown"),
        ("Pending", "status__exact=pending"),
        ("In flight", "job=in_flight"),
        ("Due and waiting", "job=due"),
        ("Today", "created=today"),
    )
    search_fields = ["id"]
    search_help_text = "An id of ours in full (att_, pay_, rfd_)"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Attempt]:
        return super().get_queryset(request).select_related("payment", "gateway").defer("gateway__credentials")

    @display(description="attempt")
    def what(self, attempt: Attempt) -> str:
        return f"{attempt.operation}, no. {attempt.seq}"

    @display(description="declined for")
    def why(self, attempt: Attempt) -> str:
        return words(attempt.decline_code) or EMPTY

    @display(description="took")
    def took(self, attempt: Attempt) -> str:
        if attempt.sent_at is None or attempt.finished_at is None:
            return EMPTY
        return duration((attempt.finished_at - attempt.sent_at).total_seconds() * 1000)

    @display(description="next")
    def next_step(self, attempt: Attempt) -> str:
        return next_step(attempt).removeprefix("next: ")


@admin.register(Refund)
class RefundAdmin(ToldByPaymentAdmin):
    """What was given back, or is on its way."""

    list_display = ["public_code", "total", "status_badge", "payment_link", "merchant", "reason", "created_at"]
    list_filter = [RefundJobFilter, CreatedFilter, ("status", ChoicesDropdownFilter), RefundModeFilter]
    list_select_related = ["payment__merchant"]
    quick_filters = (
        ("Awaiting approval", "status__exact=awaiting_approval"),
        ("Processing", "status__exact=processing"),
        ("Failed", "status__exact=failed"),
        ("Today", "created=today"),
    )
    search_fields = ["id"]
    search_help_text = "An id of ours in full (rfd_, pay_)"

    @display(description="refund")
    def public_code(self, refund: Refund) -> SafeString | str:
        return code(refund.public_id)

    @display(description="merchant")
    def merchant(self, refund: Refund) -> str:
        return str(refund.payment.merchant)


@admin.register(AuditRun)
class AuditRunAdmin(ReadOnlyAdmin):
    """Whether the books held, look by look."""

    list_display = ["started_at", "result_badge", "took", "broken"]
    list_filter = [("result", ChoicesDropdownFilter)]
    quick_filters = (("Red", "result__exact=red"),)
    fields = ["started_at", "result_badge", "took", "found", "looked_at"]
    readonly_fields = fields

    @display(description="result")
    def result_badge(self, run: AuditRun) -> SafeString:
        return badge(run.result)

    @display(description="took")
    def took(self, run: AuditRun) -> str:
        return duration(run.duration_ms)

    @display(description="broken")
    def broken(self, run: AuditRun) -> str:
        return ", ".join(finding["code"] for finding in run.findings) or EMPTY

    @display(description="what was found")
    def found(self, run: AuditRun) -> SafeString:
        return document(run.findings)

    @display(description="rows looked at, by invariant")
    def looked_at(self, run: AuditRun) -> SafeString:
        return document(run.counts)
