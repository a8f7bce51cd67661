"""Facts are filed by a function of the database, so that their statement is planned once per connection.

`drafts` and `legs` are JSON arrays, as `ledger.services.recording` writes them. An entry of a closed day goes to the
next open one; only entries of days that are over have to ask. Returns the entries that were news.
"""

from django.db import migrations

FILE = """
CREATE FUNCTION ledger_file_entries(drafts json, legs json) RETURNS SETOF uuid LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY
    WITH drafted AS (
        SELECT * FROM json_to_recordset(drafts) AS draft (
            id uuid, kind text, reference text, mode text, merchant_id uuid, gateway_id uuid, gateway_reference text,
            payment_reference text, body_hash bytea, occurred_on date, currencies text[],
            item_kind text, gross_minor bigint, fee_minor bigint, clearing_reference text
        )
    ), filed AS (
        INSERT INTO ledger_journalentry AS entry (id, kind, reference, mode, merchant_id, gateway_id,
                                                  gateway_reference, payment_reference, body_hash, occurred_on)
        SELECT drafted.id, drafted.kind, drafted.reference, drafted.mode, drafted.merchant_id, drafted.gateway_id,
            drafted.gateway_reference, drafted.payment_reference, drafted.body_hash,
            CASE WHEN drafted.gateway_id IS NOT NULL AND drafted.occurred_on < (now() AT TIME ZONE 'UTC')::date
                THEN ledger_open_day(drafted.gateway_id, drafted.mode, drafted.currencies, drafted.occurred_on)
                ELSE drafted.occurred_on END
        FROM drafted
        ON CONFLICT (kind, reference) DO NOTHING
        RETURNING entry.id, entry.occurred_on
    ), posted AS (
        INSERT INTO ledger_posting (entry_id, account_id, currency, amount_minor)
        SELECT leg.entry_id, leg.account_id, leg.currency, leg.amount_minor
        FROM ROWS FROM (
            json_to_recordset(legs) AS (entry_id uuid, account_id bigint, currency text, amount_minor bigint)
        ) WITH ORDINALITY AS leg (entry_id, account_id, currency, amount_minor, place)
        JOIN filed ON filed.id = leg.entry_id
        ORDER BY leg.place
    ), expected AS (
        INSERT INTO ledger_clearingitem (entry_id, gateway_id, mode, kind, currency, gross_minor, fee_minor,
                                         gateway_reference, reference, occurred_on)
        SELECT drafted.id, drafted.gateway_id, drafted.mode, drafted.item_kind, drafted.currencies[1],
            drafted.gross_minor, drafted.fee_minor, drafted.gateway_reference, drafted.clearing_reference,
            filed.occurred_on
        FROM drafted JOIN filed ON filed.id = drafted.id WHERE drafted.item_kind IS NOT NULL
    )
    SELECT filed.id FROM filed;
END
$$;
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0010_what_one_person_explained_alone")]

    operations = [migrations.RunSQL(FILE, "DROP FUNCTION ledger_file_entries(json, json)")]
