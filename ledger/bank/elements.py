"""What does an element of an ISO 20022 message say? Each reader takes the one form the standard has for it.

Element names are without their namespace. Faults are raised as CellRefused, whose column is the element's path.
"""

import re
from datetime import date
from xml.etree import ElementTree as ET

from gateways.settlements.cells import currency_code, iso_day, major_units
from gateways.settlements.errors import CellRefused

_SIGNS = {"CRDT": 1, "DBIT": -1}
_day = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:T.{2,30}|Z|[+-][0-9]{2}:[0-9]{2})?").fullmatch


def found(element: ET.Element, path: str) -> ET.Element | None:
    """The element at a path below another, if there is one; there may not be two."""
    elements = element.findall(path)
    if len(elements) > 1:
        raise CellRefused(path, "is there more than once")
    return elements[0] if elements else None


def said(element: ET.Element, path: str) -> str:
    """The text at a path, without blanks around it; "" where there is none."""
    at = found(element, path)
    return (at.text or "").strip() if at is not None else ""


def needed(element: ET.Element, *paths: str) -> str:
    """The text at the first of the paths that has any."""
    for path in paths:
        if text := said(element, path):
            return text
    raise CellRefused(paths[0], "is missing")


def identifier(element: ET.Element, paths: tuple[str, ...], longest: int) -> str:
    """The text at the first of the paths that names anything, or ""."""
    for path in paths:
        text = said(element, path)
        if len(text) > longest or not text.isprintable():
            raise CellRefused(path, f"is longer than {longest} characters, or cannot be printed")
        if text and text != "NOTPROVIDED":
            return text
    return ""


def amount(element: ET.Element, path: str = "Amt") -> tuple[int, str]:
    """Minor units, not negative, and currency of an amount."""
    at = found(element, path)
    if at is None:
        raise CellRefused(path, "is missing")
    currency = currency_code(at.get("Ccy", ""), f"{path} Ccy")
    minor = major_units((at.text or "").strip(), currency, path)
    if minor < 0:
        raise CellRefused(path, "is negative, where CdtDbtInd gives the direction")
    return minor, currency


def sign(element: ET.Element) -> int:
    """1 for a credit, -1 for a debit."""
    indicator = needed(element, "CdtDbtInd")
    if indicator not in _SIGNS:
        raise CellRefused("CdtDbtInd", "is neither CRDT nor DBIT")
    return _SIGNS[indicator]


def day(element: ET.Element, path: str) -> date:
    """The date of a choice of Dt and DtTm, as the bank writes it, whatever its time zone."""
    match = _day(needed(element, f"{path}/Dt", f"{path}/DtTm"))
    if not match:
        raise CellRefused(path, "is not a date")
    return iso_day(match[1], path)


def prose(elements: list[ET.Element], paths: tuple[str, ...]) -> str:
    """All that is said at any of the paths in any of the elements, on one line. It may hold a card number."""
    texts = [at.text or "" for element in elements for path in paths for at in element.findall(path)]
    printable = "".join(character if character.isprintable() else " " for character in " ".join(texts))
    return " ".join(printable.split())
