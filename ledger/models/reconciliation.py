"""What do gateways and the bank say, what did we expect, and where do the two differ?

Amounts are minor units, signed as what the gateway owes us: a charge positive, a refund negative.
"""

from collections.abc import Mapping
from typing import ClassVar

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Q

from checkout.kit.models import PublicModel, User
from checkout.kit.modes import Mode
from checkout.kit.money import Money
from gateways.models import Gateway
from gateways.settlements import LineKind
from ledger.models.journal import JournalEntry
from ledger.statuses import BATCH, DISCREPANCY, FILE, UNRESOLVED, BatchStatus, DiscrepancyStatus, FileStatus

_KINDS = [(kind.value, kind.value.replace("_", " ")) for kind in LineKind]


def _by_pages(field: str, *, name: str) -> BrinIndex:
    """An index of which pages hold which numbers, in a few ranges each: for rows that lie about in their order."""
    return BrinIndex(
        fields=[field], name=name, opclasses=["int8_minmax_multi_ops"], pages_per_range=32, autosummarize=True
    )


class SettlementFile(PublicModel):
    """A file that a gateway or the bank gave us, byte for byte. It is imported in full or refused in full.

    Its gateway is empty for a bank statement. `errors` holds at most a few hundred `[line, column, reason]`;
    `error_count` is how many there are. While it is being imported, `next_action_at` is when the lease ends of whoever
    is at it. Once it is imported and `reconciled_at` is empty, its lines have still to be matched.
    """

    PUBLIC_PREFIX = "stf"

    class Source(models.TextChoices):
        UPLOAD = "upload"
        FOLDER = "folder"
        COMMAND = "command"
        FETCH = "fetch"

    gateway = models.ForeignKey(Gateway, null=True, on_delete=models.PROTECT, related_name="settlement_files")
    mode = models.CharField(max_length=4, choices=Mode)
    name = models.CharField(max_length=120)
    profile = models.CharField(max_length=40, blank=True)
    source = models.CharField(max_length=10, choices=Source)
    sha256 = models.CharField(max_length=64)
    size_bytes = models.BigIntegerField()
    status = models.CharField(max_length=10, choices=FileStatus, default=FileStatus.RECEIVED)
    read_bytes = models.BigIntegerField(default=0)
    line_count = models.BigIntegerField(default=0)
    error_count = models.BigIntegerField(default=0)
    errors = models.JSONField(default=list)
    first_on = models.DateField(null=True)
    last_on = models.DateField(null=True)
    received_at = models.DateTimeField(auto_now_add=True)
    received_by = models.CharField(max_length=160)
    next_action_at = models.DateTimeField(null=True)
    imported_at = models.DateTimeField(null=True)
    reconciled_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["sha256", "gateway", "mode"],
                condition=~Q(status=FileStatus.REFUSED),
                nulls_distinct=False,
                name="file_once",
            ),
            models.CheckConstraint(condition=Q(mode__in=Mode.values), name="file_mode"),
            FILE.check("file_status"),
        ]
        indexes = [
            models.Index(fields=["next_action_at"], condition=Q(status__in=["received", "importing"]), name="file_due"),
            models.Index(
                fields=["gateway"], condition=Q(status="imported", reconciled_at=None), name="file_to_reconcile"
            ),
        ]

    @property
    def progress(self) -> float:
        """How much of it has been read, from 0 to 1."""
        return self.read_bytes / self.size_bytes if self.size_bytes else 1.0


class SettlementFileChunk(models.Model):
    """A piece of a file's bytes, compressed with zlib."""

    file = models.ForeignKey(SettlementFile, on_delete=models.CASCADE, related_name="chunks", db_index=False)
    number = models.PositiveIntegerField()
    size_bytes = models.PositiveIntegerField()
    content = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["file", "number"], name="chunk_once")]

    def __str__(self) -> str:
        return f"{self.file_id} {self.number}"


class CoveredDays(models.Model):
    """A stretch of days that an imported file tells of in one currency, none of them far from the next."""

    file = models.ForeignKey(SettlementFile, on_delete=models.CASCADE, related_name="covered_days")
    currency = models.CharField(max_length=3)
    first_on = models.DateField()
    last_on = models.DateField()

    class Meta:
        verbose_name_plural = "covered days"

    def __str__(self) -> str:
        return f"{self.currency} {self.first_on} to {self.last_on}"


class SettlementBatch(PublicModel):
    """A payout that a gateway announced: the lines that share its reference, and the bank's credit of it.

    `net_minor` is the sum of its lines, which `entry` put in transit (there is none for a sum of nothing);
    `payout_minor` is what the gateway says it paid out, where it says so in a line of its own.
    """

    PUBLIC_PREFIX = "stb"

    file = models.ForeignKey(SettlementFile, on_delete=models.PROTECT, related_name="batches")
    gateway = models.ForeignKey(Gateway, on_delete=models.PROTECT, related_name="settlement_batches", db_index=False)
    mode = models.CharField(max_length=4, choices=Mode)
    reference = models.CharField(max_length=100)
    currency = models.CharField(max_length=3)
    net_minor = models.BigIntegerField()
    payout_minor = models.BigIntegerField(null=True)
    line_count = models.BigIntegerField()
    entry = models.OneToOneField(JournalEntry, null=True, on_delete=models.PROTECT, related_name="settlement_batch")
    paid_on = models.DateField()
    status = models.CharField(max_length=10, choices=BatchStatus, default=BatchStatus.ANNOUNCED)
    bank_line = models.ForeignKey("BankLine", null=True, on_delete=models.PROTECT, related_name="batches")

    class Meta:
        ordering = ["-paid_on", "-id"]
        verbose_name_plural = "settlement batches"
        constraints = [
            models.UniqueConstraint(fields=["gateway", "mode", "reference", "currency"], name="batch_once"),
            BATCH.check("batch_status"),
        ]
        indexes = [models.Index(fields=["currency"], condition=Q(status="announced"), name="batch_announced")]


class BankLine(models.Model):
    """One booking on our bank account. Credits are positive."""

    file = models.ForeignKey(SettlementFile, on_delete=models.PROTECT, related_name="bank_lines")
    line_number = models.PositiveIntegerField()
    account = models.CharField(max_length=40)
    reference = models.CharField(max_length=140, blank=True)
    text = models.CharField(max_length=500, blank=True)
    currency = models.CharField(max_length=3)
    amount_minor = models.BigIntegerField()
    booked_on = models.DateField()
    matched_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["file", "line_number"], name="bank_line_once")]
        indexes = [models.Index(fields=["currency"], condition=Q(matched_at=None), name="bank_line_open")]

    def __str__(self) -> str:
        return f"{Money(self.amount_minor, self.currency)} on {self.booked_on}"


class Match(models.Model):
    """Lines of a gateway and items of ours that are the same movement, or one side that was settled alone. Append-only.

    `difference_minor` is theirs - ours, net: exactly what was posted to the gateway's receivable because of it.
    Millions of these are written at once. A foreign key would look up each row by itself, so its gateway, and the
    `match` of lines and items, have none; and `match` is indexed by pages, which few of the rows change.
    """

    class How(models.TextChoices):
        EXACT = "exact"
        ROUNDING = "rounding"
        OUR_REFERENCE = "our_reference"
        SPLIT = "split"
        AMOUNT_AND_DATE = "amount_and_date"
        BY_HAND = "by_hand"
        POSTED = "posted"  # a line that is a movement of its own, as a fee or a reserve

    gateway = models.ForeignKey(
        Gateway, on_delete=models.PROTECT, related_name="matches", db_index=False, db_constraint=False
    )
    mode = models.CharField(max_length=4, choices=Mode)
    currency = models.CharField(max_length=3)
    how = models.CharField(max_length=20, choices=How)
    difference_minor = models.BigIntegerField(default=0)
    matched_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "matches"

    def __str__(self) -> str:
        return f"{self.how} {self.pk}"


class ClearingItem(models.Model):
    """One movement that we expect a gateway to settle: written with its entry, open until a line of a file is matched.

    `reference` is what we called the operation at the gateway, `fee_minor` the fee that we expect. Such entries have
    one: what they move on the gateway's receivable is the item's gross.
    """

    KINDS: ClassVar[Mapping[str, LineKind]] = {
        JournalEntry.Kind.CAPTURE: LineKind.CHARGE,
        JournalEntry.Kind.REFUND_SUCCEEDED: LineKind.REFUND,
        JournalEntry.Kind.LATE_SUCCESS: LineKind.CHARGE,
        JournalEntry.Kind.LATE_SUCCESS_REVERSED: LineKind.REFUND,
        JournalEntry.Kind.WALLET_TOPPED_UP: LineKind.CHARGE,
        JournalEntry.Kind.GIFT_CARD_ISSUED: LineKind.CHARGE,
    }

    entry = models.OneToOneField(JournalEntry, primary_key=True, on_delete=models.PROTECT, related_name="clearing_item")
    gateway = models.ForeignKey(Gateway, on_delete=models.PROTECT, related_name="clearing_items", db_index=False)
    mode = models.CharField(max_length=4, choices=Mode)
    kind = models.CharField(max_length=20, choices=_KINDS)
    currency = models.CharField(max_length=3)
    gross_minor = models.BigIntegerField()
    fee_minor = models.BigIntegerField()
    gateway_reference = models.CharField(max_length=100, blank=True)
    reference = models.CharField(max_length=64)
    occurred_on = models.DateField()
    match = models.ForeignKey(
        Match, null=True, on_delete=models.PROTECT, related_name="items", db_index=False, db_constraint=False
    )

    class Meta:
        indexes = [
            models.Index(fields=["gateway", "mode", "occurred_on"], condition=Q(match=None), name="item_open"),
            models.Index(fields=["reference"], name="item_by_reference"),
            BrinIndex(fields=["occurred_on"], autosummarize=True, name="item_by_day"),
            _by_pages("match", name="item_by_match"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.reference}"


class SettlementLine(models.Model):
    """One line of a gateway's file, in our words (`gateways.settlements`). It counts once its file is imported."""

    file = models.ForeignKey(SettlementFile, on_delete=models.PROTECT, related_name="lines", db_index=False)
    line_number = models.PositiveIntegerField()
    gateway = models.ForeignKey(Gateway, on_delete=models.PROTECT, related_name="settlement_lines", db_index=False)
    mode = models.CharField(max_length=4, choices=Mode)
    kind = models.CharField(max_length=20, choices=_KINDS)
    raw_type = models.CharField(max_length=60)
    gateway_reference = models.CharField(max_length=100, blank=True)
    reference = models.CharField(max_length=64, blank=True)
    currency = models.CharField(max_length=3)
    gross_minor = models.BigIntegerField()
    fee_minor = models.BigIntegerField()
    net_minor = models.BigIntegerField()
    occurred_on = models.DateField()
    batch_reference = models.CharField(max_length=100, blank=True)
    match = models.ForeignKey(
        Match, null=True, on_delete=models.PROTECT, related_name="lines", db_index=False, db_constraint=False
    )

    class Meta:
        ordering = ["file", "line_number"]
        constraints = [
            models.UniqueConstraint(fields=["file", "line_number"], name="line_once"),
            models.CheckConstraint(
                condition=Q(net_minor=models.F("gross_minor") - models.F("fee_minor")),
                name="line_net_adds_up",
            ),
        ]
        indexes = [
            models.Index(fields=["gateway", "mode", "occurred_on"], condition=Q(match=None), name="line_open"),
            _by_pages("match", name="line_by_match"),
        ]

    def __str__(self) -> str:
        return f"{self.raw_type} line {self.line_number}"


class Discrepancy(PublicModel):
    """A difference that reconciliation found, until somebody or something explains it.

    `ours_minor` and `theirs_minor` are what either side says of what differs; empty where a side says nothing.
    `owner` is who carries it; `resolution` names what was done, `entry` the journal entry that did it. `alone_minor` is
    what whoever ended it explained without a second person, whatever its sign.
    """

    PUBLIC_PREFIX = "dsc"

    class Kind(models.TextChoices):
        TIMING = "timing"
        MISSING_AT_GATEWAY = "missing_at_gateway"
        MISSING_IN_LEDGER = "missing_in_ledger"
        AMOUNT_DIFFERS = "amount_differs"
        FEE_DIFFERS = "fee_differs"
        CURRENCY_DIFFERS = "currency_differs"
        DUPLICATE_AT_GATEWAY = "duplicate_at_gateway"
        DUPLICATE_IN_LEDGER = "duplicate_in_ledger"
        STATUS_DIFFERS = "status_differs"
        UNMAPPED_TYPE = "unmapped_type"
        BATCH_TOTAL_DIFFERS = "batch_total_differs"
        MISSING_BANK_CREDIT = "missing_bank_credit"
        BANK_AMOUNT_DIFFERS = "bank_amount_differs"
        AMBIGUOUS = "ambiguous"

    class Resolution(models.TextChoices):
        WRITE_OFF = "write_off"
        FEE_TRUE_UP = "fee_true_up"
        PARK_IN_SUSPENSE = "park_in_suspense"
        ADOPT_REFUND = "adopt_refund"
        CHARGEBACK = "chargeback"
        REVERSE_OURS = "reverse_ours"
        MATCH_BY_HAND = "match_by_hand"
        NO_ENTRY = "no_entry"

    gateway = models.ForeignKey(Gateway, null=True, on_delete=models.PROTECT, related_name="discrepancies")
    mode = models.CharField(max_length=4, choices=Mode)
    currency = models.CharField(max_length=3)
    kind = models.CharField(max_length=24, choices=Kind)
    status = models.CharField(max_length=10, choices=DiscrepancyStatus, default=DiscrepancyStatus.OPEN)
    on = models.DateField()
    item = models.ForeignKey(ClearingItem, null=True, on_delete=models.PROTECT, related_name="discrepancies")
    line = models.ForeignKey(SettlementLine, null=True, on_delete=models.PROTECT, related_name="discrepancies")
    batch = models.ForeignKey(SettlementBatch, null=True, on_delete=models.PROTECT, related_name="discrepancies")
    bank_line = models.ForeignKey(BankLine, null=True, on_delete=models.PROTECT, related_name="discrepancies")
    ours_minor = models.BigIntegerField(null=True)
    theirs_minor = models.BigIntegerField(null=True)
    difference_minor = models.BigIntegerField()
    detail = models.CharField(max_length=300, blank=True)
    found_at = models.DateTimeField()
    owner = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="discrepancies")
    resolution = models.CharField(max_length=20, choices=Resolution, blank=True)
    entry = models.ForeignKey(JournalEntry, null=True, on_delete=models.PROTECT, related_name="discrepancies")
    alone_minor = models.BigIntegerField(default=0, db_default=0)
    ended_at = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=160, blank=True)
    end_reason = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "discrepancies"
        constraints = [
            DISCREPANCY.check("discrepancy_status"),
            models.CheckConstraint(condition=Q(mode__in=Mode.values), name="discrepancy_mode"),
            *(
                models.UniqueConstraint(
                    fields=[side], condition=Q(status__in=UNRESOLVED), name=f"one_open_discrepancy_per_{side}"
                )
                for side in ("item", "line", "batch", "bank_line")
            ),
        ]
        indexes = [
            models.Index(
                fields=["gateway", "mode", "currency", "on"],
                condition=Q(status__in=UNRESOLVED),
                name="discrepancy_unresolved",
            ),
            models.Index(
                fields=["ended_by", "ended_at"], condition=Q(alone_minor__gt=0), name="discrepancy_explained_alone"
            ),
        ]


class DiscrepancyNote(models.Model):
    """What somebody wrote about a discrepancy. Append-only."""

    discrepancy = models.ForeignKey(Discrepancy, on_delete=models.PROTECT, related_name="notes")
    written_at = models.DateTimeField(auto_now_add=True)
    author = models.CharField(max_length=160)
    text = models.CharField(max_length=2000)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.author}: {self.text[:40]}"
