"""How do people see and mend the books? One file per page or list of the desk."""

from ledger.admin import days, discrepancies, files, items, journal, subscriptions
from ledger.admin.legs import account_name, legs_asked
from ledger.admin.trial_balance import sheets

__all__ = [
    "account_name",
    "days",
    "discrepancies",
    "files",
    "items",
    "journal",
    "legs_asked",
    "sheets",
    "subscriptions",
]
