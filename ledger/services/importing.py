"""How do the lines of a file become rows? In bounded steps, each a transaction, that a killed process leaves whole.

The lease is the fence: each step writes only while the file's row still carries the lease this process took, and takes
the next one. Lines are stored in their order, so whoever goes on reads from the start and skips what is there.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.db import connection

from checkout.kit import audit, clock
from checkout.kit.actors import Actor
from checkout.kit.durable import durable
from checkout.kit.statuses import advance
from checkout.settings import policy
from gateways.settlements import FileRefused, LineError, SettlementLine, detect, read
from ledger import bank
from ledger.models import BankLine, SettlementFile
from ledger.models import SettlementLine as LineRow
from ledger.reconciliation.content import Content, opened
from ledger.reconciliation.locks import be_patient
from ledger.services.announcing import announce_batches, batch_faults
from ledger.statuses import FILE, FileEvent, FileStatus

_HEAD_BYTES = 64 * 1024
_COPY = """
COPY ledger_settlementline (file_id, gateway_id, mode, line_number, kind, raw_type, gateway_reference, reference,
    currency, gross_minor, fee_minor, net_minor, occurred_on, batch_reference) FROM STDIN
"""

Fault = list[Any]  # line, column, reason


class LeaseLost(Exception):
    """Somebody else is at this file by now."""


@durable("claim_file")
def claim_file(file: SettlementFile) -> datetime | None:
    """Take a file that is due, unless somebody else does; returns when the lease ends."""
    due = SettlementFile.objects.filter(status__in=FILE.sources(FileEvent.REFUSE), next_action_at__lte=clock.now())
    claimed = due.select_for_update(skip_locked=True, of=("self",)).filter(pk=file.pk).first()
    if claimed is None:
        return None
    if claimed.status == FileStatus.RECEIVED:
        advance(claimed, FILE, FileEvent.START)
    claimed.next_action_at = _new_lease()
    claimed.save(update_fields=["status", "next_action_at"])
    return claimed.next_action_at


def run_import(file: SettlementFile, lease: datetime) -> None:
    """Import a claimed file to its end, whichever that is; a lost lease ends it silently."""
    file = SettlementFile.objects.select_related("gateway").get(pk=file.pk)
    run = _BankImport(file, lease) if file.gateway is None else _GatewayImport(file, lease)
    try:
        run.read()
        run.finish()
    except FileRefused as refused:
        run.refuse(refused)
    except LeaseLost:
        return


class _Import:
    """One import at work: what it has read, and what is wrong with it."""

    def __init__(self, file: SettlementFile, lease: datetime) -> None:
        self.file = file
        self.lease = lease
        self.content = Content(file.pk)
        self.faults: list[Fault] = []
        self.fault_count = 0

    def read(self) -> None:
        """Read the file to its end. Raises FileRefused, LeaseLost."""
        raise NotImplementedError

    def finish(self) -> None:
        """Let the file count, or refuse it if it has a fault."""
        raise NotImplementedError

    @durable("import_refused")
    def refuse(self, refused: FileRefused) -> None:
        """What cannot be read to its end may hold anything, card numbers too: neither lines nor bytes of it stay."""
        self.note(refused.line, refused.column, refused.reason)
        self.hold()
        self.file.chunks.all().delete()
        self.end_refused()

    def note(self, line: int, column: str, reason: str, count: int = 1) -> None:
        """Remember a fault, or how many there are."""
        if len(self.faults) < policy.SETTLEMENT_ERRORS_KEPT:
            self.faults.append([line, column, reason])
        self.fault_count += count

    def hold(self, **progress: Any) -> None:
        """Make sure, until the end of this transaction, that the file is still ours. Raises LeaseLost."""
        be_patient()
        ours = SettlementFile.objects.filter(pk=self.file.pk, status=FileStatus.IMPORTING, next_action_at=self.lease)
        lease = _new_lease()
        if not ours.update(next_action_at=lease, **progress):
            raise LeaseLost
        self.lease = lease

    def end_refused(self) -> None:
        """Let the file end with its faults, and without a line."""
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM ledger_settlementline WHERE file_id = %s", [self.file.pk])
        self.end(FileEvent.REFUSE, line_count=0, errors=self.faults, error_count=self.fault_count)

    def end(self, event: FileEvent, **facts: Any) -> None:
        """Move the file to its end."""
        before = {"status": FileStatus.IMPORTING.value}
        self.file.status = FileStatus.IMPORTING
        advance(self.file, FILE, event)
        facts |= {"next_action_at": None, "read_bytes": self.content.given}
        for name, value in facts.items():
            setattr(self.file, name, value)
        self.file.save(update_fields=["status", *facts])
        audit.record(
            actor=Actor.task("import_files"),
            verb=f"file.{event}",
            obj=self.file,
            before=before,
            after={"status": self.file.status, "lines": self.file.line_count, "errors": self.file.error_count},
        )


class _GatewayImport(_Import):
    """The import of a gateway's settlement file."""

    def read(self) -> None:
        gateway = self.file.gateway
        assert gateway is not None
        profile = detect(opened(Content(self.file.pk)).read(_HEAD_BYTES))
        self.file.profile = profile.code
        today = clock.now().date()
        self._currencies = frozenset(gateway.currencies)
        self._days = today - timedelta(days=policy.SETTLEMENT_LINE_DAYS), today + timedelta(days=1)
        self._prefix = f"{self.file.pk}\t{gateway.pk}\t{self.file.mode}\t"
        stored = LineRow.objects.filter(file=self.file).order_by("-line_number")
        last_stored = stored.values_list("line_number", flat=True).first() or 0
        self.line_count = stored.count()
        given = read(profile, opened(self.content))
        while step := list(islice(given, policy.SETTLEMENT_LINES_PER_COMMIT)):
            self._store([row for item in step if (row := self._row(item)) and item.line_number > last_stored])

    @durable("import_finished")
    def finish(self) -> None:
        self.hold()
        for fault in () if self.faults else batch_faults(self.file):
            self.note(*fault)
        if self.faults:
            self.end_refused()
            return
        days = announce_batches(self.file)
        self.end(
            FileEvent.FINISH,
            profile=self.file.profile,
            line_count=self.line_count,
            first_on=days.first,
            last_on=days.last,
            imported_at=clock.now(),
        )

    def _row(self, item: SettlementLine | LineError) -> str | None:
        """The line as COPY takes it; None if something is wrong with it."""
        if isinstance(item, LineError):
            self.note(item.line_number, item.column, item.reason, item.count)
            return None
        if item.currency not in self._currencies:
            self.note(item.line_number, "currency", f"{item.currency} is no currency of this gateway")
            return None
        if not self._days[0] <= item.occurred_on <= self._days[1]:
            self.note(item.line_number, "date", "is in the future, or too long ago to be settled now")
            return None
        if (
            abs(item.gross_minor) > policy.SETTLEMENT_AMOUNT_MINOR
            or abs(item.fee_minor) > policy.SETTLEMENT_AMOUNT_MINOR
        ):
            self.note(item.line_number, "amount", "is more than any movement can be")
            return None
        row = (
            f"{self._prefix}{item.line_number}\t{item.kind}\t{item.raw_type}\t{item.gateway_reference}"
            f"\t{item.reference}\t{item.currency}\t{item.gross_minor}\t{item.fee_minor}\t{item.net_minor}"
            f"\t{item.occurred_on}\t{item.batch_reference or self.file.public_id}\n"
        )
        return (
            row.replace("\\", "\\\\") if "\\" in row else row
        )  # no cell holds anything else that COPY reads otherwise

    @durable("import_step")
    def _store(self, rows: list[str]) -> None:
        """Store lines as long as nothing is wrong with any; the first fault makes all of them useless."""
        if self.faults:
            rows = []
        self.line_count += len(rows)
        self.hold(read_bytes=self.content.given, line_count=self.line_count)
        if rows:
            with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
                copy.write("".join(rows))


class _BankImport(_Import):
    """The import of a bank statement, which is small: read in full, written in one transaction."""

    def read(self) -> None:
        today = clock.now().date()
        statement = bank.read_camt053(opened(self.content))
        self.lines = list(self._believed(statement.lines, today + timedelta(days=1)))

    @durable("import_finished")
    def finish(self) -> None:
        self.hold()
        if self.faults:
            self.end_refused()
            return
        BankLine.objects.bulk_create(self.lines, batch_size=5_000)
        days = [line.booked_on for line in self.lines]
        self.end(
            FileEvent.FINISH,
            profile="camt.053",
            line_count=len(self.lines),
            first_on=min(days, default=None),
            last_on=max(days, default=None),
            imported_at=clock.now(),
        )

    def _believed(self, lines: Iterator[bank.StatementLine], latest: Any) -> Iterator[BankLine]:
        for line in lines:
            if line.booked_on > latest:
                self.note(line.line_number, "BookgDt", "is in the future")
            yield BankLine(
                file=self.file,
                line_number=line.line_number,
                account=line.account,
                reference=line.reference,
                text=line.text[:500],
                currency=line.currency,
                amount_minor=line.amount_minor,
                booked_on=line.booked_on,
            )


def _new_lease() -> datetime:
    return clock.seconds_from_now(policy.SETTLEMENT_LEASE_SECONDS)
