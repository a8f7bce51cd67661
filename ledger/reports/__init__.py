"""What does finance ask, and does the answer tie? Every report by its name, in the order of the desk."""

from collections.abc import Mapping

from ledger.reports import (
    exception_ageing,
    fees,
    match_rate,
    merchant_statement,
    reconciliation_statement,
    refunds_and_chargebacks,
    revenue,
    settlement_ageing,
    settlements,
    trial_balance,
    write_offs,
)
from ledger.reports.declaration import Report

REPORTS: Mapping[str, Report] = {
    module.REPORT.name: module.REPORT
    for module in (
        trial_balance,
        merchant_statement,
        settlement_ageing,
        reconciliation_statement,
        match_rate,
        exception_ageing,
        fees,
        settlements,
        refunds_and_chargebacks,
        revenue,
        write_offs,
    )
}
