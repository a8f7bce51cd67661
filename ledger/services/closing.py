"""When is a day of a gateway over for good? Once every file is in, every difference is explained or carried, and its
statement ties out. What is told of it later goes to the next open day.
"""

from collections.abc import Callable
from datetime import date, timedelta

from django.db.models import Exists, OuterRef, Q

from checkout.kit import approvals, audit, clock
from checkout.kit.actors import Actor
from checkout.kit.durable import durable
from checkout.kit.errors import Refusal
from checkout.kit.ids import parse_public_id
from checkout.kit.models import Approval, User
from gateways.models import Gateway
from gateways.settlements import LineKind
from ledger.errors import DayNotOver
from ledger.models import ClearingItem, ClosedDay, Discrepancy, SettlementFile, SettlementLine
from ledger.reconciliation.coverage import coverage_of, is_covered
from ledger.reconciliation.locks import share_gateway
from ledger.reconciliation.refusals import (
    DayAlreadyClosed,
    DayCannotBeClosed,
    DayNotClosed,
    DoesNotTieOut,
    EarlierDayOpen,
    FileMissing,
    FileNotReconciled,
    NotCompared,
    UnmappedLines,
    UnresolvedDiscrepancies,
)
from ledger.reconciliation.selectors import loose_ends
from ledger.reconciliation.statements import Statement, closed_days, first_open_day, statement
from ledger.services.periods import lock_days, require_over
from ledger.statuses import UNRESOLVED, DiscrepancyStatus, FileStatus

__all__ = ["Statement", "approve_reopen", "close_day", "request_reopen", "statement", "what_hinders"]

REOPEN = "day.reopen"


@durable("close_day")
def close_day(*, gateway: Gateway, mode: str, currency: str, on: date, actor: Actor) -> ClosedDay:
    """Close a day: its entries are final from now on, and its statement is kept.

    Refuses: DayNotOver, DayAlreadyClosed, EarlierDayOpen, FileMissing, FileNotReconciled, NotCompared, UnmappedLines,
    UnresolvedDiscrepancies, DoesNotTieOut, ReconciliationUnderWay.
    """
    share_gateway(gateway.pk, mode)
    lock_days(gateway_id=gateway.pk, mode=mode, currency=currency, until=on)
    _require_its_turn(gateway, mode, currency, on)
    _require_files(gateway, mode, currency, on)
    _require_compared(gateway, mode, currency, on)
    carried_count = _require_no_loose_ends(gateway, mode, currency, on)
    figures = statement(gateway=gateway, mode=mode, currency=currency, on=on)
    _require_tied_out(figures)
    day = ClosedDay.objects.create(
        gateway=gateway,
        mode=mode,
        currency=currency,
        on=on,
        opening_minor=figures.opening_minor,
        movement_minor=figures.movement_minor,
        matched_minor=figures.matched_minor,
        closing_minor=figures.closing_minor,
        file_minor=figures.file_minor,
        exceptions_minor=figures.exceptions_minor,
        carried_count=carried_count,
        closed_by=str(actor),
    )
    audit.record(actor=actor, verb="day.close", obj=day, after={"on": on.isoformat(), "currency": currency})
    return day


def what_hinders(figures: Statement) -> list[Refusal]:
    """What `close_day` would refuse the day of a statement for, the refusal that it would give first. Locks nothing.

    Of a day that is closed already only that is said.
    """
    found: list[Refusal] = []
    day = (figures.gateway, figures.mode, figures.currency, figures.on)
    asked: list[Callable[[], object]] = [
        lambda: require_over(figures.on),
        lambda: _require_its_turn(*day),
        lambda: _require_files(*day),
        lambda: _require_compared(*day),
        lambda: _require_no_loose_ends(*day),
        lambda: _require_tied_out(figures),
    ]
    for require in asked:
        try:
            require()
        except DayAlreadyClosed as refusal:
            return [refusal]
        except (DayNotOver, DayCannotBeClosed) as refusal:
            found.append(refusal)
    return found


@durable("reopen.request")
def request_reopen(*, day: ClosedDay, reason: str, maker: User, actor: Actor, evidence: str = "") -> Approval:
    """Ask a second person to open the latest closed day again. Refuses: DayNotClosed, AlreadyRequested."""
    _require_reopenable(day)
    payload = {"gateway": day.gateway.code, "currency": day.currency, "on": day.on.isoformat()}
    return approvals.request(
        kind=REOPEN, obj=day, payload=payload, reason=reason, evidence=evidence, maker=maker, actor=actor
    )


@durable("reopen.approve")
def approve_reopen(*, approval: Approval, checker: User, actor: Actor) -> ClosedDay:
    """Agree to open a day again. What was carried of it stays carried, and what was sealed stays sealed.

    Nobody closes a later day meanwhile. Refuses: MakerCannotCheck, ApprovalNotOpen, ApprovalChanged, DayNotClosed,
    DayNotOver.
    """
    approval = approvals.approve(approval=approval, checker=checker)
    key = parse_public_id(ClosedDay.PUBLIC_PREFIX, approval.object_id)
    assert key is not None
    day = ClosedDay.objects.select_related("gateway").get(pk=key)
    lock_days(gateway_id=day.gateway_id, mode=day.mode, currency=day.currency, until=day.on)
    day.refresh_from_db(fields=["reopened_at"])
    _require_reopenable(day)
    day.reopened_at, day.reopened_by = clock.now(), str(actor)
    day.save(update_fields=["reopened_at", "reopened_by"])
    after = {**approval.payload, "approval": approval.public_id}
    audit.record(actor=actor, verb=REOPEN, obj=day, reason=approval.reason, after=after)
    return day


def _require_its_turn(gateway: Gateway, mode: str, currency: str, on: date) -> None:
    if closed_days(gateway, mode, currency).filter(on=on).exists():
        raise DayAlreadyClosed(day=on)
    earlier = first_open_day(gateway, mode, currency, until=on - timedelta(days=1))
    if earlier is not None:
        raise EarlierDayOpen(day=earlier)


def _require_files(gateway: Gateway, mode: str, currency: str, on: date) -> None:
    """No file waits; and where money of the day is still to be settled, one that covers the day is in."""
    files = SettlementFile.objects.filter(gateway=gateway, mode=mode)
    unfinished = Q(status__in=[FileStatus.RECEIVED, FileStatus.IMPORTING])
    waiting = files.filter(unfinished | Q(status=FileStatus.IMPORTED, reconciled_at=None)).first()
    if waiting is not None:
        raise FileNotReconciled(name=waiting.name)
    told = Discrepancy.objects.filter(item=OuterRef("pk"), status__in=UNRESOLVED).exclude(kind=Discrepancy.Kind.TIMING)
    items = ClearingItem.objects.filter(gateway=gateway, mode=mode, currency=currency, occurred_on=on, match=None)
    if items.filter(~Exists(told)).exists() and not is_covered(gateway, mode, currency, on):
        raise FileMissing(day=on, gateway=gateway.name)


def _require_compared(gateway: Gateway, mode: str, currency: str, on: date) -> None:
    """Nothing of ours or theirs is open up to the day without being told: by hand, or late, something may have come."""
    at_gateway = Q(gateway=gateway, mode=mode)
    files = SettlementFile.objects.filter(at_gateway, status=FileStatus.IMPORTED)
    covered = coverage_of(gateway, mode, today=clock.now().date()).until(currency)
    is_open = at_gateway & Q(currency=currency, match=None)
    items = ClearingItem.objects.filter(is_open, occurred_on__lte=min(on, covered))
    lines = SettlementLine.objects.filter(is_open, occurred_on__lte=on, file__in=files).exclude(kind=LineKind.PAYOUT)
    told = Discrepancy.objects.filter(at_gateway, status__in=UNRESOLVED)
    for side, rows in (("line", lines), ("item", items)):
        count = rows.filter(~Exists(told.filter(**{side: OuterRef("pk")}))).count()
        if count:
            raise NotCompared(count=count)


def _require_no_loose_ends(gateway: Gateway, mode: str, currency: str, on: date) -> int:
    """Everything up to the day is explained, carried, or so young that it will explain itself; how many are carried."""
    told = loose_ends(currency=currency, on=on).filter(gateway=gateway, mode=mode)
    unmapped = told.filter(kind=Discrepancy.Kind.UNMAPPED_TYPE).count()
    if unmapped:
        raise UnmappedLines(count=unmapped)
    carried = told.filter(status=DiscrepancyStatus.CARRIED).count()
    loose = told.count() - carried
    if loose:
        raise UnresolvedDiscrepancies(count=loose)
    return carried


def _require_tied_out(figures: Statement) -> None:
    if figures.file_difference:
        raise DoesNotTieOut(what="The file of the day", difference=figures.file_difference)
    if figures.receivable_difference:
        raise DoesNotTieOut(what="The receivable of the day", difference=figures.receivable_difference)


def _require_reopenable(day: ClosedDay) -> None:
    if day.reopened_at is not None:
        raise DayNotClosed("it is open")
    if closed_days(day.gateway, day.mode, day.currency).filter(on__gt=day.on).exists():
        raise DayNotClosed("a later one is closed; begin with the latest")
