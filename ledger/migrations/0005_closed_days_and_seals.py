"""Entries keep out of closed days, what was sealed stays, and entries that were written before get their clearing items.

A day can be closed only once it is over, so whoever writes into the present neither locks nor looks. Whoever writes
into the past holds the lock of its days shared until commit; closing takes it alone (`ledger.services.lock_days`).
"""

from django.db import migrations

from checkout.kit.append_only import append_only

# Volatile, so that each of its queries sees what has been committed by then, whatever the calling statement sees.
OPEN_DAY = """
CREATE FUNCTION ledger_days_lock(gateway uuid, mode text, currency text) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT hashtextextended(format('ledger days of %s %s %s', gateway, mode, currency), 0)
$$;

CREATE FUNCTION ledger_open_day(gateway uuid, in_mode text, currencies text[], day date) RETURNS date
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    today date := (now() AT TIME ZONE 'UTC')::date;
    is_free boolean;
BEGIN
    IF gateway IS NULL OR day >= today THEN
        RETURN day;
    END IF;
    SELECT bool_and(pg_try_advisory_xact_lock_shared(ledger_days_lock(gateway, in_mode, code)))
    INTO is_free FROM unnest(currencies) AS code;
    IF NOT is_free THEN  -- its days are being closed this very moment
        RETURN today;
    END IF;
    RETURN (
        WITH RECURSIVE candidate (day) AS (
            SELECT ledger_open_day.day
            UNION ALL
            SELECT candidate.day + 1 FROM candidate WHERE EXISTS (
                SELECT FROM ledger_closedday AS closed
                WHERE closed.gateway_id = gateway AND closed.mode = in_mode AND closed.currency = ANY(currencies)
                    AND closed."on" = candidate.day AND closed.reopened_at IS NULL
            )
        )
        SELECT max(candidate.day) FROM candidate
    );
END $$;
"""
OPEN_DAY_REVERSE = """
DROP FUNCTION ledger_open_day(uuid, text, text[], date);
DROP FUNCTION ledger_days_lock(uuid, text, text);
"""

# The subquery, rather than a join, is looked up by key whatever the planner thinks of the sizes.
POSTINGS_KEEP_OUT_OF_CLOSED_DAYS = """
CREATE OR REPLACE FUNCTION ledger_postings_come_with_their_entry() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    today date := (now() AT TIME ZONE 'UTC')::date;
    problem text;
BEGIN
    SELECT max(verdict) INTO problem FROM (
        SELECT coalesce((
            SELECT CASE
                WHEN entry.xid <> pg_current_xact_id() OR entry.created_at <> added.created_at THEN 'late'
                WHEN entry.gateway_id IS NOT NULL AND entry.occurred_on < today AND entry.occurred_on <> ledger_open_day(
                    entry.gateway_id, entry.mode, ARRAY[added.currency::text], entry.occurred_on
                ) THEN 'closed'
                ELSE '' END
            FROM ledger_journalentry AS entry WHERE entry.id = added.entry_id
        ), 'late') AS verdict
        FROM added
    ) AS examined;
    IF problem = 'late' THEN
        RAISE EXCEPTION 'a posting is written in the transaction of its entry' USING ERRCODE = 'restrict_violation';
    ELSIF problem = 'closed' THEN
        RAISE EXCEPTION 'the accounting day of this entry is closed' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;
"""
POSTINGS_KEEP_OUT_OF_CLOSED_DAYS_REVERSE = """
CREATE OR REPLACE FUNCTION ledger_postings_come_with_their_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM added WHERE (
            SELECT entry.xid = pg_current_xact_id() AND entry.created_at = added.created_at
            FROM ledger_journalentry AS entry WHERE entry.id = added.entry_id
        ) IS NOT TRUE
    ) THEN
        RAISE EXCEPTION 'a posting is written in the transaction of its entry' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;
"""

# What these entries were called at the gateway was not written down: for refunds the gateway's own reference must do.
CLEARING_ITEMS = """
INSERT INTO ledger_clearingitem
    (entry_id, gateway_id, mode, kind, currency, gross_minor, fee_minor, gateway_reference, reference, occurred_on)
SELECT entry.id, entry.gateway_id, entry.mode,
    CASE WHEN entry.kind IN ('capture', 'late_success') THEN 'charge' ELSE 'refund' END,
    leg.currency, leg.amount_minor,
    coalesce((
        SELECT -sum(fee_leg.amount_minor)
        FROM ledger_journalentry AS fee
            JOIN ledger_posting AS fee_leg ON fee_leg.entry_id = fee.id
            JOIN ledger_account AS fee_account ON fee_account.id = fee_leg.account_id
        WHERE fee.kind = 'gateway_fee' AND fee.reference = entry.reference AND entry.kind = 'capture'
            AND fee_account.kind = 'gateway_receivable'
    ), 0),
    entry.gateway_reference, entry.reference, entry.occurred_on
FROM ledger_journalentry AS entry
    JOIN ledger_posting AS leg ON leg.entry_id = entry.id
    JOIN ledger_account AS account ON account.id = leg.account_id AND account.kind = 'gateway_receivable'
WHERE entry.kind IN ('capture', 'refund_succeeded', 'late_success', 'late_success_reversed')
ON CONFLICT DO NOTHING;
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0004_summaries")]

    operations = [
        migrations.RunSQL(OPEN_DAY, OPEN_DAY_REVERSE),
        migrations.RunSQL(POSTINGS_KEEP_OUT_OF_CLOSED_DAYS, POSTINGS_KEEP_OUT_OF_CLOSED_DAYS_REVERSE),
        append_only("ledger_ledgerseal"),
        migrations.RunSQL(CLEARING_ITEMS, migrations.RunSQL.noop),
    ]
