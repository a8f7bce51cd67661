"""Whose is a row? How reports name merchants and gateways: to people by name, to machines by what never changes.

A query selects `gateway_key`, `gateway` and `gateway_code`, or `merchant_key` and `merchant`.
"""

from typing import Any

from checkout.kit.ids import public_id
from ledger.reports import links
from ledger.reports.declaration import Column
from merchants.models import Merchant

GATEWAY = (Column("gateway", link=links.gateway), Column("gateway_code", is_for_machines=True))
MERCHANT = (Column("merchant", link=links.merchant), Column("merchant_id", is_for_machines=True))


def with_merchant(row: dict[str, Any]) -> dict[str, Any]:
    """The row with its merchant's outside name; what belongs to none says so."""
    key = row["merchant_key"]
    named = public_id(Merchant.PUBLIC_PREFIX, key) if key else ""
    return {**row, "merchant": row["merchant"] or "no merchant", "merchant_id": named}
