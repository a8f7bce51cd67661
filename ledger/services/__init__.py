"""What can be done to the ledger? One file per question; this is the door."""

from collections.abc import Callable, Mapping
from typing import Any

from ledger.services import agreeing, closing, discrepancies, manual
from ledger.services.accounts import forget_accounts
from ledger.services.agreeing import (
    approve_match,
    approve_resolution,
    reject_resolution,
    request_match,
    request_resolution,
)
from ledger.services.bank import match_bank_line, reconcile_bank
from ledger.services.closing import approve_reopen, close_day, request_reopen, statement
from ledger.services.files import (
    collect_files,
    fetch_files,
    import_due,
    import_file,
    import_to_end,
    receive_file,
    reconcile_all,
)
from ledger.services.manual import (
    approve_manual_entry,
    approve_reversal,
    request_manual_entry,
    request_reversal,
)
from ledger.services.matching import reconcile
from ledger.services.periods import lock_days, seal, summarize
from ledger.services.recording import record_entries
from ledger.services.shortfalls import adopt_refund, record_chargeback, record_chargeback_won, reserve_refund

__all__ = [
    "APPROVED",
    "REJECTED",
    "adopt_refund",
    "approve_manual_entry",
    "approve_reopen",
    "approve_match",
    "approve_resolution",
    "approve_reversal",
    "close_day",
    "collect_files",
    "discrepancies",
    "fetch_files",
    "forget_accounts",
    "import_due",
    "import_file",
    "import_to_end",
    "lock_days",
    "match_bank_line",
    "receive_file",
    "reconcile",
    "reconcile_all",
    "reconcile_bank",
    "record_chargeback",
    "record_chargeback_won",
    "record_entries",
    "reject_resolution",
    "request_manual_entry",
    "request_match",
    "request_reopen",
    "request_resolution",
    "request_reversal",
    "reserve_refund",
    "seal",
    "statement",
    "summarize",
]

# What is carried out when a second person agrees, by kind of request; told `approval`, `checker` and `actor`.
APPROVED: Mapping[str, Callable[..., Any]] = {
    manual.WRITE: approve_manual_entry,
    manual.REVERSE: approve_reversal,
    agreeing.RESOLVE: approve_resolution,
    agreeing.MATCH: approve_match,
    closing.REOPEN: approve_reopen,
}

# What is carried out when somebody says no, where that is more than the request's end; told `reason` as well.
REJECTED: Mapping[str, Callable[..., Any]] = {
    agreeing.RESOLVE: reject_resolution,
    agreeing.MATCH: reject_resolution,
}
