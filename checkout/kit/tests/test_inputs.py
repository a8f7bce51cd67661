"""Does a field take exactly what it says, and nothing that merely looks like it?"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.exceptions import ValidationError

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

JSON_VALUES = [None, True, False, 0, 1, -1, 1.0, 1e5, "1", "", "true", [], ["a"], {}, {"a": 1}]


def is_refused(field: Any, value: Any) -> bool:
    try:
        field.run_validation(value)
    except ValidationError:
        return True
    return False


@pytest.mark.parametrize(
    ("field", "accepted"),
    [
        (Integer(), [0, 1, -1, 2**53 - 1, -(2**53 - 1)]),
        (Boolean(), [True, False]),
        (Text(), ["1", "true", "Ünïcödé 漢字 🛒", "  two  spaces  "]),
        (Identifier(), ["1", "true", "order-1001", "a_b.c:d/e#f"]),
        (Choice(choices=["card", "1"]), ["card", "1"]),
        (Currency(), ["EUR", "JPY"]),
        (Country(), ["DE", "ES"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_the_right_type_passes_and_comes_out_as_it_went_in(field: Any, accepted: list[Any]) -> None:
    for value in accepted:
        out = field.run_validation(value)
        assert (out, type(out)) == (value, type(value))
    for value in JSON_VALUES:
        is_accepted = any(value == good and type(value) is type(good) for good in accepted)
        assert is_refused(field, value) is not is_accepted, value


@pytest.mark.parametrize("value", [2**53, -(2**53), 10**400, 1_0.0, "1_000", "１２", float("nan"), float("inf")])
def test_a_number_that_is_not_an_exact_integer_is_refused(value: Any) -> None:
    assert is_refused(Integer(), value)


@pytest.mark.parametrize(
    "text",
    [
        "a\nb",
        "a\tb",
        "a\x00b",
        "a\x7fb",
        "a\u200bb",
        "a\u202eb",
        "a\ud800b",
        "a\ue000b",
        "a\u2028b",
        "a\ufeffb",
        " ",
        "\u3000",
    ],
)
def test_text_that_cannot_be_seen_is_refused(text: str) -> None:
    assert is_refused(Text(), text)


@given(st.text(min_size=1))
def test_every_text_is_either_refused_or_kept_to_the_character(text: str) -> None:
    if is_refused(Text(), text):
        assert not is_printable(text) or not text.strip()
    else:
        assert Text().run_validation(text) == text


@pytest.mark.parametrize("word", ["a b", "ä", "a\n", "a;b", "١", "a\u200b", "<a>", "'", "a%20"])
def test_an_identifier_is_ascii_that_needs_no_quoting(word: str) -> None:
    assert is_refused(Identifier(), word)


@pytest.mark.parametrize("word", ["eur", "EU", "EURO", "XXX", "XAU", "ＥＵＲ", " EUR", "EUR\n"])
def test_a_currency_is_exactly_its_code(word: str) -> None:
    assert is_refused(Currency(), word)


@pytest.mark.parametrize("word", ["de", "D", "DEU", "XX", "EU", "UK", "ＤＥ", "DE "])
def test_a_country_is_exactly_its_code(word: str) -> None:
    assert is_refused(Country(), word)


class Order(StrictSerializer):
    amount = Integer()
    note = Text(required=False)


def test_every_wrong_and_every_unknown_field_is_named_at_once() -> None:
    order = Order(data={"amount": "1", "note": "\x00", "amuont": 1, "x": 2})

    assert not order.is_valid()
    assert {name: [detail.code for detail in details] for name, details in order.errors.items()} == {
        "amount": ["invalid"],
        "note": ["unprintable"],
        "amuont": ["unknown_field"],
        "x": ["unknown_field"],
    }


def test_an_unknown_field_alone_is_refused_too() -> None:
    order = Order(data={"amount": 1, "Amount": 1})

    assert not order.is_valid()
    assert list(order.errors) == ["Amount"]


def test_a_flood_of_unknown_fields_is_not_echoed() -> None:
    order = Order(data={f"f{number}": 1 for number in range(5_000)})

    assert not order.is_valid()
    assert len(order.errors) <= 21


@pytest.mark.parametrize("data", [None, [], [{"amount": 1}], "amount", 1, True])
def test_only_an_object_is_an_object(data: Any) -> None:
    assert not Order(data=data).is_valid()
