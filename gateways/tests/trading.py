"""What happened at a simulated gateway, without the gateway: its book filled by direct calls, under a clock of its own.

And how its files are read without the platform's readers: by the format's description alone, with Python's `csv`.
"""

import csv
import io
import random
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import count
from pathlib import Path
from typing import Any

from checkout.kit.money import CURRENCY_DECIMALS
from gateways.simulator.account import BankAccount
from gateways.simulator.bank import Bank
from gateways.simulator.book import Book
from gateways.simulator.calls import CAPTURE, CHARGE, REFUND, VOID, Call, IssuedFile, Operation
from gateways.simulator.settings import GatewaySettings
from gateways.simulator.settlements import Settlements

FORMATS = ["checkout-1", "stripe-itemized", "adyen-settlement-details"]
CURRENCIES = ["EUR", "USD", "JPY", "KWD"]
START = datetime(2026, 3, 1, tzinfo=UTC)


class Trade:
    """One gateway's book, and the money calls of a shop. `now` is what the clock says."""

    def __init__(self, folder: Path, form: str = "checkout-1", code: str = "north", **settings: Any) -> None:
        self.folder = folder
        self.book = Book(str(folder / "book.sqlite3"))
        self.now = START
        values = {"fee_bps": 290, "fee_fixed_minor": 30, "settlement_format": form, **settings}
        secrets = {"api_key": "k", "notice_secret": "s"}
        self.settings = GatewaySettings.parse(
            {"code": code, "name": code.title(), "dialect": "json", **secrets, **values}
        )
        self.bank = Bank(self.book, code, is_multi_capture=True, clock=lambda: self.now)
        self.settlements = Settlements(self.book)
        self.account = BankAccount(self.book)
        self._references = (f"{code}-{number}" for number in count(1))

    def do(self, kind: str, amount_minor: int = 0, *, charge: Operation | None = None, **values: Any) -> Operation:
        """One money call, decided at once unless told otherwise."""
        is_late = values.pop("is_late", False)
        call = Call(kind, next(self._references), charge.id if charge else "", amount_minor, **values)
        operation, _ = self.bank.submit(call, profile="by_card", late_seconds=0, is_late=is_late)
        return operation

    def sale(self, amount_minor: int = 1000, currency: str = "EUR", **values: Any) -> Operation:
        """A charge that takes the money at once."""
        values = {"card_number": "4242424242424242", "capture": True, **values}
        return self.do(CHARGE, amount_minor, currency=currency, **values)

    def day(self, rng: random.Random, number: int = 40) -> None:
        """A day of everything that may happen, from `now` on; the clock is at the end of it afterwards."""
        charges: list[Operation] = []
        end = self.now + timedelta(days=1)
        with self.book.transaction():
            for _ in range(number):
                self.now += timedelta(days=1) / (number + 1)
                charges.append(self._charge(rng))
                self._follow_up(rng.choice(charges), rng)
        self.now = end

    def issue(self, *, until: datetime | None = None, plant: dict[str, int] | None = None, seed: int = 0) -> "Paper":
        """The file of everything until now."""
        file = self.settlements.issue(self.settings, until=until or self.now, plant=plant, seed=seed)
        assert file is not None
        return self.read(file)

    def read(self, file: IssuedFile) -> "Paper":
        """A file as anybody may read it."""
        archive = self.settlements.archive
        return Paper.of(file, b"".join(archive.content(file)), archive.answers(file)["errors"])

    def copied(self, folder: Path) -> "Trade":
        """The same gateway with the same past, in a book of its own."""
        folder.mkdir()
        self.book.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copy(self.folder / "book.sqlite3", folder)
        again = Trade(folder, self.settings.settlement_format, self.settings.code)
        again.settings, again.now = self.settings, self.now
        return again

    def rows(self) -> list[Operation]:
        """All operations, oldest first."""
        query = "SELECT id FROM operation WHERE gateway = ? ORDER BY rowid"
        ids = [row[0] for row in self.book.connection.execute(query, (self.settings.code,))]
        return [self.book.get(self.settings.code, one) for one in ids]

    def _charge(self, rng: random.Random) -> Operation:
        card = rng.choices(["4242424242424242", "4000000000009995"], [9, 1])[0]
        currency, amount = rng.choice(CURRENCIES), rng.choice([rng.randint(1, 60), rng.randint(1000, 90_000)])
        if rng.random() < 0.1:
            return self.do(CHARGE, 0, currency=currency, card_number=card)
        late = rng.random() < 0.1
        return self.sale(amount, currency, card_number=card, capture=rng.random() < 0.6, is_late=late)

    def _follow_up(self, charge: Operation, rng: random.Random) -> None:
        match rng.choice(["capture", "capture", "refund", "refund", "office", "void", "cancel", "late", ""]):
            case "capture":
                self.do(CAPTURE, rng.randint(1, charge.amount_minor or 1), charge=charge)
            case "refund":
                self.do(REFUND, rng.randint(1, charge.amount_minor or 1), charge=charge)
            case "office":
                self.bank.act(REFUND, charge.reference, rng.randint(1, charge.amount_minor or 1))
            case "void":
                self.do(VOID, charge=charge)
            case "cancel":
                self.bank.cancel(charge.reference)
            case "late":
                self.bank.settle(charge.id)


@dataclass(frozen=True)
class Entry:
    """One row of a file but the payouts. `line` counts from 1, which is the header; amounts are minor units."""

    line: int
    kind: str
    id: str
    reference: str
    currency: str
    gross_minor: int
    fee_minor: int
    net_minor: int
    on: str
    batch: str


@dataclass(frozen=True)
class Paper:
    """A file, read. `payouts` are what it says was paid by batch and currency, positive where it comes to us."""

    file: IssuedFile
    content: bytes
    rows: list[dict[str, str]]
    entries: list[Entry]
    payouts: dict[tuple[str, str], int]
    payout_lines: dict[tuple[str, str], int]
    answers: list[dict[str, Any]]

    @classmethod
    def of(cls, file: IssuedFile, content: bytes, answers: list[dict[str, Any]]) -> "Paper":
        """Read a file of any format."""
        reader = csv.DictReader(io.StringIO(content.decode(), newline=""), strict=True)
        rows = list(reader)
        assert reader.line_num == len(rows) + 1
        assert not any(None in row or None in row.values() for row in rows)
        read = {"checkout-1": _checkout, "stripe-itemized": _stripe, "adyen-settlement-details": _adyen}[file.format]
        entries = [read(line, row) for line, row in enumerate(rows, start=2)]
        payouts = [entry for entry in entries if entry.kind == "payout"]
        return cls(
            file=file,
            content=content,
            rows=rows,
            entries=[entry for entry in entries if entry.kind != "payout"],
            payouts={(entry.batch, entry.currency): -entry.net_minor for entry in payouts},
            payout_lines={(entry.batch, entry.currency): entry.line for entry in payouts},
            answers=answers,
        )

    def nets(self) -> dict[tuple[str, str], int]:
        """What the rows come to, by batch and currency."""
        sums: dict[tuple[str, str], int] = {}
        for entry in self.entries:
            key = entry.batch, entry.currency
            sums[key] = sums.get(key, 0) + entry.net_minor
        return sums


def fee_of(gross_minor: int, settings: GatewaySettings) -> int:
    """What a gateway takes for a charge."""
    share = (Decimal(gross_minor) * settings.fee_bps / 10_000).quantize(Decimal(1), ROUND_HALF_EVEN)
    return min(int(share) + settings.fee_fixed_minor, gross_minor)


def _checkout(line: int, row: dict[str, str]) -> Entry:
    amounts = [int(row[name]) for name in ("gross_minor", "fee_minor", "net_minor")]
    about = (row["kind"], row["gateway_reference"], row["reference"], row["currency"])
    return Entry(line, *about, *amounts, row["occurred_on"], row["batch"])


def _stripe(line: int, row: dict[str, str]) -> Entry:
    currency = row["currency"].upper()
    assert row["currency"] == currency.lower()
    amounts = [_minor(row[name], currency) for name in ("gross", "fee", "net")]
    reference = row["refund_metadata[our_id]"] or row["payment_metadata[our_id]"]
    about = (row["reporting_category"], row["source_id"], reference, currency)
    return Entry(line, *about, *amounts, row["created_utc"][:10], row["automatic_payout_id"])


def _adyen(line: int, row: dict[str, str]) -> Entry:
    kinds = {"Settled": "charge", "Refunded": "refund", "MerchantPayout": "payout"}
    currency = row["Net Currency"]
    assert row["Gross Currency"] in ("", currency)
    parts = ("Commission (NC)", "Markup (NC)", "Scheme Fees (NC)", "Interchange (NC)")
    fee = sum(_minor(row[part] or _zero(currency), currency) for part in parts)
    net = _directed(row["Net Debit (NC)"], row["Net Credit (NC)"], currency)
    gross = net
    if row["Gross Currency"]:
        gross = _directed(row["Gross Debit (GC)"], row["Gross Credit (GC)"], currency)
    reference = row["Modification Merchant Reference"] or row["Merchant Reference"]
    about = (kinds.get(row["Type"], row["Type"]), row["Modification Reference"], reference, currency)
    return Entry(line, *about, gross, fee, net, row["Creation Date"][:10], row["Batch Number"])


def _directed(debit: str, credit: str, currency: str) -> int:
    assert (debit == "") != (credit == "")
    return -_minor(debit, currency) if debit else _minor(credit, currency)


def _minor(text: str, currency: str) -> int:
    value = Decimal(text)
    assert value.as_tuple().exponent == -CURRENCY_DECIMALS[currency], text
    return int(value.scaleb(CURRENCY_DECIMALS[currency]))


def _zero(currency: str) -> str:
    return f"{Decimal(0):.{CURRENCY_DECIMALS[currency]}f}"
