"""A line or an item is consumed once: what is matched can be neither matched otherwise nor removed, and a match stays."""

from django.db import migrations

from checkout.kit.append_only import append_only

# Per row; the condition is looked at before anything is called.
STAYS_MATCHED = """
CREATE FUNCTION ledger_stays_matched() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a row of % that is matched stays as it is', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER stays_matched BEFORE UPDATE OR DELETE ON ledger_settlementline
    FOR EACH ROW WHEN (OLD.match_id IS NOT NULL) EXECUTE FUNCTION ledger_stays_matched();
CREATE TRIGGER stays_matched BEFORE UPDATE OR DELETE ON ledger_clearingitem
    FOR EACH ROW WHEN (OLD.match_id IS NOT NULL) EXECUTE FUNCTION ledger_stays_matched();
"""
STAYS_MATCHED_REVERSE = """
DROP TRIGGER stays_matched ON ledger_clearingitem;
DROP TRIGGER stays_matched ON ledger_settlementline;
DROP FUNCTION ledger_stays_matched();
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0006_files_and_matches")]

    operations = [
        migrations.RunSQL(STAYS_MATCHED, STAYS_MATCHED_REVERSE),
        append_only("ledger_match"),
        append_only("ledger_discrepancynote"),
    ]
