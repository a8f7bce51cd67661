"""How is one invariant examined? As one statement of the database, which counts what breaks it and names a few.

An invariant is written as a query of what breaks it: `object` (an outside name), `gateway_id` (whose books are in
doubt, or null) and `problem` (in plain words). In its text `{payments}` stands for the payments that are looked at,
`{live_charges}` for what holds customers' money as far as we know, and `{book}` for the gateways' own books. The table
`audit_name` knows the outside names of payments, refunds and those attempts that may be in the ledger.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from checkout.kit import clock
from checkout.settings import policy
from gateways.models import Gateway
from payments.statuses import IN_FLIGHT, LIVE, PAYMENT, REFUND

_PAYMENTS = """(
    SELECT * FROM payments_payment
    WHERE (%(since)s::timestamptz IS NULL OR updated_at >= %(since)s::timestamptz)
        AND (%(gateway)s::uuid IS NULL OR gateway_id = %(gateway)s::uuid)
)"""
# Authorizations that hold, or may come to hold, money, and what a gateway, asked, said to have done after it had been
# given up; less what was voided, and what is being given back.
_LIVE_CHARGES = """(
    SELECT id, payment_id, gateway_id, amount_minor FROM payments_attempt AS charge
    WHERE operation = 'authorize' AND status = ANY(%(live)s) AND NOT EXISTS (
        SELECT FROM payments_attempt AS void
        WHERE void.parent_id = charge.id AND void.operation = 'void' AND void.status = 'succeeded'
            AND void.reverses_id IS NULL
    )
    UNION ALL
    SELECT id, payment_id, gateway_id, amount_minor FROM payments_attempt AS late
    WHERE operation IN ('authorize', 'capture') AND status IN ('declined', 'abandoned', 'not_sent')
        AND EXISTS (
            SELECT FROM payments_evidence AS evidence
            WHERE evidence.attempt_id = late.id AND evidence.outcome = 'succeeded' AND evidence.source = 'inquiry'
        )
        AND NOT EXISTS (
            SELECT FROM payments_attempt AS reversal
            WHERE reversal.reverses_id = late.id AND reversal.status = ANY(%(live)s)
        )
)"""
_BOOK = """(
    SELECT operation.*, attempt.payment_id, attempt.status AS attempt_status,
        kind = 'charge' AND operation.status = 'approved' AND NOT voided AND NOT canceled
            AND (captured_minor = 0 OR refunded_minor < captured_minor) AS is_live
    FROM jsonb_to_recordset(%(book)s::jsonb) AS operation (
        gateway_id uuid, reference text, attempt_id uuid, kind text, status text, amount_minor bigint, currency text,
        authorized_minor bigint, captured_minor bigint, refunded_minor bigint, voided boolean, canceled boolean
    ) LEFT JOIN payments_attempt AS attempt ON attempt.id = operation.attempt_id
)"""
# Outside names are worked out once: journal entries, events and the audit know payments by them alone.
_NAMES = """
DROP TABLE IF EXISTS audit_name;
CREATE TEMPORARY TABLE audit_name ON COMMIT DROP AS
SELECT id, public_id('pay', id) AS name FROM {payments} AS payment
UNION ALL
SELECT refund.id, public_id('rfd', refund.id)
FROM payments_refund AS refund JOIN {payments} AS payment ON payment.id = refund.payment_id
UNION ALL
SELECT attempt.id, public_id('att', attempt.id)
FROM payments_attempt AS attempt JOIN {payments} AS payment ON payment.id = attempt.payment_id
WHERE operation = 'capture' OR is_sale OR reverses_id IS NOT NULL
    OR attempt.status IN ('declined', 'abandoned', 'not_sent');
ANALYZE audit_name
"""
_EXAMINE = """
WITH violation (object, gateway_id, problem) AS ({query})
SELECT count(DISTINCT object),
    (
        SELECT coalesce(jsonb_agg(jsonb_build_array(object, problem)), '[]')
        FROM (SELECT DISTINCT object, problem FROM violation ORDER BY object, problem LIMIT %(sample_count)s) AS sample
    ),
    (
        SELECT coalesce(jsonb_object_agg(code, violation_count), '{{}}')
        FROM (
            SELECT gateway.code, count(DISTINCT violation.object) AS violation_count
            FROM violation JOIN gateways_gateway AS gateway ON gateway.id = violation.gateway_id GROUP BY gateway.code
        ) AS concerned
    )
FROM violation
"""
_ONE_VIEW = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"
_LIMITS = "SET LOCAL statement_timeout = '10min'; SET LOCAL work_mem = '64MB'; SET LOCAL jit = off"


@dataclass(frozen=True)
class Scope:
    """What is looked at.

    `since` leaves out payments that were not touched from then on, `gateway` those of other gateways. `texts_since`
    limits the search for card numbers, which reads every text there is. `book` is what `read_book` made of the
    gateways' own books, `book_gateways` whose books they are.
    """

    since: datetime | None = None
    gateway: Gateway | None = None
    texts_since: datetime | None = None
    book: list[dict[str, Any]] = field(default_factory=list)
    book_gateways: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Invariant:
    """One rule: its name in plain words, what of it is examined, and the queries that count that and what breaks it."""

    code: str
    name: str
    covers: str
    counted: Callable[[Scope], str]
    violations: Callable[[Scope], str]


@dataclass(frozen=True)
class Finding:
    """What came of one invariant: rows looked at, objects that break it, a few of them, and how many by gateway."""

    code: str
    name: str
    covers: str
    checked: int
    violations: int
    samples: list[list[str]]
    gateways: dict[str, int]
    seconds: float

    @property
    def is_green(self) -> bool:
        """Whether the invariant holds."""
        return not self.violations

    def as_json(self) -> dict[str, Any]:
        """The finding as it is kept and printed."""
        return asdict(self)


def examine(invariants: Sequence[Invariant], scope: Scope) -> list[Finding]:
    """Ask the database about each invariant, in one transaction that sees one moment of it, with limits of its own."""
    given = _given(scope)
    is_outermost = not connection.in_atomic_block
    with transaction.atomic(), connection.cursor() as cursor:
        if is_outermost:
            cursor.execute(_ONE_VIEW)
        cursor.execute(_LIMITS)
        cursor.execute(_filled(_NAMES), given)
        return [_examine(invariant, scope, cursor, given) for invariant in invariants]


def _examine(invariant: Invariant, scope: Scope, cursor: Any, given: dict[str, Any]) -> Finding:
    began = time.monotonic()
    cursor.execute(_filled(invariant.counted(scope)), given)
    (checked,) = cursor.fetchone()
    cursor.execute(_EXAMINE.format(query=_filled(invariant.violations(scope))), given)
    violations, samples, gateways = cursor.fetchone()
    return Finding(
        code=invariant.code,
        name=invariant.name,
        covers=invariant.covers,
        checked=int(checked or 0),
        violations=violations,
        samples=json.loads(samples),
        gateways=json.loads(gateways),
        seconds=round(time.monotonic() - began, 3),
    )


def _filled(query: str) -> str:
    for name, text in (("{live_charges}", _LIVE_CHARGES), ("{payments}", _PAYMENTS), ("{book}", _BOOK)):
        query = query.replace(name, text)
    return query


def _given(scope: Scope) -> dict[str, Any]:
    steps = [
        {"object_type": machine.name, "was": was, "verb": f"{machine.name}.{event}", "became": became}
        for machine in (PAYMENT, REFUND)
        for (was, event), became in machine.table.items()
    ]
    return {
        "now": clock.now(),
        "since": scope.since,
        "texts_since": scope.texts_since,
        "gateway": scope.gateway and scope.gateway.pk,
        "book": json.dumps(scope.book),
        "book_gateways": list(scope.book_gateways),
        "live": [str(status) for status in LIVE],
        "in_flight": [str(status) for status in IN_FLIGHT],
        "steps": json.dumps(steps),
        "overdue_seconds": policy.AUDIT_OVERDUE_SECONDS,
        "delivery_overdue_seconds": policy.AUDIT_DELIVERY_OVERDUE_SECONDS,
        "sample_count": policy.AUDIT_SAMPLE_COUNT,
    }
