"""Are card numbers found, and nothing else taken for one?"""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkout.kit.card_numbers import holds_card_number, holds_sensitive_data, scrub, scrub_event


@pytest.mark.parametrize(
    "text",
    [
        "4242424242424242",
        "paid with 4242 4242 4242 4242",
        "4242-4242-4242-4242",
        "3782 822463 10005",
        '{"number":"5555555555554444"}',
        "４２４２４２４２４２４２４２４２",
        "4242\u00a04242\u00a04242\u00a04242",
        "4242  4242  4242  4242",
        "4242.4242.4242.4242",
        "4242–4242–4242–4242",
        "card\\n4242424242424242",  # as JSON writes a line that begins with it
        "card\\u00a04242\\u00a04242\\u00a04242\\u00a04242",
        "https://shop.example/?q=card%204242424242424242",
        "https://shop.example/?q=card%3D4242%204242%204242%204242",
        "q=4242+4242+4242+4242",
        "%4242424242424242",
    ],
)
def test_a_card_number_is_found_however_it_is_printed(text: str) -> None:
    assert holds_card_number(text)
    left = scrub(text)
    assert left.count("4242") + left.count("4444") + left.count("0005") == 1
    assert "5555" not in left


@given(st.uuids())
def test_a_uuid_is_never_taken_for_one(key: uuid.UUID) -> None:
    assert not holds_card_number(str(key))
    assert not holds_card_number(key.hex) or key.hex.isdecimal()


@pytest.mark.parametrize("text", ["1732132800123", "2026-11-20 20:15", "4242424242424241", "x4242424242424242y", ""])
def test_what_only_has_digits_is_left_alone(text: str) -> None:
    assert not holds_card_number(text)
    assert scrub(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "4242424242424242",
        "my card is 4242 4242 4242 4242, thank you",
        "4242-4242-4242-4242",
        "378282246310005 (amex)",
        "order 5555555555554444/7",
        "%B4242424242424242^LOPEZ/ANA^34121010000000000000?",
        ";4242424242424242=34121010000000000000?",
        ";4000000000000000=3412",  # a track is a track, whatever its check digit
        "DE89370400440532013000",
        "IBAN: ES91 2100 0418 4502 0005 1332",
        "NO93 8601 1117 947",
    ],
)
def test_card_and_account_data_is_noticed_in_any_text(text: str) -> None:
    assert holds_sensitive_data(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "order-1001",
        "call +34 600 000 000 after 18:00",
        "4242424242424241",  # no card has this number: the check digit is wrong
        "12345678901",  # too short
        "DE89370400440532013001",  # no account has this number
        "AB12 CDEF",
        "2026-11-20T19:46:04Z",
        "0197f3a2-7b1c-7def-8123-456789abcdef",
        "pay_01JXYZabcdef0123456789",
    ],
)
def test_ordinary_text_is_left_in_peace(text: str) -> None:
    assert not holds_sensitive_data(text)


@pytest.mark.parametrize(
    "text",
    [
        "cvv: 739",
        "CVC2 739",
        '"cvv":739',
        '"card_cvv": "739"',
        '{"cvv_code": "739"}',
        '{"cardCvvNumber": "739"}',
        "<security_code>739</security_code>",
        '"verificationValue" : "739"',
        "security code=7390",
    ],
)
def test_a_verification_value_is_found_by_its_name(text: str) -> None:
    assert holds_sensitive_data(text)
    assert "739" not in scrub(text)


KEY, SIGNER = "sk_live_" + "Ab3" * 15 + "z", "whsec_" + "Ab3/" * 11


@pytest.mark.parametrize("text", [KEY, f"key={KEY};", f"/v1/payments/{KEY}", SIGNER, f"signed with {SIGNER}."])
def test_what_opens_something_is_found_and_shown_by_its_beginning_only(text: str) -> None:
    assert holds_sensitive_data(text)
    assert "Ab3Ab3Ab3Ab3Ab3" not in scrub(text)
    assert "Ab3/" not in scrub(text)
    assert not holds_sensitive_data(scrub(text))


def test_the_beginning_of_a_key_may_be_shown() -> None:
    assert scrub(f"key:{KEY[:20]}") == f"key:{KEY[:20]}"


def test_a_line_of_the_log_is_scrubbed_to_its_last_value() -> None:
    event = {
        "event": "card 4242424242424242",
        "number": 4242424242424242,
        "is_paid": True,
        "nested": {"4242424242424242": ["cvv=739", (KEY, {"deep": "4242 4242 4242 4242"})]},
    }
    line = str(scrub_event(None, "info", event))

    for secret in ("4242424242424242", "4242 4242", "739", KEY):
        assert secret not in line
    assert "'is_paid': True" in line
