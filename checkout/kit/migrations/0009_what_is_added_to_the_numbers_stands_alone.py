"""What is added to PostgreSQL's numbers of transactions is kept in one place, as much as it is by now; and a seal waits
for transactions of this database that are still running, for no other.

Those that are known to be of another database do not count, nor those that have ended meanwhile.
"""

from django.db import migrations

_OFFSET = """
DO $do$ BEGIN
    EXECUTE format(
        'CREATE OR REPLACE FUNCTION audit_offset() RETURNS bigint LANGUAGE sql STABLE AS %L',
        format('SELECT %s::bigint', audit_transaction() - pg_current_xact_id()::text::bigint)
    );
END $do$;
"""
_NUMBERS = """
CREATE OR REPLACE FUNCTION audit_transaction() RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT pg_current_xact_id()::text::bigint + audit_offset()
$$;
CREATE OR REPLACE FUNCTION audit_settled() RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT least(
        pg_snapshot_xmax(seen)::text::bigint, pg_current_xact_id_if_assigned()::text::bigint,
        (SELECT min(running::text::bigint) FROM pg_snapshot_xip(seen) AS running WHERE CASE WHEN EXISTS (
            SELECT FROM pg_locks AS held JOIN pg_stat_activity AS session USING (pid)
            WHERE held.locktype = 'transactionid' AND held.mode = 'ExclusiveLock' AND held.granted
                AND held.transactionid = running::xid AND session.datname <> current_database()
        ) THEN false ELSE pg_xact_status(running) = 'in progress' END)
    ) + audit_offset() FROM pg_current_snapshot() AS seen
$$;
"""
_REVERSE = """
DO $do$ BEGIN
    EXECUTE format(
        'CREATE OR REPLACE FUNCTION audit_transaction() RETURNS bigint LANGUAGE sql STABLE AS %1$L;'
        'CREATE OR REPLACE FUNCTION audit_settled() RETURNS bigint LANGUAGE sql STABLE AS %2$L',
        format('SELECT pg_current_xact_id()::text::bigint + %s', audit_offset()),
        format('SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint + %s', audit_offset())
    );
END $do$;
DROP FUNCTION audit_offset();
"""


class Migration(migrations.Migration):
    dependencies = [("kit", "0008_saved_filters_and_bulk_runs")]

    operations = [migrations.RunSQL([_OFFSET, _NUMBERS], _REVERSE)]
