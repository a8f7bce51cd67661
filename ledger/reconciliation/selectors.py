"""What waits, what differs, and which days are still open?"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.db.models import Count, Min, Q, QuerySet, Sum
from django.db.models.functions import Abs

from checkout.kit import clock
from gateways.models import Gateway
from gateways.settlements import LineKind
from ledger.models import (
    BankLine,
    ClearingItem,
    Discrepancy,
    JournalEntry,
    SettlementBatch,
    SettlementFile,
    SettlementLine,
)
from ledger.statuses import UNRESOLVED, BatchStatus, FileStatus

_BANK_LINE_DAYS = 90  # an older booking that nobody could place is no payout of a gateway


def files_due() -> list[SettlementFile]:
    """The files that wait to be imported, the oldest first."""
    due = SettlementFile.objects.filter(
        status__in=[FileStatus.RECEIVED, FileStatus.IMPORTING], next_action_at__lte=clock.now()
    )
    return list(due.order_by("id"))


def gateways_with_files(*, unreconciled: bool = False) -> list[tuple[Gateway | None, str]]:
    """The gateways, and None for the bank, of which files were imported, with their mode.

    With `unreconciled`, only those of which one has not been matched yet.
    """
    files = SettlementFile.objects.filter(status=FileStatus.IMPORTED).order_by()
    if unreconciled:
        files = files.filter(reconciled_at=None)
    keys = sorted(files.values_list("gateway", "mode").distinct(), key=str)
    gateways = Gateway.objects.in_bulk([key for key, _ in keys if key])
    return [(gateways.get(key), mode) for key, mode in keys]


def names_received(gateway: Gateway) -> Collection[str]:
    """The names of the files that we have of a gateway. A name is asked for once, also if what came was refused.

    What people brought in under such a name and was refused need not be what the gateway has.
    """
    had = Q(source=SettlementFile.Source.FETCH) | ~Q(status=FileStatus.REFUSED)
    return set(SettlementFile.objects.filter(had, gateway=gateway).values_list("name", flat=True))


def open_bank_lines(mode: str) -> list[BankLine]:
    """The bookings of imported bank statements that belong to no payout yet, the oldest first; not very old ones."""
    since = clock.now().date() - timedelta(days=_BANK_LINE_DAYS)
    lines = BankLine.objects.filter(matched_at=None, booked_on__gte=since)
    return list(lines.filter(file__mode=mode, file__status=FileStatus.IMPORTED).select_related("file").order_by("id"))


def announced_batches(mode: str) -> list[SettlementBatch]:
    """The payouts that no booking at the bank has been matched with, the oldest first."""
    batches = SettlementBatch.objects.filter(mode=mode, status=BatchStatus.ANNOUNCED)
    awaited = batches.exclude(net_minor=0, payout_minor=None).exclude(payout_minor=0)
    return list(awaited.select_related("gateway").order_by("paid_on", "id"))


def item_of(line: SettlementLine, *, kind: str) -> ClearingItem | None:
    """The item of a kind that a line speaks of by a name, matched or not: ours first, then the gateway's."""
    items = ClearingItem.objects.filter(gateway_id=line.gateway_id, mode=line.mode, kind=kind).select_related("entry")
    if line.reference and (found := items.filter(reference=line.reference).first()):
        return found
    if not line.gateway_reference:
        return None
    entries = JournalEntry.objects.filter(
        gateway_reference=line.gateway_reference, kind__in=list(ClearingItem.KINDS)
    ).exclude(gateway_reference="")
    return items.filter(entry__in=entries).first()


def refunds_to_adopt() -> QuerySet[Discrepancy]:
    """Refunds in the files of gateways that nobody asked for here: made at the gateway's own desk, it seems."""
    return Discrepancy.objects.filter(
        status__in=UNRESOLVED, kind=Discrepancy.Kind.MISSING_IN_LEDGER, line__kind=LineKind.REFUND
    ).select_related("line", "gateway")


@dataclass(frozen=True)
class OpenKind:
    """The unresolved discrepancies of one kind at one gateway in one currency. `value_minor` sums absolute values."""

    gateway: Gateway | None
    mode: str
    kind: str
    currency: str
    count: int
    value_minor: int
    oldest_on: date


def open_discrepancies(*, mode: str | None = None) -> list[OpenKind]:
    """What is unresolved, the greatest value first. Two queries."""
    rows: list[Any] = list(
        Discrepancy.objects.filter(Q(mode=mode) if mode else Q(), status__in=UNRESOLVED)
        .order_by()
        .values("gateway", "mode", "kind", "currency")
        .annotate(count=Count("id"), value=Sum(Abs("difference_minor")), oldest=Min("on"))
    )
    gateways = Gateway.objects.in_bulk({row["gateway"] for row in rows if row["gateway"]})
    found = [
        OpenKind(
            gateway=gateways.get(row["gateway"]),
            mode=row["mode"],
            kind=row["kind"],
            currency=row["currency"],
            count=row["count"],
            value_minor=int(row["value"]),
            oldest_on=row["oldest"],
        )
        for row in rows
    ]
    return sorted(found, key=lambda kind: (-kind.value_minor, kind.kind))


def loose_ends(*, currency: str, on: date) -> QuerySet[Discrepancy]:
    """What is unresolved up to a day, at every gateway, but for what is so young that it will explain itself.

    What is carried is among it.
    """
    in_currency = Q(currency=currency) | Q(line__currency=currency)  # theirs may be in another one than ours
    told = Discrepancy.objects.filter(in_currency, on__lte=on, status__in=UNRESOLVED)
    return told.exclude(kind=Discrepancy.Kind.TIMING)
