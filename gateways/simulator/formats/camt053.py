"""How does a bank say what it booked? ISO 20022 camt.053.001.08: amounts without sign, the direction beside them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from xml.etree import ElementTree as ET

from gateways.simulator.money import major

_NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"
_OWNER = "Checkout Platform"
_BANK = "SIMUDEFF"


@dataclass(frozen=True)
class Transfer:
    """One payout as it arrived: from whom, how it is called end to end, and what they wrote."""

    payer: str
    reference: str
    text: str
    amount_minor: int


@dataclass(frozen=True)
class Entry:
    """One booking. Several transfers of one payer may be one, and then only their sum is in the balance."""

    reference: str
    booked_on: date
    transfers: Sequence[Transfer]

    @property
    def amount_minor(self) -> int:
        """What it changes the balance by."""
        return sum(transfer.amount_minor for transfer in self.transfers)


@dataclass(frozen=True)
class Account:
    """What happened on the account in one currency. Amounts are minor units."""

    currency: str
    opening_minor: int
    entries: Sequence[Entry]

    @property
    def closing_minor(self) -> int:
        """The balance after all of it."""
        return self.opening_minor + sum(entry.amount_minor for entry in self.entries)


def iban(currency: str) -> str:
    """The account in a currency: an IBAN of a bank that does not exist, with the right check digits."""
    basic = f"10000000{int.from_bytes(currency.encode()):010}"
    check = 98 - int(f"{basic}131400") % 97  # DE is 13 and 14, and the check digits count as 00
    return f"DE{check:02}{basic}"


def document(name: str, number: int, days: tuple[date, date], accounts: Sequence[Account]) -> bytes:
    """A statement of some days, both included, with a part for the account in each currency."""
    told_at = f"{days[1] + timedelta(days=1)}T05:00:00Z"
    root = ET.Element("Document", xmlns=_NAMESPACE)
    message = ET.SubElement(root, "BkToCstmrStmt")
    _add(message, "GrpHdr", MsgId=name, CreDtTm=told_at)
    for account in accounts:
        statement = _add(
            message, "Stmt", Id=f"{days[1]:%Y%m%d}-{account.currency}", ElctrncSeqNb=number, CreDtTm=told_at
        )
        _add(statement, "FrToDt", FrDtTm=f"{days[0]}T00:00:00Z", ToDtTm=f"{days[1]}T23:59:59Z")
        _account(statement, account.currency)
        _balance(statement, "OPBD", account.opening_minor, account.currency, days[0])
        _balance(statement, "CLBD", account.closing_minor, account.currency, days[1])
        for entry in account.entries:
            _entry(statement, entry, account.currency)
    ET.indent(root)
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def _account(statement: ET.Element, currency: str) -> None:
    account = ET.SubElement(statement, "Acct")
    _add(account, "Id", IBAN=iban(currency))
    _add(account, Ccy=currency)
    _add(account, "Ownr", Nm=_OWNER)
    _add(_add(account, "Svcr"), "FinInstnId", BICFI=_BANK)


def _balance(statement: ET.Element, code: str, balance_minor: int, currency: str, on: date) -> None:
    balance = ET.SubElement(statement, "Bal")
    _add(_add(balance, "Tp"), "CdOrPrtry", Cd=code)
    _amount(balance, balance_minor, currency)
    _add(balance, "Dt", Dt=on)


def _entry(statement: ET.Element, entry: Entry, currency: str) -> None:
    booked = _add(statement, "Ntry", NtryRef=entry.reference)
    _amount(booked, entry.amount_minor, currency)
    _add(booked, "Sts", Cd="BOOK")
    _add(booked, "BookgDt", Dt=entry.booked_on)
    _add(booked, "ValDt", Dt=entry.booked_on)
    _add(booked, AcctSvcrRef=entry.reference)
    family = "RCDT" if entry.amount_minor >= 0 else "IDDT"
    domain = _add(_add(booked, "BkTxCd"), "Domn", Cd="PMNT")
    _add(domain, "Fmly", Cd=family, SubFmlyCd="ESCT" if family == "RCDT" else "ESDD")
    details = ET.SubElement(booked, "NtryDtls")
    if len(entry.transfers) > 1:
        batch = _add(details, "Btch", NbOfTxs=len(entry.transfers))
        ET.SubElement(batch, "TtlAmt", Ccy=currency).text = major(abs(entry.amount_minor), currency)
        _add(batch, CdtDbtInd=_direction(entry.amount_minor))
    for transfer in entry.transfers:
        told = ET.SubElement(details, "TxDtls")
        _add(told, "Refs", EndToEndId=transfer.reference)
        _amount(told, transfer.amount_minor, currency)
        _add(_add(_add(told, "RltdPties"), "Dbtr"), "Pty", Nm=transfer.payer)
        _add(told, "RmtInf", Ustrd=transfer.text)


def _amount(parent: ET.Element, amount_minor: int, currency: str) -> None:
    ET.SubElement(parent, "Amt", Ccy=currency).text = major(abs(amount_minor), currency)
    _add(parent, CdtDbtInd=_direction(amount_minor))


def _direction(amount_minor: int) -> str:
    return "CRDT" if amount_minor >= 0 else "DBIT"


def _add(parent: ET.Element, name: str = "", **texts: object) -> ET.Element:
    """A new child, or the parent itself without a name, with children that hold only a text."""
    element = ET.SubElement(parent, name) if name else parent
    for child, text in texts.items():
        ET.SubElement(element, child).text = str(text)
    return element
