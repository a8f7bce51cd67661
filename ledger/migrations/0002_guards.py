"""What the database itself refuses: entries that do not balance, postings that come later or in another currency than
their account, and any change of either.

Transition tables cannot be had by constraint triggers, so the first two are two triggers.
"""

from django.db import migrations

from checkout.kit.append_only import append_only

# Once per entry, at commit: a check per posting would be quadratic for an entry with many.
ENTRY_BALANCES = """
CREATE FUNCTION ledger_entry_balances() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    posting_count bigint;
    is_balanced boolean;
BEGIN
    SELECT sum(per_currency.posting_count), bool_and(per_currency.total = 0)
    INTO posting_count, is_balanced
    FROM (
        SELECT count(*) AS posting_count, sum(amount_minor) AS total
        FROM ledger_posting WHERE entry_id = NEW.id GROUP BY currency
    ) AS per_currency;
    IF coalesce(posting_count, 0) < 2 OR NOT is_balanced THEN
        RAISE EXCEPTION 'journal entry % does not balance', NEW.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER entry_balances AFTER INSERT ON ledger_journalentry
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_entry_balances();
"""
ENTRY_BALANCES_REVERSE = """
DROP TRIGGER entry_balances ON ledger_journalentry;
DROP FUNCTION ledger_entry_balances();
"""

# The subquery, rather than a join, is looked up by key whatever the planner thinks of the sizes.
POSTINGS_COME_WITH_THEIR_ENTRY = """
CREATE FUNCTION ledger_postings_come_with_their_entry() RETURNS trigger LANGUAGE plpgsql AS $$
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

CREATE TRIGGER comes_with_its_entry AFTER INSERT ON ledger_posting
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION ledger_postings_come_with_their_entry();
"""
POSTINGS_COME_WITH_THEIR_ENTRY_REVERSE = """
DROP TRIGGER comes_with_its_entry ON ledger_posting;
DROP FUNCTION ledger_postings_come_with_their_entry();
"""

POSTING_HAS_THE_CURRENCY_OF_ITS_ACCOUNT = """
ALTER TABLE ledger_posting ADD CONSTRAINT posting_currency_of_account
    FOREIGN KEY (account_id, currency) REFERENCES ledger_account (id, currency);
"""
POSTING_HAS_THE_CURRENCY_OF_ITS_ACCOUNT_REVERSE = """
ALTER TABLE ledger_posting DROP CONSTRAINT posting_currency_of_account;
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0001_initial")]

    operations = [
        migrations.RunSQL(ENTRY_BALANCES, ENTRY_BALANCES_REVERSE),
        migrations.RunSQL(POSTINGS_COME_WITH_THEIR_ENTRY, POSTINGS_COME_WITH_THEIR_ENTRY_REVERSE),
        migrations.RunSQL(POSTING_HAS_THE_CURRENCY_OF_ITS_ACCOUNT, POSTING_HAS_THE_CURRENCY_OF_ITS_ACCOUNT_REVERSE),
        append_only("ledger_journalentry"),
        append_only("ledger_posting"),
    ]
