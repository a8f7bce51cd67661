"""Is there a card number in this text? Asked of what merchants and gateways write, and of every line we log.

Pure, so that the settings of the log can use it.
"""

import re
from collections.abc import Iterator, MutableMapping
from typing import Any

_SHORTEST, _LONGEST = 13, 19  # ISO/IEC 7812-1 allows less; no card scheme that is left does
# Digits of any script, in groups, and not a part of a longer word: a UUID or a hash is no card number.
_RUN = re.compile(r"(?<![^\W_])\d+(?:[ -]\d+)*(?![^\W_])")
_PRINTED = {(4, 4, 4, 4), (4, 4, 4, 4, 3), (4, 6, 5), (4, 6, 4)}  # how the schemes group the digits on a card
_GROUP = re.compile(r"\d+")
_BEGINNING = re.compile(r"2[2-7]|[3-6]")  # of every scheme's numbers, and of no date or timestamp
_VERIFICATION = re.compile(r"(?i)\b(cvv2?|cvc2?)(\W{1,5})\d{3,4}(?!\d)")


def passes_luhn(number: str) -> bool:
    """Whether the last digit is right (ISO/IEC 7812-1, annex B)."""
    total = 0
    for position, digit in enumerate(reversed(number)):
        value = int(digit) * (1 + position % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def holds_card_number(text: str) -> bool:
    """Whether a text contains what looks like a card number, in one piece or in groups."""
    return next(_card_numbers(text), None) is not None


def holds_verification_value(text: str) -> bool:
    """Whether a text names a verification value and gives it."""
    return _VERIFICATION.search(text) is not None


def scrub(text: str) -> str:
    """The text with every card number in it replaced by its last four digits, and verification values removed."""
    parts, done = [], 0
    for start, end in _card_numbers(text):
        parts += [text[done:start], "…", _digits(text[start:end])[-4:]]
        done = end
    return _VERIFICATION.sub(r"\1\2…", "".join([*parts, text[done:]]))


def scrub_event(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor of structlog: an address or a message may hold a card number, a line of our log must not."""
    return {name: scrub(value) if isinstance(value, str) else value for name, value in event.items()}


def _card_numbers(text: str) -> Iterator[tuple[int, int]]:
    """Where card numbers begin and end, from left to right. A group of digits is never cut."""
    for run in _RUN.finditer(text):
        groups = [group.span() for group in _GROUP.finditer(text, *run.span())]
        done = 0
        for first, (start, _) in enumerate(groups):
            if start < done:
                continue
            for last in range(first, min(first + 5, len(groups))):
                sizes = tuple(end - begin for begin, end in groups[first : last + 1])
                end = groups[last][1]
                if (len(sizes) == 1 or sizes in _PRINTED) and _is_card_number(_digits(text[start:end])):
                    done = end
            if done > start:
                yield start, done


def _is_card_number(digits: str) -> bool:
    return _SHORTEST <= len(digits) <= _LONGEST and bool(_BEGINNING.match(digits)) and passes_luhn(digits)


def _digits(text: str) -> str:
    return "".join(str(int(character)) for character in text if character.isdecimal())
