"""Is a card readable for a gateway only, and is card data noticed wherever it does not belong?"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from checkout.kit import clock
from checkout.settings import policy
from gateways.base import CardData
from merchants.models import Merchant
from payments import vault
from payments.models import Card, CardSecret, Payment

Pay = Callable[..., Payment]


@pytest.mark.parametrize(
    ("number", "brand"),
    [
        ("4242424242424242", "visa"),
        ("5105105105105100", "mastercard"),
        ("5555555555554444", "mastercard"),
        ("2221000000000009", "mastercard"),
        ("2720990000000007", "mastercard"),
        ("2721000000000000", "unknown"),
        ("2220990000000000", "unknown"),
        ("378282246310005", "amex"),
        ("341111111111111", "amex"),
        ("6011111111111117", "discover"),
        ("6445644564456445", "discover"),
        ("30569309025904", "diners"),
        ("38520000023237", "diners"),
        ("3530111333300000", "jcb"),
        ("3528000700000000", "jcb"),
        ("6200000000000005", "unionpay"),
        ("9999999999999995", "unknown"),
    ],
)
def test_the_first_digits_tell_the_scheme(number: str, brand: str) -> None:
    assert vault.brand_of(number) == brand


def test_a_fingerprint_finds_the_same_number_and_depends_on_its_key(settings: Any) -> None:
    one = vault.fingerprint_of("4242424242424242")
    assert one == vault.fingerprint_of("4242424242424242")
    assert one != vault.fingerprint_of("5555555555554444")
    assert "4242" not in one

    settings.FINGERPRINT_KEY = "another"
    assert vault.fingerprint_of("4242424242424242") != one


def test_a_number_is_stored_unreadable_beside_what_may_be_shown(merchant: Merchant, card: Callable[..., Any]) -> None:
    kept = vault.new_card(merchant=merchant, mode="test", card=card())
    kept.save()

    with connection.cursor() as cursor:
        cursor.execute("SELECT t::text FROM payments_card t")
        stored = cursor.fetchone()[0]
    assert "424242424242" not in stored
    assert "123" not in {field.strip('"') for field in stored.strip("()").split(",")}
    assert Card.objects.get().number == "4242424242424242"
    assert (str(kept), kept.exp_month, kept.exp_year) == ("visa •••• 4242", 12, 2034)


def test_a_card_on_its_way_shows_nothing_of_itself(card: Callable[..., CardData]) -> None:
    for text in (repr(card()), str(card())):
        assert not any(secret in text for secret in ("4242", "123", "2034", "Ana"))


def fetched(payment: Payment) -> Payment:
    return Payment.objects.select_related("card", "cardsecret").get(pk=payment.pk)


def test_a_card_is_revealed_whole_while_its_verification_value_is_kept(
    created_payment: Pay, card: Callable[..., CardData], eur: Any
) -> None:
    payment = created_payment(eur(50_00))

    assert vault.reveal(fetched(payment)) == card()
    assert vault.has_secret(payment=payment)


@pytest.mark.parametrize("how", ["forgotten", "expired"])
def test_and_not_at_all_afterwards(created_payment: Pay, eur: Any, how: str) -> None:
    payment = created_payment(eur(50_00))
    if how == "forgotten":
        vault.forget_secret(payment_id=payment.pk)
    else:
        CardSecret.objects.update(expires_at=clock.now())

    assert vault.reveal(fetched(payment)) is None
    assert not vault.has_secret(payment=payment)


def test_a_verification_value_has_a_quarter_of_an_hour_at_most_and_is_then_deleted(
    created_payment: Pay, eur: Any
) -> None:
    expiry = CardSecret.objects.get(payment=created_payment(eur(50_00))).expires_at
    kept = created_payment(eur(50_00))
    assert expiry - clock.now() <= timedelta(seconds=policy.CVV_LIFETIME_SECONDS) <= timedelta(minutes=15)

    CardSecret.objects.exclude(payment=kept).update(expires_at=clock.now())

    assert vault.forget_expired_secrets() == 1
    assert CardSecret.objects.get().payment == kept
