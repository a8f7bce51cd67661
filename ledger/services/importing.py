"""How do the lines of a file become rows? In bounded steps, each a transaction, that a killed process leaves whole.

The lease is the fence: each step writes only while the file's row still carries the lease this process took, and takes
the next one. Lines are stored in their order, so whoever goes on reads from the start and skips what is there.
"""

import contextlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.db import connection
from django.db.models import Max, Min

from checkout.kit import alerts, audit, clock
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
from ledger.services.announcing import Days, announce_batches
from ledger.services.objections import Objection, objections_to_settlement, objections_to_statement
from ledger.statuses import FILE, FileEvent, FileStatus

_HEAD_BYTES = 64 * 1024
_TOO_MUCH = "is more than any movement can be"
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
    with contextlib.suppress(LeaseLost):
        try:
            run.read()
            run.finish()
        except FileRefused as refused:
            run.refuse(refused)


class _Import:
    """One import at work: what it has read, and what is wrong with it."""

    kept_as: type[LineRow] | type[BankLine]

    def __init__(self, file: SettlementFile, lease: datetime) -> None:
        self.file = file
        self.lease = lease
        self.content = Content(file.pk, before_more=self.keep)
        self.may_hold_card_numbers = False
        self.faults: list[Fault] = []
        self.fault_count = 0

    def items(self) -> Iterator[Any]:
        """What is read of the file, in order, each with its `line_number`. Raises FileRefused."""
        raise NotImplementedError

    def row(self, item: Any) -> Any | None:
        """What is written of an item; None if something is wrong with it."""
        raise NotImplementedError

    def write(self, rows: list[Any]) -> None:
        """Write rows to the database."""
        raise NotImplementedError

    def objections(self) -> Iterator[Objection]:
        """What speaks against the file now that every line of it is stored."""
        raise NotImplementedError

    def take_effect(self) -> Days:
        """Let the lines count; returns the days that they are about."""
        raise NotImplementedError

    def read(self) -> None:
        """Store every line that is not stored yet. Raises FileRefused, LeaseLost."""
        stored = self.kept_as._default_manager.filter(file=self.file)
        last_stored = stored.aggregate(last=Max("line_number", default=0))["last"]
        self.line_count = stored.count()
        items = self.items()
        while step := list(islice(items, policy.SETTLEMENT_LINES_PER_COMMIT)):
            self._store([row for item in step if (row := self.row(item)) and item.line_number > last_stored])

    @durable("import_kept")
    def keep(self) -> None:
        """Say that the file is still being read, and how far."""
        self.hold(read_bytes=self.content.given)

    @durable("import_step")
    def _store(self, rows: list[Any]) -> None:
        """Store lines as long as nothing is wrong with any; the first fault makes all of them useless."""
        if self.faults:
            rows = []
        self.line_count += len(rows)
        self.hold(read_bytes=self.content.given, line_count=self.line_count)
        if rows:
            self.write(rows)

    @durable("import_finished")
    def finish(self) -> None:
        """Let the file count, or refuse it if it has a fault."""
        self.hold()
        for objection in () if self.faults else self.objections():
            self.note(*objection)
        if self.faults:
            self.end_refused()
            return
        days = self.take_effect()
        self.end(
            FileEvent.FINISH,
            line_count=self.line_count,
            first_on=days.first,
            last_on=days.last,
            imported_at=clock.now(),
        )

    @durable("import_refused")
    def refuse(self, refused: FileRefused) -> None:
        """What cannot be read to its end may hold anything, card numbers too: neither lines nor bytes of it stay."""
        self.note(refused.line, refused.column, refused.reason)
        self.may_hold_card_numbers = True
        self.hold()
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
        """Let the file end with its faults, and without a line; somebody hears of it."""
        with connection.cursor() as cursor:
            table = self.kept_as._meta.db_table
            cursor.execute(f"DELETE FROM {table} WHERE file_id = %s", [self.file.pk])  # noqa: S608 our own name
        self.end(FileEvent.REFUSE, line_count=0, errors=self.faults, error_count=self.fault_count)
        line, column, reason = self.faults[0]
        place = " ".join([f"line {line}" * bool(line), column]).strip()
        alerts.raise_alert(
            kind="settlement_file_refused",
            object_id=self.file.public_id,
            message=f"{self.file.name} was refused with {self.fault_count:,} errors: {place} {reason}.",
        )

    def end(self, event: FileEvent, **facts: Any) -> None:
        """Move the file to its end; what may hold a card number is not kept as it came."""
        if self.may_hold_card_numbers:
            self.file.chunks.all().delete()
        self.file.status = FileStatus.IMPORTING
        advance(self.file, FILE, event)
        facts |= {"profile": self.file.profile, "next_action_at": None, "read_bytes": self.content.given}
        for name, value in facts.items():
            setattr(self.file, name, value)
        self.file.save(update_fields=["status", *facts])
        audit.record(
            actor=Actor.task("import_files"),
            verb=f"file.{event}",
            obj=self.file,
            before={"status": FileStatus.IMPORTING.value},
            after={"status": self.file.status, "lines": self.file.line_count, "errors": self.file.error_count},
        )


class _GatewayImport(_Import):
    """The import of a gateway's settlement file."""

    kept_as = LineRow

    def items(self) -> Iterator[SettlementLine | LineError]:
        gateway = self.file.gateway
        assert gateway is not None
        profile = detect(opened(Content(self.file.pk)).read(_HEAD_BYTES))
        self.file.profile = profile.code
        today = clock.now().date()
        self._currencies = frozenset(gateway.currencies)
        self._days = today - timedelta(days=policy.SETTLEMENT_LINE_DAYS), today + timedelta(days=1)
        self._prefix = f"{self.file.pk}\t{gateway.pk}\t{self.file.mode}\t"
        return read(profile, opened(self.content))

    def row(self, item: SettlementLine | LineError) -> str | None:
        """The line as COPY takes it."""
        if isinstance(item, LineError):
            self.note(item.line_number, item.column, item.reason, item.count)
            return None
        if item.currency not in self._currencies:
            self.note(item.line_number, "currency", f"{item.currency} is no currency of this gateway")
            return None
        if not self._days[0] <= item.occurred_on <= self._days[1]:
            self.note(item.line_number, "date", "is in the future, or too long ago to be settled now")
            return None
        if max(abs(item.gross_minor), abs(item.fee_minor)) > policy.SETTLEMENT_AMOUNT_MINOR:
            self.note(item.line_number, "amount", _TOO_MUCH)
            return None
        row = (
            f"{self._prefix}{item.line_number}\t{item.kind}\t{item.raw_type}\t{item.gateway_reference}"
            f"\t{item.reference}\t{item.currency}\t{item.gross_minor}\t{item.fee_minor}\t{item.net_minor}"
            f"\t{item.occurred_on}\t{item.batch_reference or self.file.public_id}\n"
        )
        # No cell holds anything else that COPY reads otherwise.
        return row.replace("\\", "\\\\") if "\\" in row else row

    def write(self, rows: list[str]) -> None:
        with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
            copy.write("".join(rows))

    def objections(self) -> Iterator[Objection]:
        return objections_to_settlement(self.file)

    def take_effect(self) -> Days:
        return announce_batches(self.file)


class _BankImport(_Import):
    """The import of a bank statement."""

    kept_as = BankLine

    def items(self) -> Iterator[bank.StatementLine]:
        self.file.profile = "camt.053"
        self._latest = clock.now().date() + timedelta(days=1)
        return bank.read_camt053(opened(self.content)).lines

    def row(self, item: bank.StatementLine) -> BankLine | None:
        self.may_hold_card_numbers |= item.is_scrubbed
        if item.booked_on > self._latest:
            self.note(item.line_number, "BookgDt", "is in the future")
            return None
        if abs(item.amount_minor) > policy.SETTLEMENT_AMOUNT_MINOR:
            self.note(item.line_number, "Amt", _TOO_MUCH)
            return None
        return BankLine(
            file=self.file,
            line_number=item.line_number,
            account=item.account,
            reference=item.reference,
            text=item.text,
            currency=item.currency,
            amount_minor=item.amount_minor,
            booked_on=item.booked_on,
        )

    def write(self, rows: list[BankLine]) -> None:
        BankLine.objects.bulk_create(rows, batch_size=5_000)

    def objections(self) -> Iterator[Objection]:
        return objections_to_statement(self.file)

    def take_effect(self) -> Days:
        return Days(**self.file.bank_lines.aggregate(first=Min("booked_on"), last=Max("booked_on")))


def _new_lease() -> datetime:
    return clock.seconds_from_now(policy.SETTLEMENT_LEASE_SECONDS)
