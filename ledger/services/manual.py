"""How do people put the books right? By an entry of their own, or by reversing one; a second person agrees to either.

An entry that is asked for has its name from then on: the request, the audit and the journal speak of the same one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time
from typing import Any
from uuid import UUID

from checkout.kit import approvals, audit, clock
from checkout.kit.actors import Actor
from checkout.kit.approvals import AlreadyRequested
from checkout.kit.durable import durable
from checkout.kit.ids import parse_public_id, public_id, uuid7
from checkout.kit.models import Approval, User
from checkout.kit.money import Money
from gateways.models import Gateway
from ledger import recipes, selectors
from ledger.chart import CHART, AccountKey, AccountKind, is_in_chart
from ledger.errors import AccountNotInChart, AlreadyReversed, DayInFuture, EntryDoesNotBalance, OneGatewayOnly
from ledger.models import JournalEntry
from ledger.recipes import PostingDraft
from ledger.services.recording import record_entries
from merchants.models import Merchant

WRITE = "entry.write"
REVERSE = "entry.reverse"


@durable("manual_entry.request")
def request_manual_entry(
    *, mode: str, legs: Sequence[PostingDraft], on: date, reason: str, evidence: str, maker: User, actor: Actor
) -> Approval:
    """Ask a second person to post an entry of an accounting day: two legs or more, balanced in each currency.

    Refuses: EntryDoesNotBalance, AccountNotInChart, OneGatewayOnly, DayInFuture, AlreadyRequested.
    """
    _require_balance(legs)
    for leg in legs:
        if not is_in_chart(leg.account):
            raise AccountNotInChart(kind=leg.account.kind, owner=CHART[leg.account.kind].owner)
    if len({leg.account.gateway_id for leg in legs} - {None}) > 1:
        raise OneGatewayOnly()
    if on > clock.now().astimezone(UTC).date():
        raise DayInFuture(day=on)
    payload = {"mode": mode, "on": on.isoformat(), "legs": _as_json(legs)}
    if approvals.is_open(kind=WRITE, payload=payload, reason=reason, evidence=evidence, maker=maker):
        raise AlreadyRequested()  # each entry has a name of its own, so a form that was sent twice is known by this
    return approvals.request(
        kind=WRITE,
        obj=JournalEntry(id=uuid7()),
        payload=payload,
        reason=reason,
        evidence=evidence,
        maker=maker,
        actor=actor,
    )


@durable("manual_entry.approve")
def approve_manual_entry(*, approval: Approval, checker: User, actor: Actor) -> JournalEntry:
    """Agree to an entry, and post it. If its day has been closed since, it is of the next open one.

    Refuses: MakerCannotCheck, ApprovalNotOpen, ApprovalChanged, InsufficientBalance.
    """
    approval = approvals.approve(approval=approval, checker=checker)
    legs = legs_of(approval)
    draft = recipes.manual(
        legs=legs,
        merchant_id=_only({leg.account.merchant_id for leg in legs}),
        gateway_id=_only({leg.account.gateway_id for leg in legs}),
        mode=approval.payload["mode"],
        reference=approval.public_id,
        occurred_at=datetime.combine(date.fromisoformat(approval.payload["on"]), time(), UTC),
    )
    entry = JournalEntry(id=_entry_id(approval))
    return _post(draft, entry.id, about=entry, approval=approval, actor=actor)


@durable("reversal.request")
def request_reversal(*, entry: JournalEntry, reason: str, evidence: str, maker: User, actor: Actor) -> Approval:
    """Ask a second person to reverse an entry. The reversal is of the day on which it is agreed to.

    Refuses: AlreadyReversed, AlreadyRequested.
    """
    entry = selectors.entry_with_postings(entry.pk)
    if selectors.reversal_of(entry) is not None:
        raise AlreadyReversed(entry=entry.public_id)
    draft = recipes.reversal(entry=entry)
    return approvals.request(
        kind=REVERSE,
        obj=entry,
        payload={"mode": entry.mode, "kind": entry.kind, "of": entry.reference, "legs": _as_json(draft.postings)},
        reason=reason,
        evidence=evidence,
        maker=maker,
        actor=actor,
    )


@durable("reversal.approve")
def approve_reversal(*, approval: Approval, checker: User, actor: Actor) -> JournalEntry:
    """Agree to the reversal of an entry, and post it.

    Refuses: MakerCannotCheck, ApprovalNotOpen, ApprovalChanged, AlreadyReversed, InsufficientBalance.
    """
    approval = approvals.approve(approval=approval, checker=checker)
    entry = selectors.entry_with_postings(_entry_id(approval))
    if selectors.reversal_of(entry) is not None:
        raise AlreadyReversed(entry=entry.public_id)
    return _post(recipes.reversal(entry=entry), uuid7(), about=entry, approval=approval, actor=actor)


def legs_of(approval: Approval) -> list[PostingDraft]:
    """The legs that a request for an entry or a reversal wants to be posted."""
    return [
        PostingDraft(
            AccountKey(
                AccountKind(leg["account"]),
                merchant_id=leg["merchant"] and parse_public_id(Merchant.PUBLIC_PREFIX, leg["merchant"]),
                gateway_id=leg["gateway"] and parse_public_id(Gateway.PUBLIC_PREFIX, leg["gateway"]),
                holder=leg["holder"],
            ),
            Money(leg["amount"], leg["currency"]),
        )
        for leg in approval.payload["legs"]
    ]


def _post(
    draft: recipes.JournalDraft, key: UUID, *, about: JournalEntry, approval: Approval, actor: Actor
) -> JournalEntry:
    """Post what was agreed to, under its key; somebody else may have been quicker to reverse the same."""
    after = {**approval.payload, "approval": approval.public_id, "evidence": approval.evidence}
    audit.record(actor=actor, verb=approval.kind, obj=about, reason=approval.reason, after=after)
    record_entries([replace(draft, id=key)])
    posted = JournalEntry.objects.filter(pk=key).first()
    if posted is None:
        raise AlreadyReversed(entry=draft.reference)
    return posted


def _require_balance(legs: Sequence[PostingDraft]) -> None:
    if len(legs) < 2:
        raise EntryDoesNotBalance(problem="it has fewer than two legs")
    if not all(leg.amount for leg in legs):
        raise EntryDoesNotBalance(problem="one of its legs is of nothing")
    for currency in sorted({leg.amount.currency for leg in legs}):
        total = sum((leg.amount for leg in legs if leg.amount.currency == currency), Money(0, currency))
        if total:
            more, less = ("debits", "credits") if total.amount_minor > 0 else ("credits", "debits")
            size = Money(abs(total.amount_minor), currency)
            raise EntryDoesNotBalance(problem=f"{more} exceed {less} by {size}")


def _as_json(legs: Iterable[PostingDraft]) -> list[dict[str, Any]]:
    """Legs as whoever agrees to them reads them: amounts in minor units, debit positive, owners by outside names."""
    return [
        {
            "account": leg.account.kind.value,
            "merchant": leg.account.merchant_id and public_id(Merchant.PUBLIC_PREFIX, leg.account.merchant_id),
            "gateway": leg.account.gateway_id and public_id(Gateway.PUBLIC_PREFIX, leg.account.gateway_id),
            "holder": leg.account.holder,
            "currency": leg.amount.currency,
            "amount": leg.amount.amount_minor,
        }
        for leg in legs
    ]


def _only(owners: set[UUID | None]) -> UUID | None:
    """The one owner that is named; none if there are several."""
    named = owners - {None}
    return named.pop() if len(named) == 1 else None


def _entry_id(approval: Approval) -> UUID:
    key = parse_public_id(JournalEntry.PUBLIC_PREFIX, approval.object_id)
    assert key is not None
    return key
