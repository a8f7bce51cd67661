"""How does an operator see what was said to gateways, whether they were up, and what they told us unasked?"""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.decorators import display

from checkout.kit.actors import Actor
from checkout.kit.admin import BulkAdmin, BulkVerb, Queue, ReadOnlyAdmin, Verb
from checkout.kit.admin.configuration import changes_of
from checkout.kit.display import EMPTY, amount, badge, code, duration, link, page_of_public_id, words
from checkout.kit.money import CURRENCY_DECIMALS, Money
from gateways import services
from gateways.admin.filters import CallJobFilter
from gateways.models import GatewayCall, HealthCheck, Notice
from gateways.plain import said_at, said_when_checked


@admin.register(GatewayCall)
class GatewayCallAdmin(ReadOnlyAdmin):
    """What was asked of gateways, how long it took and what came of it; never what was said."""

    list_display = ["started_at", "gateway", "operation", "about", "outcome_badge", "took", "http_status", "note"]
    list_display_links = None
    list_filter = [CallJobFilter, ("gateway", RelatedDropdownFilter), ("outcome", ChoicesDropdownFilter)]
    list_select_related = ["gateway"]
    quick_filters = (("Unknown", "outcome__exact=unknown"), ("Declined", "outcome__exact=declined"))
    search_fields = ["reference"]
    search_help_text = "Our reference, in full (att_…)"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[GatewayCall], search_term: str
    ) -> tuple[QuerySet[GatewayCall], bool]:
        return (queryset.filter(reference=search_term.strip()) if search_term else queryset), False

    @display(description="about")
    def about(self, call: GatewayCall) -> SafeString:
        return link(code(call.reference), page_of_public_id(call.reference))

    @display(description="outcome")
    def outcome_badge(self, call: GatewayCall) -> SafeString:
        return badge(call.outcome)

    @display(description="took")
    def took(self, call: GatewayCall) -> str:
        return duration(call.duration_ms)

    @display(description="said")
    def note(self, call: GatewayCall) -> str:
        return said_at(call)


@admin.register(HealthCheck)
class HealthCheckAdmin(ReadOnlyAdmin):
    """Whether gateways were up, look by look."""

    list_display = ["checked_at", "gateway", "answer", "took", "note", "concluded"]
    list_display_links = None
    list_filter = [("gateway", RelatedDropdownFilter)]
    list_select_related = ["gateway"]

    @display(description="answer")
    def answer(self, check: HealthCheck) -> SafeString:
        return badge("up" if check.is_good else "down")

    @display(description="took")
    def took(self, check: HealthCheck) -> str:
        return duration(check.duration_ms)

    @display(description="said")
    def note(self, check: HealthCheck) -> str:
        return said_when_checked(check)

    @display(description="concluded")
    def concluded(self, check: HealthCheck) -> SafeString:
        return badge(check.health_status)


def _look_again(notice: Notice, actor: Actor, data: dict[str, Any]) -> str:
    services.look_again(notice=notice, actor=actor, reason=data["reason"])
    return "It is looked at again within seconds."


def _set_aside(notice: Notice, actor: Actor, data: dict[str, Any]) -> str:
    services.set_aside(notice=notice, actor=actor, reason=data["reason"])
    return "Set aside."


def _is_named_already(notice: Notice) -> str:
    return f"It is {words(notice.status)} by now."


_LOOK_AGAIN = Verb(
    name="look-again",
    label="Look again",
    icon="manage_search",
    permission="gateways.change_notice",
    consequence=lambda notice: (
        "What it speaks of is looked for once more, and its gateway is asked about it if it is there. A notice alone "
        "never moves money."
    ),
    act=_look_again,
    is_offered=lambda notice: notice.status in (Notice.Status.UNMATCHED, Notice.Status.SET_ASIDE),
)
_SET_ASIDE = Verb(
    name="set-aside",
    label="Set aside",
    icon="archive",
    permission="gateways.change_notice",
    consequence=lambda notice: "It leaves the queue, with your reason. Nothing else changes, and it can be taken back.",
    act=_set_aside,
    is_offered=lambda notice: notice.status == Notice.Status.UNMATCHED,
)


class NoticeDesk(BulkAdmin, ReadOnlyAdmin):
    """What lists of notices have in common."""

    list_select_related = ["gateway"]
    search_fields = ["reference"]
    search_help_text = "Our reference, in full (att_…)"
    verbs = (_LOOK_AGAIN, _SET_ASIDE)
    bulk_verbs = (
        BulkVerb(
            verb=_LOOK_AGAIN,
            consequence="What each of them speaks of is looked for once more. That moves no money.",
            why_not=_is_named_already,
            describe=lambda notice: f"{notice.outcome} of {notice.reference} at {notice.gateway}",
        ),
        BulkVerb(
            verb=_SET_ASIDE,
            consequence="They leave the queue, with your reason. Nothing else changes.",
            why_not=_is_named_already,
            describe=lambda notice: f"{notice.outcome} of {notice.reference} at {notice.gateway}",
        ),
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Notice], search_term: str
    ) -> tuple[QuerySet[Notice], bool]:
        return (queryset.filter(reference=search_term.strip()) if search_term else queryset), False

    @display(description="about")
    def about(self, notice: Notice) -> SafeString:
        return link(code(notice.reference), page_of_public_id(notice.reference))

    @display(description="says")
    def outcome_badge(self, notice: Notice) -> SafeString:
        return badge(notice.outcome)

    @display(description="amount")
    def told(self, notice: Notice) -> SafeString | str:
        if notice.amount_minor is None or notice.currency not in CURRENCY_DECIMALS:
            return EMPTY
        return amount(Money(notice.amount_minor, notice.currency))

    @display(description="state")
    def status_badge(self, notice: Notice) -> SafeString:
        return badge(notice.status)


class UnmatchedNotices(Queue, NoticeDesk):
    """Notices of what we do not know."""

    queue_name = "unmatched"
    title = "Unmatched notices"
    explanation = "What gateways told us about something that we do not know by that name."
    list_display = ["received_at", "notice_id", "gateway", "about", "outcome_badge", "told"]
    list_display_links = ["notice_id"]
    list_filter = [("gateway", RelatedDropdownFilter), ("outcome", ChoicesDropdownFilter)]
    money_columns = ("told",)

    @classmethod
    def waiting(cls, rows: Any) -> Any:
        return rows.filter(status=Notice.Status.UNMATCHED)


@admin.register(Notice)
class NoticeAdmin(NoticeDesk):
    """What gateways told us unasked."""

    list_display = ["received_at", "gateway", "about", "outcome_badge", "status_badge", "applied_at"]
    list_filter = [("gateway", RelatedDropdownFilter), ("status", ChoicesDropdownFilter)]
    quick_filters = (
        ("Waiting", "status__exact=waiting"),
        ("Unmatched", "status__exact=unmatched"),
        ("Set aside", "status__exact=set_aside"),
    )
    queues = (UnmatchedNotices,)
    fields = ["received_at", "gateway", "notice_id", "about", "outcome_badge", "status_badge", "applied_at", "body"]
    readonly_fields = fields

    def page_context(self, request: HttpRequest, obj: Notice) -> dict[str, Any]:
        return {**super().page_context(request, obj), "badges": [badge(obj.status)], "changes": changes_of(obj)}
