"""Is there a card number in this text, or another secret? Asked of what merchants and gateways write, and of every line
we log.

Pure, so that the settings of the log can use it.
"""

import re
from collections.abc import Iterator, MutableMapping
from typing import Any

_SHORTEST, _LONGEST = 13, 19  # ISO/IEC 7812-1 allows less; no card scheme that is left does
# Digits of any script, in groups, and not a part of a longer word: a UUID or a hash is no card number.
_GAP = r"(?:\s{1,6}|[-+.\u2010-\u2015\u2212])"
_RUN = re.compile(rf"(?<![^\W_])\d+(?:{_GAP}\d+)*(?![^\W_])")
_PRINTED = {(4, 4, 4, 4), (4, 4, 4, 4, 3), (4, 6, 5), (4, 6, 4)}  # how the schemes group the digits on a card
_GROUP = re.compile(r"\d+")
_BEGINNING = re.compile(r"2[2-7]|[3-6]")  # of every scheme's numbers, and of no date or timestamp
# How JSON and addresses write a character that is no plain one; the digits after it are a word of their own.
_ESCAPE = re.compile(r"\\(?:[bfnrt]|u[0-9A-Fa-f]{4})|%[0-9A-Fa-f]{2}")
_VERIFICATION = re.compile(
    r"(?i)((?:cvv|cvc)2?(?:[ _-]?(?:code|value|number))?|(?:security|verification)[ _-]?(?:code|value))"
    r"(\W{1,5})\d{3,4}(?!\d)"
)
# What opens something: our API keys beyond the part that may be shown, and secrets that sign webhooks.
_SECRET = re.compile(r"(sk_(?:test|live)_[0-9A-Za-z]{12}|whsec_)[0-9A-Za-z+/=]{16,}")


_TRACK = re.compile(r"%B\d{12,19}\^|;\d{12,19}=", re.ASCII)
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b", re.ASCII)


def passes_luhn(number: str) -> bool:
    """Whether the last digit is right (ISO/IEC 7812-1, annex B)."""
    total = 0
    for position, digit in enumerate(reversed(number)):
        value = int(digit) * (1 + position % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def holds_card_number(text: str) -> bool:
    """Whether a text contains what looks like a card number, in one piece or in groups."""
    return bool(_card_numbers(text))


def holds_verification_value(text: str) -> bool:
    """Whether a text names a verification value and gives it."""
    return _VERIFICATION.search(text) is not None


def holds_secret(text: str) -> bool:
    """Whether a text contains an API key of ours, or a secret that signs webhooks."""
    return _SECRET.search(text) is not None


def holds_sensitive_data(text: str) -> bool:
    """Whether a free text contains what has fields of its own: a card's number, verification value or magnetic track,
    an IBAN, or a secret."""
    return (
        holds_card_number(text)
        or holds_verification_value(text)
        or holds_secret(text)
        or bool(_TRACK.search(text))
        or any(map(_is_iban, _IBAN.findall(text)))
    )


def scrub(text: str) -> str:
    """The text with card numbers replaced by their last four digits, and without verification values and secrets."""
    parts, done = [], 0
    for start, end in _card_numbers(text):
        parts += [text[done:start], "…", _digits(text[start:end])[-4:]]
        done = end
    text = "".join([*parts, text[done:]])
    return _SECRET.sub(r"\1…", _VERIFICATION.sub(r"\1\2…", text))


def scrub_event(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor of structlog: an address or a message may hold a card number, a line of our log must not."""
    return {name: _scrubbed(value) for name, value in event.items()}


def _scrubbed(value: Any) -> Any:
    match value:
        case str():
            return scrub(value)
        case dict():
            return {_scrubbed(name): _scrubbed(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_scrubbed(inner) for inner in value]
        case int() if holds_card_number(str(value)):
            return scrub(str(value))
    return value


def _card_numbers(text: str) -> list[tuple[int, int]]:
    """Where card numbers begin and end, from left to right, none within another. A group of digits is never cut.

    Read twice, as it stands and with the escapes of JSON and of addresses taken for spaces.
    """
    found: list[tuple[int, int]] = []
    unescaped = _ESCAPE.sub(lambda escape: " " * len(escape[0]), text)
    for span in sorted({*_spans(text), *(_spans(unescaped) if unescaped != text else ())}):
        if not found or span[0] >= found[-1][1]:
            found.append(span)
    return found


def _spans(text: str) -> Iterator[tuple[int, int]]:
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


def _is_iban(text: str) -> bool:
    """ISO 13616: country and check digits moved to the end, letters as numbers, modulo 97."""
    compact = text.replace(" ", "")
    return int("".join(str(int(character, 36)) for character in compact[4:] + compact[:4])) % 97 == 1


def _is_card_number(digits: str) -> bool:
    return _SHORTEST <= len(digits) <= _LONGEST and bool(_BEGINNING.match(digits)) and passes_luhn(digits)


def _digits(text: str) -> str:
    return "".join(str(int(character)) for character in text if character.isdecimal())
