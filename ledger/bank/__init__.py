"""What does the bank tell us about our accounts? Files of movements, each format read by a module of its own."""

from ledger.bank.camt053 import read_camt053
from ledger.bank.lines import AccountBalance, Statement, StatementLine

__all__ = ["AccountBalance", "Statement", "StatementLine", "read_camt053"]
