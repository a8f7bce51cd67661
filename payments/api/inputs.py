"""What may a merchant ask for, in which words? Every wrong field is named in one answer."""

import re
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

from rest_framework import serializers

from checkout.kit import clock
from checkout.kit.card_numbers import holds_sensitive_data, passes_luhn
from checkout.kit.inputs import (
    Boolean,
    Choice,
    Country,
    Currency,
    Identifier,
    Integer,
    StrictSerializer,
    Text,
    is_printable,
)
from checkout.kit.money import Money
from checkout.settings import policy
from gateways.base import CardData
from payments.models import Payment
from payments.services import PaymentOrder
from payments.vault import brand_of

_MAX_METADATA, _MAX_METADATA_KEY, _MAX_METADATA_VALUE = 50, 40, 500
_FORBIDDEN_KEYS = re.compile(
    r"(card|security|verification)?(cvv|cvc|cid)2?(code|value|number)?|(card)?(security|verification)(code|value|number)"
    r"|(card)?pan|cardnumber|pin|track[12]?"
)
_EMAIL = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}\Z"
)


def no_card_data(text: str) -> None:
    """Refuse a free text that holds a card number or the like, without repeating it (PCI DSS v4.0.1, 3.3 and 3.5)."""
    if holds_sensitive_data(text):
        raise serializers.ValidationError(
            "Holds card or account data, which belongs nowhere but in card fields.", "card_data"
        )


class FreeText(Text):
    """Text for people that must not hold card data."""

    def to_internal_value(self, data: Any) -> str:
        value = super().to_internal_value(data)
        no_card_data(value)
        return value


class Reference(Identifier):
    """A merchant's own name for something; must not hold card data."""

    def to_internal_value(self, data: Any) -> str:
        value = super().to_internal_value(data)
        no_card_data(value)
        return value


class HolderName(FreeText):
    """The name on a card: letters, marks, digits, spaces and punctuation, and not without a letter."""

    def to_internal_value(self, data: Any) -> str:
        value = super().to_internal_value(data)
        kinds = {unicodedata.category(character)[0] for character in value}
        if value and ("L" not in kinds or kinds & {"S"}):
            raise serializers.ValidationError("Is not a name.", "invalid_name")
        return value


class Email(FreeText):
    """One plain e-mail address."""

    def to_internal_value(self, data: Any) -> str:
        value = super().to_internal_value(data)
        if len(value) > 254 or not _EMAIL.match(value):
            raise serializers.ValidationError("Is not an e-mail address.", "invalid_email")
        return value


class ReturnUrl(FreeText):
    """An address of the merchant's own: https, or http on this machine; without user name or fragment."""

    def to_internal_value(self, data: Any) -> str:
        value = super().to_internal_value(data)
        no_card_data(unquote(unquote(value)))  # an address may hold another one
        if value and not _is_return_url(value):
            raise serializers.ValidationError("Must be an https address of your own.", "invalid_url")
        return value


def _is_return_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    is_local = parts.scheme == "http" and host in ("localhost", "127.0.0.1")
    is_plain = not (parts.username or parts.password or parts.fragment or set(text) & set(" \\<>\"'"))
    return len(text) <= 2000 and text.isascii() and bool(host) and is_plain and (parts.scheme == "https" or is_local)


class Metadata(serializers.DictField):
    """A merchant's own notes: flat, text to text, at most 50."""

    child = serializers.CharField(max_length=_MAX_METADATA_VALUE)

    def to_internal_value(self, data: Any) -> dict[str, str]:
        def refuse(message: str, code: str = "invalid_metadata") -> None:
            raise serializers.ValidationError(message, code)

        if not isinstance(data, dict):
            refuse("Must be an object of strings.")
        if len(data) > _MAX_METADATA:
            refuse(f"May have {_MAX_METADATA} entries.")
        for key, value in data.items():
            if not isinstance(value, str):
                refuse("Every value must be a string.")
            if not key.strip() or len(key) > _MAX_METADATA_KEY or len(value) > _MAX_METADATA_VALUE:
                refuse(f"A key has 1 to {_MAX_METADATA_KEY} characters, a value up to {_MAX_METADATA_VALUE}.")
            if not (is_printable(key) and is_printable(value)):
                refuse("Holds a character that cannot be printed.", "unprintable")
            if _FORBIDDEN_KEYS.fullmatch(re.sub("[^a-z0-9]", "", key.lower())):
                refuse("Holds card or account data, which belongs nowhere but in card fields.", "card_data")
            no_card_data(key)
            no_card_data(value)
        return dict(data)


class CardInput(StrictSerializer):
    """A card as typed by its holder: digits only, no spaces."""

    number = Text(help_text="12 to 19 digits, no spaces.")
    exp_month = Integer(help_text="1 to 12.")
    exp_year = Integer(help_text="Four digits.")
    cvv = Text(help_text="3 digits, 4 for American Express. Never kept after the payment is authorized.")
    holder_name = HolderName(max_length=100, required=False, default="")

    def validate_number(self, value: str) -> str:
        if not re.fullmatch(r"[1-9][0-9]{11,18}", value) or not passes_luhn(value):
            raise serializers.ValidationError("Is not a card number.", "invalid_card_number")
        return value

    def validate_exp_month(self, value: int) -> int:
        if not 1 <= value <= 12:
            raise serializers.ValidationError("Is not a month.", "invalid_expiry")
        return value

    def validate_exp_year(self, value: int) -> int:
        if not 2000 <= value <= 2099:
            raise serializers.ValidationError("Is not a year of four digits.", "invalid_expiry")
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        length = 4 if brand_of(attrs["number"]) == "amex" else 3
        errors = {}
        if not re.fullmatch(rf"[0-9]{{{length}}}", attrs["cvv"]):
            errors["cvv"] = [serializers.ErrorDetail(f"Must be {length} digits for this card.", "invalid_cvv")]
        if is_expired(attrs["exp_month"], attrs["exp_year"]):
            errors["exp_year"] = [serializers.ErrorDetail("The card has expired.", "expired_card")]
        if errors:
            raise serializers.ValidationError(errors)
        return attrs


def is_expired(month: int, year: int) -> bool:
    """Whether the last day of the card's month is over everywhere on Earth (UTC−12 is last)."""
    following = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    return clock.now() >= following + timedelta(hours=12)


class PaymentMethodInput(StrictSerializer):
    """How the customer pays."""

    type = Choice(choices=["card"])
    card = CardInput()


class CreatePaymentInput(StrictSerializer):
    """A payment to be made."""

    amount = Integer(help_text="In the currency's minor unit: 1099 is 10.99 EUR, or 1099 JPY.")
    currency = Currency(help_text="ISO 4217.")
    country = Country(
        required=False, help_text="The customer's country, ISO 3166-1 alpha-2; the merchant's own if left out."
    )
    capture = Choice(
        choices=["automatic", "manual"],
        required=False,
        default="automatic",
        help_text="Take the money at once, or only reserve it.",
    )
    payment_method = PaymentMethodInput(required=False)
    confirm = Boolean(
        required=False, help_text="Process at once; true by default when a payment method is given, else false."
    )
    merchant_reference = Reference(max_length=100, required=False, default="")
    description = FreeText(max_length=255, required=False, default="")
    customer_email = Email(required=False, default="")
    metadata = Metadata(required=False, default=dict)
    return_url = ReturnUrl(
        required=False,
        default="",
        help_text="Where the customer comes back to when the card's bank wanted to see them (3-D Secure).",
    )
    verify_only = Boolean(
        required=False, default=False, help_text="Only check the card: the amount must be 0, and nothing is reserved."
    )

    def validate_amount(self, value: int) -> int:
        if self.initial_data.get("verify_only") is not True:
            return positive_amount(value)
        if value != 0:
            raise serializers.ValidationError("Must be 0 to only verify a card.", "amount_not_zero")
        return value

    def order(self, default_country: str) -> PaymentOrder:
        """What the validated words ask for."""
        data = self.validated_data
        return PaymentOrder(
            amount=Money(data["amount"], data["currency"]),
            country=data.get("country", default_country),
            capture_mode=Payment.CaptureMode("manual" if data["verify_only"] else data["capture"]),
            merchant_reference=data["merchant_reference"],
            description=data["description"],
            customer_email=data["customer_email"],
            metadata=data["metadata"],
            return_url=data["return_url"],
        )


class ConfirmPaymentInput(StrictSerializer):
    """A card to confirm with, unless the one given at creation is to be used."""

    payment_method = PaymentMethodInput(required=False)


class AmountInput(StrictSerializer):
    """How much of a payment, in minor units of its currency; all that is left if nothing is said."""

    amount = Integer(required=False)

    def validate_amount(self, value: int) -> int:
        return positive_amount(value)


class RefundInput(AmountInput):
    """How much to give back, and why."""

    reason = FreeText(max_length=255, required=False, default="")


class EmptyInput(StrictSerializer):
    """Nothing more to say."""


def positive_amount(value: int) -> int:
    """Refuse zero, less, and what can only be a typing error."""
    if value <= 0:
        raise serializers.ValidationError("Must be greater than zero.", "amount_too_small")
    if value > policy.MAX_AMOUNT_MINOR:
        raise serializers.ValidationError(f"May be {policy.MAX_AMOUNT_MINOR} at the most.", "amount_too_large")
    return value


def card_of(data: dict[str, Any]) -> CardData | None:
    """The card in a validated body, if there is one."""
    method = data.get("payment_method")
    return CardData(**method["card"]) if method else None
