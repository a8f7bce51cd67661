"""How fast does the desk open with a million payments behind it?

    python -m bench.desk --payments 1000000

Twenty days of payments at three gateways, the last twentieth of them since midnight, are built in the database with
their cards, attempts, calls, evidence, refunds, events, audit entries and ledger entries. Then a person opens each page
several times through the site itself. PostgreSQL is private, with full durability.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from bench.database import database, make_gateway

DAYS = 20
MERCHANTS = 200
_TIMES = 9
_PAYMENT, _FIRST, _LAST = 1, 2, 3  # what is named: a payment, its attempt that failed over, and the one that decided

# Of a hundred payments: 86 captured, 7 declined, one each failed, voided, canceled, expired, authorized; the rest of
# the newest wait for their customers. Every twentieth was tried elsewhere first. The newest few are under way.
_BUILD = """
SET session_replication_role = replica;
CREATE FUNCTION pg_temp.key(at timestamptz, kind int, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS
    $$ SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(kind), 3, '0')
        || '8' || lpad(to_hex(n), 15, '0'))::uuid $$;
CREATE TEMPORARY TABLE paid AS
SELECT named.*, merchant.id AS merchant_id, gateway.id AS gateway_id, gateway.code AS gateway, other.id AS other_id,
    CASE WHEN mod(n, 50) = 0 THEN 'test' ELSE 'live' END AS mode,
    CASE WHEN n >= %(count)s - %(moving)s THEN 'processing' WHEN mod(n, 100) < 86 THEN 'captured'
        WHEN mod(n, 100) < 93 THEN 'declined' WHEN mod(n, 100) > 97 AND n < %(count)s - 5000 THEN 'expired'
        ELSE (ARRAY['failed', 'voided', 'canceled', 'expired', 'authorized', 'created', 'requires_action'])
            [mod(n, 100) - 92] END AS status,
    CASE WHEN mod(n, 100) = 13 THEN 'JPY' WHEN mod(n, 5) = 1 THEN 'USD' WHEN mod(n, 7) = 1 THEN 'GBP' ELSE 'EUR' END
        AS currency,
    100 + mod(abs(hashint8(n)), 200) * 50 AS amount,
    CASE WHEN mod(n, 10) = 3 THEN '4242' ELSE lpad(mod(abs(hashint8(n + 7)), 10000)::text, 4, '0') END AS last4,
    pg_temp.key(at, 0, n) AS card_id
FROM named JOIN (SELECT id, row_number() OVER (ORDER BY id) - 1 AS no FROM merchants_merchant) AS merchant
    ON merchant.no = CASE mod(named.n, 3) WHEN 0 THEN 0 ELSE mod(named.n, %(merchants)s) END
JOIN (SELECT id, code, row_number() OVER (ORDER BY code) - 1 AS no FROM gateways_gateway) AS gateway
    ON gateway.no = mod(named.n, 3)
JOIN (SELECT id, row_number() OVER (ORDER BY code) - 1 AS no FROM gateways_gateway) AS other
    ON other.no = mod(named.n + 1, 3);
ALTER TABLE paid ADD reached boolean;
UPDATE paid SET reached = status IN ('captured', 'authorized', 'voided', 'expired');
ANALYZE paid;
INSERT INTO payments_card (id, mode, number, fingerprint, brand, last4, exp_month, exp_year, holder_name, created_at,
    merchant_id)
SELECT card_id, mode, decode(repeat(md5(n::text), 4), 'hex'), md5(n::text), 'visa', last4, 12, 2034, 'A Customer', at,
    merchant_id FROM paid ORDER BY n;
INSERT INTO payments_payment (id, mode, status, amount_minor, currency, authorized_minor, captured_minor,
    refunded_minor, capture_mode, country, payment_method_type, merchant_reference, description, customer_email,
    metadata, decline_code, confirmation, attempt_count, event_count, expires_at, created_at, updated_at, card_id,
    gateway_id, merchant_id, return_url)
SELECT payment_id, mode, status, amount, currency, CASE WHEN reached THEN amount ELSE 0 END,
    CASE status WHEN 'captured' THEN amount ELSE 0 END,
    CASE WHEN status = 'captured' AND mod(n, 33) = 0 THEN amount / 2 ELSE 0 END, 'automatic', 'DE', 'card',
    'order-' || n, 'An order', 'customer' || n / 3 || '@example.com', '{"cart": "c-1"}',
    CASE status WHEN 'declined' THEN (ARRAY['insufficient_funds', 'do_not_honor', 'expired_card'])[1 + mod(n / 100, 3)]
        ELSE '' END,
    1, 1, 2, CASE WHEN status IN ('authorized', 'created', 'requires_action') THEN at + interval '7 days' END, at, at,
    card_id, CASE WHEN status <> 'created' THEN gateway_id END, merchant_id, ''
FROM paid ORDER BY n;
INSERT INTO payments_attempt (id, payment_id, seq, confirmation, operation, status, amount_minor, currency, is_sale,
    gateway_id, gateway_reference, decline_code, decision, actor, next_action, next_action_at, asked_count, retry_count,
    created_at, sent_at, finished_at, action_url)
SELECT attempt_id, payment_id, CASE WHEN is_last AND mod(n, 20) = 0 THEN 2 ELSE 1 END, 1, 'authorize',
    CASE WHEN NOT is_last THEN 'not_sent' WHEN status = 'processing'
        THEN (ARRAY['sent', 'unknown', 'pending'])[1 + mod(n, 3)]
        WHEN reached THEN 'succeeded' WHEN status = 'requires_action' THEN 'pending' ELSE 'declined' END,
    amount, currency, TRUE, CASE WHEN is_last THEN gateway_id ELSE other_id END,
    CASE WHEN is_last THEN 'ch_' || md5(n::text) ELSE '' END,
    CASE status WHEN 'declined' THEN 'do_not_honor' ELSE '' END,
    jsonb_build_object('considered', jsonb_agg(jsonb_build_object('gateway', code, 'rank', no, 'priority', no,
        'is_chosen', code = gateway, 'reason', 'Chosen: healthy, and first by priority among those that fit')),
        'candidates', jsonb_agg(jsonb_build_object('gateway', code, 'health_status', 'healthy', 'status', 'enabled',
        'currencies', ARRAY['EUR', 'USD', 'GBP', 'JPY'], 'fee_bps', 290, 'fee_fixed_minor', 30)),
        'hash', md5(n::text), 'propensity', 1),
    'task:worker', 'ask', CASE WHEN is_last AND status IN ('processing', 'requires_action')
        THEN now() + (mod(n, 20) - 10) * interval '1 minute' END, 0, 0, at, at,
    CASE WHEN status NOT IN ('processing', 'requires_action') THEN at + mod(n, 400) * interval '1 ms' END, ''
FROM (
    SELECT paid.*, TRUE AS is_last, last_id AS attempt_id FROM paid WHERE status NOT IN ('created', 'canceled')
    UNION ALL
    SELECT paid.*, FALSE, first_id FROM paid WHERE mod(n, 20) = 0 AND status NOT IN ('created', 'canceled')
) AS tried CROSS JOIN (SELECT code, row_number() OVER (ORDER BY code) AS no FROM gateways_gateway) AS known
GROUP BY attempt_id, payment_id, n, status, is_last, amount, currency, gateway_id, other_id, reached, at, gateway
ORDER BY n, is_last;
INSERT INTO gateways_gatewaycall (gateway_id, operation, reference, started_at, duration_ms, outcome, http_status,
    error, detail)
SELECT gateway_id, 'authorize', last_name, at, 40 + mod(abs(hashint8(n)), 400), CASE WHEN reached THEN 'succeeded' WHEN
    status = 'processing' THEN 'unknown' WHEN status = 'requires_action' THEN 'pending' ELSE 'declined' END, 201, '', ''
FROM paid WHERE status NOT IN ('created', 'canceled') ORDER BY n;
INSERT INTO payments_evidence (at, source, outcome, gateway_reference, decline_code, detail, attempt_id)
SELECT at, 'response', CASE WHEN reached THEN 'succeeded' ELSE 'declined' END, 'ch_' || md5(n::text), '', '', last_id
FROM paid WHERE status NOT IN ('created', 'canceled', 'processing') ORDER BY n;
INSERT INTO payments_refund (id, status, amount_minor, currency, reason, created_at, updated_at, payment_id)
SELECT pg_temp.key(at, 9, n), CASE WHEN n > %(count)s - 5000 THEN 'processing' ELSE 'succeeded' END, amount / 2,
    currency, 'came back', at, at, payment_id
FROM paid WHERE status = 'captured' AND mod(n, 33) = 0 ORDER BY n;
INSERT INTO merchants_webhookevent (id, mode, type, object_id, sequence, data, created_at, merchant_id, dispatched_at)
SELECT pg_temp.key(at, 10 + step, n), mode, CASE step WHEN 1 THEN 'payment.created' ELSE 'payment.' || status END,
    payment_name, step, '{"id": "pay"}', at, merchant_id, at
FROM paid CROSS JOIN generate_series(1, 2) AS step ORDER BY n, step;
INSERT INTO merchants_webhookdelivery (event_id, endpoint_id, status, attempt_count, next_attempt_at, delivered_at,
    last_http_status, last_error, duration_ms, created_at)
SELECT pg_temp.key(at, 12, n), endpoint.id, CASE WHEN is_due THEN 'pending' ELSE 'delivered' END, 1,
    CASE WHEN is_due THEN now() END, CASE WHEN NOT is_due THEN at END, 200, '', 12, at
FROM paid CROSS JOIN LATERAL (SELECT n > %(count)s - 5000 AND mod(n, 3) = 0 AS is_due) AS due
JOIN merchants_webhookendpoint AS endpoint USING (merchant_id) ORDER BY n;
INSERT INTO kit_auditentry (id, at, actor, verb, object_type, object_id, reason, before, after, address)
SELECT pg_temp.key(at, 20 + step, n), at, 'task:worker', 'payment.' || (ARRAY['create', 'capture'])[step], 'payment',
    payment_name, '', '{}', jsonb_build_object('amount_captured', amount), ''
FROM paid CROSS JOIN generate_series(1, 2) AS step ORDER BY n, step;
INSERT INTO ledger_account (kind, gateway_id, merchant_id, holder, mode, currency)
SELECT 'gateway_receivable', gateway.id, NULL, '', known.mode, known.currency
FROM gateways_gateway AS gateway, (SELECT DISTINCT mode, currency FROM paid) AS known
UNION ALL
SELECT 'merchant_pending', NULL, merchant.id, '', known.mode, known.currency
FROM merchants_merchant AS merchant, (SELECT DISTINCT mode, currency FROM paid) AS known;
INSERT INTO ledger_journalentry (id, kind, reference, mode, merchant_id, gateway_id, gateway_reference,
    payment_reference, body_hash, occurred_on, created_at)
SELECT pg_temp.key(at, 30, n), 'capture', last_name, mode, merchant_id, gateway_id, '', payment_name, '',
    (at AT TIME ZONE 'UTC')::date, at
FROM paid WHERE status = 'captured' ORDER BY n;
INSERT INTO ledger_posting (entry_id, account_id, currency, amount_minor, created_at)
SELECT pg_temp.key(at, 30, n), account.id, paid.currency,
    CASE account.kind WHEN 'gateway_receivable' THEN amount ELSE -amount END, at
FROM paid JOIN ledger_account AS account ON account.currency = paid.currency AND account.mode = paid.mode
    AND (account.gateway_id = paid.gateway_id OR account.merchant_id = paid.merchant_id)
WHERE status = 'captured' ORDER BY n;
SET session_replication_role = origin;
"""


def _names(count: int) -> Iterator[tuple[Any, ...]]:
    """When each payment was made, and what it and its attempts are called."""
    from checkout.kit.ids import public_id

    now = datetime.now(UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    began, before = midnight - timedelta(days=DAYS - 1), count - count // DAYS

    def key(at: datetime, kind: int, number: int) -> UUID:
        return UUID(int=int(at.timestamp() * 1000) << 80 | 0x7 << 76 | kind << 64 | 0x8 << 60 | number)

    for n in range(count):
        if n < before:
            at = began + (midnight - began) * n / before
        else:
            at = midnight + (now - midnight) * (n - before) / (count - before)
        keys = [key(at, kind, n) for kind in (_PAYMENT, _FIRST, _LAST)]
        yield n, at, *keys, public_id("pay", keys[0]), public_id("att", keys[2])


def build(connection: Any, count: int) -> None:
    """Make merchants, gateways, and that many payments with all that belongs to them."""
    from ledger.services import summarize
    from merchants.models import Merchant, WebhookEndpoint

    merchants = [Merchant(name=f"Merchant {no}", country="DE", default_currency="EUR") for no in range(MERCHANTS)]
    Merchant.objects.bulk_create(merchants)
    about = {"mode": "live", "url": "https://shop.example/hooks", "secret": "whsec"}
    WebhookEndpoint.objects.bulk_create(WebhookEndpoint(merchant=merchant, **about) for merchant in merchants)
    for code in ("east", "north", "south"):
        make_gateway(code=code, mode="live", currencies=("EUR", "USD", "GBP", "JPY"))
    columns = (
        "n bigint, at timestamptz, payment_id uuid, first_id uuid, last_id uuid, payment_name text, last_name text"
    )
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0; SET work_mem = '256MB'")
        cursor.execute(f"CREATE TEMPORARY TABLE named ({columns})")
        with cursor.copy("COPY named FROM STDIN") as rows:
            for row in _names(count):
                rows.write_row(row)
        cursor.execute(_BUILD, {"count": count, "merchants": MERCHANTS, "moving": 200})
        cursor.execute("RESET work_mem; RESET statement_timeout")
    connection.set_autocommit(True)
    summarize()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def pages(count: int) -> list[tuple[str, str, float]]:
    """What is opened: its name, its address, and the milliseconds it may take."""
    from checkout.kit.display import page_of
    from gateways.models import Gateway
    from merchants.models import Merchant
    from payments.models import Attempt, Payment

    payments = Payment.objects.select_related("card").defer("card__number")
    middle = payments.get(merchant_reference=f"order-{count // 2}", merchant__in=Merchant.objects.values("pk"))
    attempt = Attempt.objects.filter(payment=middle).latest("seq")
    merchant, gateway = Merchant.objects.order_by("id")[7], Gateway.objects.earliest("code")
    amount = f"{middle.amount.as_decimal()}"
    card = middle.card.last4  # type: ignore[union-attr]
    searches = {
        "our id": middle.public_id,
        "gateway reference": attempt.gateway_reference,
        "merchant reference": middle.merchant_reference,
        "customer e-mail": middle.customer_email.upper(),
        "last four": card,
        "last four of every tenth card": "4242",
        "last four and amount": f"{card} {amount}",
        "amount, currency and last four": f"{amount} {middle.currency} {card}",
        "the same, of every tenth card": f"4242 {amount}",
        "nothing that there is": "no-such-reference",
    }
    filters = {
        **{
            f"status {status}": f"status__exact={status}" for status in ("captured", "declined", "failed", "processing")
        },
        "merchant": f"merchant__id__exact={merchant.pk}",
        "gateway": f"gateway__id__exact={gateway.pk}",
        **{f"currency {code}": f"currency={code}" for code in ("EUR", "JPY")},
        **{f"mode {mode}": f"mode__exact={mode}" for mode in ("live", "test")},
        "declined for expired card": "decline=expired_card",
        "declined for stolen card (none)": "decline=stolen_card",
        **{f"created {when}": f"created={when}" for when in ("today", "month")},
        **{f"job {job}": f"job={job}" for job in ("unknown", "processing", "approved_today", "refused_today")},
        "failed in JPY": "status__exact=failed&currency=JPY",
        "gateway and failed": f"gateway__id__exact={gateway.pk}&status__exact=failed",
        "merchant, test and voided": f"merchant__id__exact={merchant.pk}&mode__exact=test&status__exact=voided",
        "e-mail, captured": f"status__exact=captured&q={middle.customer_email}",
        "last four, declined": "status__exact=declined&q=4242",
    }
    here, attempts = "/admin/payments/payment/", "/admin/payments/attempt/"
    day = f"job=charges_of_a_day&gateway__id__exact={gateway.pk}"
    return [
        ("home", "/admin/", 300),
        ("a payment", page_of(middle), 300),
        ("payments", here, 200),
        *((f"payments: {name}", f"{here}?{query}", 200) for name, query in filters.items()),
        *((f"search: {name}", f"{here}?{urlencode({'q': term})}", 200) for name, term in searches.items()),
        *(
            (f"palette: {name}", f"/admin/search/?{urlencode({'extended': 1, 's': term})}", 200)
            for name, term in searches.items()
        ),
        ("calls: a gateway's charges of 24 hours", f"/admin/gateways/gatewaycall/?{day}", 200),
        ("attempts: unknown", f"{attempts}?status__exact=unknown", 200),
        ("refunds: today", "/admin/payments/refund/?job=given_back&created=today&mode=live", 200),
        ("webhooks: undelivered", "/admin/merchants/webhookdelivery/?status__exact=pending", 200),
    ]


def main() -> None:
    """Build, open, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--payments", type=int, default=1_000_000)
    options = parser.parse_args()
    with database() as connection:
        began = time.perf_counter()
        build(connection, options.payments)
        print(f"{options.payments:,} payments built in {time.perf_counter() - began:.0f} s\n")
        measure(options.payments)


def measure(count: int) -> None:
    """Open every page as the administrator, home also as every role; print how many queries it took, and how long."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from tests.desk import at_desk

    browser = at_desk()
    columns = ("queries", "in them", "fastest", "median", "p95", "at most")
    print(f"{f'opened {_TIMES} times, ms':46} {' '.join(f'{column:>8}' for column in columns)}")

    def opened(name: str, browser: Any, address: str, goal_ms: float) -> None:
        answer = browser.get(address)
        assert answer.status_code in (200, 302), (name, answer.status_code)
        with CaptureQueriesContext(connection) as queries:
            browser.get(address)
        asked = [float(query["time"]) * 1000 for query in queries]
        taken = sorted(_milliseconds(partial(browser.get, address)) for _ in range(_TIMES))
        p95 = taken[round(0.95 * (_TIMES - 1))]
        figures = (sum(asked), taken[0], statistics.median(taken), p95, goal_ms)
        print(f"{name:46} {len(asked):8} {' '.join(f'{figure:8,.0f}' for figure in figures)}", flush=True)

    for name, address, goal_ms in pages(count):
        opened(name, browser, address, goal_ms)
    for role in ("Operations", "Finance", "Risk", "Developer support"):
        opened(f"home of {role}", at_desk(role), "/admin/", 300)


def _milliseconds(deed: Callable[[], Any]) -> float:
    began = time.perf_counter()
    deed()
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    main()
