"""Are card numbers found, and nothing else taken for one?"""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkout.kit.card_numbers import holds_card_number, scrub


@pytest.mark.parametrize(
    "text",
    [
        "4242424242424242",
        "paid with 4242 4242 4242 4242",
        "4242-4242-4242-4242",
        "3782 822463 10005",
        '{"number":"5555555555554444"}',
        "４２４２４２４２４２４２４２４２",
    ],
)
def test_a_card_number_is_found_however_it_is_printed(text: str) -> None:
    assert holds_card_number(text)
    assert "4242424" not in scrub(text)


@given(st.uuids())
def test_a_uuid_is_never_taken_for_one(key: uuid.UUID) -> None:
    assert not holds_card_number(str(key))
    assert not holds_card_number(key.hex) or key.hex.isdecimal()


@pytest.mark.parametrize("text", ["1732132800123", "2026-11-20 20:15", "4242424242424241", "x4242424242424242y", ""])
def test_what_only_has_digits_is_left_alone(text: str) -> None:
    assert not holds_card_number(text)
    assert scrub(text) == text
