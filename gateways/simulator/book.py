"""What truly happened? The gateways' own record, in a SQLite file that survives `kill -9` of the simulator.

A commit is in the operating system's hands before anything is answered (WAL, synchronous=NORMAL): it outlives the
process, though not a power cut. Of a card number at most the last four digits are written.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from gateways.simulator.calls import Challenge, Notice, Operation

_SCHEMA = """
CREATE TABLE IF NOT EXISTS operation (
    id TEXT PRIMARY KEY,
    gateway TEXT NOT NULL,
    reference TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('charge', 'capture', 'void', 'refund', 'tombstone')),
    parent_id TEXT NOT NULL,
    parent_reference TEXT NOT NULL,
    amount_minor INTEGER NOT NULL,
    currency TEXT NOT NULL,
    capture INTEGER NOT NULL,
    merchant_reference TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('approved', 'declined', 'pending', 'canceled')),
    decline TEXT NOT NULL,
    authorized_minor INTEGER NOT NULL,
    captured_minor INTEGER NOT NULL,
    refunded_minor INTEGER NOT NULL,
    voided INTEGER NOT NULL,
    canceled INTEGER NOT NULL,
    at TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    verdict TEXT NOT NULL,
    decide_at REAL,
    final_at TEXT NOT NULL,
    UNIQUE (gateway, reference),
    CHECK (0 <= refunded_minor AND refunded_minor <= captured_minor AND captured_minor <= authorized_minor)
) STRICT;
CREATE INDEX IF NOT EXISTS operation_pending ON operation (gateway) WHERE status = 'pending';
CREATE INDEX IF NOT EXISTS operation_of_charge ON operation (parent_id) WHERE parent_id <> '';
CREATE TABLE IF NOT EXISTS challenge (
    operation_id TEXT PRIMARY KEY REFERENCES operation (id),
    last_digits TEXT NOT NULL CHECK (length(last_digits) <= 4),
    return_url TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS notice (
    id INTEGER PRIMARY KEY,
    gateway TEXT NOT NULL,
    operation_id TEXT NOT NULL REFERENCES operation (id),
    status TEXT NOT NULL,
    decline TEXT NOT NULL,
    try_count INTEGER NOT NULL,
    due_at REAL NOT NULL
) STRICT;
"""
_INSERT = """
INSERT INTO operation VALUES (
    :id, :gateway, :reference, :kind, :parent_id, :parent_reference, :amount_minor, :currency, :capture,
    :merchant_reference, :status, :decline, :authorized_minor, :captured_minor, :refunded_minor, :voided, :canceled,
    :at, :fingerprint, :verdict, :decide_at, :final_at
)
"""
_UPDATE = """
UPDATE operation SET status = :status, decline = :decline, authorized_minor = :authorized_minor,
    captured_minor = :captured_minor, refunded_minor = :refunded_minor, voided = :voided, canceled = :canceled,
    final_at = :final_at
WHERE id = :id
"""
_FLAGS = ("capture", "voided", "canceled")
SHOWN_COLUMNS = (
    *("id", "reference", "kind", "at", "parent_reference", "amount_minor", "currency", "merchant_reference", "status"),
    *("decline", "authorized_minor", "captured_minor", "refunded_minor", "voided", "canceled"),
)
_PAIRS = ", ".join(
    f"'{name}', " + (f"json(iif({name}, 'true', 'false'))" if name in _FLAGS else name) for name in SHOWN_COLUMNS
)
_AS_JSON = f"SELECT json_object({_PAIRS}) FROM operation WHERE gateway = ? ORDER BY rowid"  # noqa: S608 our own names


class Book:
    """All operations of all gateways, in the order in which they came."""

    def __init__(self, path: str) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(_SCHEMA)
        self._read_on()

    @property
    def connection(self) -> sqlite3.Connection:
        """The file, for those who keep tables of their own in it."""
        return self._db

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing of what is written inside; one within another belongs to it."""
        if self._db.in_transaction:
            yield
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def insert(self, operation: Operation) -> None:
        """Write one operation down."""
        self._db.execute(_INSERT, vars(operation))

    def update(self, operation: Operation, **changes: Any) -> Operation:
        """Change what became of one operation: status, since when, decline, sums and flags. Returns it as it is now."""
        changed = replace(operation, **changes)
        self._db.execute(_UPDATE, vars(changed))
        return changed

    def insert_challenge(self, challenge: Challenge) -> None:
        """Write down what the card holder of a charge is shown."""
        self._db.execute("INSERT INTO challenge VALUES (:operation_id, :last_digits, :return_url)", vars(challenge))

    def challenge(self, operation_id: str) -> Challenge | None:
        """What the card holder of a charge is shown, if anything."""
        row = self._db.execute("SELECT * FROM challenge WHERE operation_id = ?", (operation_id,)).fetchone()
        return Challenge(**row) if row else None

    def insert_notice(self, operation: Operation, *, due_at: float) -> Notice:
        """Write down that the outcome of an operation is to be told at a time (Unix seconds), as it is now."""
        values = (operation.gateway, operation.id, operation.status, operation.decline, 0, due_at)
        row_id = self._db.execute("INSERT INTO notice VALUES (NULL, ?, ?, ?, ?, ?, ?)", values).lastrowid
        return Notice(row_id or 0, *values)

    def note_try(self, notice: Notice) -> Notice:
        """Count one more try of a notice."""
        self._db.execute("UPDATE notice SET try_count = try_count + 1 WHERE id = ?", (notice.id,))
        return replace(notice, try_count=notice.try_count + 1)

    def delete_notice(self, notice: Notice) -> None:
        """Forget a notice that was delivered or given up."""
        self._db.execute("DELETE FROM notice WHERE id = ?", (notice.id,))

    def notices(self, gateway: str) -> list[Notice]:
        """What is still to be told, oldest first."""
        return [
            Notice(**row) for row in self._db.execute("SELECT * FROM notice WHERE gateway = ? ORDER BY id", (gateway,))
        ]

    def get(self, gateway: str, operation_id: str) -> Operation:
        """One operation by the gateway's id. Raises KeyError."""
        found = self._read("SELECT * FROM operation WHERE gateway = ? AND id = ?", gateway, operation_id)
        if not found:
            raise KeyError(operation_id)
        return found[0]

    def find(self, gateway: str, reference: str) -> Operation | None:
        """One operation by the caller's reference, if there is one."""
        found = self._read("SELECT * FROM operation WHERE gateway = ? AND reference = ?", gateway, reference)
        return found[0] if found else None

    def pending(self, gateway: str) -> list[Operation]:
        """What is not decided yet."""
        return self._read("SELECT * FROM operation WHERE gateway = ? AND status = 'pending' ORDER BY rowid", gateway)

    def gateways(self) -> list[str]:
        """The codes of all gateways that have ever done anything."""
        return [row[0] for row in self._db.execute("SELECT DISTINCT gateway FROM operation ORDER BY gateway")]

    def as_json(self, gateway: str) -> str:
        """Everything of one gateway, oldest first, as a JSON list. SQLite writes it, ten times as fast as we could."""
        return f"[{','.join(row[0] for row in self._db.execute(_AS_JSON, (gateway,)))}]"

    def counts(self, gateway: str) -> dict[str, int]:
        """How many operations of each kind, whatever came of them."""
        rows = self._db.execute("SELECT kind, count(*) FROM operation WHERE gateway = ? GROUP BY kind", (gateway,))
        return dict(tuple(row) for row in rows)

    def totals(self, gateway: str) -> dict[str, dict[str, int]]:
        """Per currency, what the charges that were ever approved come to, in minor units."""
        rows = self._db.execute(
            """
            SELECT currency, count(*) AS charges, sum(captured_minor) AS captured_minor,
                   sum(refunded_minor) AS refunded_minor, sum(voided) AS voided_count,
                   sum(captured_minor - refunded_minor) AS net_owed_minor
            FROM operation WHERE gateway = ? AND kind = 'charge' AND authorized_minor > 0
            GROUP BY currency ORDER BY currency
            """,
            (gateway,),
        )
        return {row["currency"]: {name: row[name] for name in row.keys()[1:]} for row in rows}

    def _read_on(self) -> None:
        """Let a book go on that was begun before it said when an operation became final."""
        if any(row["name"] == "final_at" for row in self._db.execute("PRAGMA table_info(operation)")):
            return
        with self.transaction():
            self._db.execute("ALTER TABLE operation ADD COLUMN final_at TEXT NOT NULL DEFAULT ''")
            self._db.execute("UPDATE operation SET final_at = at WHERE status <> 'pending'")

    def _read(self, query: str, *values: str) -> list[Operation]:
        rows: list[dict[str, Any]] = [dict(row) for row in self._db.execute(query, values)]
        return [Operation(**{**row, **{name: bool(row[name]) for name in _FLAGS}}) for row in rows]
