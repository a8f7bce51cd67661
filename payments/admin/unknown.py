"""What can a person do about an outcome that nobody knows, and who agrees to it?"""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from checkout.kit import approvals
from checkout.kit.actors import Actor
from checkout.kit.admin import PlainForm, ReadOnlyAdmin, Verb, VerbAdmin, VerbForm
from checkout.kit.display import badge, code, link, page_of_public_id, told, words
from checkout.kit.models import Approval, User
from gateways.outcomes import Outcome
from ledger.admin import legs_asked
from ledger.services import APPROVED, REJECTED, manual
from payments import services
from payments.models import Attempt
from payments.statuses import AttemptStatus, NextAction, Operation


class SettleForm(VerbForm):
    """What the gateway's own books say, for a second person to check."""

    may_look_so = frozenset({"gateway_reference"})

    outcome = forms.ChoiceField(
        choices=[(Outcome.SUCCEEDED, "succeeded"), (Outcome.DECLINED, "declined")], widget=UnfoldAdminSelectWidget
    )
    gateway_reference = forms.CharField(
        max_length=100, required=False, widget=UnfoldAdminTextInputWidget, label="The gateway's id of it"
    )
    evidence = forms.CharField(
        max_length=2000, widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}), label="What its books show, and where"
    )
    field_order = ["outcome", "gateway_reference", "evidence", "reason"]


def _ask(attempt: Attempt, actor: Actor, data: dict[str, Any]) -> str:
    services.ask_now(attempt=attempt, actor=actor, reason=data["reason"])
    return f"{attempt.gateway} is being asked."


def _cancel(attempt: Attempt, actor: Actor, data: dict[str, Any]) -> str:
    services.cancel_by_reference(attempt=attempt, actor=actor, reason=data["reason"])
    return f"{attempt.gateway} is being asked to make sure that this never charges."


def _settle(attempt: Attempt, actor: Actor, data: dict[str, Any]) -> str:
    services.request_settlement_by_hand(
        attempt=attempt,
        outcome=data["outcome"],
        gateway_reference=data["gateway_reference"],
        reason=data["reason"],
        evidence=data["evidence"],
        maker=User.objects.get(username=actor.name),
        actor=actor,
    )
    return "Asked for. Somebody else has to agree before anything is settled."


ATTEMPT_VERBS = (
    Verb(
        name="ask",
        label="Ask now",
        icon="contact_support",
        permission="payments.change_attempt",
        consequence=lambda attempt: (
            f"{attempt.gateway} is asked at once what became of this attempt. That moves no money."
        ),
        act=_ask,
        is_offered=lambda attempt: (
            attempt.status in (AttemptStatus.UNKNOWN, AttemptStatus.PENDING) and attempt.next_action == NextAction.ASK
        ),
    ),
    Verb(
        name="cancel-by-reference",
        label="Make sure it never charges",
        icon="cancel_schedule_send",
        permission="payments.change_attempt",
        consequence=lambda attempt: (
            f"{attempt.gateway} is asked to refuse this attempt should it still arrive. Once that is certain, the "
            "payment goes on without it, at another gateway if there is one."
        ),
        act=_cancel,
        is_offered=lambda attempt: (
            attempt.status == AttemptStatus.UNKNOWN
            and attempt.operation == Operation.AUTHORIZE
            and attempt.gateway.supports_cancel_by_reference
        ),
    ),
    Verb(
        name="settle",
        label="Settle by hand",
        icon="gavel",
        permission="payments.change_attempt",
        consequence=lambda attempt: (
            "A second person is asked to agree to what you found in the gateway's own books. "
            "Until they do, nothing changes."
        ),
        act=_settle,
        is_offered=lambda attempt: attempt.status == AttemptStatus.UNKNOWN,
        form_class=SettleForm,
        is_grave=True,
    ),
)

# What is carried out when a second person agrees, by kind of request.
_DEEDS: dict[str, Callable[..., Any]] = {
    "attempt.settle_by_hand": services.approve_settlement_by_hand,
    **APPROVED,
}


def _approve(approval: Approval, actor: Actor, data: dict[str, Any]) -> str:
    _DEEDS[approval.kind](approval=approval, checker=User.objects.get(username=actor.name), actor=actor)
    return "Agreed, and carried out."


def _reject(approval: Approval, actor: Actor, data: dict[str, Any]) -> str:
    checker = User.objects.get(username=actor.name)
    reject = REJECTED.get(approval.kind, approvals.reject)
    reject(approval=approval, checker=checker, reason=data["reason"], actor=actor)
    return "Rejected. Nothing was changed."


@admin.register(Approval)
class ApprovalAdmin(VerbAdmin, ReadOnlyAdmin):
    """What one person asked for and another decides. The maker never agrees to their own."""

    change_form_template = "admin/desk/approval.html"
    list_display = ["created_at", "what", "about", "status_badge", "maker", "checker", "expires_at"]
    list_display_links = ["what"]
    list_filter = [("status", ChoicesDropdownFilter)]
    list_select_related = ["maker", "checker"]
    quick_filters = (("Waiting", "status__exact=requested"),)
    fields = [
        "what",
        "about",
        "asked",
        "reason",
        "evidence",
        "maker",
        "created_at",
        "expires_at",
        "checker",
        "decided_at",
    ]
    readonly_fields = fields
    verbs = (
        Verb(
            name="approve",
            label="Approve",
            icon="check_circle",
            permission="kit.change_approval",
            consequence=lambda approval: (
                f"{approval.maker} asked for this: {words(approval.kind)} of {approval.object_id}. "
                "It is carried out at once, exactly as asked."
            ),
            act=_approve,
            is_offered=lambda approval: approval.status == Approval.Status.REQUESTED,
            form_class=PlainForm,
            preview=legs_asked,
        ),
        Verb(
            name="reject",
            label="Reject",
            icon="cancel",
            permission="kit.change_approval",
            consequence=lambda approval: "Nothing is changed, and the request is closed.",
            act=_reject,
            is_offered=lambda approval: approval.status == Approval.Status.REQUESTED,
            is_grave=True,
        ),
    )

    def page_context(self, request: HttpRequest, obj: Approval) -> dict[str, Any]:
        return {**super().page_context(request, obj), "badges": [badge(obj.status)], "legs": legs_asked(obj)}

    @display(description="request")
    def what(self, approval: Approval) -> str:
        return words(approval.kind)

    @display(description="about")
    def about(self, approval: Approval) -> SafeString:
        is_written = approval.kind != manual.WRITE or approval.status == Approval.Status.APPROVED
        return link(code(approval.object_id), page_of_public_id(approval.object_id) if is_written else "")

    @display(description="asked for")
    def asked(self, approval: Approval) -> SafeString:
        return told({name: value for name, value in approval.payload.items() if name != "legs"})  # shown above

    @display(description="status")
    def status_badge(self, approval: Approval) -> SafeString:
        return badge(approval.status)
