"""Has the bank seen what gateways say they paid out? Credits are matched with batches and posted; what is missing or
differs is reported.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from django.db.models import QuerySet, Sum

from checkout.kit import audit, clock
from checkout.kit.actors import Actor
from checkout.kit.durable import durable
from checkout.kit.money import Money
from checkout.kit.statuses import advance, advance_where
from ledger import recipes
from ledger.models import BankLine, Discrepancy, SettlementBatch, SettlementFile
from ledger.recipes import JournalDraft
from ledger.reconciliation import selectors
from ledger.reconciliation.locks import be_patient, lock_whole_gateway
from ledger.reconciliation.payouts import Credited, pair_payouts
from ledger.reconciliation.refusals import LineCannotBeMatched
from ledger.reconciliation.reporting import report_payouts
from ledger.services.recording import record_entries
from ledger.statuses import (
    BATCH,
    DISCREPANCY,
    UNRESOLVED,
    BatchEvent,
    BatchStatus,
    DiscrepancyEvent,
    DiscrepancyStatus,
    FileStatus,
)

Kind, Resolution = Discrepancy.Kind, Discrepancy.Resolution


@dataclass(frozen=True)
class Banked:
    """What a look at the bank did: payouts that arrived, and differences reported."""

    payouts: int = 0
    differing: int = 0
    missing: int = 0


@durable("reconcile_bank")
def reconcile_bank(*, mode: str, actor: Actor, until: date | None = None) -> Banked:
    """Match the open lines of imported bank statements with announced payouts, and report what is missing.

    Ages are counted to `until`, or today. Refuses: ReconciliationUnderWay.
    """
    be_patient()
    lock_whole_gateway(None, mode)
    files = SettlementFile.objects.filter(gateway=None, mode=mode, status=FileStatus.IMPORTED, reconciled_at=None)
    new_files = list(files.values_list("pk", flat=True))
    bank = _Bank(actor)
    for credited in pair_payouts(selectors.open_bank_lines(mode), selectors.announced_batches(mode)):
        if credited.ties or len(credited.batches) == 1:
            bank.credit(credited)
        else:
            bank.report_line(credited)
    missing = report_payouts(mode=mode, today=until or bank.now.date(), now=bank.now)
    record_entries(bank.drafts)
    SettlementFile.objects.filter(pk__in=new_files).update(reconciled_at=bank.now)
    return Banked(bank.payout_count, bank.differing_count, missing)


@durable("match_bank_line")
def match_bank_line(*, line: BankLine, batches: Sequence[SettlementBatch], reason: str, actor: Actor) -> None:
    """Say which payouts a credit at the bank is; what it differs by is reported with the last of them.

    Refuses: LineCannotBeMatched, ReconciliationUnderWay.
    """
    mode = line.file.mode
    lock_whole_gateway(None, mode)
    line = BankLine.objects.select_for_update(of=("self",)).get(pk=line.pk)
    batches = list(SettlementBatch.objects.select_for_update(of=("self",)).filter(pk__in=[b.pk for b in batches]))
    if line.matched_at or not batches or any(batch.status != BatchStatus.ANNOUNCED for batch in batches):
        raise LineCannotBeMatched("one of them is matched already")
    if any((batch.currency, batch.mode) != (line.currency, mode) for batch in batches):
        raise LineCannotBeMatched("they are of different currencies or modes")
    bank = _Bank(actor)
    bank.credit(Credited(line, tuple(batches)))
    record_entries(bank.drafts)
    for batch in batches:
        audit.record(actor=actor, verb="batch.match_bank_line", obj=batch, reason=reason, after={"bank_line": line.pk})


class _Bank:
    """One look at the bank: what is posted and reported on the way."""

    def __init__(self, actor: Actor) -> None:
        self.actor = actor
        self.now = clock.now()
        self.drafts: list[JournalDraft] = []
        self.payout_count = self.differing_count = 0

    def credit(self, credited: Credited) -> None:
        """The payouts have arrived: each for what was expected, the last for what is left of the bank's amount."""
        line, left = credited.line, credited.line.amount_minor
        line.matched_at = self.now
        line.save(update_fields=["matched_at"])
        self._clear(line.discrepancies.all())
        for batch, share in zip(credited.batches, credited.shares_minor, strict=True):
            minor = left if batch is credited.batches[-1] else share
            left -= minor
            if minor:
                self.drafts.append(self._bank_credit(batch, minor, line.booked_on))
            advance(batch, BATCH, BatchEvent.BANK)
            batch.bank_line = line
            batch.save(update_fields=["status", "bank_line"])
            self._settle(batch, line, minor)
            self.payout_count += 1

    def report_line(self, credited: Credited) -> None:
        """A credit names several payouts and is not their sum: nothing is posted before a person has looked."""
        line, first = credited.line, credited.batches[0]
        if line.discrepancies.exists():
            return  # somebody looks at it, or has decided what to do about it
        self._open(
            line,
            gateway=first.gateway,
            ours=credited.expected_minor,
            difference=line.amount_minor - credited.expected_minor,
            detail=f"names {len(credited.batches)} payouts",
        )

    def _settle(self, batch: SettlementBatch, line: BankLine, credited_minor: int) -> None:
        """End what was reported of a payout while it was away, and report what it differs by now."""
        explained = batch.discrepancies.filter(kind=Kind.BATCH_TOTAL_DIFFERS, status__in=UNRESOLVED).first()
        in_transit = in_transit_minor(batch)
        if explained is not None and in_transit + explained.difference_minor == credited_minor:
            return
        self._clear(batch.discrepancies.all())
        if credited_minor != in_transit:
            difference = credited_minor - in_transit
            self._open(line, batch=batch, gateway=batch.gateway, ours=in_transit, difference=difference)

    def _open(self, line: BankLine, *, ours: int, difference: int, **about: object) -> None:
        Discrepancy.objects.create(
            kind=Kind.BANK_AMOUNT_DIFFERS,
            mode=line.file.mode,
            currency=line.currency,
            on=line.booked_on,
            bank_line=line,
            ours_minor=ours,
            theirs_minor=ours + difference,
            difference_minor=difference,
            found_at=self.now,
            **about,
        )
        self.differing_count += 1

    def _clear(self, discrepancies: QuerySet[Discrepancy]) -> None:
        reason = "the payout reached the bank"
        ended = {"ended_at": self.now, "ended_by": str(self.actor), "end_reason": reason}
        cleared = list(discrepancies.filter(status__in=UNRESOLVED))
        advance_where(discrepancies.filter(status__in=UNRESOLVED), DISCREPANCY, DiscrepancyEvent.CLEAR, **ended)
        for discrepancy in cleared:
            audit.record(
                actor=self.actor,
                verb="discrepancy.clear",
                obj=discrepancy,
                reason=reason,
                before={"status": discrepancy.status},
                after={"status": DISCREPANCY.after(discrepancy.status, DiscrepancyEvent.CLEAR)},
            )

    def _bank_credit(self, batch: SettlementBatch, minor: int, booked_on: date) -> JournalDraft:
        return recipes.bank_credit(
            amount=Money(minor, batch.currency),
            mode=batch.mode,
            gateway_id=batch.gateway_id,
            reference=batch.public_id,
            gateway_reference=batch.reference,
            occurred_at=min(datetime.combine(booked_on, time(12), UTC), self.now),
        )


def in_transit_minor(batch: SettlementBatch) -> int:
    """What of a payout was in transit before the bank got it: its lines, and what resolutions put right of it."""
    resolved = batch.discrepancies.filter(status=DiscrepancyStatus.RESOLVED).exclude(resolution=Resolution.NO_ENTRY)
    return batch.net_minor + (resolved.aggregate(sum=Sum("difference_minor"))["sum"] or 0)
