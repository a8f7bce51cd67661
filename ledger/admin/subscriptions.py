"""Who gets which report by e-mail? Set up, paused, started and sent at once by people."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.decorators import display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminSelectWidget

from checkout.kit import audit
from checkout.kit.actors import Actor
from checkout.kit.admin import ConfigurationAdmin, DeskForm, PlainForm, ReasonedForm, Verb, actor_of
from checkout.kit.display import EMPTY, badge, words
from checkout.kit.models import User
from ledger.models import Account, ReportSubscription
from ledger.reports import REPORTS, links
from ledger.reports.formats import FILE_FORMATS
from ledger.reports.scope import PERIODS, ScopeRefused, read_scope
from ledger.services import subscriptions

_ASKED = ("report", "period", "format", "mode", "currency", "merchant", "gateway")
_WHEN = ("every", "hour", "recipients")


class RecipientsField(forms.ModelMultipleChoiceField):
    """People who may see reports, with the addresses that they are sent to."""

    def label_from_instance(self, obj: Any) -> str:
        return f"{obj.get_full_name() or obj.username}, {obj.email}"


class NewSubscriptionForm(DeskForm):
    """What to send, in which form, when and to whom."""

    report = forms.ChoiceField(
        choices=[(name, report.title) for name, report in REPORTS.items()], widget=UnfoldAdminSelectWidget
    )
    period = forms.ChoiceField(
        choices=[(name, words(name)) for name in PERIODS],
        initial="yesterday",
        widget=UnfoldAdminSelectWidget,
        help_text="Counted from the day on which it is due. A report about an instant shows the end of it.",
    )
    format = forms.ChoiceField(
        choices=[(form, form.upper()) for form in FILE_FORMATS], initial="xlsx", widget=UnfoldAdminSelectWidget
    )
    currency = forms.ChoiceField(required=False, widget=UnfoldAdminSelectWidget)
    recipients = RecipientsField(
        queryset=User.objects.none(),
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="People at the desk who may see reports and have an address.",
    )

    class Meta:
        model = ReportSubscription
        fields = (*_ASKED, *_WHEN)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        codes = Account.objects.order_by("currency").values_list("currency", flat=True).distinct()
        self.fields["currency"].choices = [("", "all"), *((code, code) for code in codes)]  # type: ignore[attr-defined]
        self.fields["recipients"].queryset = subscriptions.may_receive()  # type: ignore[attr-defined]
        if "gateway" not in self.fields:  # whoever may only look is shown words
            return
        self.fields["gateway"].empty_label = "all"  # type: ignore[attr-defined]
        for name in ("merchant", "gateway"):
            widget: Any = self.fields[name].widget
            widget.can_add_related = widget.can_change_related = widget.can_view_related = False

    def clean(self) -> dict[str, Any] | None:
        """Refuses (ValidationError) what the report cannot be told."""
        cleaned = super().clean() or self.cleaned_data
        if not self.errors:
            asked = ReportSubscription(**{name: cleaned[name] for name in _ASKED})
            try:
                read_scope(asked.words, REPORTS[asked.report].asks)
            except ScopeRefused as refused:
                for word, error in refused.errors.items():
                    self.add_error(word, error)
        return cleaned


class SubscriptionForm(ReasonedForm, NewSubscriptionForm):
    """The same for one that is there, with the reason of the change."""


def _start(subscription: ReportSubscription, actor: Actor, data: dict[str, Any]) -> str:
    subscriptions.start(subscription=subscription, actor=actor, reason=data["reason"])
    return "It is sent at its hour from now on."


def _pause(subscription: ReportSubscription, actor: Actor, data: dict[str, Any]) -> str:
    subscriptions.pause(subscription=subscription, actor=actor, reason=data["reason"])
    return "It is not sent any more."


def _send_now(subscription: ReportSubscription, actor: Actor, data: dict[str, Any]) -> str:
    subscriptions.send_now(subscription=subscription, actor=actor)
    return "It is on its way."


@admin.register(ReportSubscription)
class ReportSubscriptionAdmin(ConfigurationAdmin):
    """Reports that are sent by e-mail, and when each goes out next."""

    add_form = NewSubscriptionForm
    form = SubscriptionForm
    list_display = ["what", "how_often", "to", "state", "next_at", "last_sent_at"]
    autocomplete_fields = ("merchant",)
    audited_fields = ("report", "period", "format", "mode", "currency", "every", "hour")
    verbs = (
        Verb(
            name="send-now",
            label="Send now",
            icon="send",
            permission="ledger.change_reportsubscription",
            consequence=lambda subscription: "It is sent once, at once. When it is due next stays as it is.",
            act=_send_now,
            form_class=PlainForm,
        ),
        Verb(
            name="pause",
            label="Pause",
            icon="pause",
            permission="ledger.change_reportsubscription",
            consequence=lambda subscription: "It is not sent any more until somebody starts it again.",
            act=_pause,
            is_offered=lambda subscription: not subscription.is_paused,
        ),
        Verb(
            name="start",
            label="Start",
            icon="play_arrow",
            permission="ledger.change_reportsubscription",
            consequence=lambda subscription: "It is sent at its hour from now on. What was missed is not sent.",
            act=_start,
            is_offered=lambda subscription: subscription.is_paused,
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[ReportSubscription]:
        return super().get_queryset(request).prefetch_related("recipients")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """What is asked, and when it goes to whom."""
        why = [("Why", {"fields": ["reason"]})] if obj and self.has_change_permission(request, obj) else []
        return [("What", {"fields": _ASKED}), ("When, and to whom", {"fields": _WHEN}), *why]

    def facts(self, obj: ReportSubscription) -> dict[str, Any]:
        """What the audit keeps: whose report it is about and who gets it, beside what was set."""
        return {
            **super().facts(obj),
            "merchant": obj.merchant.public_id if obj.merchant else "",
            "gateway": obj.gateway.public_id if obj.gateway else "",
            "recipients": sorted(obj.recipients.values_list("username", flat=True)),
        }

    def save_model(self, request: HttpRequest, obj: ReportSubscription, form: Any, change: bool) -> None:
        if not change:
            subscriptions.plan(obj)
        super().save_model(request, obj, form, change)

    def derive(self, obj: ReportSubscription) -> tuple[str, ...]:
        """Another time of day counts from now on; one that is paused stays so."""
        if obj.is_paused:
            return ()
        subscriptions.plan(obj)
        return ("due_at", "next_at")

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        if not change:
            made = form.instance
            verb = "report_subscription.create"
            audit.record(actor=actor_of(request), verb=verb, obj=made, after=self.facts(made))

    def page_context(self, request: HttpRequest, obj: ReportSubscription) -> dict[str, Any]:
        badges = [badge("paused")] if obj.is_paused else [badge("active"), f"next {obj.due_at:%d %b %Y %H:%M} UTC"]
        return {
            **super().page_context(request, obj),
            "badges": [*badges, *([badge(obj.last_error, "bad")] if obj.last_error else [])],
            "links": [("The report", links.report(obj.report, {k: v for k, v in obj.words.items() if v}))],
        }

    @display(description="report")
    def what(self, obj: ReportSubscription) -> str:
        return str(obj)

    @display(description="every")
    def how_often(self, obj: ReportSubscription) -> str:
        return f"{obj.get_every_display()}, at {obj.hour:02}:00 UTC"

    @display(description="to")
    def to(self, obj: ReportSubscription) -> str:
        return ", ".join(user.username for user in obj.recipients.all()) or EMPTY

    @display(description="state")
    def state(self, obj: ReportSubscription) -> SafeString:
        if obj.last_error:
            return badge("not sent", "bad")
        return badge("paused") if obj.is_paused else badge("active")
