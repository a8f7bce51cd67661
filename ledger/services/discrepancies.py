"""What can people do about a difference? Explain it by a posting, match by hand, carry it, say something about it.

Whatever is posted above the limit needs a second person; what happened at the gateway anyway does not. All of it may be
part of another transaction.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Func, Q, QuerySet

from checkout.kit import audit, clock
from checkout.kit.actors import Actor
from checkout.kit.ids import uuid7
from checkout.kit.limits import together_in
from checkout.kit.models import AuditEntry, User
from checkout.kit.money import Money
from checkout.kit.statuses import advance
from gateways import services as gateway_services
from gateways.settlements import LineKind
from ledger import selectors as books
from ledger.models import (
    Account,
    ClearingItem,
    Discrepancy,
    DiscrepancyNote,
    JournalEntry,
    Match,
    SettlementLine,
)
from ledger.models.journal import TransactionIdField
from ledger.recipes import GatewayFact, JournalDraft, PostingDraft
from ledger.reconciliation import resolutions
from ledger.reconciliation.locks import share_gateway
from ledger.reconciliation.refusals import (
    DiscrepancyEnded,
    LineCannotBeMatched,
    ResolutionNotPossible,
)
from ledger.reconciliation.resolutions import FACTS, IN_BULK, Closing, Plan, suggest
from ledger.services.gateway_facts import DISPUTES, post_chargeback, rest_of
from ledger.services.limits import require_not_too_many, require_one_person_may
from ledger.services.recording import record_entries
from ledger.services.releasing import released_by_settlement
from ledger.statuses import DISCREPANCY, UNRESOLVED, DiscrepancyEvent, DiscrepancyStatus, FileStatus

__all__ = ["carry", "comment", "match_by_hand", "preview", "preview_many", "resolve", "resolve_many", "suggest"]

Kind, Resolution = Discrepancy.Kind, Discrepancy.Resolution
_THIS_TRANSACTION = Func(function="pg_current_xact_id", output_field=TransactionIdField())
_DRAFTS_AT_ONCE = 1_000


@dataclass(frozen=True)
class Preview:
    """What a resolution would post, and what would then stand on the accounts it touches."""

    drafts: list[JournalDraft]
    balances: list[books.Balance]


@dataclass(frozen=True)
class Total:
    """What resolving several discrepancies would post in one currency: how many, their sum, and it without signs."""

    currency: str
    count: int
    difference_minor: int
    value_minor: int


@transaction.atomic
def resolve(
    *,
    discrepancy: Discrepancy,
    resolution: str,
    reason: str,
    actor: Actor,
    entry: JournalEntry | None = None,
    has_second_person: bool = False,
) -> Discrepancy:
    """Explain a difference: post what it takes, close its sides, and write down who did it and why.

    `entry` is what a refund was adopted by, already posted in this transaction. Refuses: DiscrepancyEnded,
    ResolutionNotPossible, SecondPersonNeeded, ReconciliationUnderWay, InsufficientBalance.
    """
    discrepancy = lock_discrepancies([discrepancy])[0]
    plan = _plan(discrepancy, resolution, entry)
    if resolution not in FACTS and not has_second_person:
        _require_one_person_may([(discrepancy, plan)], actor)
    _carry_out([(discrepancy, plan)], resolution=resolution, reason=reason, actor=actor, entry=entry)
    return discrepancy


@transaction.atomic
def resolve_many(
    *,
    discrepancies: Iterable[Discrepancy],
    resolution: str,
    reason: str,
    actor: Actor,
    has_second_person: bool = False,
) -> list[Discrepancy]:
    """Explain differences alike, all of them or none.

    Refuses: as `resolve`, of the sum of them all; TooManyAtOnce.
    """
    wanted = list(discrepancies)
    require_not_too_many(len(wanted))
    if resolution not in IN_BULK:
        raise ResolutionNotPossible("only write-offs, fees and what goes to suspense are posted in one go")
    locked = lock_discrepancies(wanted)
    plans = [(discrepancy, _plan(discrepancy, resolution)) for discrepancy in locked]
    if not has_second_person:
        _require_one_person_may(plans, actor)
    _carry_out(plans, resolution=resolution, reason=reason, actor=actor)
    return locked


@transaction.atomic
def preview(*, discrepancy: Discrepancy, resolution: str) -> Preview:
    """What resolving would do: it is done, looked at, and undone. Refuses: as `resolve`, but for the second person."""
    discrepancy = lock_discrepancies([discrepancy])[0]
    began = uuid7()
    plan = _plan(discrepancy, resolution)
    _carry_out([(discrepancy, plan)], resolution=resolution, reason="", actor=Actor.task("preview"))
    entries = list(
        JournalEntry.objects.filter(pk__gt=began, xid=_THIS_TRANSACTION)
        .order_by("pk")
        .prefetch_related("postings__account__merchant", "postings__account__gateway")
    )
    accounts = {leg.account_id for entry in entries for leg in entry.postings.all()}
    sums = books.with_balances(Account.objects.filter(pk__in=accounts).select_related("merchant", "gateway"))
    balances = [books.Balance(account, Money(int(account.total), account.currency)) for account in sums]
    transaction.set_rollback(True)
    return Preview([_as_draft(entry) for entry in entries], balances)


def preview_many(*, discrepancies: Iterable[Discrepancy], resolution: str) -> list[Total]:
    """What resolving several would post, by currency. Refuses: ResolutionNotPossible, TooManyAtOnce."""
    wanted = list(discrepancies)
    require_not_too_many(len(wanted))
    return _totals([(discrepancy, _plan(discrepancy, resolution)) for discrepancy in wanted])


@transaction.atomic
def match_by_hand(
    *, line: SettlementLine, item: ClearingItem, reason: str, actor: Actor, has_second_person: bool = False
) -> Match:
    """Say that a line and an item are the same movement. What they differ by is a fee if their gross is the same,
    else it is given up.

    Refuses: LineCannotBeMatched, SecondPersonNeeded, ReconciliationUnderWay.
    """
    share_gateway(line.gateway_id, line.mode)
    told = list(told_of(line, item).select_for_update(of=("self",)))
    line = SettlementLine.objects.select_for_update(of=("self",)).get(pk=line.pk)
    item = ClearingItem.objects.select_for_update(of=("self",)).select_related("entry").get(pk=item.pk)
    require_matchable(line, item, told)
    closing = Closing(line.currency, line, item)
    if not has_second_person:
        value = Money(abs(closing.difference.amount_minor), closing.currency)
        require_one_person_may([value], mode=line.mode, actor=actor)
        told[0].alone_minor = together_in(told[0].currency, [value]).amount_minor
    is_fee = line.gross_minor == item.gross_minor
    resolution = Resolution.FEE_TRUE_UP if is_fee else Resolution.WRITE_OFF
    fact: GatewayFact = {
        "mode": line.mode,
        "gateway_id": line.gateway_id,
        "reference": f"stl_{line.pk}",
        "payment_reference": item.entry.payment_reference,
    }
    drafts = resolutions.posting(closing, resolution, fact)
    record_entries(drafts + _released([closing]))
    (match,) = _close([closing])
    for discrepancy in told:
        _end(discrepancy, Resolution.MATCH_BY_HAND, reason, actor)
        discrepancy.save()
        _audit(discrepancy, reason, actor, {"line": line.pk, "item": item.reference}).save()
    return match


@transaction.atomic
def carry(*, discrepancy: Discrepancy, owner: User, reason: str, actor: Actor) -> Discrepancy:
    """Let a difference stand under somebody's name, so that its day can be closed; it is still to be explained.

    Refuses: DiscrepancyEnded, ResolutionNotPossible for a line of unknown kind, InvalidTransition.
    """
    discrepancy = lock_discrepancies([discrepancy])[0]
    if discrepancy.kind == Kind.UNMAPPED_TYPE:
        raise ResolutionNotPossible("nobody can carry what nobody has told us the meaning of")
    before = {"status": discrepancy.status, "owner": discrepancy.owner and discrepancy.owner.public_id}
    if discrepancy.status != DiscrepancyStatus.CARRIED:
        advance(discrepancy, DISCREPANCY, DiscrepancyEvent.CARRY)
    discrepancy.owner = owner
    discrepancy.save(update_fields=["status", "owner"])
    after = {"status": discrepancy.status, "owner": owner.public_id}
    audit.record(actor=actor, verb="discrepancy.carry", obj=discrepancy, reason=reason, before=before, after=after)
    return discrepancy


@transaction.atomic
def comment(*, discrepancy: Discrepancy, text: str, actor: Actor) -> DiscrepancyNote:
    """Say something about a difference; what was said stays."""
    return DiscrepancyNote.objects.create(discrepancy=discrepancy, author=str(actor), text=text)


def told_of(line: SettlementLine, item: ClearingItem) -> QuerySet[Discrepancy]:
    """What is unresolved of a line or an item, in order."""
    return Discrepancy.objects.filter(Q(line=line) | Q(item=item), status__in=UNRESOLVED).order_by("pk")


def require_matchable(line: SettlementLine, item: ClearingItem, told: Sequence[Discrepancy]) -> None:
    """Refuse (LineCannotBeMatched) what can never be one movement, is matched already, or of which nothing was told."""
    if line.match_id or item.match_id:
        raise LineCannotBeMatched("one of them is matched already")
    if (line.gateway_id, line.mode, line.currency) != (item.gateway_id, item.mode, item.currency):
        raise LineCannotBeMatched("they are of different gateways, modes or currencies")
    if line.file.status != FileStatus.IMPORTED:
        raise LineCannotBeMatched("its file is not imported")
    if line.kind not in (item.kind, LineKind.ADJUSTMENT, LineKind.UNMAPPED):
        kind = line.kind.replace("_", " ")
        raise LineCannotBeMatched(f"their {kind} is not our {item.kind}")
    if not told:
        raise LineCannotBeMatched("nobody has compared them yet")


def lock_discrepancies(discrepancies: Sequence[Discrepancy]) -> list[Discrepancy]:
    """The discrepancies as they are now, locked in their order, with what they are about; no file is matched meanwhile.

    Refuses: DiscrepancyEnded, ReconciliationUnderWay.
    """
    for gateway_id, mode in sorted({(row.gateway_id, row.mode) for row in discrepancies}, key=str):
        share_gateway(gateway_id, mode)
    if any(row.batch_id or row.bank_line_id for row in discrepancies):
        for mode in sorted({row.mode for row in discrepancies}):
            share_gateway(None, mode)
    rows = Discrepancy.objects.select_for_update(of=("self",)).filter(pk__in=[row.pk for row in discrepancies])
    locked = list(rows.select_related("gateway", "line", "item__entry", "batch", "bank_line", "owner").order_by("pk"))
    for row in locked:
        if row.status not in UNRESOLVED:
            raise DiscrepancyEnded(status=row.status)
    return locked


def _plan(discrepancy: Discrepancy, resolution: str, entry: JournalEntry | None = None) -> Plan:
    line = discrepancy.line
    if resolution == Resolution.ADOPT_REFUND and entry is None:
        raise ResolutionNotPossible("a refund is adopted with the payment that it gives back")
    if resolution == Resolution.CHARGEBACK and (line is None or line.kind not in DISPUTES):
        raise ResolutionNotPossible("the line is no chargeback")
    return resolutions.plan(discrepancy, resolution)


def _require_one_person_may(plans: Sequence[tuple[Discrepancy, Plan]], actor: Actor) -> None:
    """Refuse (SecondPersonNeeded) what is more than one person explains; else keep that one person explained it."""
    for mode in sorted({discrepancy.mode for discrepancy, _ in plans}):
        totals = _totals([row for row in plans if row[0].mode == mode])
        values = [Money(total.value_minor, total.currency) for total in totals]
        require_one_person_may(values, mode=mode, actor=actor)
    for discrepancy, plan in plans:
        discrepancy.alone_minor = plan.value_minor


def _totals(plans: Sequence[tuple[Discrepancy, Plan]]) -> list[Total]:
    sums: dict[str, list[int]] = {}
    for discrepancy, plan in plans:
        row = sums.setdefault(discrepancy.currency, [0, 0, 0])
        row[0] += 1
        row[1] += discrepancy.difference_minor
        row[2] += plan.value_minor
    return [Total(currency, *row) for currency, row in sorted(sums.items())]


def _carry_out(
    plans: Sequence[tuple[Discrepancy, Plan]],
    *,
    resolution: str,
    reason: str,
    actor: Actor,
    entry: JournalEntry | None = None,
) -> None:
    """Close the sides, end the discrepancies, and post. Expects them to be locked."""
    if resolution == Resolution.CHARGEBACK:
        entry = post_chargeback(plans[0][0])
    if entry is not None:
        plans[0][1].drafts.extend(rest_of(plans[0][0], entry))
    drafts = [draft for _, plan in plans for draft in plan.drafts]
    for start in range(0, len(drafts), _DRAFTS_AT_ONCE):
        record_entries(drafts[start : start + _DRAFTS_AT_ONCE])
    closings = [closing for _, plan in plans for closing in plan.closings]
    if resolution != Resolution.REVERSE_OURS:
        record_entries(_released(closings))
    _close(closings)
    posted = _posted(drafts)
    for discrepancy, plan in plans:
        if entry is not None:
            discrepancy.entry = entry
        elif plan.drafts:
            discrepancy.entry_id = posted[plan.drafts[0].kind, plan.drafts[0].reference]
        _end(discrepancy, resolution, reason, actor)
    changed = ["status", "resolution", "entry", "alone_minor", "ended_at", "ended_by", "end_reason"]
    Discrepancy.objects.bulk_update([discrepancy for discrepancy, _ in plans], changed, batch_size=500)
    AuditEntry.objects.bulk_create(
        _audit(discrepancy, reason, actor, {"difference": discrepancy.difference_minor}) for discrepancy, _ in plans
    )


def _end(discrepancy: Discrepancy, resolution: str, reason: str, actor: Actor) -> None:
    advance(discrepancy, DISCREPANCY, DiscrepancyEvent.RESOLVE)
    discrepancy.resolution = resolution
    discrepancy.ended_at, discrepancy.ended_by, discrepancy.end_reason = clock.now(), str(actor), reason[:500]


def _audit(discrepancy: Discrepancy, reason: str, actor: Actor, about: dict[str, Any]) -> AuditEntry:
    return AuditEntry(
        actor=str(actor),
        verb="discrepancy.resolve",
        object_type="discrepancy",
        object_id=discrepancy.public_id,
        reason=reason[:500],
        before={"kind": discrepancy.kind},
        after={"status": discrepancy.status, "resolution": discrepancy.resolution, **about},
        address=actor.address,
    )


def _released(closings: Sequence[Closing]) -> list[JournalDraft]:
    """What merchants may use because these are closed."""
    items: dict[tuple[Any, str], list[ClearingItem]] = {}
    for closing in closings:
        if closing.item:
            items.setdefault((closing.item.gateway_id, closing.item.mode), []).append(closing.item)
    return [
        draft
        for (gateway_id, mode), found in items.items()
        for draft in released_by_settlement(gateway_id=gateway_id, mode=mode, items=found)
    ]


def _close(closings: Sequence[Closing]) -> list[Match]:
    """Take lines and items from what is open. Refuses: LineCannotBeMatched."""
    now = clock.now()
    matches = Match.objects.bulk_create(
        Match(
            gateway_id=closing.side.gateway_id,
            mode=closing.side.mode,
            currency=closing.currency,
            how=Match.How.BY_HAND,
            difference_minor=closing.difference.amount_minor,
            matched_at=now,
        )
        for closing in closings
    )
    lines, items = [], []
    for closing, match in zip(closings, matches, strict=True):
        if closing.line:
            closing.line.match = match
            lines.append(closing.line)
        if closing.item:
            closing.item.match = match
            items.append(closing.item)
    open_lines, open_items = SettlementLine.objects.filter(match=None), ClearingItem.objects.filter(match=None)
    done = open_lines.bulk_update(lines, ["match"], batch_size=500) + open_items.bulk_update(items, ["match"])
    if done != len(lines) + len(items):
        raise LineCannotBeMatched("one of them is matched already")
    _note_fees(closings)
    return matches


def _note_fees(closings: Sequence[Closing]) -> None:
    """What was charged for payments whose lines people put to them: these are the fees that were not as expected."""
    charged: dict[tuple[Any, str], list[int]] = {}
    for closing in closings:
        if closing.line and closing.item and closing.line.kind == LineKind.CHARGE:
            sums = charged.setdefault((closing.line.gateway_id, closing.currency), [0, 0, 0])
            for place, figure in enumerate((1, closing.line.gross_minor, closing.line.fee_minor)):
                sums[place] += figure
    today = clock.now().date()
    for (gateway_id, currency), (count, gross, fee) in charged.items():
        gateway_services.note_observed_fees(gateway_id=gateway_id, on=today, charged=[(currency, count, gross, fee)])


def _posted(drafts: Sequence[JournalDraft]) -> dict[tuple[str, str], Any]:
    """The keys of the entries that these drafts became."""
    rows = JournalEntry.objects.filter(reference__in={draft.reference for draft in drafts})
    kinds = {draft.kind for draft in drafts}
    return {(kind, name): key for key, kind, name in rows.filter(kind__in=kinds).values_list("pk", "kind", "reference")}


def _as_draft(entry: JournalEntry) -> JournalDraft:
    """An entry as it would have been drafted."""
    return JournalDraft(
        kind=entry.kind,
        reference=entry.reference,
        mode=entry.mode,
        postings=tuple(PostingDraft(leg.account.key, leg.amount) for leg in entry.postings.all()),
        merchant_id=entry.merchant_id,
        gateway_id=entry.gateway_id,
        gateway_reference=entry.gateway_reference,
        payment_reference=entry.payment_reference,
    )
