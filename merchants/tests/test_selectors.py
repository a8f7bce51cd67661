"""Does a key open what it should, and for no moment longer than it should?"""

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from checkout.kit import clock
from checkout.kit.actors import Actor
from checkout.settings import policy
from merchants.errors import KeyRefused
from merchants.models import ApiKey, Merchant
from merchants.selectors import api_key_of, forget_keys, key_checksum, merchant_by_public_id
from merchants.services import NewKey, create_api_key, note_key_used, revoke_api_key

ACTOR = Actor.command("test")


@pytest.fixture(autouse=True)
def _nothing_is_remembered() -> Iterator[None]:
    forget_keys()
    yield
    forget_keys()


def code_of_refusal(secret: str) -> str:
    with pytest.raises(KeyRefused) as refused:
        api_key_of(secret)
    assert refused.value.http_status == 401
    assert secret not in str(refused.value) or not secret
    return refused.value.code


def test_a_key_is_found_by_its_secret_with_its_merchant_in_one_query(
    api_key: NewKey, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(1):
        key = api_key_of(api_key.secret)
        assert key.merchant.name == "Ana's Books"
    assert key == api_key.key


def test_a_key_is_remembered_and_costs_nothing_for_a_second(api_key: NewKey, django_assert_num_queries: Any) -> None:
    api_key_of(api_key.secret)

    with django_assert_num_queries(0):
        for _ in range(5):
            api_key_of(api_key.secret)


def test_a_mistyped_key_is_refused_without_a_query(api_key: NewKey, django_assert_num_queries: Any) -> None:
    secret = api_key.secret
    other = {character: ("b" if character == "a" else "a") for character in secret}

    with django_assert_num_queries(0):
        for place in range(len("sk_test_"), len(secret)):
            mistyped = secret[:place] + other[secret[place]] + secret[place + 1 :]
            assert code_of_refusal(mistyped) == "invalid_api_key"
        swapped = secret[:-8] + secret[-7] + secret[-8] + secret[-6:]
        assert swapped == secret or code_of_refusal(swapped) == "invalid_api_key"


@pytest.mark.parametrize(
    "change",
    [
        lambda secret: "",
        lambda secret: secret[:-1],
        lambda secret: secret + "0",
        lambda secret: secret + "\n",
        lambda secret: " " + secret,
        lambda secret: secret.upper(),
        lambda secret: secret.replace("sk_test_", "pk_test_"),
        lambda secret: secret.replace("sk_test_", "sk_live_"),
        lambda secret: secret[:-1] + "é",
        lambda secret: secret[:-1] + "\x00",
        lambda secret: "k" * 100_000,
    ],
)
def test_what_has_not_the_shape_of_a_key_is_refused_without_a_query(
    api_key: NewKey, django_assert_num_queries: Any, change: Any
) -> None:
    with django_assert_num_queries(0):
        assert code_of_refusal(change(api_key.secret)) == "invalid_api_key"


@given(st.text(max_size=80))
def test_no_text_at_all_opens_anything_or_breaks(text: str) -> None:
    with pytest.raises(KeyRefused):
        api_key_of(text)


def test_a_well_formed_key_that_nobody_has_is_refused(api_key: NewKey) -> None:
    body = "sk_test_" + "0" * 40
    assert code_of_refusal(body + key_checksum(body)) == "invalid_api_key"

    same_prefix = api_key.secret[:20] + "0" * 28  # guessed on from a prefix that was seen in a list
    assert code_of_refusal(same_prefix + key_checksum(same_prefix)) == "invalid_api_key"


def test_a_revoked_key_opens_nothing_here_at_once(api_key: NewKey) -> None:
    api_key_of(api_key.secret)

    revoke_api_key(key=api_key.key, reason="leaked", actor=ACTOR)

    assert code_of_refusal(api_key.secret) == "key_revoked"


def test_a_key_revoked_by_another_process_opens_nothing_a_second_later(
    api_key: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert policy.KEY_CACHE_SECONDS <= 1
    ticks = time.monotonic()
    monkeypatch.setattr("merchants.selectors.time.monotonic", lambda: ticks)
    api_key_of(api_key.secret)
    ApiKey.objects.update(revoked_at=clock.now())  # as another process would: our memory does not hear of it
    assert api_key_of(api_key.secret)

    ticks += policy.KEY_CACHE_SECONDS

    assert code_of_refusal(api_key.secret) == "key_revoked"


def test_a_key_that_expires_while_it_is_remembered_is_refused(merchant: Merchant) -> None:
    new = create_api_key(merchant=merchant, mode="test", actor=ACTOR, expires_at=clock.seconds_from_now(60))
    assert api_key_of(new.secret)

    with time_machine.travel(clock.now() + timedelta(seconds=61)):
        assert code_of_refusal(new.secret) == "key_expired"


def test_a_flood_of_keys_is_not_remembered_for_ever(api_key: NewKey, monkeypatch: pytest.MonkeyPatch) -> None:
    memory: dict[str, Any] = {f"key {number}": (0.0, None) for number in range(10_001)}
    monkeypatch.setattr("merchants.selectors._cache", memory)

    api_key_of(api_key.secret)

    assert len(memory) == 1


def test_the_last_use_is_noted_to_the_minute(api_key: NewKey, django_assert_num_queries: Any) -> None:
    key = api_key_of(api_key.secret)
    note_key_used(key=key)
    first = ApiKey.objects.get().last_used_at
    assert first is not None

    with django_assert_num_queries(0):
        note_key_used(key=key)
    with time_machine.travel(first + timedelta(seconds=61)):
        note_key_used(key=key)

    assert ApiKey.objects.get().last_used_at > first


def test_a_merchant_is_found_by_its_outside_name_only(merchant: Merchant) -> None:
    assert merchant_by_public_id(merchant.public_id) == merchant
    for name in ("", str(merchant.pk), merchant.public_id.replace("mer", "pay"), merchant.public_id + "0"):
        assert merchant_by_public_id(name) is None
