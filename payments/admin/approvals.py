"""What waits for a second person? Each request on a page that says what would happen, and how it stands now."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import display

from checkout.kit import approvals, clock
from checkout.kit.actors import Actor
from checkout.kit.admin import ReadOnlyAdmin, Verb, VerbAdmin, VerbForm, fresh
from checkout.kit.admin.requests import person_of, user_of
from checkout.kit.admin.verbs import ReasonField
from checkout.kit.approvals import ApprovalChanged
from checkout.kit.display import EMPTY, amount, badge, code, link, page_of_public_id, told
from checkout.kit.models import Approval, User
from checkout.kit.money import Money
from gateways import services as gateways
from ledger import services as ledger
from ledger.admin import legs_asked
from ledger.services import manual
from payments import services
from payments.admin.asked import Fact, kind_of, permissions_to_decide, to_decide

# What is carried out when a second person agrees or says no, by kind of request.
_APPROVED: dict[str, Callable[..., Any]] = {**gateways.APPROVED, **ledger.APPROVED, **services.APPROVED}
_REJECTED: dict[str, Callable[..., Any]] = {**gateways.REJECTED, **ledger.REJECTED, **services.REJECTED}

_SHOWN_APART = ("legs", "stood")  # of what is asked for: what the page shows by itself


class ApproveForm(VerbForm):
    """To agree needs no reason; what was looked at may be told."""

    reason = ReasonField(required=False, help_text="What you have looked at; kept with the request.")

    @cached_property
    def facts(self) -> list[Fact]:
        """How it stands, which may have changed since it was asked for."""
        return kind_of(self.obj.kind).facts(self.obj) if _is_open(self.obj) else []

    @property
    def is_changed(self) -> bool:
        """Whether to look twice."""
        return any(fact.is_changed for fact in self.facts)


class WaitingFilter(DropdownFilter):
    """Whose turn it is; unless something else is chosen, what waits for whoever looks."""

    title = "whose turn"
    parameter_name = "turn"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("open", "Waiting for anybody"),
            ("asked", "Asked by me"),
            ("decided", "Decided"),
            ("all", "All"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Approval]) -> QuerySet[Approval]:
        match self.value():
            case None:
                return queryset & to_decide(user_of(request))
            case "open":
                return queryset & approvals.waiting()
            case "asked":
                return queryset.filter(maker=user_of(request))
            case "decided":
                return queryset.exclude(pk__in=approvals.waiting())
        return queryset


def _approve(approval: Approval, actor: Actor, data: dict[str, Any]) -> str:
    approval.answer = data["reason"]
    deed = _APPROVED.get(approval.kind)
    if deed is None:
        raise ApprovalChanged()  # of a release that knew this kind
    deed(approval=approval, checker=person_of(actor), actor=actor)
    return "Agreed, and carried out."


def _say_no(approval: Approval, actor: Actor, data: dict[str, Any]) -> None:
    reject = _REJECTED.get(approval.kind, approvals.reject)
    reject(approval=approval, checker=person_of(actor), reason=data["reason"], actor=actor)


def _reject(approval: Approval, actor: Actor, data: dict[str, Any]) -> str:
    _say_no(approval, actor, data)
    return "Rejected. Nothing was changed."


def _withdraw(approval: Approval, actor: Actor, data: dict[str, Any]) -> str:
    _say_no(approval, actor, data)
    return "Withdrawn. Nothing was changed."


def _is_open(approval: Approval) -> bool:
    return approval.status == Approval.Status.REQUESTED and approval.expires_at > clock.now()


def _status_of(approval: Approval) -> str:
    """Its status; one that nobody decided in time is expired before anybody has written that down."""
    is_late = approval.status == Approval.Status.REQUESTED and not _is_open(approval)
    return Approval.Status.EXPIRED if is_late else approval.status


@admin.register(Approval)
class ApprovalAdmin(VerbAdmin, ReadOnlyAdmin):
    """What one person asked for and another decides. The maker never agrees to their own."""

    change_form_template = "admin/desk/approval.html"
    list_display = ["created_at", "what", "sum", "about", "status_badge", "maker", "checker", "expires_at"]
    list_display_links = ["what"]
    list_filter = [WaitingFilter]
    list_select_related = ["maker", "checker"]
    unfiltered = "Waiting for me"
    quick_filters = (
        ("Waiting for anybody", "turn=open"),
        ("Asked by me", "turn=asked"),
        ("Decided", "turn=decided"),
        ("All", "turn=all"),
    )
    fields = [
        *("about", "asked", "reason", "evidence", "maker", "created_at", "expires_at"),
        *("checker", "decided_at", "answer"),
    ]
    readonly_fields = fields
    verbs = (
        Verb(
            name="approve",
            label="Approve",
            icon="check_circle",
            permission="kit.change_approval",
            consequence=lambda approval: (
                f"{approval.maker} asked for this: “{approval.reason}”. {kind_of(approval.kind).says(approval)}"
            ),
            act=_approve,
            is_offered=_is_open,
            form_class=ApproveForm,
            preview=legs_asked,
            template="admin/desk/decide.html",
            needs_fresh_code=fresh.always,
        ),
        Verb(
            name="reject",
            label="Reject",
            icon="cancel",
            permission="kit.change_approval",
            consequence=lambda approval: "Nothing is changed, and the request is closed.",
            act=_reject,
            is_offered=_is_open,
            is_grave=True,
        ),
        Verb(
            name="withdraw",
            label="Withdraw",
            icon="undo",
            permission="kit.view_approval",
            consequence=lambda approval: "Nothing is changed, and what you asked for is closed.",
            act=_withdraw,
            is_offered=_is_open,
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Approval]:
        return super().get_queryset(request).select_related("maker", "checker")

    def buttons(self, request: HttpRequest, obj: Approval) -> list[dict[str, Any]]:
        """Deciding for those who may, and withdrawing for the maker."""
        return [
            button for button in super().buttons(request, obj) if _is_for(user_of(request), obj, button["verb"].name)
        ]

    def may_ask(self, request: HttpRequest, obj: Approval, verb: Verb) -> bool:
        """Whoever may not decide this kind is kept out; a maker who tries to agree is told why not."""
        is_told = verb.name != "withdraw" and obj.maker_id == user_of(request).pk
        return is_told or _is_for(user_of(request), obj, verb.name)

    def page_context(self, request: HttpRequest, obj: Approval) -> dict[str, Any]:
        kind = kind_of(obj.kind)
        facts = kind.facts(obj) if _is_open(obj) else []
        return {
            **super().page_context(request, obj),
            "badges": [badge(_status_of(obj))],
            "legs": legs_asked(obj),
            "says": kind.says(obj),
            "facts": facts,
            "is_changed": any(fact.is_changed for fact in facts),
            "is_open": _is_open(obj),
            "is_mine": obj.maker_id == user_of(request).pk,
            "label": kind.label,
        }

    @display(description="request")
    def what(self, approval: Approval) -> str:
        return kind_of(approval.kind).label

    @display(description="amount")
    def sum(self, approval: Approval) -> SafeString | str:
        payload = approval.payload
        is_sum = isinstance(payload.get("amount"), int) and payload.get("currency")
        return amount(Money(payload["amount"], payload["currency"])) if is_sum else EMPTY

    @display(description="about")
    def about(self, approval: Approval) -> SafeString:
        is_written = approval.kind != manual.WRITE or approval.status == Approval.Status.APPROVED
        return link(code(approval.object_id), page_of_public_id(approval.object_id) if is_written else "")

    @display(description="asked for")
    def asked(self, approval: Approval) -> SafeString:
        return told({name: value for name, value in approval.payload.items() if name not in _SHOWN_APART})

    @display(description="status")
    def status_badge(self, approval: Approval) -> SafeString:
        return badge(_status_of(approval))


def _is_for(user: User, approval: Approval, verb: str) -> bool:
    is_maker = approval.maker_id == user.pk
    if verb == "withdraw":
        return is_maker
    return not is_maker and user.has_perms(permissions_to_decide(approval.kind))
