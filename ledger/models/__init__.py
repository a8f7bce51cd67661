"""What do we remember about money, and about what others say of it?"""

from ledger.models.journal import Account, AccountBalance, JournalEntry, Posting
from ledger.models.periods import AccountDay, AccountSnapshot, ClosedDay, LedgerSeal
from ledger.models.reconciliation import (
    BankLine,
    ClearingItem,
    Discrepancy,
    DiscrepancyNote,
    Match,
    SettlementBatch,
    SettlementFile,
    SettlementFileChunk,
    SettlementLine,
)

__all__ = [
    "Account",
    "AccountBalance",
    "AccountDay",
    "AccountSnapshot",
    "BankLine",
    "ClearingItem",
    "ClosedDay",
    "Discrepancy",
    "DiscrepancyNote",
    "JournalEntry",
    "LedgerSeal",
    "Match",
    "Posting",
    "SettlementBatch",
    "SettlementFile",
    "SettlementFileChunk",
    "SettlementLine",
]
