"""How fast are the books when they are big?

    python -m bench.books --postings 10000000

Ninety days of captures and fees, half of them one merchant's, are built in the database and summed up day by day, as
the hourly task does. Then the questions of a finance person are asked, each several times. PostgreSQL is private, with
full durability.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from bench.database import database, make_gateway

DAYS = 90
MERCHANTS = 200
_TIMES = 7

# Of each payment two entries of two postings: what was captured, and our fee. Half of all payments are one merchant's.
_BUILD = """
SET session_replication_role = replica;
CREATE TEMPORARY TABLE paid AS
SELECT n, date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' - %(days)s * interval '1 day'
        + n * (%(days)s * interval '1 day' / %(count)s) AS at,
    CASE mod(n, 2) WHEN 0 THEN 1 ELSE 1 + mod(n, %(merchants)s) END AS merchant_no, 1 + mod(n, 3) AS gateway_no,
    (ARRAY['EUR', 'USD', 'GBP', 'JPY'])[1 + mod(n / 3, 4)] AS currency, 1000 + mod(hashint8(n), 500) AS amount
FROM generate_series(0, %(count)s - 1) AS n;
CREATE TEMPORARY TABLE merchant_no AS
    SELECT id, row_number() OVER (ORDER BY id) AS merchant_no FROM merchants_merchant;
CREATE TEMPORARY TABLE gateway_no AS SELECT id, row_number() OVER (ORDER BY code) AS gateway_no FROM gateways_gateway;
INSERT INTO ledger_account (kind, gateway_id, merchant_id, holder, mode, currency)
SELECT 'gateway_receivable', id, NULL, '', 'live', currency FROM gateway_no, (SELECT DISTINCT currency FROM paid) AS c
UNION ALL
SELECT 'merchant_pending', NULL, id, '', 'live', currency FROM merchant_no, (SELECT DISTINCT currency FROM paid) AS c
UNION ALL
SELECT 'platform_fee', NULL, NULL, '', 'live', currency FROM (SELECT DISTINCT currency FROM paid) AS c;
CREATE TEMPORARY TABLE told AS
SELECT n, part, at, merchant.id AS merchant_id, gateway.id AS gateway_id, currency,
    CASE part WHEN 1 THEN 'capture' ELSE 'platform_fee' END AS kind, CASE part WHEN 1 THEN amount ELSE 30 END AS amount,
    ('00000000-0000-7000-8000-' || lpad(to_hex(n * 2 + part), 12, '0'))::uuid AS id
FROM paid CROSS JOIN generate_series(1, 2) AS part
JOIN merchant_no AS merchant USING (merchant_no) JOIN gateway_no AS gateway USING (gateway_no)
ORDER BY n, part;
INSERT INTO ledger_journalentry (id, kind, reference, mode, merchant_id, gateway_id, gateway_reference,
    payment_reference, body_hash, occurred_on, created_at)
SELECT id, kind, 'att_' || n, 'live', merchant_id, gateway_id, '', '', '', (at AT TIME ZONE 'UTC')::date, at
FROM told ORDER BY n, part;
INSERT INTO ledger_posting (entry_id, account_id, currency, amount_minor, created_at)
SELECT told.id, account.id, told.currency, side * told.amount, told.at
FROM told CROSS JOIN (VALUES (1), (-1)) AS sides (side)
JOIN ledger_account AS account ON account.currency = told.currency AND account.mode = 'live' AND CASE
    WHEN part = 1 AND side = 1 THEN account.kind = 'gateway_receivable' AND account.gateway_id = told.gateway_id
    WHEN part = 2 AND side = -1 THEN account.kind = 'platform_fee'
    ELSE account.kind = 'merchant_pending' AND account.merchant_id = told.merchant_id END
ORDER BY n, part;
SET session_replication_role = origin;
"""


def build(connection: Any, postings: int) -> None:
    """Make merchants, gateways, and that many postings."""
    from merchants.models import Merchant

    Merchant.objects.bulk_create(
        Merchant(name=f"Merchant {number}", country="DE", default_currency="EUR") for number in range(MERCHANTS)
    )
    for code in ("east", "north", "south"):
        make_gateway(code=code, mode="live", currencies=("EUR", "USD", "GBP", "JPY"))
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0; SET work_mem = '256MB'")
        cursor.execute(_BUILD, {"days": DAYS, "merchants": MERCHANTS, "count": postings // 4})
        cursor.execute("RESET work_mem")
    connection.set_autocommit(True)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def timed(name: str, ask: Callable[[], Any], goal_ms: float | None = None) -> None:
    """Ask several times; print the median and the slowest, beside what was wanted."""
    taken = []
    for _ in range(_TIMES):
        began = time.perf_counter()
        ask()
        taken.append((time.perf_counter() - began) * 1000)
    goal = f"{goal_ms:10,.0f}" if goal_ms else " " * 10
    print(f"{name:44} {statistics.median(taken):10,.1f} {max(taken):10,.1f} {goal}", flush=True)


def main() -> None:
    """Build, sum up, ask."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--postings", type=int, default=10_000_000)
    options = parser.parse_args()
    with database() as connection:
        from django.db.models import Count

        from checkout.kit.ids import public_id
        from gateways.models import Gateway
        from ledger import chart, selectors
        from ledger.models import JournalEntry, Posting
        from ledger.reports import REPORTS
        from ledger.reports.running import running
        from ledger.reports.scope import read_scope
        from ledger.services import summarize
        from merchants.models import Merchant

        began = time.perf_counter()
        build(connection, options.postings)
        print(f"{Posting.objects.count():,} postings of {DAYS} days built in {time.perf_counter() - began:.0f} s")
        began = time.perf_counter()
        summarize()
        print(f"summed up, day by day, in {time.perf_counter() - began:.0f} s\n")

        busiest = JournalEntry.objects.values("merchant").annotate(count=Count("id")).order_by("-count")[0]["merchant"]
        pending = chart.merchant_pending(busiest)
        receivable = chart.gateway_receivable(Gateway.objects.get(code="north").pk)
        instant = datetime.now(UTC) - timedelta(days=DAYS / 2, hours=7)
        month = {"mode": "live", "from": f"{instant:%Y-%m-%d}", "to": f"{instant + timedelta(days=30):%Y-%m-%d}"}

        def report(name: str, **words: str) -> None:
            asked = REPORTS[name]
            with running(asked, read_scope(words, asked.asks), seconds=60) as run:
                rows = list(run.rows())
            assert rows, name
            assert run.ties, name

        merchant = {"merchant": public_id(Merchant.PUBLIC_PREFIX, busiest)}
        print(f"{f'asked {_TIMES} times, ms':44} {'median':>10} {'slowest':>10} {'at most':>10}")
        timed("trial balance, now", lambda: selectors.trial_balance(mode="live"), 5_000)
        timed("trial balance, as of an instant", lambda: selectors.trial_balance(mode="live", at=instant), 5_000)
        for name, account in (("the busiest merchant's balance", pending), ("a gateway's receivable", receivable)):
            asked = partial(selectors.balance_of, account, mode="live", currency="EUR")
            timed(f"{name}, now", asked, 50)
            timed(f"{name}, as of an instant", partial(asked, at=instant), 50)
        timed("its statement of a month", lambda: report("merchant_statement", **month, **merchant), 1_000)
        timed("the statements of all merchants", lambda: report("merchant_statement", **month))
        timed("report: trial balance", lambda: report("trial_balance", mode="live"), 5_000)


if __name__ == "__main__":
    main()
