"""What is told of a day before a closed one goes to the next open day as well, even if nothing had moved on that day and
nobody had closed it: the sums of the closed day hold all that came before.
"""

from django.db import migrations

_FUNCTION = """
CREATE OR REPLACE FUNCTION ledger_open_day(gateway uuid, in_mode text, currencies text[], day date) RETURNS date
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
    RETURN ({answer});
END $$;
"""

# Days are closed in their order and opened again from the last: up to the last closed one nothing changes.
AFTER_THE_LAST = """
        SELECT greatest(ledger_open_day.day, max(latest.day) + 1)
        FROM unnest(currencies) AS code CROSS JOIN LATERAL (
            SELECT max(closed."on") AS day FROM ledger_closedday AS closed
            WHERE closed.gateway_id = gateway AND closed.mode = in_mode AND closed.currency = code
                AND closed.reopened_at IS NULL
        ) AS latest
    """
NEXT_WITHOUT_ROW = """
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
    """


class Migration(migrations.Migration):
    dependencies = [("ledger", "0008_report_subscriptions")]

    operations = [migrations.RunSQL(_FUNCTION.format(answer=AFTER_THE_LAST), _FUNCTION.format(answer=NEXT_WITHOUT_ROW))]
