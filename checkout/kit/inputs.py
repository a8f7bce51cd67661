"""What may a request say? Strict fields: a JSON type is never converted into another, and nothing unknown passes.

They are serializer fields of Django REST framework, so the schema is derived from the very rules that are applied.
"""

import re
import unicodedata
from typing import Any

from rest_framework import serializers

from checkout.kit.countries import COUNTRIES
from checkout.kit.money import CURRENCY_DECIMALS

_MAX_INTEGER = 2**53 - 1  # beyond it, JSON numbers lose digits in JavaScript (RFC 8259, 6)
_IDENTIFIER = re.compile(r"[A-Za-z0-9_\-.:/#]+\Z", re.ASCII)


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses fields it does not know, and anything but an object."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict):
            raise serializers.ValidationError({"non_field_errors": ["Must be an object."]}, code="invalid_type")
        unknown = sorted(set(data) - set(self.fields))
        errors = {name: [serializers.ErrorDetail("There is no such field.", "unknown_field")] for name in unknown[:20]}
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as error:
            detail = error.detail if isinstance(error.detail, dict) else {}
            raise serializers.ValidationError({**detail, **errors}) from None
        if errors:
            raise serializers.ValidationError(errors)
        return value


class Integer(serializers.IntegerField):
    """A JSON integer: no string, no fraction, no true or false, and exactly representable everywhere."""

    default_error_messages = {"invalid": "Must be an integer.", "out_of_range": "Is out of range."}

    def to_internal_value(self, data: Any) -> int:
        if type(data) is not int:
            self.fail("invalid")
        if abs(data) > _MAX_INTEGER:
            self.fail("out_of_range")
        return int(data)


class Boolean(serializers.BooleanField):
    """JSON true or false, and nothing that looks like it."""

    def to_internal_value(self, data: Any) -> bool:
        if type(data) is not bool:
            self.fail("invalid", input=type(data).__name__)
        return bool(data)

    default_error_messages = {"invalid": "Must be true or false."}


class Text(serializers.CharField):
    """Free text for people: one line, printable, no invisible or direction-changing characters."""

    default_error_messages = {
        "invalid": "Must be a string.",
        "unprintable": "Holds a character that cannot be printed.",
        "blank": "May not be blank.",
    }

    def __init__(self, **options: Any) -> None:
        options.setdefault("trim_whitespace", False)
        super().__init__(**options)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        if not is_printable(data):
            self.fail("unprintable")
        if data and not data.strip():
            self.fail("blank")
        return data


class Identifier(Text):
    """A word that machines compare: ASCII letters, digits and - _ . : / #."""

    default_error_messages = {"identifier": "Only ASCII letters, digits and - _ . : / # are allowed."}

    def to_internal_value(self, data: Any) -> str:
        value = super().to_internal_value(data)
        if value and not _IDENTIFIER.match(value):
            self.fail("identifier")
        return value


class Choice(serializers.ChoiceField):
    """One of a few words, exactly as written."""

    default_error_messages = {"invalid_choice": "Is not one of the allowed values."}

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str) or data not in self.choices:
            self.fail("invalid_choice", input="")
        return data


class Currency(Choice):
    """An ISO 4217 code, in capital letters."""

    default_error_messages = {"invalid_choice": "Is not an ISO 4217 code of a payable currency, in capital letters."}

    def __init__(self, **options: Any) -> None:
        super().__init__(choices=sorted(CURRENCY_DECIMALS), **options)


class Country(Choice):
    """An ISO 3166-1 alpha-2 code, in capital letters."""

    default_error_messages = {"invalid_choice": "Is not an ISO 3166-1 alpha-2 code, in capital letters."}

    def __init__(self, **options: Any) -> None:
        super().__init__(choices=sorted(COUNTRIES), **options)


def is_printable(text: str) -> bool:
    """Whether a text holds only characters a person can see, and spaces: no controls, no format marks, no surrogates.

    General categories of the Unicode Standard: Cc, Cf, Cs, Co, Cn, Zl, Zp are refused.
    """
    return all(unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for character in text)
