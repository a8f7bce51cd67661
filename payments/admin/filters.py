"""Which payments, attempts and refunds does somebody look for? The filters of their lists, named for the job."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import DropdownFilter

from checkout.kit import clock
from checkout.kit.display import words
from checkout.kit.ids import first_id_at
from checkout.kit.modes import Mode
from gateways.admin.board import midnight
from gateways.models import Gateway
from gateways.outcomes import DeclineCode
from payments.models import Attempt, Payment, Refund
from payments.statuses import IN_FLIGHT, REFUND_UNDER_WAY, AttemptStatus, Operation, RefundStatus, Status

GIVEN_BACK = (*REFUND_UNDER_WAY, RefundStatus.SUCCEEDED)  # or on its way
REFUSED = (Status.DECLINED, Status.FAILED)


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
            ("approved_today", "Authorized today"),
            ("refused_today", "Declined or failed today"),
            ("cancel_requested", "Cancellation asked for"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Payment]) -> QuerySet[Payment]:
        in_flight = Attempt.objects.filter(status__in=IN_FLIGHT)
        today = queryset.filter(id__gte=first_id_at(midnight()))
        match self.value():
            case "unknown":
                return queryset.filter(pk__in=in_flight.filter(status=AttemptStatus.UNKNOWN).values("payment"))
            case "processing":
                return queryset.filter(pk__in=in_flight.filter(operation=Operation.AUTHORIZE).values("payment"))
            case "approved_today":
                return today.filter(authorized_minor__gt=0)
            case "refused_today":
                return today.filter(status__in=REFUSED)
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
        # Naming both modes lets the index be used that begins with the mode.
        return queryset.filter(currency=self.value(), mode__in=Mode.values) if self.value() else queryset


class DeclineFilter(DropdownFilter):
    """By the reason of the last decline."""

    title = "declined for"
    parameter_name = "decline"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(reason), words(reason)) for reason in DeclineCode]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Payment]) -> QuerySet[Payment]:
        if not self.value():
            return queryset
        return queryset.filter(decline_code=self.value()).exclude(decline_code="")


class AttemptJobFilter(DropdownFilter):
    """What somebody on duty looks for."""

    title = "job"
    parameter_name = "job"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("in_flight", "In flight"), ("due", "Due and waiting")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Attempt]) -> QuerySet[Attempt]:
        match self.value():
            case "in_flight":
                return queryset.filter(status__in=IN_FLIGHT)
            case "due":
                return queryset.filter(next_action_at__lte=clock.now())
        return queryset


class RefundJobFilter(DropdownFilter):
    """What somebody on duty looks for."""

    title = "job"
    parameter_name = "job"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("given_back", "Given back, or on its way"), ("under_way", "On its way")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Refund]) -> QuerySet[Refund]:
        match self.value():
            case "given_back":
                return queryset.filter(status__in=GIVEN_BACK)
            case "under_way":
                return queryset.filter(status__in=REFUND_UNDER_WAY)
        return queryset


class RefundModeFilter(DropdownFilter):
    """By the mode of the payment that is given back."""

    title = "mode"
    parameter_name = "mode"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(mode), str(mode)) for mode in Mode]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Refund]) -> QuerySet[Refund]:
        return queryset.filter(payment__mode=self.value()) if self.value() else queryset
