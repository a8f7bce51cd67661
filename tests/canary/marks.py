"""What is secret in these tests, and how is it found again, whatever it has been turned into?

Card numbers are drawn from a few ranges of our own, so that one look for the beginning of a range finds all of its
numbers, cut off or whole; the numbers are valid, and no two are the same.
"""

import base64
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

# The first ten digits, by length: Visa, Mastercard, American Express, UnionPay, JCB.
RANGES = {"4999770001": 16, "5599770002": 16, "3799770003": 15, "6299770004": 19, "3589770005": 16}
_BETWEEN_DIGITS = re.compile(r"[\s\-.+_\u2010-\u2015\u2212]+|\\[nrt]")
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
_QUOTED = re.compile(r"""["'](\d{3,4})\\?["']""")
_LAST_FOUR = re.compile(r"""last4\\?["']: ?\\?["']\Z""")
_NAMED = re.compile(r"(?i)(?:cvv2?|cvc2?|security.?code|verification.?(?:value|code))\W{1,5}(\d{3,4})(?!\d)")
_CONTEXT_CHARACTERS = 60

drawn: list["Card"] = []  # all that there are


@dataclass(frozen=True)
class Card:
    """A marked card."""

    number: str
    cvv: str

    @property
    def method(self) -> dict[str, Any]:
        """As a payment method of the API."""
        card = {"number": self.number, "exp_month": 12, "exp_year": 2034, "cvv": self.cvv, "holder_name": "Ana Lopez"}
        return {"type": "card", "card": card}


def next_card() -> Card:
    """A marked card that nobody has had before."""
    place = len(drawn) + 1
    beginning, length = list(RANGES.items())[place % len(RANGES)]
    body = beginning + str(place).zfill(length - len(beginning) - 1)
    card = Card(body + _check_digit(body), str(6000 + place % 4000) if length == 15 else str(600 + place % 400))
    drawn.append(card)
    return card


def forms(number: str) -> dict[str, str]:
    """A card number as people and machines write it."""
    groups = re.findall(r"\d{4}|\d+", number)
    if len(number) == 15:
        groups = [number[:4], number[4:10], number[10:]]
    if len(number) == 19:
        groups = [*groups[:4], number[16:]]
    return {
        "plain": number,
        "spaced": " ".join(groups),
        "dashed": "-".join(groups),
        "with spaces that do not break": "\u00a0".join(groups),
        "fullwidth": number.translate({ord(str(digit)): 0xFF10 + digit for digit in range(10)}),
        "in a sentence": f"card {number}, please",
        "after an underscore": f"card_{number}",
    }


@dataclass
class Search:
    """A look for everything that is secret: the marked cards, and what else is named here."""

    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    def leaks(self, text: str, *, is_page: bool = False) -> list[str]:
        """What of it can be read in a text, with a word about the form and where. A page's attributes are in quotes as
        well, so there a verification value is known by its name alone."""
        squeezed = _squeezed(text)
        values = {card.cvv for card in drawn}
        found = []
        for name, (needle, is_number) in self._needles().items():
            place = text.find(needle)
            if place >= 0:
                found.append(f"{name} in …{_context(text, place)}…")
            elif is_number and (place := squeezed.find(needle)) >= 0:
                found.append(f"{name}, disguised, in …{_context(squeezed, place)}…")
        patterns = (_NAMED,) if is_page else (_NAMED, _QUOTED)
        for pattern in patterns:
            found += [
                f"a verification value in …{_context(text, match.start())}…"
                for match in pattern.finditer(text)
                if match[1] in values and not _LAST_FOUR.search(text, 0, match.start() + 1)
            ]
        return found

    def _needles(self) -> dict[str, tuple[str, bool]]:
        needles: dict[str, tuple[str, bool]] = {}
        for beginning in RANGES:
            needles[f"a card number {beginning[:4]}…"] = (beginning, True)
            needles |= {f"{form} a card number {beginning[:4]}…": (n, False) for form, n in _codes(beginning)}
        for name, secret in self.secrets.items():
            needles[name] = (secret, False)
            needles |= {f"{form} {name}": (needle, False) for form, needle in _codes(secret)}
            if quote(secret, safe="") != secret:
                needles[f"percent-encoded {name}"] = (quote(secret, safe=""), False)
        return needles


def _codes(word: str) -> Iterator[tuple[str, str]]:
    """The forms of a word that no longer look like it: in hexadecimal, and in base64 wherever it may begin."""
    yield "in hexadecimal", word.encode().hex()
    yield "in HEXADECIMAL", word.encode().hex().upper()
    for offset, first in enumerate((0, 2, 3)):
        encoded = base64.b64encode(b"\0" * offset + word.encode()).decode()
        core = encoded[first : (offset + len(word)) * 8 // 6]
        yield f"in base64 at {offset}", core
        yield f"in base64url at {offset}", core.translate({ord("+"): "-", ord("/"): "_"})


def _squeezed(text: str) -> str:
    """The text with its escapes read, its digits plain, and nothing between groups of digits."""
    unescaped = _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), unquote(text))
    return _BETWEEN_DIGITS.sub("", unicodedata.normalize("NFKC", unescaped))


def _context(text: str, place: int) -> str:
    """What stands around, with most digits taken out: a complaint must not be a leak."""
    return re.sub(r"\d(?=\d{4})", "#", text[max(place - _CONTEXT_CHARACTERS, 0) : place + _CONTEXT_CHARACTERS])


def _check_digit(body: str) -> str:
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in body[::-2])
    return str(-(doubled + sum(map(int, body[-2::-2]))) % 10)
