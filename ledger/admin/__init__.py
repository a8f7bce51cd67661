"""How do people see and mend the books? One file per page or list of the desk."""

from ledger.admin import days, discrepancies, files, items, subscriptions
from ledger.admin.journal import account_name
from ledger.admin.trial_balance import sheets

__all__ = ["account_name", "days", "discrepancies", "files", "items", "sheets", "subscriptions"]
