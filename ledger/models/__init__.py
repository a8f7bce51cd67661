"""What do we remember about money, and about what others say of it?"""

from ledger.models.journal import Account, AccountBalance, JournalEntry, Posting
from ledger.models.periods import AccountDay, AccountSnapshot, ClosedDay, LedgerSeal, SummaryCutoff
from ledger.models.reconciliation import (
    BankLine,
    ClearingItem,
    CoveredDays,
    Discrepancy,
    DiscrepancyNote,
    Match,
    SettlementBatch,
    SettlementFile,
    SettlementFileChunk,
    SettlementLine,
)
from ledger.models.subscriptions import ReportSubscription

__all__ = [
    "Account",
    "AccountBalance",
    "AccountDay",
    "AccountSnapshot",
    "BankLine",
    "ClearingItem",
    "ClosedDay",
    "CoveredDays",
    "Discrepancy",
    "DiscrepancyNote",
    "JournalEntry",
    "LedgerSeal",
    "Match",
    "Posting",
    "ReportSubscription",
    "SettlementBatch",
    "SettlementFile",
    "SettlementFileChunk",
    "SettlementLine",
    "SummaryCutoff",
]
