"""What does an ISO 20022 camt.053 say? Any version of BankToCustomerStatement, camt.053.001.NN.

Only booked entries count. An entry of many payments is given as these where each says its amount and they sum to the
entry. A reversal's direction is its own credit or debit indicator, as with any entry. Memory is bounded by the largest
entry; document types and entities are refused.
"""

import re
from collections.abc import Iterator
from typing import BinaryIO
from xml.etree import ElementTree as ET

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse

from checkout.kit.card_numbers import scrub
from checkout.kit.money import Money
from gateways.settlements import FileRefused
from gateways.settlements.errors import CellRefused
from ledger.bank import elements
from ledger.bank.lines import AccountBalance, Statement, StatementLine

LARGEST_PART_BYTES = 16 * 1024 * 1024  # of one entry, or of anything else in a statement
MOST_ELEMENTS = 200_000

_NOT_BOOKED = ("PDNG", "INFO", "FUTR")
_OPENING, _OPENING_ELSE, _CLOSING = "OPBD", "PRCD", "CLBD"  # what closed yesterday opens today
_ACCOUNT = ("Id/IBAN", "Id/Othr/Id")
_REFERENCES = ("Refs/EndToEndId", "Refs/AcctSvcrRef", "Refs/TxId", "Refs/InstrId")
_REFERENCES_OF_ENTRY = ("AcctSvcrRef", "NtryRef")
_TEXTS = ("RmtInf/Ustrd", "RmtInf/Strd/CdtrRefInf/Ref", "RmtInf/Strd/AddtlRmtInf", "AddtlTxInf")
_TEXTS_OF_ENTRY = ("AddtlNtryInf",)
_LONGEST_ACCOUNT, _LONGEST_REFERENCE, _LONGEST_TEXT = 40, 140, 500

_root = re.compile(r"(\{urn:iso:std:iso:20022:tech:xsd:camt\.053\.001\.[0-9]{2}\})Document").fullmatch


def read_camt053(stream: BinaryIO) -> Statement:
    """The account statements of a file from its beginning, one after the other."""
    balances: list[AccountBalance] = []
    return Statement(_lines(stream, balances), balances)


def _lines(stream: BinaryIO, balances: list[AccountBalance]) -> Iterator[StatementLine]:
    account, given, entries = _Account(), 0, 0
    for part in _parts(stream):
        entries += part.tag == "Ntry"
        place = f"entry {entries}" if part.tag == "Ntry" else f"statement {len(balances) + 1}"
        try:
            if part.tag == "Acct":
                account.name = elements.identifier(part, _ACCOUNT, _LONGEST_ACCOUNT)
            elif part.tag == "Bal":
                account.take_balance(part)
            elif part.tag == "Ntry":
                for line in account.take_entry(part, given):
                    given = line.line_number
                    yield line
            elif part.tag == "Stmt":
                balances.append(account.closed())
                account = _Account()
        except CellRefused as refused:
            raise FileRefused(0, f"{place}, {refused.column}", refused.reason) from None
    if not balances:
        raise FileRefused(0, "", "has no statement")


class _Account:
    """What the statement at hand has said so far. Everything raises CellRefused."""

    def __init__(self) -> None:
        self.name = self.currency = ""
        self._balances: dict[str, int] = {}
        self._moved_minor = 0

    def take_balance(self, balance: ET.Element) -> None:
        code = elements.said(balance, "Tp/CdOrPrtry/Cd")
        if code in self._balances:
            raise CellRefused("Bal", "is there twice with one code")
        if code in (_OPENING, _OPENING_ELSE, _CLOSING):
            self._balances[code] = self._amount(balance)

    def take_entry(self, entry: ET.Element, given: int) -> Iterator[StatementLine]:
        """The lines of an entry, numbered on from those given already; none if it is not booked."""
        status = elements.needed(entry, "Sts/Cd", "Sts")
        if status in _NOT_BOOKED:
            return
        if status != "BOOK":
            raise CellRefused("Sts", f"is neither BOOK nor {' nor '.join(_NOT_BOOKED)}")
        booked_on = elements.day(entry, "BookgDt")
        amount = self._amount(entry)
        self._moved_minor += amount
        of_entry = elements.prose([entry], _TEXTS_OF_ENTRY)
        for part, details in self._split(entry, amount):
            reference = elements.identifier(details[0], _REFERENCES, _LONGEST_REFERENCE) if len(details) == 1 else ""
            of_details = elements.prose(details, _TEXTS)
            yield StatementLine(
                line_number=(given := given + 1),
                account=self.name,
                reference=reference or elements.identifier(entry, _REFERENCES_OF_ENTRY, _LONGEST_REFERENCE),
                text=scrub(of_details or of_entry)[:_LONGEST_TEXT],
                currency=self.currency,
                amount_minor=part,
                booked_on=booked_on,
                is_scrubbed=any(scrub(said) != said for said in (of_details, of_entry)),
            )

    def closed(self) -> AccountBalance:
        """What it comes to. Refused unless opening + movements = closing."""
        opening = self._balances.get(_OPENING, self._balances.get(_OPENING_ELSE))
        closing = self._balances.get(_CLOSING)
        if opening is None or closing is None:
            raise CellRefused("Bal", f"is missing: there must be {_OPENING} or {_OPENING_ELSE}, and {_CLOSING}")
        if difference := opening + self._moved_minor - closing:
            sums = (Money(minor, self.currency) for minor in (opening, self._moved_minor, closing, difference))
            told = "opening {} + movements {} is not closing {}: the difference is {}".format(*sums)
            raise CellRefused("Bal", told)
        return AccountBalance(self.name, self.currency, opening, closing)

    def _amount(self, element: ET.Element) -> int:
        if not self.name:
            raise CellRefused("Acct", "is missing, or comes too late")
        minor, currency = elements.amount(element)
        self.currency = self.currency or currency
        if currency != self.currency:
            raise CellRefused("Amt Ccy", f"is {currency}, on an account in {self.currency}")
        return elements.sign(element) * minor

    def _split(self, entry: ET.Element, amount: int) -> list[tuple[int, list[ET.Element]]]:
        """An entry as its payments, or as one if it does not say what each of them comes to."""
        details = entry.findall("NtryDtls/TxDtls")
        if len(details) < 2:
            return [(amount, details)]
        parts = [self._amount_of(detail, elements.sign(entry)) for detail in details]
        known = [part for part in parts if part is not None]
        if len(known) < len(parts) or sum(known) != amount:
            return [(amount, details)]
        return [(part, [detail]) for part, detail in zip(known, details, strict=True)]

    def _amount_of(self, detail: ET.Element, sign: int) -> int | None:
        """The signed amount of a payment in an entry, where it is said in the account's currency."""
        for path in ("Amt", "AmtDtls/TxAmt/Amt"):
            at = elements.found(detail, path)
            if at is not None and at.get("Ccy") == self.currency:
                minor, _ = elements.amount(detail, path)
                return minor * (elements.sign(detail) if elements.said(detail, "CdtDbtInd") else sign)
        return None


def _parts(stream: BinaryIO) -> Iterator[ET.Element]:
    """Each child of a statement when it is complete, then the statement, emptied; names without their namespace."""
    metered = _Metered(stream)
    path: list[ET.Element] = []
    count, namespace = 0, ""
    for event, element in _events(metered):
        if event == "start":
            if not path:
                namespace = _namespace(element)
            element.tag = element.tag.removeprefix(namespace)
            path.append(element)
            count += 1
            if count > MOST_ELEMENTS:
                raise FileRefused(0, "", f"has more than {MOST_ELEMENTS:,} elements in one entry")
            continue
        path.pop()
        if len(path) < 4:
            if [above.tag for above in (*path, element)][1:3] == ["BkToCstmrStmt", "Stmt"]:
                yield element
            for parent in path[-1:]:  # what has been looked at is let go
                parent.clear()
            metered.since_part = count = 0


def _events(stream: "_Metered") -> Iterator[tuple[str, ET.Element]]:
    try:
        yield from iterparse(stream, events=("start", "end"), forbid_dtd=True)
    except ET.ParseError as error:
        line, byte = error.position
        raise FileRefused(line, f"byte {byte + 1}", "is where the XML is not well-formed") from None
    except DefusedXmlException:
        raise FileRefused(0, "", "declares a document type or an entity") from None
    except (ValueError, LookupError):
        raise FileRefused(0, "", "is in an encoding that we do not read") from None


def _namespace(root: ET.Element) -> str:
    match = _root(root.tag)
    if not match:
        raise FileRefused(0, "", "is no camt.053: its root is not the Document of camt.053.001.NN")
    return match[1]


class _Metered:
    """A stream that refuses to be read on and on without any part coming to its end."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self.since_part = stream, 0

    def read(self, size: int = -1, /) -> bytes:
        content = self._stream.read(size)
        self.since_part += len(content)
        if self.since_part > LARGEST_PART_BYTES:
            raise FileRefused(0, "", f"has an entry of more than {LARGEST_PART_BYTES // 1024**2} MB")
        return content
