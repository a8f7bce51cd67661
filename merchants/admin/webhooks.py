"""How does an operator see what merchants are told, and have it sent again?"""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter, RelatedDropdownFilter
from unfold.decorators import display

from checkout.kit import clock
from checkout.kit.actors import Actor
from checkout.kit.admin import (
    BulkAdmin,
    BulkVerb,
    MomentField,
    PlainForm,
    Queue,
    ReadOnlyAdmin,
    Verb,
    VerbAdmin,
    VerbForm,
)
from checkout.kit.admin.verbs import show_as
from checkout.kit.display import EMPTY, badge, code, document, link, list_of, moment, page_of, page_of_public_id
from checkout.kit.ids import parse_public_id
from checkout.settings import policy
from merchants import selectors, services
from merchants.models import UNDELIVERED, WebhookDelivery, WebhookEndpoint, WebhookEvent, WebhookRedelivery
from merchants.statuses import DELIVERY, DeliveryEvent

_MISSED_COUNTED = 10_000
_REDELIVERIES_SHOWN = 5
REDELIVER = "merchants.change_webhookendpoint"


@admin.register(WebhookEvent)
class WebhookEventAdmin(ReadOnlyAdmin):
    """What merchants are told."""

    list_display = ["created_at", "merchant", "type", "about", "sequence", "mode"]
    list_filter = [("merchant", RelatedDropdownFilter), ("mode", ChoicesDropdownFilter)]
    list_select_related = ["merchant"]
    search_fields = ["object_id"]
    search_help_text = "The id of what it is about, in full"
    fields = ["created_at", "merchant_link", "mode", "type", "about", "sequence", "body"]
    readonly_fields = fields

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[WebhookEvent], search_term: str
    ) -> tuple[QuerySet[WebhookEvent], bool]:
        return (queryset.filter(object_id=search_term.strip()) if search_term else queryset), False

    @display(description="merchant")
    def merchant_link(self, event: WebhookEvent) -> SafeString:
        return link(event.merchant, page_of(event.merchant))

    @display(description="about")
    def about(self, event: WebhookEvent) -> SafeString:
        return link(code(event.object_id), page_of_public_id(event.object_id))

    @display(description="data")
    def body(self, event: WebhookEvent) -> SafeString:
        return document(event.data)


def _disable(endpoint: WebhookEndpoint, actor: Actor, data: dict[str, Any]) -> str:
    services.disable_endpoint(endpoint=endpoint, reason=data["reason"], actor=actor)
    return "The endpoint is disabled: it is told nothing any more."


def _enable(endpoint: WebhookEndpoint, actor: Actor, data: dict[str, Any]) -> str:
    services.enable_endpoint(endpoint=endpoint, actor=actor)
    return "The endpoint is enabled: it is told what happens from now on."


class MissedForm(VerbForm):
    """Between which moments; how many messages that is, is said before any is sent."""

    since = MomentField(label="Made since, UTC")
    until = MomentField(label="And before, UTC")
    seen = forms.CharField(required=False, widget=forms.HiddenInput)
    field_order = ["since", "until", "reason"]

    def __init__(self, data: Any = None, *, obj: WebhookEndpoint) -> None:
        super().__init__(data, obj=obj)
        self.note = ""
        now = clock.now()
        self.fields["since"].initial = obj.failing_since or now - timedelta(days=1)
        self.fields["until"].initial = now + timedelta(minutes=1)

    def is_valid(self) -> bool:
        """Whether it can be done, and whoever asks has seen to how many messages."""
        if not super().is_valid():
            return False
        since, until = self.cleaned_data["since"], self.cleaned_data["until"]
        asked = f"{since.isoformat()} {until.isoformat()}"
        if self.cleaned_data["seen"] == asked:
            return True
        found = selectors.count_missed(self.obj, since=since, until=until, at_most=_MISSED_COUNTED)
        many = f"More than {_MISSED_COUNTED:,}" if found > _MISSED_COUNTED else f"{found:,}"
        self.note = f"{many} messages were missed between these times. {'Press again to send them.' if found else ''}"
        show_as(self, "seen", asked if found else "")
        return False

    def clean(self) -> dict[str, Any] | None:
        data = super().clean()
        since, until = self.cleaned_data.get("since"), self.cleaned_data.get("until")
        now, kept = clock.now(), timedelta(days=policy.WEBHOOK_EVENT_DAYS)
        if since and not now - kept <= since <= now:
            self.add_error("since", f"Messages are kept for {kept.days} days.")
        if until and not now - kept <= until <= now + timedelta(days=1):
            self.add_error("until", "Must be a time of these days.")
        elif since and until and since >= until:
            self.add_error("until", "Must be after the first time.")
        return data


def _redeliver_missed(endpoint: WebhookEndpoint, actor: Actor, data: dict[str, Any]) -> str:
    services.redeliver_missed(
        endpoint=endpoint, since=data["since"], until=data["until"], actor=actor, reason=data["reason"]
    )
    return "What was missed is being sent, batch by batch. This page says how far it is."


def _progress(redelivery: WebhookRedelivery) -> str:
    many = f"{redelivery.count:,} messages made since {redelivery.since:%Y-%m-%d %H:%M} and before"
    state = "are on their way or were sent" if redelivery.finished_at else "so far"
    return f"{many} {redelivery.until:%Y-%m-%d %H:%M} {state}"


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(VerbAdmin, ReadOnlyAdmin):
    """Where merchants are told. Their software makes and changes these; the secrets that sign are not here."""

    list_display = ["url", "merchant", "mode", "status_badge", "failure_count", "failing_since", "created_at"]
    list_filter = [("merchant", RelatedDropdownFilter), ("status", ChoicesDropdownFilter)]
    list_select_related = ["merchant"]
    quick_filters = (("Enabled", "status__exact=enabled"), ("Disabled", "status__exact=disabled"))
    fields = [
        *("url", "merchant_link", "mode", "description", "hears", "status_badge", "disabled_reason"),
        *("failure_count", "failing_since", "paused_until", "created_at", "redelivered"),
    ]
    readonly_fields = fields
    verbs = (
        Verb(
            name="disable",
            label="Disable",
            icon="block",
            permission="merchants.change_webhookendpoint",
            consequence=lambda endpoint: "It is told nothing from now on, and what is on its way to it is given up.",
            act=_disable,
            is_offered=lambda endpoint: endpoint.is_enabled,
            is_grave=True,
        ),
        Verb(
            name="enable",
            label="Enable",
            icon="check_circle",
            permission="merchants.change_webhookendpoint",
            consequence=lambda endpoint: "It is told what happens from now on. What it has missed is not sent again.",
            act=_enable,
            is_offered=lambda endpoint: not endpoint.is_enabled,
            form_class=PlainForm,
        ),
        Verb(
            name="redeliver-missed",
            label="Redeliver what was missed",
            icon="forward_to_inbox",
            permission=REDELIVER,
            consequence=lambda endpoint: (
                "What failed, was canceled, or happened while it was disabled is sent again under the same ids, so the "
                "merchant's software can tell. What arrived is not. First you see how many messages that is."
            ),
            act=_redeliver_missed,
            is_offered=lambda endpoint: endpoint.is_enabled,
            form_class=MissedForm,
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookEndpoint]:
        return super().get_queryset(request).select_related("merchant").defer("secret", "previous_secret")

    def page_context(self, request: HttpRequest, obj: WebhookEndpoint) -> dict[str, Any]:
        deliveries = list_of(WebhookDelivery, f"endpoint={obj.public_id}")
        return {
            **super().page_context(request, obj),
            "badges": [badge(obj.status), badge(obj.mode)],
            "links": [("Deliveries", deliveries)],
        }

    @display(description="merchant")
    def merchant_link(self, endpoint: WebhookEndpoint) -> SafeString:
        return link(endpoint.merchant, page_of(endpoint.merchant))

    @display(description="sent again")
    def redelivered(self, endpoint: WebhookEndpoint) -> str:
        asked = endpoint.redeliveries.all()[:_REDELIVERIES_SHOWN]
        return "; ".join(map(_progress, asked)) or EMPTY

    @display(description="hears")
    def hears(self, endpoint: WebhookEndpoint) -> str:
        return ", ".join(endpoint.event_types) or "everything"

    @display(description="status")
    def status_badge(self, endpoint: WebhookEndpoint) -> SafeString:
        return badge(endpoint.status)


class EndpointFilter(DropdownFilter):
    """By the address that is told."""

    title = "endpoint"
    parameter_name = "endpoint"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(endpoint.public_id, endpoint.url[:60]) for endpoint in WebhookEndpoint.objects.only("url")[:100]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[WebhookDelivery]) -> QuerySet[WebhookDelivery]:
        if not self.value():
            return queryset
        return queryset.filter(endpoint=parse_public_id(WebhookEndpoint.PUBLIC_PREFIX, self.value() or ""))


def _redeliver(delivery: WebhookDelivery, actor: Actor, data: dict[str, Any]) -> str:
    services.redeliver(endpoint=delivery.endpoint, event=delivery.event, actor=actor, reason=data["reason"])
    return f"{delivery} is being sent again."


def _may_be_sent_again(delivery: WebhookDelivery) -> bool:
    return delivery.endpoint.is_enabled and DELIVERY.allows(delivery.status, DeliveryEvent.REDELIVER)


def _why_not(delivery: WebhookDelivery) -> str:
    if not delivery.endpoint.is_enabled:
        return "Its endpoint is disabled."
    return f"It is on its way: next try at {delivery.next_attempt_at:%H:%M:%S}."


_REDELIVER = Verb(
    name="redeliver",
    label="Redeliver",
    icon="forward_to_inbox",
    permission=REDELIVER,
    consequence=lambda delivery: (
        f"The same message is sent to {delivery.endpoint.url} again, with all its tries. It has the same id, so the "
        "merchant's software can tell."
    ),
    act=_redeliver,
    is_offered=_may_be_sent_again,
)


class DeliveryAdmin(BulkAdmin, ReadOnlyAdmin):
    """What lists of deliveries have in common."""

    list_select_related = ["event", "endpoint"]
    verbs = (_REDELIVER,)
    bulk_verbs = (
        BulkVerb(
            verb=_REDELIVER,
            consequence="Each message is sent to its endpoint again, under its own id, with all its tries.",
            why_not=_why_not,
            describe=lambda delivery: f"{delivery.event.type} of {delivery.event.object_id} to {delivery.endpoint.url}",
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookDelivery]:
        rows = super().get_queryset(request).select_related("event", "endpoint")
        return rows.defer("endpoint__secret", "endpoint__previous_secret")

    @display(description="event")
    def type(self, delivery: WebhookDelivery) -> str:
        return delivery.event.type

    @display(description="about")
    def about(self, delivery: WebhookDelivery) -> SafeString:
        return link(code(delivery.event.object_id), page_of_public_id(delivery.event.object_id))

    @display(description="endpoint")
    def address(self, delivery: WebhookDelivery) -> SafeString:
        return link(delivery.endpoint.url, page_of(delivery.endpoint))

    @display(description="status")
    def status_badge(self, delivery: WebhookDelivery) -> SafeString:
        return badge(delivery.status)

    @display(description="last answer")
    def last_answer(self, delivery: WebhookDelivery) -> str:
        """What came of the last try, in words."""
        if delivery.last_error:
            return delivery.last_error
        return f"answered {delivery.last_http_status}" if delivery.last_http_status else "not tried yet"


class FailedWebhooks(Queue, DeliveryAdmin):
    """Messages that were given up, or refused again and again."""

    queue_name = "failed"
    title = "Failed webhooks"
    explanation = (
        f"Messages that were given up, or that an endpoint refused {policy.DELIVERY_TRIES_TO_LOOK} times and more."
    )
    list_display = ["created_at", "type_link", "address", "status_badge", "last_answer", "attempt_count", "next_try"]
    list_display_links = ["type_link"]
    list_filter = [("status", ChoicesDropdownFilter), EndpointFilter]
    quick_filters = (("Given up", "status__exact=failed"), ("Refused again and again", "status__exact=pending"))

    @classmethod
    def waiting(cls, rows: Any) -> Any:
        return rows.filter(UNDELIVERED)

    @display(description="event")
    def type_link(self, delivery: WebhookDelivery) -> str:
        return delivery.event.type

    @display(description="next try")
    def next_try(self, delivery: WebhookDelivery) -> SafeString | str:
        return moment(delivery.next_attempt_at) if delivery.next_attempt_at else "none, unless it is redelivered"


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(DeliveryAdmin):
    """What is on its way to merchants, what arrived, and what did not."""

    list_display = [
        *("created_at", "type", "about", "address", "status_badge", "attempt_count", "next_attempt_at"),
        *("last_http_status", "last_error"),
    ]
    list_display_links = ["type"]
    list_filter = [("status", ChoicesDropdownFilter), EndpointFilter]
    quick_filters = (("On their way", "status__exact=pending"), ("Failed", "status__exact=failed"))
    queues = (FailedWebhooks,)
    fields = [
        *("type", "about", "address", "last_answer", "last_http_status", "attempt_count", "next_attempt_at"),
        *("delivered_at", "duration_ms", "created_at", "body"),
    ]
    readonly_fields = fields

    def page_context(self, request: HttpRequest, obj: WebhookDelivery) -> dict[str, Any]:
        return {**super().page_context(request, obj), "badges": [badge(obj.status)]}

    @display(description="data")
    def body(self, delivery: WebhookDelivery) -> SafeString:
        return document(delivery.event.data)
