"""How long does a day of settlement take, and does every planted fault get its name?

    python -m bench.reconciliation --lines 1000000

Both sides are built in the database: items with their entries, and a file that tells the same, but for what is planted.
Then the file is received, imported and matched as in life, and what was found is compared with what was planted, item
by item. PostgreSQL is private, with full durability; memory is that of the process that imports.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.database import database, make_gateway

# In every thousand movements one of each; the rest agree. What each must come to is in `_EXPECTED`.
PLANTED = {
    1: "fee_differs",
    2: "amount_differs",
    3: "rounding",
    4: "timing",
    5: "missing_at_gateway",
    6: "missing_in_ledger",
    7: "duplicate_at_gateway",
    8: "duplicate_in_ledger",
    9: "currency_differs",
    10: "our_reference",
    11: "split",
    12: "amount_and_date",
    13: "ambiguous",
    14: "unmapped_type",
    15: "status_differs",
    16: "joined",
    17: "twins",
    18: "chargeback",
    19: "silent_gateway",
}
_DAYS = 20

_BUILD = """
SET session_replication_role = replica;
CREATE TABLE bench_case AS
SELECT n, lpad(n::text, 8, '0') AS name, CASE WHEN mod(n, 1000) IN {planted} THEN mod(n, 1000) ELSE 0 END AS defect,
    CASE mod(n, 1000) WHEN 4 THEN current_date - 1 WHEN 5 THEN current_date - 10
        ELSE current_date - 1 - mod(n, {days}) END AS on_day,
    CASE WHEN mod(n, 1000) IN (12, 13) THEN 10000000 + n * 10 ELSE 500 + mod(hashint8(n), 40000) END AS gross
FROM generate_series(1, %(count)s) AS n;
UPDATE bench_case SET gross = abs(gross) + 1000;
CREATE TABLE bench_item AS
SELECT n, copy, defect, 'charge' AS kind, on_day, gross, gross * 29 / 1000 + 30 AS fee,
    'ch_' || CASE WHEN defect = 13 THEN copy ELSE 0 END || substr(md5(name), 1, 16) || name AS theirs,
    'att_' || name || '_' || CASE WHEN defect = 17 THEN 1 ELSE copy END AS ours
FROM bench_case CROSS JOIN LATERAL generate_series(1, CASE WHEN defect IN (8, 13, 16, 17) THEN 2 ELSE 1 END) AS copy
WHERE defect NOT IN (6, 14, 18)
UNION ALL
SELECT n, 9, defect, 'refund', on_day, -gross / 2, 0, 're_' || substr(md5(name), 1, 16) || name, 'att_' || name || '_9'
FROM bench_case WHERE defect = 15 OR mod(n, 20) = 0 AND defect = 0;
ALTER TABLE bench_item ADD id uuid;
UPDATE bench_item SET id = ('00000000-0000-7000-8000-' || lpad(to_hex(n * 16 + copy), 12, '0'))::uuid;
INSERT INTO ledger_account (kind, gateway_id, merchant_id, holder, mode, currency)
VALUES ('gateway_receivable', %(gateway)s, NULL, '', 'test', 'USD'), ('suspense', %(gateway)s, NULL, '', 'test', 'USD');
INSERT INTO ledger_journalentry (id, kind, reference, mode, gateway_id, gateway_reference, payment_reference, body_hash,
    occurred_on)
SELECT id, CASE kind WHEN 'charge' THEN 'late_success' ELSE 'late_success_reversed' END,
    'bench_' || n || '_' || copy, 'test', %(gateway)s, theirs, '', '', on_day
FROM bench_item ORDER BY id;
INSERT INTO ledger_posting (entry_id, account_id, currency, amount_minor)
SELECT item.id, account.id, 'USD', CASE account.kind WHEN 'suspense' THEN fee - gross ELSE gross - fee END
FROM bench_item AS item CROSS JOIN ledger_account AS account
WHERE account.gateway_id = %(gateway)s ORDER BY item.id;
INSERT INTO ledger_clearingitem (entry_id, gateway_id, mode, kind, currency, gross_minor, fee_minor, gateway_reference,
    reference, occurred_on)
SELECT id, %(gateway)s, 'test', kind, 'USD', gross, fee, theirs, ours, on_day FROM bench_item ORDER BY id;
SET session_replication_role = origin;
"""

_LINES = """
WITH told AS (
    SELECT n, kind, theirs, ours, 'USD' AS currency, gross, fee, on_day FROM bench_item
    WHERE defect NOT IN (4, 5, 11) AND NOT (defect IN (8, 16) AND copy = 2)
    UNION ALL
    SELECT n, 'charge', 'ch_0' || substr(md5(name), 1, 16) || name, '', 'USD', gross, gross * 29 / 1000 + 30, on_day
    FROM bench_case WHERE defect = 6
    UNION ALL
    SELECT n, kind, theirs, ours, 'USD', gross, fee, on_day FROM bench_item WHERE defect = 7
    UNION ALL
    SELECT n, kind, theirs, ours, 'USD', part * gross / 2 - (part - 1) * (gross / 2),
        part * fee / 2 - (part - 1) * (fee / 2), on_day
    FROM bench_item CROSS JOIN generate_series(1, 2) AS part WHERE defect = 11
    UNION ALL
    SELECT n, 'novelty', 'nv_' || name, '', 'USD', -150, 0, on_day FROM bench_case WHERE defect = 14
    UNION ALL
    SELECT n, 'refund_reversed', theirs, '', 'USD', -gross, 0, on_day FROM bench_item WHERE defect = 15 AND copy = 9
    UNION ALL
    SELECT n, 'chargeback', 'cb_' || name, '', 'USD', -gross, 1500, on_day FROM bench_case WHERE defect = 18
    UNION ALL
    SELECT n, 'fee', 'fe_' || name, '', 'USD', -25, 0, on_day FROM bench_case WHERE mod(n, 1000) = 500
    UNION ALL
    SELECT n, 'reserve_held', 'rs_' || name, '', 'USD', -1000, 0, on_day FROM bench_case WHERE mod(n, 5000) = 501
), spoiled AS (
    SELECT n, kind, CASE WHEN mod(n, 1000) IN (10, 12, 13) THEN '' ELSE theirs END AS theirs,
        CASE WHEN mod(n, 1000) IN (12, 13, 19) THEN '' ELSE ours END AS ours,
        CASE WHEN mod(n, 1000) = 9 THEN 'EUR' ELSE currency END AS currency,
        gross + CASE mod(n, 1000) WHEN 2 THEN -250 WHEN 3 THEN 1 WHEN 16 THEN gross ELSE 0 END AS gross,
        fee + CASE mod(n, 1000) WHEN 1 THEN 37 WHEN 16 THEN fee ELSE 0 END AS fee, on_day
    FROM told
), batched AS (
    SELECT *, 'north-' || to_char(on_day, 'YYYYMMDD') AS batch FROM spoiled
)
SELECT kind, theirs, ours, currency, gross, fee, gross - fee, on_day, batch FROM (
    SELECT 1 AS part, batched.* FROM batched
    UNION ALL
    SELECT 2, 0, 'payout', 'po_' || batch, '', currency, -sum(gross - fee) - CASE WHEN batch = min(min(batch)) OVER ()
        AND currency = 'USD' THEN 77 ELSE 0 END, 0, max(on_day) + 1, batch
    FROM batched GROUP BY batch, currency
) AS every ORDER BY batch, part, n
"""

# What each planted fault must come to, by discrepancies it makes; those that are matched make none.
_EXPECTED: dict[str, tuple[str, int]] = {
    **{
        name: (name, 1)
        for name in (
            *("fee_differs", "amount_differs", "timing", "missing_at_gateway", "missing_in_ledger", "status_differs"),
            *("duplicate_at_gateway", "duplicate_in_ledger", "currency_differs", "unmapped_type"),
        )
    },
    "chargeback": ("missing_in_ledger", 1),
    "ambiguous": ("ambiguous", 4),  # two lines and two items, any of which could be the other
}
# Which movement a line is of: its reference ends with the number, and so do the amounts of those without reference.
_LINE_N = """
    CASE line.gateway_reference WHEN '' THEN (line.gross_minor - 10001000) / 10
        ELSE right(line.gateway_reference, 8)::bigint END
"""
_FOUND = """
SELECT told.kind, count(*), count(*) FILTER (WHERE NOT told.kind = ANY(CASE coalesce(item.defect, mod({line_n}, 1000))
    {verdicts} ELSE ARRAY[]::text[] END))
FROM ledger_discrepancy AS told LEFT JOIN bench_item AS item ON item.id = told.item_id
    LEFT JOIN ledger_settlementline AS line ON line.id = told.line_id
WHERE told.status = 'open' AND told.batch_id IS NULL
GROUP BY told.kind
"""


def build(connection: Any, count: int, path: Path) -> Any:
    """Make a gateway, its items and its file; returns the gateway."""
    gateway = make_gateway()
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        build_sql = _BUILD.format(planted=tuple(PLANTED), days=_DAYS)
        cursor.execute(build_sql, {"count": count, "gateway": gateway.pk})
        cursor.execute("ANALYZE")
        header = "kind,gateway_reference,reference,currency,gross_minor,fee_minor,net_minor,occurred_on,batch\n"
        with path.open("wb") as file, cursor.copy(f"COPY ({_LINES}) TO STDOUT WITH (FORMAT csv)") as rows:
            file.write(header.encode())
            for row in rows:
                file.write(row)
    return gateway


def timed(name: str, work: Callable[[], Any]) -> Any:
    """Do the work, and print how long it took and the most memory this process has had by then."""
    began = time.monotonic()
    result = work()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)
    print(f"{name:28} {time.monotonic() - began:8.1f} s   {memory:6.0f} MB", flush=True)
    return result


def check(connection: Any, matched: dict[str, int]) -> bool:
    """Compare what was found with what was planted, and print both; whether they agree."""
    verdicts = {number: [_EXPECTED[name][0]] for number, name in PLANTED.items() if name in _EXPECTED}
    whens = " ".join(f"WHEN {number} THEN ARRAY{kinds!r}" for number, kinds in verdicts.items())
    with connection.cursor() as cursor:
        cursor.execute("SELECT defect, count(*) FROM bench_case GROUP BY defect")
        planted = dict(cursor.fetchall())
        cursor.execute(_FOUND.format(verdicts=whens, line_n=_LINE_N))
        found = {kind: (count, wrong) for kind, count, wrong in cursor.fetchall()}
    expected: dict[str, int] = {}
    for number, name in PLANTED.items():
        if name in _EXPECTED:
            kind, times = _EXPECTED[name]
            expected[kind] = expected.get(kind, 0) + times * planted.get(number, 0)
    agrees = True
    print(f"\n{'discrepancies':28} {'planted':>9} {'found':>9} {'wrong':>7}")
    for kind in sorted(expected.keys() | found.keys()):
        count, wrong = found.get(kind, (0, 0))
        agrees &= count == expected.get(kind, 0) and not wrong
        print(f"{kind:28} {expected.get(kind, 0):9,} {count:9,} {wrong:7,}")
    ways = {"rounding": 3, "our_reference": 10, "amount_and_date": 12}
    ways_expected = {how: planted.get(number, 0) for how, number in ways.items()}
    ways_expected["split"] = planted.get(11, 0) + planted.get(16, 0)
    print(f"\n{'matches':28} {'planted':>9} {'found':>9}")
    for how in sorted({*ways_expected, *matched}):
        agrees &= how not in ways_expected or ways_expected[how] == matched.get(how, 0)
        print(f"{how:28} {ways_expected.get(how, 0):9,} {matched.get(how, 0):9,}")
    return agrees


def main() -> None:
    """Build, measure, check; exit code 1 if anything was found that was not planted, or the other way round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=1_000_000, help="movements on either side, about")
    options = parser.parse_args()
    with database() as connection, tempfile.TemporaryDirectory() as folder:
        from checkout.kit.actors import Actor
        from ledger.reconciliation.control import receivable_control
        from ledger.services.files import import_file, receive_file
        from ledger.services.matching import reconcile

        path, actor = Path(folder, "north.csv"), Actor.command("bench")
        gateway = timed("build both sides", lambda: build(connection, options.lines, path))
        print(f"the file has {path.stat().st_size / 1e6:,.0f} MB")
        with path.open("rb") as stream:
            told = {"gateway": gateway, "mode": "test", "source": "command", "actor": actor}
            file = timed("receive", lambda: receive_file(stream=stream, name=path.name, **told))
        file = timed("import", lambda: import_file(file))
        print(f"{file.status}, {file.line_count:,} lines {file.errors[:3]}")
        done = timed("match and report", lambda: reconcile(gateway=gateway, mode="test", actor=actor))
        again = timed("once more", lambda: reconcile(gateway=gateway, mode="test", actor=actor))
        control = timed("control", lambda: receivable_control(gateway=gateway, mode="test", currency="USD"))
        agrees = check(connection, done.matched)
        print(f"\nthe second time changed {'something' if again.changed_anything else 'nothing'}; {control}")
        if not agrees or again.changed_anything or control.difference_minor:
            raise SystemExit(1)


if __name__ == "__main__":
    main()
