"""Which payments does somebody mean? What is typed into a search is taken for what it looks like: an id of ours, an
e-mail address, a card's last four digits, alone or beside an amount, or a reference of the merchant or of a gateway.

Each way reads an index and a bounded number of rows, so that it takes as long with a million payments as with none.
"""

import re
from decimal import Decimal
from typing import Any

from django.db.models import Q, QuerySet

from checkout.kit.admin.lists import LISTED_COUNT
from checkout.kit.ids import parse_public_id
from checkout.kit.inputs import is_printable
from checkout.kit.money import CURRENCY_DECIMALS
from gateways.models import Gateway
from merchants.models import Merchant
from payments.models import Attempt, Card, Payment, Refund

HELP = (
    "Our id, a reference of the merchant or gateway, an e-mail, a card's last four, or these and an amount: 4242 50.00"
)

_LONGEST = 254  # nothing that is looked for is longer
_LAST4 = re.compile(r"[0-9]{4}", re.ASCII)
_AMOUNT = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,3})?", re.ASCII)
_CARDS_LOOKED_AT = 5_000  # the newest with the same last four; only cards for trying out are that many


def payment_named(public_id: str) -> Payment | None:
    """The payment that an id of ours names, its own or that of an attempt or refund of it; None if there is none."""
    for model, path in ((Payment, "pk"), (Attempt, "attempts__pk"), (Refund, "refunds__pk")):
        if key := parse_public_id(model.PUBLIC_PREFIX, public_id):
            return Payment.objects.filter(**{path: key}).first()
    return None


def payments_found(payments: QuerySet[Payment], term: str) -> QuerySet[Payment]:
    """Those of the payments that the term may mean, in the order they have."""
    term = term.strip()
    if not term or len(term) > _LONGEST or not is_printable(term):
        return payments.none()
    if named := payment_named(term):
        return payments.filter(pk=named.pk)
    if "@" in term:
        return payments.filter(customer_email__iexact=term).exclude(customer_email="")
    if wanted := _card_and_amount(term.upper().split()):
        return _kept(payments, wanted)
    if _LAST4.fullmatch(term):
        return _kept(payments, Q(pk__in=_by_reference(term)) | Q(card__in=_newest_cards(term, LISTED_COUNT)))
    return payments.filter(pk__in=_by_reference(term))


def _kept(payments: QuerySet[Payment], wanted: Q) -> QuerySet[Payment]:
    """The same payments by their keys: a list is counted and then read, and what was looked for is found once."""
    keys = payments.filter(wanted).order_by("-id").values_list("pk", flat=True)
    return payments.filter(pk__in=list(keys[:LISTED_COUNT]))


def _by_reference(term: str) -> list[Any]:
    """Naming every merchant and gateway lets the indexes that begin with them be used."""
    ordered = Payment.objects.filter(merchant__in=Merchant.objects.values("pk"), merchant_reference=term)
    tried = Attempt.objects.filter(gateway__in=Gateway.objects.values("pk"), gateway_reference=term)
    found = ordered.order_by().values("pk").union(tried.order_by().values("payment"))
    return [row["pk"] for row in found[:LISTED_COUNT]]


def _newest_cards(last4: str, count: int) -> QuerySet[Any]:
    return Card.objects.filter(last4=last4).order_by("-id").values("pk")[:count]


def _card_and_amount(words: list[str]) -> Q | None:
    """Last four and an amount, in either order and with or without a currency; None if it is not that."""
    currencies = [word for word in words if word in CURRENCY_DECIMALS]
    numbers = [word for word in words if _AMOUNT.fullmatch(word)]
    if len(numbers) != 2 or len(currencies) > 1 or len(words) != len(numbers) + len(currencies):
        return None
    wanted = Q()
    for last4, amount in (numbers, reversed(numbers)):
        if _LAST4.fullmatch(last4):
            wanted |= Q(card__in=_newest_cards(last4, _CARDS_LOOKED_AT)) & _amount(amount, *currencies)
    return wanted or None


def _amount(text: str, *currencies: str) -> Q:
    """That many major units, in whichever currency has so many decimals."""
    value, wanted = Decimal(text), Q()
    for decimals in sorted(set(CURRENCY_DECIMALS.values())):
        codes = [code for code in currencies or CURRENCY_DECIMALS if CURRENCY_DECIMALS[code] == decimals]
        minor = value.scaleb(decimals)
        if codes and minor == int(minor):
            wanted |= Q(amount_minor=int(minor), currency__in=codes)
    return wanted
