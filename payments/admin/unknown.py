"""What can a person do about an outcome that nobody knows?"""

from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from checkout.kit.actors import Actor
from checkout.kit.admin import Verb, VerbForm, person_of
from gateways.outcomes import Outcome
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
        maker=person_of(actor),
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
