"""How much memory, and how long, does a list of a million rows take to leave?

    python -m bench.exports --payments 1000000

Payments with their cards are built in the database, a tenth of them in test mode. Then somebody takes the list of
payments away through the site itself: the tenth, and all; each in a process of its own, whose memory is that of the web
server while it writes the file. PostgreSQL is private, with full durability.
"""

import argparse
import multiprocessing
import resource
import time
from typing import Any

from bench.database import database

MERCHANTS = 50

_BUILD = """
SET session_replication_role = replica;
CREATE FUNCTION pg_temp.key(kind text, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS
    $$ SELECT (lpad(to_hex(1780000000000 + n), 12, '0') || kind || lpad(to_hex(n), 16, '0'))::uuid $$;
CREATE TEMPORARY TABLE paid AS
SELECT n, pg_temp.key('7001', n) AS id, pg_temp.key('7002', n) AS card_id,
    to_timestamp((1780000000000 + n) / 1000.0) AS at, CASE mod(n, 10) WHEN 0 THEN 'test' ELSE 'live' END AS mode,
    merchant.id AS merchant_id, gateway.id AS gateway_id, 100 + mod(n, 9000) AS amount
FROM generate_series(1, %(count)s) AS n
JOIN (SELECT id, row_number() OVER (ORDER BY id) - 1 AS no FROM merchants_merchant) AS merchant
    ON merchant.no = mod(n, %(merchants)s)
CROSS JOIN (SELECT id FROM gateways_gateway LIMIT 1) AS gateway;
INSERT INTO payments_card (id, mode, number, fingerprint, brand, last4, exp_month, exp_year, holder_name, created_at,
    merchant_id)
SELECT card_id, mode, '', md5(n::text), 'visa', lpad(mod(n, 10000)::text, 4, '0'), 12, 2034, '', at, merchant_id
FROM paid ORDER BY n;
INSERT INTO payments_payment (id, mode, status, amount_minor, currency, authorized_minor, captured_minor,
    refunded_minor, capture_mode, country, payment_method_type, merchant_reference, description, customer_email,
    metadata, decline_code, confirmation, attempt_count, event_count, created_at, updated_at, card_id, gateway_id,
    merchant_id, return_url)
SELECT id, mode, 'captured', amount, 'EUR', amount, amount, 0, 'automatic', 'DE', 'card', 'order-' || n, '', '', '{}',
    '', 1, 1, 2, at, at, card_id, gateway_id, merchant_id, ''
FROM paid ORDER BY n;
SET session_replication_role = origin;
"""


def build(connection: Any, count: int) -> None:
    """Make merchants, a gateway, and that many payments."""
    from gateways.models import Gateway
    from merchants.models import Merchant

    Merchant.objects.bulk_create(
        Merchant(name=f"Merchant {number}", country="DE", default_currency="EUR") for number in range(MERCHANTS)
    )
    Gateway.objects.create(
        **{"code": "north", "name": "North", "adapter": "simulator_json", "mode": "live", "data_format": "json"},
        **{"base_url": "http://127.0.0.1:1", "currencies": ["EUR"]},
    )
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute(_BUILD, {"count": count, "merchants": MERCHANTS})
        cursor.execute("RESET statement_timeout")
    connection.set_autocommit(True)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE payments_payment")
    connection.close()


def take(form: str, query: str, told: Any) -> None:
    """Take the list away; tells rows, MB, seconds to the first piece, to the last and of a processor, MB of memory."""
    from django.db import connection

    from checkout.kit.models import AuditEntry
    from tests.desk import at_desk

    connection.close()
    browser = at_desk()
    browser.get("/admin/payments/payment/")
    began = time.perf_counter()
    answer: Any = browser.get(f"/admin/payments/payment/export/{form}/{query}")
    first, size = 0.0, 0
    for piece in answer.streaming_content:
        first = first or time.perf_counter() - began
        size += len(piece)
    seconds = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_SELF)
    rows = AuditEntry.objects.filter(verb="payment.export").latest("at").after["rows"]
    told.put((rows, size / 1e6, first, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024))


def main() -> None:
    """Build, and take away in every form."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--payments", type=int, default=1_000_000)
    options = parser.parse_args()
    with database() as connection:
        from checkout.kit.models import User

        began = time.perf_counter()
        build(connection, options.payments)
        print(f"{options.payments:,} payments built in {time.perf_counter() - began:.0f} s\n")
        titles = ("rows", "MB", "first, s", "all, s", "CPU, s", "peak RSS, MB")
        print(f"{'form':6}", *(f"{title:>12}" for title in titles))
        processes = multiprocessing.get_context("fork")
        for form in ("csv", "xlsx"):
            for query in ("?mode__exact=test", ""):
                told = processes.Queue()
                process = processes.Process(target=take, args=(form, query, told))
                process.start()
                rows, *figures = told.get()
                process.join()
                User.objects.all().delete()
                connection.close()
                print(f"{form:6} {rows:12,}", *(f"{figure:12,.1f}" for figure in figures), flush=True)


if __name__ == "__main__":
    main()
