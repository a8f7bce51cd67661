"""What can be done to the ledger? One file per question; this is the door."""

from ledger.services.recording import forget_accounts, record_entries, reserve_refund

__all__ = ["forget_accounts", "record_entries", "reserve_refund"]
