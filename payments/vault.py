"""Where are card numbers? Here, encrypted, and nowhere else.

PCI DSS v4.0.1: 3.5.1 the number is unreadable where stored, 3.4.1 only its last four digits are shown, 3.3.1 the
verification value is gone once no authorization can follow.
"""

import re
from typing import Any

from django.conf import settings

from checkout.kit import clock
from checkout.kit.fields import keyed_hash
from checkout.settings import policy
from gateways.base import CardData
from merchants.models import Merchant
from payments.models import Card, CardSecret, Payment

_BRANDS = (
    ("amex", re.compile(r"3[47]")),
    ("visa", re.compile(r"4")),
    ("mastercard", re.compile(r"5[1-5]|2(22[1-9]|2[3-9]|[3-6]|7[01]|720)")),
    ("discover", re.compile(r"6011|65|64[4-9]")),
    ("diners", re.compile(r"3(0[0-5]|[68])")),
    ("jcb", re.compile(r"35(2[89]|[3-8])")),
    ("unionpay", re.compile(r"62")),
)


def brand_of(number: str) -> str:
    """The card scheme that a number's first digits belong to, or "unknown"."""
    return next((brand for brand, pattern in _BRANDS if pattern.match(number)), "unknown")


def fingerprint_of(number: str) -> str:
    """The keyed hash that stands for a card number in look-ups."""
    return keyed_hash(settings.FINGERPRINT_KEY, number)


def new_card(*, merchant: Merchant, mode: str, card: CardData) -> Card:
    """A new card for the vault, without its verification value; the caller writes it."""
    return Card(
        merchant=merchant,
        mode=mode,
        number=card.number,
        fingerprint=fingerprint_of(card.number),
        brand=brand_of(card.number),
        last4=card.number[-4:],
        exp_month=card.exp_month,
        exp_year=card.exp_year,
        holder_name=card.holder_name,
    )


def new_secret(*, payment: Payment, cvv: str) -> CardSecret:
    """A verification value for the attempts of one confirmation, for a quarter of an hour at the most."""
    return CardSecret(payment=payment, cvv=cvv, expires_at=clock.seconds_from_now(policy.CVV_LIFETIME_SECONDS))


def has_secret(*, payment: Payment) -> bool:
    """Whether the verification value of a payment's card is still kept."""
    return CardSecret.objects.filter(payment=payment, expires_at__gt=clock.now()).exists()


def forget_secret(*, payment_id: Any) -> None:
    """Delete a verification value: no charge attempt follows."""
    CardSecret.objects.filter(payment_id=payment_id).delete()


def forget_expired_secrets() -> int:
    """Delete the verification values whose time is over; returns how many."""
    count, _ = CardSecret.objects.filter(expires_at__lte=clock.now()).delete()
    return count


def reveal(payment: Payment) -> CardData | None:
    """The card for a gateway, or None if its verification value is gone: then it must not be sent (PCI DSS 3.3.1).

    Expects `card` and `cardsecret` to be fetched along with the payment.
    """
    kept, value = payment.card, getattr(payment, "cardsecret", None)
    if kept is None or value is None or value.expires_at <= clock.now():
        return None
    return CardData(
        number=kept.number,
        exp_month=kept.exp_month,
        exp_year=kept.exp_year,
        cvv=value.cvv,
        holder_name=kept.holder_name,
    )
