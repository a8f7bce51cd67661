"""Is any money taken twice, lost or unaccounted for? I1 to I7.

The chain is: gateway's book = attempts (where the book is at hand), attempts = payment, attempts = ledger, and the
ledger with itself.
"""

from payments.selfaudit.running import Invariant, Scope

_PAYMENTS_COUNTED = "SELECT count(*) FROM {payments} AS payment"


def one_live_charge(scope: Scope) -> str:
    """I1: at most one charge over all gateways that holds, or may come to hold, a payment's money."""
    return """
        WITH charge AS (SELECT * FROM {live_charges} AS live)
        SELECT public_id('pay', charge.payment_id), charge.gateway_id, 'has more than one live charge'
        FROM charge JOIN {payments} AS payment ON payment.id = charge.payment_id
        WHERE charge.payment_id IN (SELECT payment_id FROM charge GROUP BY payment_id HAVING count(*) > 1)
        UNION ALL
        SELECT public_id('pay', payment_id), gateway_id, 'has more than one live charge in the gateways'' books'
        FROM {book} AS book WHERE is_live AND payment_id IN (
            SELECT payment_id FROM {book} AS book WHERE is_live GROUP BY payment_id HAVING count(*) > 1
        )
    """


def charge_has_one_attempt(scope: Scope) -> str:
    """I2: what a gateway calls a charge is one attempt of ours, and an attempt is one charge."""
    return """
        SELECT public_id('att', attempt.id), attempt.gateway_id, 'shares its gateway reference with another attempt'
        FROM payments_attempt AS attempt JOIN {payments} AS payment ON payment.id = attempt.payment_id
        WHERE operation = 'authorize' AND gateway_reference <> '' AND (attempt.gateway_id, gateway_reference) IN (
            SELECT gateway_id, gateway_reference FROM payments_attempt
            WHERE operation = 'authorize' AND gateway_reference <> ''
            GROUP BY gateway_id, gateway_reference HAVING count(*) > 1
        )
        UNION ALL
        SELECT public_id('att', attempt.id), attempt.gateway_id, 'succeeded under two gateway references'
        FROM payments_evidence AS evidence JOIN payments_attempt AS attempt ON attempt.id = evidence.attempt_id
            JOIN {payments} AS payment ON payment.id = attempt.payment_id
        WHERE attempt.operation = 'authorize' AND attempt.gateway_reference <> ''
            AND evidence.outcome = 'succeeded' AND evidence.source <> 'cancel' AND evidence.gateway_reference <> ''
            AND evidence.gateway_reference <> attempt.gateway_reference
        UNION ALL
        SELECT book.reference, book.gateway_id, 'is a charge in the gateway''s book and no attempt of ours'
        FROM {book} AS book LEFT JOIN payments_attempt AS attempt ON attempt.id = book.attempt_id
        WHERE book.is_live AND (
            (attempt.operation, attempt.gateway_id, attempt.amount_minor, attempt.currency)
            IS DISTINCT FROM ('authorize', book.gateway_id, book.amount_minor, book.currency)
        )
    """


def nothing_is_held(scope: Scope) -> str:
    """I3: a payment that ended without money holds none."""
    return """
        SELECT public_id('pay', payment.id), coalesce(charge.gateway_id, payment.gateway_id),
            'is ' || payment.status || ' and holds the customer''s money'
        FROM {payments} AS payment LEFT JOIN {live_charges} AS charge ON charge.payment_id = payment.id
        WHERE payment.status IN ('declined', 'failed', 'canceled', 'expired', 'voided')
            AND (charge.amount_minor > 0 OR payment.captured_minor > 0)
        UNION ALL
        SELECT public_id('pay', payment.id), book.gateway_id,
            'is ' || payment.status || ' and charged in the gateway''s book'
        FROM {payments} AS payment JOIN {book} AS book ON book.payment_id = payment.id
        WHERE payment.status IN ('declined', 'failed', 'canceled', 'expired', 'voided')
            AND book.is_live AND book.authorized_minor > 0
            AND NOT EXISTS (
                SELECT FROM payments_attempt AS reversal
                WHERE reversal.reverses_id = book.attempt_id AND reversal.status = ANY(%(in_flight)s)
            )
    """


def captured_is_charged(scope: Scope) -> str:
    """I4: what is captured is the sum of captures on exactly one authorization, in the payment's currency."""
    return """
        WITH captured AS (
            SELECT payment.id, payment.gateway_id, payment.captured_minor, payment.currency,
                count(attempt.id) FILTER (WHERE operation = 'authorize') AS charge_count,
                coalesce(sum(attempt.amount_minor) FILTER (WHERE operation = 'capture'), 0) AS taken_minor,
                coalesce(sum(attempt.amount_minor) FILTER (WHERE operation = 'authorize' AND is_sale), 0) AS sold_minor,
                bool_and(attempt.currency = payment.currency AND attempt.gateway_id = payment.gateway_id) AS is_alike
            FROM {payments} AS payment LEFT JOIN payments_attempt AS attempt
                ON attempt.payment_id = payment.id AND attempt.status = 'succeeded' AND attempt.reverses_id IS NULL
            WHERE payment.status = 'captured'
            GROUP BY payment.id, payment.gateway_id, payment.captured_minor, payment.currency
        )
        SELECT public_id('pay', id), gateway_id,
            CASE WHEN charge_count <> 1 THEN 'is captured on ' || charge_count || ' authorizations'
                WHEN is_alike THEN 'is captured for another amount than its captures'
                ELSE 'is captured in another currency or at another gateway' END
        FROM captured
        WHERE charge_count <> 1 OR NOT is_alike
            OR captured_minor <> CASE WHEN taken_minor > 0 THEN taken_minor ELSE sold_minor END
        UNION ALL
        SELECT public_id('pay', payment.id), payment.gateway_id, 'is captured otherwise in the gateway''s book'
        FROM {payments} AS payment LEFT JOIN {book} AS book
            ON book.payment_id = payment.id AND book.kind = 'charge' AND book.status = 'approved'
            AND NOT book.voided AND NOT book.canceled AND book.attempt_status = 'succeeded'
            AND book.captured_minor = payment.captured_minor AND book.currency = payment.currency
        WHERE payment.status = 'captured' AND payment.gateway_id = ANY(%(book_gateways)s::uuid[])
            AND NOT EXISTS (
                SELECT FROM payments_attempt AS attempt
                WHERE attempt.payment_id = payment.id AND attempt.status = ANY(%(in_flight)s)
            )
        GROUP BY payment.id, payment.gateway_id HAVING count(book.reference) <> 1
    """


def ledger_has_each_amount_once(scope: Scope) -> str:
    """I5: each capture, refund and late success is one entry, of its amount, and there is no entry of another.

    A void posts nothing: neither did its authorization.
    """
    return """
        WITH fact (kind, reference, amount_minor, currency, gateway_id) AS (
            SELECT 'capture', name, attempt.amount_minor, attempt.currency, attempt.gateway_id
            FROM payments_attempt AS attempt JOIN audit_name USING (id)
                JOIN payments_payment AS payment ON payment.id = attempt.payment_id
            WHERE attempt.status = 'succeeded' AND (
                attempt.operation = 'capture'
                OR attempt.operation = 'authorize' AND attempt.is_sale AND payment.captured_minor > 0 AND NOT EXISTS (
                    SELECT FROM payments_attempt AS follower
                    WHERE follower.parent_id = attempt.id AND follower.operation = 'capture'
                )
            )
            UNION ALL
            SELECT step.kind, name, refund.amount_minor, refund.currency, payment.gateway_id
            FROM payments_refund AS refund JOIN audit_name USING (id)
                JOIN payments_payment AS payment ON payment.id = refund.payment_id
                LEFT JOIN ledger_journalentry AS adopted
                    ON adopted.kind = 'refund_adopted' AND adopted.reference = name
                JOIN (
                    VALUES ('processing', 'refund_requested'), ('succeeded', 'refund_requested'),
                        ('failed', 'refund_requested'), ('succeeded', 'refund_succeeded'), ('failed', 'refund_failed'),
                        ('adopted', 'refund_adopted')
                ) AS step (status, kind)
                    ON step.status = CASE WHEN adopted.id IS NULL THEN refund.status ELSE 'adopted' END
            UNION ALL
            SELECT 'late_success', name, late.amount_minor, late.currency, late.gateway_id
            FROM payments_attempt AS late JOIN audit_name USING (id)
            WHERE EXISTS (
                SELECT FROM payments_attempt AS reversal
                WHERE reversal.reverses_id = late.id AND reversal.operation = 'refund'
            )
            UNION ALL
            SELECT 'late_success_reversed', name, reversal.amount_minor, reversal.currency, reversal.gateway_id
            FROM payments_attempt AS reversal JOIN audit_name USING (id)
            WHERE reversal.reverses_id IS NOT NULL AND reversal.operation = 'refund' AND reversal.status = 'succeeded'
        ), posted AS (
            SELECT entry.kind, entry.reference, entry.gateway_id,
                sum(posting.amount_minor) AS amount_minor, min(posting.currency) AS currency
            FROM ledger_journalentry AS entry
                JOIN ledger_posting AS posting ON posting.entry_id = entry.id AND posting.amount_minor > 0
            WHERE entry.kind IN ('capture', 'refund_requested', 'refund_succeeded', 'refund_failed', 'refund_adopted',
                    'late_success', 'late_success_reversed')
                AND (
                    %(since)s::timestamptz IS NULL AND %(gateway)s::uuid IS NULL
                    OR entry.payment_reference IN (SELECT name FROM audit_name)
                )
            GROUP BY entry.id, entry.kind, entry.reference, entry.gateway_id
        )
        SELECT reference, coalesce(fact.gateway_id, posted.gateway_id),
            CASE WHEN posted.amount_minor IS NULL THEN 'has no entry of its ' || replace(kind, '_', ' ')
                WHEN fact.amount_minor IS NULL THEN 'is in the ledger as ' || replace(kind, '_', ' ') || ' only'
                ELSE 'is in the ledger with another amount' END
        FROM fact FULL JOIN posted USING (kind, reference)
        WHERE (fact.amount_minor, fact.currency) IS DISTINCT FROM (posted.amount_minor, posted.currency)
    """


def ledger_balances(scope: Scope) -> str:
    """I6: debits equal credits in each entry and over all, and running balances are the sums of their postings."""
    return """
        SELECT public_id('jou', entry_id), NULL::uuid, 'does not balance in ' || currency
        FROM ledger_posting
        WHERE %(since)s::timestamptz IS NULL OR created_at >= %(since)s::timestamptz
        GROUP BY entry_id, currency HAVING sum(amount_minor) <> 0
        UNION ALL
        SELECT 'trial balance ' || account.mode || ' ' || posting.currency, NULL, 'is not zero'
        FROM ledger_posting AS posting JOIN ledger_account AS account ON account.id = posting.account_id
        GROUP BY account.mode, posting.currency HAVING sum(posting.amount_minor) <> 0
        UNION ALL
        SELECT 'ledger account ' || balance.account_id, NULL, 'has another balance than its postings'
        FROM ledger_accountbalance AS balance LEFT JOIN (
            SELECT account_id, sum(amount_minor) AS sum_minor FROM ledger_posting GROUP BY account_id
        ) AS posted ON posted.account_id = balance.account_id
        WHERE balance.balance_minor <> coalesce(posted.sum_minor, 0)
    """


def refunds_within_captured(scope: Scope) -> str:
    """I7: what was given back, and what is about to be, is no more than was captured, here and at the gateway."""
    return """
        WITH given AS (
            SELECT refund.payment_id,
                sum(refund.amount_minor) FILTER (WHERE refund.status NOT IN ('failed', 'rejected')) AS asked_minor,
                sum(refund.amount_minor) FILTER (WHERE refund.status = 'succeeded') AS given_minor,
                bool_and(refund.currency = payment.currency) AS is_alike
            FROM payments_refund AS refund JOIN {payments} AS payment ON payment.id = refund.payment_id
            GROUP BY refund.payment_id
        ), done AS (
            SELECT attempt.payment_id, sum(attempt.amount_minor) AS done_minor
            FROM payments_attempt AS attempt JOIN {payments} AS payment ON payment.id = attempt.payment_id
            WHERE operation = 'refund' AND attempt.status = 'succeeded' AND reverses_id IS NULL
            GROUP BY attempt.payment_id
        )
        SELECT public_id('pay', payment.id), payment.gateway_id,
            CASE WHEN asked_minor > payment.captured_minor THEN 'gives back more than was captured'
                ELSE 'gave back another amount than its refunds' END
        FROM {payments} AS payment LEFT JOIN given ON given.payment_id = payment.id
            LEFT JOIN done ON done.payment_id = payment.id
        WHERE asked_minor > payment.captured_minor OR NOT is_alike
            OR payment.refunded_minor <> coalesce(given_minor, 0) OR payment.refunded_minor <> coalesce(done_minor, 0)
        UNION ALL
        SELECT public_id('pay', payment.id), book.gateway_id, 'gave back another amount in the gateway''s book'
        FROM {payments} AS payment JOIN {book} AS book ON book.payment_id = payment.id
        WHERE book.kind = 'charge' AND book.attempt_status = 'succeeded' AND NOT book.canceled
            AND (book.refunded_minor > book.captured_minor OR book.refunded_minor <> payment.refunded_minor)
            AND NOT EXISTS (
                SELECT FROM payments_attempt AS attempt
                WHERE attempt.payment_id = payment.id AND attempt.status = ANY(%(in_flight)s)
            )
    """


INVARIANTS = [
    Invariant(
        code="I1",
        name="A payment has at most one live charge over all gateways",
        covers="attempts, successes that came after an attempt was given up, and the gateways' books where given",
        counted=lambda scope: _PAYMENTS_COUNTED,
        violations=one_live_charge,
    ),
    Invariant(
        code="I2",
        name="Every charge at a gateway is one attempt of ours",
        covers="gateway references of attempts and evidence, and the gateways' books where given",
        counted=lambda scope: (
            "SELECT count(*) FROM payments_attempt AS attempt JOIN {payments} AS payment"
            " ON payment.id = attempt.payment_id WHERE operation = 'authorize'"
        ),
        violations=charge_has_one_attempt,
    ),
    Invariant(
        code="I3",
        name="A payment that ended without money holds none",
        covers="declined, failed, canceled, expired and voided payments, and the gateways' books where given",
        counted=lambda scope: (
            _PAYMENTS_COUNTED + " WHERE status IN ('declined', 'failed', 'canceled', 'expired', 'voided')"
        ),
        violations=nothing_is_held,
    ),
    Invariant(
        code="I4",
        name="A captured payment is one charge, of its amount and currency",
        covers="captured payments against their attempts, and the gateways' books where given",
        counted=lambda scope: _PAYMENTS_COUNTED + " WHERE status = 'captured'",
        violations=captured_is_charged,
    ),
    Invariant(
        code="I5",
        name="Every amount captured or refunded is in the ledger exactly once",
        covers="attempts and refunds against journal entries, both ways, by reference and amount",
        counted=lambda scope: (
            "SELECT count(*) FROM payments_attempt AS attempt JOIN {payments} AS payment"
            " ON payment.id = attempt.payment_id WHERE attempt.status = 'succeeded'"
        ),
        violations=ledger_has_each_amount_once,
    ),
    Invariant(
        code="I6",
        name="Debits equal credits, and balances are the sums of their postings",
        covers="every entry, the trial balance per mode and currency, every running balance",
        counted=lambda scope: "SELECT count(*) FROM ledger_posting",
        violations=ledger_balances,
    ),
    Invariant(
        code="I7",
        name="Refunds never exceed what was captured",
        covers="refunds that succeeded, are under way or await approval, and the gateways' books where given",
        counted=lambda scope: (
            "SELECT count(*) FROM payments_refund AS refund JOIN {payments} AS payment"
            " ON payment.id = refund.payment_id"
        ),
        violations=refunds_within_captured,
    ),
]
