"""Does what we wrote down tell one story? I8 to I13, I15 and I16.

Some of these rules are about the outside: what a merchant was answered, what reached its endpoint. The database shows
our side of them, and each says which.
"""

from payments.selfaudit.running import Invariant, Scope

# An answer begins with the object's id, and the first amount it names is the object's own.
_ANSWERS = """
    SELECT id, object_id, body,
        CASE WHEN left(body, 11) IN ('{"id":"pay_', '{"id":"rfd_') THEN substr(body, 8, 26) END AS told_id,
        split_part(split_part(body, '"amount":', 2), ',', 1) AS told_minor
    FROM payments_idempotencykey
    WHERE http_status BETWEEN 200 AND 299
        AND (%(since)s::timestamptz IS NULL OR created_at >= %(since)s::timestamptz)
"""


def answered_exists(scope: Scope) -> str:
    """I8: what a merchant was told has succeeded is there, with the amount it was told."""
    return f"""
        WITH answer AS ({_ANSWERS})
        SELECT 'idempotency key ' || answer.id, NULL::uuid,
            CASE WHEN coalesce(refund.id, payment.id) IS NULL THEN 'was answered with ' || told_id || ', which is gone'
                ELSE 'was answered with another amount than that of ' || told_id END
        FROM answer LEFT JOIN payments_payment AS payment ON payment.id = answer.object_id
            LEFT JOIN payments_refund AS refund ON refund.id = answer.object_id
        WHERE told_id IS NOT NULL AND object_id IS NOT NULL
            AND told_minor IS DISTINCT FROM coalesce(refund.amount_minor, payment.amount_minor)::text
    """  # noqa: S608


def one_object_per_key(scope: Scope) -> str:
    """I9: a key stands for one request, its answer for its own object, and only a final answer is kept."""
    return f"""
        WITH answer AS ({_ANSWERS})
        SELECT 'idempotency key ' || min(id), NULL::uuid, 'is there more than once'
        FROM payments_idempotencykey GROUP BY merchant_id, mode, key HAVING count(*) > 1
        UNION ALL
        SELECT 'idempotency key ' || id, NULL, 'keeps an answer without an object'
        FROM answer WHERE object_id IS NULL OR body = ''
        UNION ALL
        SELECT 'idempotency key ' || answer.id, NULL, 'keeps an answer about another object'
        FROM answer JOIN audit_name AS object ON object.id = answer.object_id WHERE told_id <> object.name
        UNION ALL
        SELECT 'idempotency key ' || id, NULL, 'keeps an answer that is not final'
        FROM payments_idempotencykey WHERE http_status IN (202, 409, 429) OR http_status >= 500
    """  # noqa: S608


def statuses_follow_the_table(scope: Scope) -> str:
    """I10: the audit of a payment or refund, replayed, is a walk along its status table that ends where it stands."""
    return """
        WITH subject (object_type, name, status) AS (
            SELECT 'payment', name, status FROM payments_payment JOIN audit_name USING (id)
            UNION ALL
            SELECT 'refund', name, status FROM payments_refund JOIN audit_name USING (id)
        ), step AS (
            SELECT *
            FROM jsonb_to_recordset(%(steps)s::jsonb) AS step (object_type text, was text, verb text, became text)
        ), told AS (
            SELECT object_type, object_id, verb, before->>'status' AS was, after->>'status' AS became,
                lag(after->>'status') OVER walk AS previous, lead(id) OVER walk IS NULL AS is_last
            FROM kit_auditentry
            WHERE object_type IN ('payment', 'refund') AND after ? 'status'
                AND object_id IN (SELECT name FROM audit_name)
            WINDOW walk AS (PARTITION BY object_id ORDER BY id)
        )
        SELECT subject.name, NULL::uuid,
            CASE WHEN told.object_id IS NULL THEN 'has no history'
                WHEN is_last AND told.became <> subject.status
                    THEN 'is ' || subject.status || ' and its history ends otherwise'
                ELSE 'went from ' || coalesce(previous, 'nothing') || ' to ' || told.became || ' by ' || told.verb END
        FROM subject LEFT JOIN told ON told.object_id = subject.name
            LEFT JOIN step ON step.object_type = told.object_type AND step.verb = told.verb
                AND step.was = coalesce(told.previous, told.was)
        WHERE told.object_id IS NULL
            OR is_last AND told.became <> subject.status
            OR CASE
                WHEN previous IS NULL AND told.verb = 'payment.create' THEN told.became <> 'created'
                WHEN previous IS NULL AND told.object_type = 'refund' THEN told.was IS DISTINCT FROM 'requested'
                    OR step.became IS DISTINCT FROM told.became
                WHEN step.became IS NOT NULL THEN step.became <> told.became OR told.was IS DISTINCT FROM previous
                ELSE told.became IS DISTINCT FROM previous
            END
    """


def what_is_due_is_done(scope: Scope) -> str:
    """I11: nothing that was committed waits much longer than it should for somebody to carry it out."""
    return """
        SELECT public_id('att', attempt.id), NULL::uuid, 'has been due for too long'
        FROM payments_attempt AS attempt
        WHERE next_action_at < %(now)s - %(overdue_seconds)s * interval '1 second'
            AND (%(gateway)s::uuid IS NULL OR attempt.gateway_id = %(gateway)s::uuid)
        UNION ALL
        SELECT 'notice ' || notice.id, NULL, 'has waited for too long'
        FROM gateways_notice AS notice
        WHERE status = 'waiting' AND received_at < %(now)s - %(overdue_seconds)s * interval '1 second'
            AND (%(gateway)s::uuid IS NULL OR notice.gateway_id = %(gateway)s::uuid)
        UNION ALL
        SELECT public_id('apr', approval.id), NULL, 'was not decided in time and is still open'
        FROM kit_approval AS approval
        WHERE status = 'requested' AND expires_at < %(now)s - %(overdue_seconds)s * interval '1 second'
    """


def events_arrive(scope: Scope) -> str:
    """I12: a payment's events are numbered from one without a gap, and none is forgotten on its way to an endpoint."""
    return """
        SELECT name, NULL::uuid, 'counts ' || payment.event_count || ' events and has others'
        FROM payments_payment AS payment JOIN audit_name USING (id) LEFT JOIN (
            SELECT object_id, count(*) AS event_count, min(sequence) AS first, max(sequence) AS last
            FROM merchants_webhookevent WHERE object_id LIKE 'pay\\_%%' GROUP BY object_id
        ) AS told ON told.object_id = name
        WHERE (payment.event_count, payment.event_count, 1) IS DISTINCT FROM (told.event_count, told.last, told.first)
        UNION ALL
        SELECT public_id('evt', event.id), NULL, 'has not been made into deliveries'
        FROM merchants_webhookevent AS event
        WHERE dispatched_at IS NULL AND created_at < %(now)s - %(overdue_seconds)s * interval '1 second'
        UNION ALL
        SELECT public_id('evt', delivery.event_id), NULL, 'is overdue at an endpoint that is enabled'
        FROM merchants_webhookdelivery AS delivery
            JOIN merchants_webhookendpoint AS endpoint ON endpoint.id = delivery.endpoint_id
        WHERE delivery.status = 'pending' AND endpoint.status = 'enabled'
            AND greatest(next_attempt_at, endpoint.paused_until)
                < %(now)s - %(delivery_overdue_seconds)s * interval '1 second'
    """


def merchants_never_meet(scope: Scope) -> str:
    """I13: what hangs together belongs to one merchant, in one mode."""
    return """
        WITH owned AS (SELECT id, name, merchant_id, mode FROM payments_payment JOIN audit_name USING (id))
        SELECT public_id('pay', payment.id), NULL::uuid, 'has a card or a gateway of another merchant or mode'
        FROM {payments} AS payment LEFT JOIN payments_card AS card ON card.id = payment.card_id
            LEFT JOIN gateways_gateway AS gateway ON gateway.id = payment.gateway_id
        WHERE (card.merchant_id, card.mode) <> (payment.merchant_id, payment.mode) OR gateway.mode <> payment.mode
        UNION ALL
        SELECT public_id('att', attempt.id), NULL, 'belongs to another payment or mode than what it hangs on'
        FROM payments_attempt AS attempt JOIN {payments} AS payment ON payment.id = attempt.payment_id
            JOIN gateways_gateway AS gateway ON gateway.id = attempt.gateway_id
            LEFT JOIN payments_refund AS refund ON refund.id = attempt.refund_id
            LEFT JOIN payments_attempt AS parent ON parent.id = attempt.parent_id
            LEFT JOIN payments_attempt AS reversed ON reversed.id = attempt.reverses_id
        WHERE gateway.mode <> payment.mode OR refund.payment_id <> payment.id OR parent.payment_id <> payment.id
            OR reversed.payment_id <> payment.id
        UNION ALL
        SELECT owned.name, NULL, 'has an event of another merchant or mode'
        FROM owned JOIN merchants_webhookevent AS event ON event.object_id = owned.name
        WHERE (event.merchant_id, event.mode) <> (owned.merchant_id, owned.mode)
        UNION ALL
        SELECT owned.name, NULL, 'has a journal entry of another merchant or mode'
        FROM owned JOIN ledger_journalentry AS entry ON entry.payment_reference = owned.name
        WHERE (entry.merchant_id, entry.mode) <> (owned.merchant_id, owned.mode)
        UNION ALL
        SELECT owned.name, NULL, 'was answered to another merchant or mode'
        FROM payments_idempotencykey AS key LEFT JOIN payments_refund AS refund ON refund.id = key.object_id
            JOIN owned ON owned.id = coalesce(refund.payment_id, key.object_id)
        WHERE (key.merchant_id, key.mode) <> (owned.merchant_id, owned.mode)
    """


def something_comes_next(scope: Scope) -> str:
    """I15: whatever has not ended waits for something that is written down."""
    return """
        WITH flight AS (
            SELECT DISTINCT payment_id, refund_id FROM payments_attempt
            WHERE status = ANY(%(in_flight)s) AND reverses_id IS NULL
        )
        SELECT public_id('pay', payment.id), NULL::uuid, 'is ' || payment.status || ' and nothing comes next'
        FROM {payments} AS payment
        WHERE NOT EXISTS (SELECT FROM flight WHERE flight.payment_id = payment.id) AND (
            payment.status IN ('processing', 'requires_action')
            OR payment.status IN ('created', 'authorized') AND payment.expires_at IS NULL
        )
        UNION ALL
        SELECT public_id('rfd', refund.id), NULL, 'is ' || refund.status || ' and nothing comes next'
        FROM payments_refund AS refund JOIN {payments} AS payment ON payment.id = refund.payment_id
        WHERE refund.status IN ('requested', 'processing')
            AND NOT EXISTS (SELECT FROM flight WHERE flight.refund_id = refund.id)
        UNION ALL
        SELECT name, NULL, 'awaits an approval that nobody is asked for'
        FROM payments_refund AS refund JOIN audit_name USING (id)
        WHERE refund.status = 'awaiting_approval' AND NOT EXISTS (
            SELECT FROM kit_approval AS approval
            WHERE object_id = name AND kind = 'payment.refund' AND approval.status = 'requested'
        )
        UNION ALL
        SELECT public_id('att', attempt.id), NULL, 'is ' || attempt.status || ' and nobody will look at it'
        FROM payments_attempt AS attempt JOIN {payments} AS payment ON payment.id = attempt.payment_id
        WHERE attempt.status = ANY(%(in_flight)s) AND attempt.next_action_at IS NULL
    """


def people_say_why(scope: Scope) -> str:
    """I16: what a person did to money says who, why, and how it was before and after."""
    return """
        SELECT object_id, NULL::uuid, verb || ' by ' || actor || ' lacks a reason, a before or an after'
        FROM kit_auditentry
        WHERE actor LIKE 'user:%%' AND verb <> 'payment.create'
            AND (object_type IN ('payment', 'refund') OR verb = 'attempt.settle_by_hand')
            AND (reason = '' OR before = '{}' OR after = '{}')
            AND (%(since)s::timestamptz IS NULL OR at >= %(since)s::timestamptz)
    """


INVARIANTS = [
    Invariant(
        code="I8",
        name="Everything answered with success is in the database",
        covers="answers kept under idempotency keys: the object exists and has the amount that was told",
        counted=lambda scope: "SELECT count(*) FROM payments_idempotencykey WHERE http_status BETWEEN 200 AND 299",
        violations=answered_exists,
    ),
    Invariant(
        code="I9",
        name="One object per idempotency key, one answer for ever",
        covers="each key once, kept answers are final and name their own object; not the bytes that left",
        counted=lambda scope: "SELECT count(*) FROM payments_idempotencykey",
        violations=one_object_per_key,
    ),
    Invariant(
        code="I10",
        name="Statuses move only along their table",
        covers="the audit of payments and refunds, replayed step by step up to where they stand",
        counted=lambda scope: (
            "SELECT count(*) FROM kit_auditentry WHERE object_type IN ('payment', 'refund') AND after ? 'status'"
        ),
        violations=statuses_follow_the_table,
    ),
    Invariant(
        code="I11",
        name="Everything committed is carried out",
        covers="attempts that are due, notices that wait, requests past their time: none for longer than a few minutes",
        counted=lambda scope: "SELECT count(*) FROM payments_attempt WHERE next_action_at IS NOT NULL",
        violations=what_is_due_is_done,
    ),
    Invariant(
        code="I12",
        name="Every event of a payment is told",
        covers="the numbering of events per payment, and deliveries to enabled endpoints: none is overdue",
        counted=lambda scope: "SELECT count(*) FROM merchants_webhookevent",
        violations=events_arrive,
    ),
    Invariant(
        code="I13",
        name="Merchants and modes never meet",
        covers="payments with their cards, gateways, attempts, refunds, events, journal entries and idempotency keys",
        counted=lambda scope: "SELECT count(*) FROM {payments} AS payment",
        violations=merchants_never_meet,
    ),
    Invariant(
        code="I15",
        name="Whatever has not ended has a next action",
        covers="payments, refunds and attempts in every status that is not an end",
        counted=lambda scope: (
            "SELECT count(*) FROM {payments} AS payment"
            " WHERE status IN ('created', 'processing', 'requires_action', 'authorized')"
        ),
        violations=something_comes_next,
    ),
    Invariant(
        code="I16",
        name="What a person did to money has a reason, a before and an after",
        covers="audit entries of people about payments, refunds and outcomes settled by hand",
        counted=lambda scope: "SELECT count(*) FROM kit_auditentry WHERE actor LIKE 'user:%%'",
        violations=people_say_why,
    ),
]
