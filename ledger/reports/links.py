"""Where is what is behind a figure? Addresses of the desk's lists, narrowed to exactly the rows that were added up.

A row names what it is about by `currency`, `gateway_key`, `merchant_key` and `day`, as far as it is about one.
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Model
from django.urls import NoReverseMatch, reverse

from checkout.kit.display import list_of
from checkout.kit.ids import public_id
from checkout.kit.models import PublicModel
from gateways.models import Gateway
from ledger.models import Account, JournalEntry
from ledger.reports.declaration import Row
from ledger.reports.scope import Scope
from merchants.models import Merchant

Link = Callable[[Row, Scope], str]


def entries(*, account: str = "", kind: str = "") -> Link:
    """The entries of the row's day, or else of the period, of a kind or on accounts of a kind.

    What belongs to no merchant leads nowhere: no list is of that alone.
    """

    def link(row: Row, scope: Scope) -> str:
        if "merchant_key" in row and row["merchant_key"] is None:
            return ""
        first, last = (row["day"], row["day"]) if "day" in row else (scope.first, scope.last)
        query = {"account": account, "kind__exact": kind, "currency": row["currency"], "days": f"{first}..{last}"}
        return listed(JournalEntry, scope, **query, **_owners(row, scope))

    return link


def accounts(*, kind: str = "") -> Link:
    """The accounts of a kind, with what is on them now."""

    def link(row: Row, scope: Scope) -> str:
        return listed(Account, scope, kind__exact=kind, currency=row["currency"], **_owners(row, scope))

    return link


def gateway(row: Row, scope: Scope) -> str:
    """The gateway's own page."""
    return page(Gateway, row.get("gateway_key"))


def merchant(row: Row, scope: Scope) -> str:
    """The merchant's own page."""
    return page(Merchant, row.get("merchant_key"))


def page(model: type[PublicModel], key: UUID | None) -> str:
    """The page of the row with a key; nowhere if there is no such page."""
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
    try:
        return reverse(name, args=[public_id(model.PUBLIC_PREFIX, key)]) if key else ""
    except NoReverseMatch:
        return ""


def report(name: str, words: Mapping[str, str]) -> str:
    """A report's page at the desk."""
    return f"{reverse('admin:ledger_report', args=[name])}?{urlencode(words)}"


def listed(model: type[Model], scope: Scope, **query: Any) -> str:
    """Rows of a model's list in the scope's mode, by the parameters of its filters; nowhere without such a list."""
    words = {"mode__exact": scope.mode, **query}
    try:
        return list_of(model, urlencode({name: value for name, value in words.items() if value}))
    except NoReverseMatch:
        return ""


def _owners(row: Row, scope: Scope) -> dict[str, Any]:
    return {
        "gateway__id__exact": row.get("gateway_key") or (scope.gateway and scope.gateway.pk),
        "merchant__id__exact": row.get("merchant_key") or (scope.merchant and scope.merchant.pk),
    }
