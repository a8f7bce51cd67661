"""How does an operator see payments and ask for something? Lists with filters named for the job, and one story each.

Attempts and refunds have no pages of their own: they are told on the page of their payment.
"""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter, RelatedDropdownFilter
from unfold.decorators import display

from checkout.kit import clock
from checkout.kit.admin import ReadOnlyAdmin, VerbAdmin
from checkout.kit.admin.lists import LISTED_COUNT
from checkout.kit.display import EMPTY, amount, badge, code, document, duration, link, page_of, words
from checkout.kit.ids import first_id_at, parse_public_id
from checkout.kit.money import Money
from gateways.admin.board import midnight
from gateways.models import Gateway
from payments.admin import adopting
from payments.admin.story import facts_of, story_of
from payments.admin.unknown import ATTEMPT_VERBS
from payments.admin.verbs import VERBS
from payments.models import Attempt, AuditRun, Payment, Refund
from payments.statuses import IN_FLIGHT, AttemptStatus, Operation, Status

__all__ = ["adopting"]

# Whose part of a story may be looked at alone.
_GROUPS = (
    ("all", "Everything"),
    ("payment", "Steps"),
    ("gateway", "Gateways"),
    ("money", "Ledger"),
    ("merchant", "Events"),
)


class CreatedFilter(DropdownFilter):
    """By day: keys are in the order of time, so this reads the newest end of the table only."""

    title = "created"
    parameter_name = "created"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("today", "Today"), ("week", "In the last 7 days"), ("month", "In the last 30 days")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        since = {
            "today": midnight(),
            "week": clock.seconds_from_now(-7 * 86_400),
            "month": clock.seconds_from_now(-30 * 86_400),
        }.get(self.value() or "")
        return queryset.filter(id__gte=first_id_at(since)) if since else queryset


class PaymentJobFilter(DropdownFilter):
    """What somebody on duty looks for."""

    title = "job"
    parameter_name = "job"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("unknown", "Unknown outcomes"),
            ("processing", "Processing"),
            ("refused_today", "Declined or failed today"),
            ("cancel_requested", "Cancellation asked for"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Payment]) -> QuerySet[Payment]:
        in_flight = Attempt.objects.filter(status__in=IN_FLIGHT)
        match self.value():
            case "unknown":
                return queryset.filter(pk__in=in_flight.filter(status=AttemptStatus.UNKNOWN).values("payment"))
            case "processing":
                return queryset.filter(pk__in=in_flight.filter(operation=Operation.AUTHORIZE).values("payment"))
            case "refused_today":
                return queryset.filter(id__gte=first_id_at(midnight()), status__in=[Status.DECLINED, Status.FAILED])
            case "cancel_requested":
                return queryset.filter(pk__in=in_flight.values("payment"), cancel_requested_at__isnull=False)
        return queryset


class CurrencyFilter(DropdownFilter):
    """By currency, of those that the gateways take."""

    title = "currency"
    parameter_name = "currency"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        taken = Gateway.objects.values_list("currencies", flat=True)
        return [(currency, currency) for currency in sorted({currency for row in taken for currency in row})]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Payment]) -> QuerySet[Payment]:
        return queryset.filter(currency=self.value()) if self.value() else queryset


@admin.register(Payment)
class PaymentAdmin(VerbAdmin, ReadOnlyAdmin):
    """Payments, and the story of each."""

    change_form_template = "admin/desk/payment.html"
    verbs = VERBS
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
    search_help_text = (
        "Our id (pay_, att_, rfd_), a reference of the merchant or gateway, an e-mail, or a card's last four"
    )
    fields = ["public_code"]
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Payment]:
        return super().get_queryset(request).select_related("merchant", "gateway", "card")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list; somebody who searches for one of our ids is taken to the payment at once."""
        if self.has_view_permission(request) and (payment := payment_named(request.GET.get("q", "").strip())):
            return HttpResponseRedirect(page_of(payment))
        return super().changelist_view(request, extra_context)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Payment], search_term: str
    ) -> tuple[QuerySet[Payment], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        if "@" in term:
            return queryset.filter(customer_email__iexact=term), False
        if term.isascii() and term.isdigit() and len(term) == 4:
            return queryset.filter(card__last4=term), False
        # Naming every gateway lets the unique index on (gateway, gateway_reference) be used.
        tried = Attempt.objects.filter(gateway__in=Gateway.objects.values("pk"), gateway_reference=term)
        by_reference = Payment.objects.filter(merchant_reference=term).values("pk").union(tried.values("payment"))
        return queryset.filter(pk__in=[row["pk"] for row in by_reference[:LISTED_COUNT]]), False

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

    @display(description="payment")
    def public_code(self, payment: Payment) -> SafeString | str:
        return code(payment.public_id)

    @display(description="amount")
    def total(self, payment: Payment) -> SafeString:
        return amount(payment.amount)

    @display(description="status")
    def status_badge(self, payment: Payment) -> SafeString:
        return badge(payment.status)

    @display(description="card")
    def card_text(self, payment: Payment) -> str:
        return str(payment.card) if payment.card else EMPTY

    @display(description="reference")
    def reference(self, payment: Payment) -> str:
        return payment.merchant_reference or EMPTY


class ToldByPaymentAdmin(ReadOnlyAdmin):
    """A list whose rows lead to their place on the payment's page."""

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

    @display(description="payment")
    def payment_link(self, obj: Any) -> SafeString:
        return link(code(obj.payment.public_id), page_of(obj.payment))

    @display(description="amount")
    def total(self, obj: Any) -> SafeString:
        return amount(Money(obj.amount_minor, obj.currency))

    @display(description="status")
    def status_badge(self, obj: Any) -> SafeString:
        return badge(obj.status)


class AttemptJobFilter(DropdownFilter):
    """What somebody on duty looks for."""

    title = "job"
    parameter_name = "job"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("in_flight", "In flight"), ("due", "Due and waiting")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Attempt]) -> QuerySet[Attempt]:
        match self.value():
            case "in_flight":
                return queryset.filter(next_action_at__isnull=False)
            case "due":
                return queryset.filter(next_action_at__lte=clock.now())
        return queryset


@admin.register(Attempt)
class AttemptAdmin(VerbAdmin, ToldByPaymentAdmin):
    """What was tried at gateways; where nobody knows the outcome, what can be done about it."""

    verbs = ATTEMPT_VERBS

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
    list_select_related = ["payment", "gateway"]
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
        return f"{attempt.next_action} at {attempt.next_action_at:%H:%M:%S}" if attempt.next_action_at else EMPTY


@admin.register(Refund)
class RefundAdmin(ToldByPaymentAdmin):
    """What was given back, or is on its way."""

    list_display = ["public_code", "total", "status_badge", "payment_link", "merchant", "reason", "created_at"]
    list_filter = [CreatedFilter, ("status", ChoicesDropdownFilter)]
    list_select_related = ["payment__merchant"]
    quick_filters = (
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


def payment_named(public_id: str) -> Payment | None:
    """The payment that an id of ours names, its own or that of an attempt or refund of it; None if there is none."""
    for model, path in ((Payment, "pk"), (Attempt, "attempts__pk"), (Refund, "refunds__pk")):
        if key := parse_public_id(model.PUBLIC_PREFIX, public_id):
            return Payment.objects.filter(**{path: key}).first()
    return None
