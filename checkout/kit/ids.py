"""What is it called? UUIDv7 inside (RFC 9562, sorted by time), a prefixed opaque word outside.

`pay_` plus 22 base-62 digits; the alphabet is in ASCII order, so outside ids sort by time as well.
"""

import os
import re
import threading
import time
import uuid
from datetime import UTC, datetime

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_DIGITS = {character: value for value, character in enumerate(_ALPHABET)}
_LENGTH = 22
_SHAPE = re.compile(rf"([a-z]{{2,4}})_([0-9A-Za-z]{{{_LENGTH}}})\Z", re.ASCII)

_lock = threading.Lock()
_last = 0


def uuid7() -> uuid.UUID:
    """A new UUIDv7; ids made by one process increase strictly, even within one millisecond."""
    global _last
    stamp = time.time_ns()
    milliseconds, nanoseconds = divmod(stamp, 1_000_000)
    # The 12 bits of rand_a hold the fraction of the millisecond (RFC 9562, 6.2, method 3).
    moment = milliseconds << 12 | nanoseconds * 4096 // 1_000_000
    with _lock:
        _last = moment = max(moment, _last + 1)
    tail = int.from_bytes(os.urandom(8), "big") & (1 << 62) - 1
    return uuid.UUID(int=(moment >> 12) << 80 | 0x7 << 76 | (moment & 0xFFF) << 64 | 0b10 << 62 | tail)


def first_id_at(moment: datetime) -> uuid.UUID:
    """The smallest UUIDv7 of a moment: a row made since then has a greater key, one made before a smaller one."""
    return uuid.UUID(int=int(moment.timestamp() * 1000) << 80)


def moment_of(key: uuid.UUID) -> datetime:
    """When a UUIDv7 was made, to the millisecond, in UTC."""
    return datetime.fromtimestamp((key.int >> 80) / 1000, UTC)


def base62(number: int, length: int) -> str:
    """A number as exactly that many base-62 digits, most significant first."""
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))


def public_id(prefix: str, key: uuid.UUID) -> str:
    """The outside name of a row: `pay_01J…`."""
    return f"{prefix}_{base62(key.int, _LENGTH)}"


def parse_public_id(prefix: str, text: str) -> uuid.UUID | None:
    """The key behind an outside name, or None if the text is not a name of that kind."""
    match = _SHAPE.match(text)
    if match is None or match[1] != prefix:
        return None
    number = 0
    for character in match[2]:
        number = number * 62 + _DIGITS[character]
    return uuid.UUID(int=number) if number < 1 << 128 else None
