"""What is settled, in which file, and what reached the bank? Tables of their own in the book, as durable as it is."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import count
from typing import Any

from gateways.simulator.bank import OFFICE
from gateways.simulator.book import Book
from gateways.simulator.calls import CHARGE, REFUND, IssuedFile
from gateways.simulator.formats import Line

_SCHEMA = """
CREATE TABLE IF NOT EXISTS settlement_file (
    id INTEGER PRIMARY KEY,
    gateway TEXT NOT NULL,
    number INTEGER NOT NULL,
    name TEXT NOT NULL,
    format TEXT NOT NULL,
    until TEXT NOT NULL,
    line_count INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    planted_count INTEGER NOT NULL,
    answers TEXT NOT NULL,
    UNIQUE (gateway, number),
    UNIQUE (gateway, name)
) STRICT;
CREATE TABLE IF NOT EXISTS settlement_chunk (
    file_id INTEGER NOT NULL REFERENCES settlement_file (id),
    number INTEGER NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (file_id, number)
) STRICT;
CREATE TABLE IF NOT EXISTS settled (
    movement_id TEXT PRIMARY KEY,
    file_id INTEGER NOT NULL REFERENCES settlement_file (id)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS payout (
    id INTEGER PRIMARY KEY,
    file_id INTEGER NOT NULL REFERENCES settlement_file (id),
    gateway TEXT NOT NULL,
    payer TEXT NOT NULL,
    batch TEXT NOT NULL,
    currency TEXT NOT NULL,
    amount_minor INTEGER NOT NULL,
    reference TEXT NOT NULL,
    text TEXT NOT NULL,
    arrives_on TEXT NOT NULL,
    statement_id INTEGER REFERENCES bank_statement (id)
) STRICT;
CREATE INDEX IF NOT EXISTS payout_on_its_way ON payout (arrives_on) WHERE statement_id IS NULL;
CREATE TABLE IF NOT EXISTS bank_statement (
    id INTEGER PRIMARY KEY,
    number INTEGER NOT NULL UNIQUE,
    name TEXT NOT NULL UNIQUE,
    told_on TEXT NOT NULL UNIQUE,
    entry_count INTEGER NOT NULL,
    planted_count INTEGER NOT NULL,
    balances TEXT NOT NULL,
    content BLOB NOT NULL,
    answers TEXT NOT NULL
) STRICT;
"""
# Of a charge that was canceled before anything of it was settled, nothing ever is.
_IS_PART_SETTLED = """
EXISTS (SELECT 1 FROM settled WHERE movement_id = charge.id)
OR EXISTS (SELECT 1 FROM operation part JOIN settled ON movement_id = part.id WHERE part.parent_id = charge.id)
"""
_OWED = f"""
SELECT movement.id, movement.kind, movement.reference, charge.id AS charge_id, charge.reference AS charge_reference,
    movement.currency, movement.amount_minor, movement.final_at
FROM operation movement
JOIN operation charge ON charge.id = iif(movement.kind = 'charge', movement.id, movement.parent_id)
WHERE movement.gateway = :gateway AND movement.final_at < :until
    AND ((movement.kind = 'charge' AND movement.capture AND movement.captured_minor > 0)
        OR (movement.kind IN ('capture', 'refund') AND movement.status = 'approved'))
    AND NOT EXISTS (SELECT 1 FROM settled WHERE movement_id = movement.id)
    AND (NOT charge.canceled OR {_IS_PART_SETTLED})
UNION ALL
SELECT 'cn_' || substr(charge.id, 4), 'refund', charge.reference, charge.id, charge.reference, charge.currency,
    charge.captured_minor - coalesce((SELECT sum(amount_minor) FROM operation part
        WHERE part.parent_id = charge.id AND part.kind = 'refund' AND part.status = 'approved'), 0) AS rest_minor,
    charge.final_at
FROM operation charge
WHERE charge.gateway = :gateway AND charge.final_at < :until AND charge.kind = 'charge' AND charge.canceled
    AND rest_minor > 0
    AND NOT EXISTS (SELECT 1 FROM settled WHERE movement_id = 'cn_' || substr(charge.id, 4))
    AND ({_IS_PART_SETTLED})
ORDER BY final_at, id
"""  # noqa: S608 our own words
_FILE_COLUMNS = "id, gateway, number, name, format, until, line_count, size_bytes, sha256, planted_count"


@dataclass(frozen=True)
class OnItsWay:
    """A payout that the bank has not told of. `reference` and `text` are what the gateway wrote for it."""

    id: int
    gateway: str
    payer: str
    batch: str
    currency: str
    amount_minor: int
    reference: str
    text: str
    arrives_on: date


@dataclass(frozen=True)
class IssuedStatement:
    """A statement of the days after the one before it until `told_on`. `balances` are those after it, by currency."""

    id: int
    number: int
    name: str
    told_on: date
    entry_count: int
    planted_count: int
    balances: Mapping[str, int]


class Archive:
    """Settlement files, payouts and bank statements. What belongs together is written in the book's `transaction`."""

    def __init__(self, book: Book) -> None:
        self._db = book.connection
        self._db.executescript(_SCHEMA)

    def owed(self, gateway: str, *, until: str) -> list[Line]:
        """Everything that became final before a moment and is in no file, oldest first, without fees."""
        return [
            Line(
                kind=REFUND if kind == REFUND else CHARGE,
                id=id_,
                reference="" if reference.startswith(OFFICE) else reference,
                charge_id=charge_id,
                charge_reference=charge_reference,
                currency=currency,
                gross_minor=-amount_minor if kind == REFUND else amount_minor,
                fee_minor=0,
                at=at,
            )
            for id_, kind, reference, charge_id, charge_reference, currency, amount_minor, at in self._db.execute(
                _OWED, {"gateway": gateway, "until": until}
            )
        ]

    def next_number(self, gateway: str) -> int:
        """The number of a gateway's next file, from 1."""
        query = "SELECT coalesce(max(number), 0) + 1 FROM settlement_file WHERE gateway = ?"
        return int(self._db.execute(query, (gateway,)).fetchone()[0])

    def insert_file(self, **values: Any) -> int:
        """Write down that a file was issued, and return its id. The values are those of the table, without the id."""
        return _insert(self._db, "settlement_file", values)

    def insert_chunk(self, file_id: int, number: int, content: bytes) -> None:
        """Write down a piece of a file."""
        self._db.execute("INSERT INTO settlement_chunk VALUES (?, ?, ?)", (file_id, number, content))

    def finish_file(self, file_id: int, *, size_bytes: int, sha256: str) -> None:
        """Write down what all the pieces of a file come to."""
        query = "UPDATE settlement_file SET size_bytes = ?, sha256 = ? WHERE id = ?"
        self._db.execute(query, (size_bytes, sha256, file_id))

    def mark_settled(self, file_id: int, movement_ids: Iterable[str]) -> None:
        """Write down that movements are settled. Each can be only once."""
        self._db.executemany("INSERT INTO settled VALUES (?, ?)", ((one, file_id) for one in movement_ids))

    def insert_payout(self, **values: Any) -> int:
        """Write down a payout. The values are those of the table, without the id."""
        return _insert(self._db, "payout", values)

    def files(self, gateway: str, *, newest: int = -1) -> list[IssuedFile]:
        """The files of one gateway, or the newest of them, oldest first."""
        query = f"SELECT {_FILE_COLUMNS} FROM settlement_file WHERE gateway = ? ORDER BY number DESC LIMIT ?"  # noqa: S608
        return [IssuedFile(*row) for row in self._db.execute(query, (gateway, newest))][::-1]

    def file(self, gateway: str, name: str) -> IssuedFile | None:
        """One file, if there is one of that name."""
        query = f"SELECT {_FILE_COLUMNS} FROM settlement_file WHERE gateway = ? AND name = ?"  # noqa: S608
        row = self._db.execute(query, (gateway, name)).fetchone()
        return IssuedFile(*row) if row else None

    def content(self, file: IssuedFile) -> Iterator[bytes]:
        """The bytes of a file, piece by piece."""
        # One query per piece: whoever reads slowly must not hold a reader open on the book.
        query = "SELECT content FROM settlement_chunk WHERE file_id = ? AND number = ?"
        for number in count():
            if (row := self._db.execute(query, (file.id, number)).fetchone()) is None:
                return
            yield row[0]

    def answers(self, file: IssuedFile) -> dict[str, Any]:
        """What was planted in a file."""
        answers: dict[str, Any] = json.loads(self._one("settlement_file", "answers", file.id))
        return answers

    def on_their_way(self, until: date) -> list[OnItsWay]:
        """The payouts that arrive by the end of a day and that the bank has not told of, in the order of arrival."""
        query = """
            SELECT id, gateway, payer, batch, currency, amount_minor, reference, text, arrives_on
            FROM payout WHERE statement_id IS NULL AND arrives_on <= ? ORDER BY arrives_on, id
        """
        return [
            OnItsWay(**{**dict(row), "arrives_on": date.fromisoformat(row["arrives_on"])})
            for row in self._db.execute(query, (until.isoformat(),))
        ]

    def insert_statement(self, payout_ids: Iterable[int], **values: Any) -> None:
        """Write down that the bank told of payouts. The values are those of the table, without the id."""
        statement_id = _insert(self._db, "bank_statement", values)
        told = ((statement_id, payout_id) for payout_id in payout_ids)
        self._db.executemany("UPDATE payout SET statement_id = ? WHERE id = ?", told)

    def statements(self) -> list[IssuedStatement]:
        """All bank statements, oldest first."""
        query = """
            SELECT id, number, name, told_on, entry_count, planted_count, balances FROM bank_statement ORDER BY number
        """
        return [
            IssuedStatement(id_, number, name, date.fromisoformat(on), entries, planted, json.loads(balances))
            for id_, number, name, on, entries, planted, balances in self._db.execute(query)
        ]

    def statement_content(self, statement: IssuedStatement) -> bytes:
        """The XML of a statement."""
        return bytes(self._one("bank_statement", "content", statement.id))

    def statement_answers(self, statement: IssuedStatement) -> dict[str, Any]:
        """What was planted in a statement."""
        answers: dict[str, Any] = json.loads(self._one("bank_statement", "answers", statement.id))
        return answers

    def _one(self, table: str, column: str, row_id: int) -> Any:
        return self._db.execute(f"SELECT {column} FROM {table} WHERE id = ?", (row_id,)).fetchone()[0]  # noqa: S608


def _insert(db: Any, table: str, values: dict[str, Any]) -> int:
    names, marks = ", ".join(values), ", ".join("?" * len(values))
    query = f"INSERT INTO {table} ({names}) VALUES ({marks})"  # noqa: S608 our own names
    return int(db.execute(query, tuple(values.values())).lastrowid)
