"""What is an entry before it is posted? Its legs, the fact they are about, and a hash that knows the same fact again.

Legs of nothing are left out, and so are entries without legs.
"""

import json
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Required, TypedDict
from uuid import UUID

from checkout.kit import clock
from checkout.kit.money import Money
from ledger.chart import AccountKey
from ledger.models import JournalEntry

Kind = JournalEntry.Kind


@dataclass(frozen=True)
class PostingDraft:
    """One leg to be posted: debit positive, credit negative."""

    account: AccountKey
    amount: Money


@dataclass(frozen=True)
class JournalDraft:
    """An entry to be posted.

    What it says of money and owners is its identity: the same fact told later is the same fact. `clearing_reference` is
    what we called the operation at the gateway where that is not `reference`. `id` is for entries that had a name
    before they were written.
    """

    kind: str
    reference: str
    mode: str
    postings: tuple[PostingDraft, ...]
    merchant_id: UUID | None = None
    gateway_id: UUID | None = None
    gateway_reference: str = ""
    payment_reference: str = ""
    clearing_reference: str = ""
    occurred_at: datetime = field(default_factory=clock.now)
    id: UUID | None = None

    @property
    def body_hash(self) -> bytes:
        """SHA-256 of what the entry says, in a canonical form."""
        legs = [
            [leg.account.kind, str(leg.account.merchant_id), str(leg.account.gateway_id), leg.account.holder]
            + [leg.amount.currency, leg.amount.amount_minor]
            for leg in self.postings
        ]
        owners = [str(self.merchant_id), str(self.gateway_id)]
        return sha256(
            json.dumps([self.mode, owners, self.gateway_reference, self.payment_reference, legs]).encode()
        ).digest()


class Fact(TypedDict, total=False):
    """What every recipe is told beside amounts. `reference` is our own name of the attempt, dispute or settlement."""

    mode: Required[str]
    reference: Required[str]
    gateway_reference: str
    payment_reference: str
    clearing_reference: str
    occurred_at: datetime


class GatewayFact(Fact, total=False):
    """The same for a fact about money at a gateway."""

    gateway_id: Required[UUID]


class BalanceFact(Fact, total=False):
    """The same for a fact about what we owe a merchant, in which no gateway has a part."""

    merchant_id: Required[UUID]


class MerchantFact(GatewayFact, total=False):
    """The same for a fact about a merchant's money at a gateway."""

    merchant_id: Required[UUID]


def debit(account: AccountKey, amount: Money) -> PostingDraft:
    """A debit leg. Refuses (ValueError) a negative amount: a recipe chooses the side, its caller cannot turn it."""
    return PostingDraft(account, _not_negative(amount))


def credit(account: AccountKey, amount: Money) -> PostingDraft:
    """A credit leg. Refuses (ValueError) a negative amount."""
    return PostingDraft(account, -_not_negative(amount))


def signed(debited: AccountKey, credited: AccountKey, amount: Money) -> tuple[PostingDraft, PostingDraft]:
    """Two legs for a fact that may go either way: a negative amount debits what else is credited."""
    return PostingDraft(debited, amount), PostingDraft(credited, -amount)


def draft(kind: Kind, fact: Fact | GatewayFact | BalanceFact | MerchantFact, *legs: PostingDraft) -> JournalDraft:
    """An entry of a kind about a fact; legs of nothing are left out."""
    return JournalDraft(kind=kind, postings=tuple(leg for leg in legs if leg.amount), **fact)


def _not_negative(amount: Money) -> Money:
    if amount.amount_minor < 0:
        raise ValueError(f"{amount} is negative")
    return amount
