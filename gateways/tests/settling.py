"""Settlement files of every format, good but for what is changed in them."""

import csv
import io
from pathlib import Path

import pytest

from gateways.settlements import PROFILES, LineError, SettlementLine, detect, read
from gateways.settlements.strict_csv import LONGEST_ROW_BYTES

GOLDEN = Path(__file__).parent / "settlements"
CARD = "4111111111111111"

# One good line per format, and the names that its columns of each sort have.
GOOD = {
    "checkout-1": {
        "kind": "charge",
        "gateway_reference": "op_1",
        "reference": "att_1",
        "currency": "EUR",
        "gross_minor": "1000",
        "fee_minor": "59",
        "net_minor": "941",
        "occurred_on": "2026-03-01",
        "batch": "b_1",
    },
    "stripe-itemized": {
        "automatic_payout_id": "po_1",
        "balance_transaction_id": "txn_1",
        "created_utc": "2026-03-01 10:00:00",
        "currency": "eur",
        "gross": "10.00",
        "fee": "0.59",
        "net": "9.41",
        "reporting_category": "charge",
        "source_id": "ch_1",
        "payment_metadata[our_id]": "att_1",
        "description": "",
    },
    "adyen-settlement-details": {
        "Psp Reference": "8816000000000001",
        "Merchant Reference": "att_1",
        "Creation Date": "2026-03-01 10:00:00",
        "TimeZone": "CET",
        "Type": "Settled",
        "Modification Reference": "8816000000000101",
        "Gross Currency": "EUR",
        "Gross Debit (GC)": "",
        "Gross Credit (GC)": "10.00",
        "Net Currency": "EUR",
        "Net Debit (NC)": "",
        "Net Credit (NC)": "9.41",
        "Commission (NC)": "0.59",
        "Markup (NC)": "",
        "Scheme Fees (NC)": "",
        "Interchange (NC)": "",
        "Batch Number": "7",
        "Shopper Name": "",
    },
}
GROSS = {"checkout-1": "gross_minor", "stripe-itemized": "gross", "adyen-settlement-details": "Gross Credit (GC)"}
NET = {"checkout-1": "net_minor", "stripe-itemized": "net", "adyen-settlement-details": "Net Credit (NC)"}
CURRENCY = {"checkout-1": "currency", "stripe-itemized": "currency", "adyen-settlement-details": "Net Currency"}
DAY = {"checkout-1": "occurred_on", "stripe-itemized": "created_utc", "adyen-settlement-details": "Creation Date"}
KIND = {"checkout-1": "kind", "stripe-itemized": "reporting_category", "adyen-settlement-details": "Type"}
GATEWAY_NAME = {
    "checkout-1": "gateway_reference",
    "stripe-itemized": "source_id",
    "adyen-settlement-details": "Modification Reference",
}
OURS = {
    "checkout-1": "reference",
    "stripe-itemized": "payment_metadata[our_id]",
    "adyen-settlement-details": "Merchant Reference",
}
every_profile = pytest.mark.parametrize("code", sorted(PROFILES))


def table(*rows: list[str], end: str = "\r\n") -> bytes:
    """A CSV of these rows."""
    written = io.StringIO()
    csv.writer(written, lineterminator=end).writerows(rows)
    return written.getvalue().encode()


def file_of(code: str, *changes: dict[str, str]) -> bytes:
    """A file of the format with a good line for each of the changes made to it."""
    header = list(GOOD[code])
    return table(header, *([{**GOOD[code], **change}[column] for column in header] for change in changes))


def outcomes(content: bytes) -> list[SettlementLine | LineError]:
    return list(read(detect(content[:LONGEST_ROW_BYTES]), io.BytesIO(content)))


def only_error(code: str, **change: str) -> LineError:
    """What is said of the second of three lines, the others being good."""
    before, found, after = outcomes(file_of(code, {}, change, {}))
    assert isinstance(before, SettlementLine)
    assert isinstance(after, SettlementLine)
    assert isinstance(found, LineError)
    assert found.line_number == 3
    return found


HEADER = table(list(GOOD["checkout-1"]))
LINE = table(list(GOOD["checkout-1"].values()))
GOOD_FILE = HEADER + LINE
