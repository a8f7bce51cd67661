"""What is asked for, in words, who may decide it, and how does it stand now? One row for each kind of request."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from django.db.models import QuerySet

from checkout.kit import approvals
from checkout.kit.display import EMPTY, amount, badge, money, words
from checkout.kit.ids import parse_public_id
from checkout.kit.models import Approval, PublicModel, User
from checkout.kit.money import Money
from gateways.models import Gateway, Region
from gateways.regions import RegionPlan
from gateways.services import credentials, maintenance, regions, standing
from gateways.services.terms import terms_of
from ledger.models import ClosedDay, Discrepancy, JournalEntry
from ledger.selectors import reversal_of
from ledger.services import agreeing, closing, manual
from payments import selectors, services
from payments.models import Refund

Row = TypeVar("Row", bound=PublicModel)

_DECIDES = "kit.change_approval"  # whatever the kind, and the permission of the kind besides
_TERMS = (
    ("Address", "base_url"),
    ("Currencies", "currencies"),
    ("Settle window, seconds", "settle_window_seconds"),
    ("Cancels by reference", "supports_cancel_by_reference"),
)


@dataclass(frozen=True)
class Fact:
    """One thing to look at before deciding: as it was when somebody asked, and as it is."""

    label: str
    then: object
    now: object

    @property
    def is_changed(self) -> bool:
        """Whether it is no longer as it was."""
        return self.then != self.now


@dataclass(frozen=True)
class Kind:
    """A kind of request. `permission` is needed to decide it, `says` what happens then, `facts` what to look at."""

    label: str
    permission: str
    says: Callable[[Approval], str]
    facts: Callable[[Approval], list[Fact]] = lambda approval: []


def _about(model: type[Row], approval: Approval) -> Row:
    """The row that a request is about."""
    key = parse_public_id(model.PUBLIC_PREFIX, approval.object_id)
    assert key is not None
    return model._default_manager.get(pk=key)


def _refund(approval: Approval) -> str:
    asked = Money(approval.payload["amount"], approval.payload["currency"])
    return (
        f"{money(asked)} of {approval.payload['payment']} is given back to the customer: it leaves the merchant's "
        "balance and the gateway is asked at once. Until then nobody else can refund the same money."
    )


def _refund_facts(approval: Approval) -> list[Fact]:
    refund = _about(Refund, approval)
    then, now = approval.payload["stood"], services.how_it_stands(refund.payment)
    sums = [("Captured", "captured"), ("Refunded", "refunded"), ("Left besides", "left")]
    return [
        Fact("Payment", badge(then["status"]), badge(now["status"])),
        *(
            Fact(label, amount(Money(then[name], then["currency"])), amount(Money(now[name], now["currency"])))
            for label, name in sums
        ),
        Fact("Gateway", *_whether_stopped(refund)),
    ]


def _whether_stopped(refund: Refund) -> tuple[str, str]:
    authorization = selectors.authorization_of(refund.payment)
    return "works", "is stopped" if authorization is None or authorization.gateway.is_stopped else "works"


def _settlement(approval: Approval) -> str:
    payload = approval.payload
    about = f" of {money(Money(payload['amount'], payload['currency']))}" if payload.get("currency") else ""
    return (
        f"The attempt {approval.object_id}{about} is recorded as {payload['outcome']}, as its gateway's own books are "
        "said to show it. The payment goes on from there, and the ledger with it."
    )


def _settlement_facts(approval: Approval) -> list[Fact]:
    attempt = selectors.attempt_by_reference(approval.object_id)
    return [Fact("Attempt", badge("unknown"), badge(attempt.status) if attempt else EMPTY)]


def _reversal_facts(approval: Approval) -> list[Fact]:
    entry = _about(JournalEntry, approval)
    return [Fact("Entry", "stands", "stands" if reversal_of(entry) is None else "is reversed")]


def _difference_facts(approval: Approval) -> list[Fact]:
    names = approval.payload["discrepancies"]
    keys = [key for name in names if (key := parse_public_id(Discrepancy.PUBLIC_PREFIX, name))]
    open_count = Discrepancy.objects.filter(pk__in=keys, status="requested").count()
    return [Fact("Differences that wait for this", len(names), open_count)]


def _reopening(approval: Approval) -> str:
    on = date.fromisoformat(approval.payload["on"])
    return f"The closed day {on:%d %b %Y} of {approval.payload['gateway']} in {approval.payload['currency']} is opened."


def _reopening_facts(approval: Approval) -> list[Fact]:
    day = _about(ClosedDay, approval)
    return [Fact("Day", badge("closed"), badge("reopened" if day.reopened_at else "closed"))]


def _routing(approval: Approval) -> str:
    count = approval.payload["countries_with_another_first_gateway"]
    lost = approval.payload["countries_left_with_none"]
    return f"New payments are routed so at once: {count} countries first go elsewhere." + (
        f" No gateway is left for {', '.join(lost)}." if lost else ""
    )


def _routing_facts(approval: Approval) -> list[Fact]:
    region = _about(Region, approval)
    is_same = RegionPlan.of(region).version == approval.payload["base_version"]
    return [Fact("Region", "as it was looked at", "as it was looked at" if is_same else "changed by somebody else")]


def _gateway_facts(approval: Approval) -> list[Fact]:
    gateway, asked = _about(Gateway, approval), approval.payload
    then = asked.get("from")
    facts = [Fact("New payments", badge(then), badge(gateway.status))] if then else []
    if because := asked.get("stopped_because"):
        facts.append(Fact("Stopped", because, gateway.stopped_reason or "no longer"))
    now = terms_of(gateway)
    facts += [Fact(label, _said(asked[name]), _said(now[name])) for label, name in _TERMS if name in asked]
    if kept := asked.get("credentials_fingerprint"):
        is_same = kept == now["credentials_fingerprint"]
        facts.append(Fact("Credentials", "as they were", "as they were" if is_same else "changed"))
    return facts


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) if isinstance(value, list) else str(value)


KINDS: dict[str, Kind] = {
    services.REFUND: Kind("Refund", "payments.refund_payment", _refund, _refund_facts),
    services.SETTLE_BY_HAND: Kind(
        "Settlement of an unknown outcome by hand", "payments.change_attempt", _settlement, _settlement_facts
    ),
    manual.WRITE: Kind(
        "Journal entry by hand", "ledger.add_journalentry", lambda approval: "The entry is posted as it stands below."
    ),
    manual.REVERSE: Kind(
        "Reversal of a journal entry",
        "ledger.add_journalentry",
        lambda approval: "The reversal is posted as it stands below, on the day on which it is agreed to.",
        _reversal_facts,
    ),
    agreeing.RESOLVE: Kind(
        "Resolution of differences",
        "ledger.change_discrepancy",
        lambda approval: f"The differences below are explained as “{words(approval.payload['resolution'])}”.",
        _difference_facts,
    ),
    agreeing.MATCH: Kind(
        "Match by hand",
        "ledger.change_discrepancy",
        lambda approval: "The line of the gateway's file and our item below are made one movement.",
        _difference_facts,
    ),
    closing.REOPEN: Kind("Reopening of a closed day", "ledger.change_closedday", _reopening, _reopening_facts),
    regions.CHANGE: Kind("Change of routing", "gateways.change_region", _routing, _routing_facts),
    credentials.ROTATE: Kind(
        "New credentials of a gateway",
        "gateways.change_gateway",
        lambda approval: (
            f"From now on {approval.payload['gateway']} is called with the new "
            f"{', '.join(words(name) for name in approval.payload['fields'])}. Nobody sees them; what is approved are "
            "the very ones that were entered."
        ),
        _gateway_facts,
    ),
    standing.ENABLE: Kind(
        "Enabling of a gateway",
        "gateways.change_gateway",
        lambda approval: f"{approval.payload['gateway']} gets new payments from now on.",
        _gateway_facts,
    ),
    standing.RESUME: Kind(
        "Resuming of a stopped gateway",
        "gateways.change_gateway",
        lambda approval: f"{approval.payload['gateway']} gets payments again, although it was stopped for a reason.",
        _gateway_facts,
    ),
    maintenance.END: Kind(
        "Early end of a maintenance",
        "gateways.change_gateway",
        lambda approval: f"{approval.payload['gateway']} gets payments again before the end of its maintenance.",
    ),
}


def kind_of(name: str) -> Kind:
    """What is known of a kind of request; one that nobody here knows is described in general words."""
    return KINDS.get(name) or Kind(
        words(name).capitalize(),
        _DECIDES,
        lambda approval: "It is carried out at once, exactly as asked.",
    )


def permissions_to_decide(kind: str) -> tuple[str, ...]:
    """What somebody needs to decide requests of a kind."""
    return (_DECIDES, KINDS[kind].permission) if kind in KINDS else (_DECIDES,)


def to_decide(user: User) -> QuerySet[Approval]:
    """What others asked for, is still open, and of a kind that this person may decide, the most urgent first."""
    if not user.has_perm(_DECIDES):
        return Approval.objects.none()
    barred = [kind for kind in KINDS if not user.has_perms(permissions_to_decide(kind))]
    return approvals.waiting().exclude(kind__in=barred).exclude(maker=user)
