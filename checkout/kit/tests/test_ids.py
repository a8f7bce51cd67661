"""Are ids sorted by time inside and outside, and is nothing else taken for one?"""

import threading
import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkout.kit.ids import base62, parse_public_id, public_id, uuid7

keys = st.integers(0, 2**128 - 1).map(lambda number: uuid.UUID(int=number))
NAME = public_id("pay", uuid.UUID("0197f3a2-7b1c-7def-8123-456789abcdef"))


def test_an_id_is_a_uuid_of_version_7_with_the_time_in_front(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("checkout.kit.ids._last", 0)  # another test may have moved the clock, and ids never go back
    before = time.time_ns() // 1_000_000
    key = uuid7()
    after = time.time_ns() // 1_000_000

    assert (key.version, key.variant) == (7, uuid.RFC_4122)
    assert before <= key.int >> 80 <= after + 1


def test_ids_increase_strictly_inside_and_outside_whoever_makes_them() -> None:
    made: list[list[uuid.UUID]] = [[] for _ in range(4)]

    def make(row: list[uuid.UUID]) -> None:
        row += (uuid7() for _ in range(5_000))

    threads = [threading.Thread(target=make, args=[row]) for row in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for row in made:
        assert row == sorted(row)
        names = [public_id("pay", key) for key in row]
        assert names == sorted(names)
    moments = [key.int >> 62 for row in made for key in row]
    assert len(set(moments)) == len(moments)


def test_ids_increase_though_the_clock_stands_still_or_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time_ns()
    ticks = iter([now, now, now, now - 10**9, now])
    monkeypatch.setattr("checkout.kit.ids.time.time_ns", lambda: next(ticks))

    made = [uuid7() for _ in range(5)]

    assert made == sorted(made)
    assert len({key.int >> 62 for key in made}) == 5


@given(keys)
def test_an_outside_name_leads_back_to_its_key(key: uuid.UUID) -> None:
    assert parse_public_id("pay", public_id("pay", key)) == key


@given(keys, keys)
def test_outside_names_sort_as_their_keys_do(one: uuid.UUID, other: uuid.UUID) -> None:
    assert (public_id("pay", one) < public_id("pay", other)) == (one.int < other.int)


@pytest.mark.parametrize(
    "text",
    [
        "",
        NAME.replace("pay_", "rfd_"),
        NAME.removeprefix("pay_"),
        NAME.replace("pay_", "PAY_"),
        NAME.upper(),
        NAME[:-1],
        NAME + "0",
        NAME + "\n",
        " " + NAME,
        NAME[:-1] + "３",  # a fullwidth digit
        NAME[:-1] + "é",
        NAME[:-1] + "-",
        NAME[:-1] + "\x00",
        "pay_" + "z" * 22,  # beyond 128 bits
        "pay_" + str(uuid.UUID(int=7)),
    ],
)
def test_what_is_not_a_name_of_that_kind_is_none(text: str) -> None:
    assert parse_public_id("pay", text) is None


@given(st.text(max_size=40))
def test_no_text_at_all_breaks_the_reading(text: str) -> None:
    parse_public_id("pay", text)
    parse_public_id("pay", "pay_" + text)


@given(st.integers(0, 62**6 - 1))
def test_base_62_keeps_the_length_and_the_order(number: int) -> None:
    word = base62(number, 6)
    assert len(word) == 6
    assert number == 0 or base62(number - 1, 6) < word
