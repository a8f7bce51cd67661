"""What do we remember of the ledger so that nobody has to add it all up again, and which of its days are over?

Everything here but `ClosedDay` is derived from entries and postings and can be made again from them.
"""

from django.db import models
from django.db.models import Q

from checkout.kit.models import PublicModel
from checkout.kit.modes import Mode
from gateways.models import Gateway
from ledger.models.journal import Account, JournalEntry


class SummaryCutoff(models.Model):
    """Until when the ledger has been summed up: what was recorded before `at` is in `AccountDay`, and in snapshots of
    the midnights until then. There is one row at the most.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    at = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="one_summary_cutoff")]

    def __str__(self) -> str:
        return f"summed up until {self.at}"


class AccountSnapshot(models.Model):
    """The balance of one account at a midnight in UTC, debit positive: of all postings recorded before it.

    An account that nothing was recorded on since its last snapshot has no new one.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="snapshots", db_index=False)
    at = models.DateTimeField()
    balance_minor = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "at"], name="snapshot_once")]

    def __str__(self) -> str:
        return f"{self.account_id} at {self.at}: {self.balance_minor}"


class AccountDay(models.Model):
    """What one kind of entry moved on one account on one accounting day, as far as it has been summed up.

    Both sums are positive; what the account gained on its debit side is their difference.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="days", db_index=False)
    on = models.DateField()
    kind = models.CharField(max_length=40, choices=JournalEntry.Kind)
    debit_minor = models.BigIntegerField()
    credit_minor = models.BigIntegerField()
    posting_count = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "on", "kind"], name="account_day_once")]
        indexes = [models.Index(fields=["on"], name="account_day_by_day")]

    def __str__(self) -> str:
        return f"{self.account_id} {self.on} {self.kind}"


class LedgerSeal(models.Model):
    """A batch of entries whose content is hashed together with the seal before it: a later change cannot hide.

    It covers the entries whose transaction began in `[begins_at, ends_at)`. Append-only.
    """

    begins_at = models.DateTimeField(null=True)
    ends_at = models.DateTimeField(unique=True)
    entry_count = models.BigIntegerField()
    posting_count = models.BigIntegerField()
    content_hash = models.BinaryField(max_length=32)
    seal_hash = models.BinaryField(max_length=32)
    sealed_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"seal {self.pk} until {self.ends_at}"


class ClosedDay(PublicModel):
    """One accounting day of a gateway and a currency that is over: its entries are final and its statement is kept.

    Sums are in minor units, debit positive, of the gateway's receivable: opening + movement - matched = closing, and
    of its file: file = matched + exceptions. A day that was opened again keeps its row and gets another when closed.
    """

    PUBLIC_PREFIX = "day"

    gateway = models.ForeignKey(Gateway, on_delete=models.PROTECT, related_name="closed_days", db_index=False)
    mode = models.CharField(max_length=4, choices=Mode)
    currency = models.CharField(max_length=3)
    on = models.DateField()
    opening_minor = models.BigIntegerField()
    movement_minor = models.BigIntegerField()
    matched_minor = models.BigIntegerField()
    closing_minor = models.BigIntegerField()
    file_minor = models.BigIntegerField()
    exceptions_minor = models.BigIntegerField()
    carried_count = models.PositiveIntegerField(default=0)
    closed_at = models.DateTimeField(auto_now_add=True)
    closed_by = models.CharField(max_length=160)
    reopened_at = models.DateTimeField(null=True)
    reopened_by = models.CharField(max_length=160, blank=True)

    class Meta:
        ordering = ["-on", "gateway", "currency"]
        constraints = [
            models.UniqueConstraint(
                fields=["gateway", "mode", "currency", "on"], condition=Q(reopened_at=None), name="day_closed_once"
            ),
            models.CheckConstraint(condition=Q(mode__in=Mode.values), name="closed_day_mode"),
        ]
