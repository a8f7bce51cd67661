"""How does the desk name an account, and show the legs of an entry, posted or not?"""

from collections.abc import Sequence

from checkout.kit.display import words
from checkout.kit.models import Approval
from checkout.kit.money import Money
from gateways.models import Gateway
from ledger.models import Account
from ledger.recipes import PostingDraft
from ledger.services import manual
from merchants.models import Merchant

# An account in plain words with whose it is, and the amount: debit positive.
Leg = tuple[str, Money]


def account_name(account: Account) -> str:
    """An account in plain words, with whose it is."""
    return _name(account.kind, account.merchant or account.gateway, account.holder)


def legs_named(legs: Sequence[PostingDraft]) -> list[Leg]:
    """Legs that are not posted, as people read them. Two queries."""
    keys = [leg.account for leg in legs]
    merchants = Merchant.objects.in_bulk({key.merchant_id for key in keys if key.merchant_id})
    gateways = Gateway.objects.in_bulk({key.gateway_id for key in keys if key.gateway_id})
    owners = merchants | gateways
    return [
        (_name(key.kind, owners.get(key.merchant_id or key.gateway_id), key.holder), leg.amount)
        for key, leg in zip(keys, legs, strict=True)
    ]


def legs_asked(approval: Approval) -> list[Leg]:
    """The legs that a request wants to be posted, if it is one for an entry or a reversal."""
    return legs_named(manual.legs_of(approval)) if approval.kind in (manual.WRITE, manual.REVERSE) else []


def _name(kind: str, owner: Merchant | Gateway | None, holder: str) -> str:
    return " · ".join(filter(None, [words(kind), str(owner or ""), holder]))
