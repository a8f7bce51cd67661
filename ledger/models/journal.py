"""What do we remember about money? Entries and postings are written once; the database refuses anything else.

A posting's amount is signed: debit positive, credit negative.
"""

from django.contrib.postgres.functions import TransactionNow
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Func, Q

from checkout.kit.ids import public_id
from checkout.kit.models import PublicModel
from checkout.kit.modes import Mode
from checkout.kit.money import Money
from gateways.models import Gateway
from ledger.chart import CHART, AccountKey, AccountKind, ChartRow, Owner, kinds_owned_by
from merchants.models import Merchant

_WITH_CLEARING_ITEM = ["capture", "refund_succeeded", "late_success", "late_success_reversed"]
_WITH_CLEARING_ITEM += ["wallet_topped_up", "gift_card_issued"]


class TransactionIdField(models.Field):
    """PostgreSQL's own id of a transaction, which never wraps around."""

    def db_type(self, connection: object) -> str:
        return "xid8"


class Account(models.Model):
    """One account of the chart: per owner, mode and currency. Made when the first posting needs it.

    `holder` names the customer or card that a wallet or gift card of a merchant belongs to.
    """

    kind = models.CharField(max_length=30, choices=AccountKind)
    merchant = models.ForeignKey(
        Merchant, null=True, on_delete=models.PROTECT, related_name="ledger_accounts", db_index=False
    )
    gateway = models.ForeignKey(Gateway, null=True, on_delete=models.PROTECT, related_name="ledger_accounts")
    holder = models.CharField(max_length=64, blank=True)
    mode = models.CharField(max_length=4, choices=Mode)
    currency = models.CharField(max_length=3)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["merchant", "gateway", "holder", "kind", "mode", "currency"],
                nulls_distinct=False,
                name="account_once",
            ),
            # What the composite foreign key of postings refers to.
            models.UniqueConstraint(fields=["id", "currency"], name="account_currency"),
            models.CheckConstraint(condition=Q(mode__in=Mode.values), name="account_mode"),
            models.CheckConstraint(
                condition=Q(kind__in=kinds_owned_by(Owner.PLATFORM), merchant=None, gateway=None, holder="")
                | Q(kind__in=kinds_owned_by(Owner.GATEWAY), merchant=None, gateway__isnull=False, holder="")
                | Q(kind__in=kinds_owned_by(Owner.MERCHANT), merchant__isnull=False, gateway=None, holder="")
                | Q(kind__in=kinds_owned_by(Owner.HOLDER), merchant__isnull=False, gateway=None) & ~Q(holder=""),
                name="account_owner",
            ),
        ]

    def __str__(self) -> str:
        return ":".join(filter(None, [self.kind, self.owner_public_id, self.holder]))

    @property
    def owner_public_id(self) -> str:
        """The outside name of the merchant or gateway whose account it is; empty for the platform's own."""
        if self.merchant_id:
            return public_id(Merchant.PUBLIC_PREFIX, self.merchant_id)
        return public_id(Gateway.PUBLIC_PREFIX, self.gateway_id) if self.gateway_id else ""

    @property
    def key(self) -> AccountKey:
        """Its name in the chart."""
        return AccountKey(AccountKind(self.kind), self.merchant_id, self.gateway_id, self.holder)

    @property
    def chart_row(self) -> ChartRow:
        """What the chart says of its kind."""
        return CHART[AccountKind(self.kind)]


class AccountBalance(models.Model):
    """The running balance of a strict account, debit positive: always the sum of its postings."""

    account = models.OneToOneField(Account, primary_key=True, on_delete=models.PROTECT, related_name="balance")
    balance_minor = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.account_id}: {self.balance_minor}"


class JournalEntry(PublicModel):
    """One fact about money: a set of postings that balances. A correction is another entry.

    `reference` is our own name of the attempt or settlement; with the kind it is unique, so a fact is posted once.
    `body_hash` tells the same fact from another one under the same name. `created_at` is when the transaction that
    wrote it began, `occurred_on` the day of the fact itself, in UTC.
    """

    PUBLIC_PREFIX = "jou"

    class Kind(models.TextChoices):
        CAPTURE = "capture"
        GATEWAY_FEE = "gateway_fee"
        PLATFORM_FEE = "platform_fee"
        FUNDS_RELEASED = "funds_released"
        REFUND_REQUESTED = "refund_requested"
        REFUND_SUCCEEDED = "refund_succeeded"
        REFUND_FAILED = "refund_failed"
        FEE_RETURNED = "fee_returned"
        LATE_SUCCESS = "late_success"
        LATE_SUCCESS_REVERSED = "late_success_reversed"
        SETTLEMENT_ANNOUNCED = "settlement_announced"
        BANK_CREDIT = "bank_credit"
        GATEWAY_FEE_LINE = "gateway_fee_line"
        RESERVE_HELD = "reserve_held"
        RESERVE_RELEASED = "reserve_released"
        BANK_FEE = "bank_fee"
        FEE_TRUED_UP = "fee_trued_up"
        ROUNDING_DIFFERENCE = "rounding_difference"
        WRITTEN_OFF = "written_off"
        LINE_PARKED = "line_parked"
        REFUND_ADOPTED = "refund_adopted"
        CHARGEBACK_OPENED = "chargeback_opened"
        CHARGEBACK_FEE = "chargeback_fee"
        CHARGEBACK_WON = "chargeback_won"
        CHARGEBACK_LOST = "chargeback_lost"
        PAYOUT_REQUESTED = "payout_requested"
        PAYOUT_SENT = "payout_sent"
        PAYOUT_RETURNED = "payout_returned"
        CURRENCY_CONVERTED = "currency_converted"
        WALLET_TOPPED_UP = "wallet_topped_up"
        WALLET_HELD = "wallet_held"
        WALLET_RELEASED = "wallet_released"
        WALLET_SPENT = "wallet_spent"
        GIFT_CARD_ISSUED = "gift_card_issued"
        GIFT_CARD_REDEEMED = "gift_card_redeemed"
        REVERSAL = "reversal"
        MANUAL = "manual"

    kind = models.CharField(max_length=40, choices=Kind)
    reference = models.CharField(max_length=64)
    mode = models.CharField(max_length=4, choices=Mode)
    merchant = models.ForeignKey(
        Merchant, null=True, on_delete=models.PROTECT, related_name="journal_entries", db_index=False
    )
    gateway = models.ForeignKey(
        Gateway, null=True, on_delete=models.PROTECT, related_name="journal_entries", db_index=False
    )
    gateway_reference = models.CharField(max_length=100, blank=True)
    payment_reference = models.CharField(max_length=32, blank=True)
    body_hash = models.BinaryField(max_length=32)
    occurred_on = models.DateField()
    created_at = models.DateTimeField(db_default=TransactionNow(), editable=False)
    xid = TransactionIdField(
        db_default=Func(function="pg_current_xact_id", output_field=TransactionIdField()), editable=False
    )

    class Meta:
        verbose_name_plural = "journal entries"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["kind", "reference"], name="journal_entry_once"),
            models.CheckConstraint(condition=Q(mode__in=Mode.values), name="journal_entry_mode"),
        ]
        indexes = [
            models.Index(
                fields=["payment_reference", "id"],
                condition=~Q(payment_reference=""),
                name="journal_entry_by_payment",
            ),
            BrinIndex(fields=["created_at"], autosummarize=True, name="journal_entry_by_time"),
            BrinIndex(fields=["occurred_on"], autosummarize=True, name="journal_entry_by_day"),
            # What a gateway calls a movement leads here, to the entries that have a clearing item.
            models.Index(
                fields=["gateway_reference"],
                condition=Q(kind__in=_WITH_CLEARING_ITEM) & ~Q(gateway_reference=""),
                name="entry_by_gateway_reference",
            ),
        ]


class Posting(models.Model):
    """One leg of an entry: an amount on one account. Its `created_at` is that of its entry."""

    entry = models.ForeignKey(JournalEntry, on_delete=models.PROTECT, related_name="postings")
    # The composite foreign key (account, currency) is made in the guards' migration and stands for this one too.
    account = models.ForeignKey(
        Account, on_delete=models.PROTECT, related_name="postings", db_constraint=False, db_index=False
    )
    currency = models.CharField(max_length=3)
    amount_minor = models.BigIntegerField()
    created_at = models.DateTimeField(db_default=TransactionNow(), editable=False)

    class Meta:
        ordering = ["id"]
        constraints = [models.CheckConstraint(condition=~Q(amount_minor=0), name="posting_amount_not_zero")]
        indexes = [
            models.Index(fields=["account", "created_at"], include=["amount_minor"], name="posting_of_account"),
            BrinIndex(fields=["created_at"], autosummarize=True, name="posting_by_time"),
        ]

    def __str__(self) -> str:
        side = "debit" if self.amount_minor > 0 else "credit"
        return f"{side} {Money(abs(self.amount_minor), self.currency)}"

    @property
    def amount(self) -> Money:
        """The signed amount: debit positive, credit negative."""
        return Money(self.amount_minor, self.currency)
