"""The database numbers what is written into the audit, tells itself what nobody else told, and keeps the seals.

Which tables are watched is said in `checkout.kit.watched`, and attached after every migration.
"""

from django.db import migrations, models

from checkout.kit.append_only import append_only

# Transactions are numbered by PostgreSQL, which begins again in a new cluster: what is added to its numbers grows when
# a backup has been restored into one (`checkout.kit.watching`). Below the second number every transaction has ended.
NUMBERS = """
CREATE FUNCTION audit_transaction() RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT pg_current_xact_id()::text::bigint + 0
$$;
CREATE FUNCTION audit_settled() RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint + 0
$$;
"""
NUMBERS_REVERSE = "DROP FUNCTION audit_transaction(); DROP FUNCTION audit_settled();"

# An entry of the change of one row, unless nothing changed; of what is hidden only that it did. The key is a UUIDv7.
TELL = """
CREATE FUNCTION audit_tell(
    kind text, about text, verb text, was jsonb, becomes jsonb, hidden text[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    hint constant text := CASE WHEN was IS NULL THEN '(set)' WHEN becomes IS NULL THEN '(removed)' ELSE '(changed)' END;
    person constant text := nullif(current_setting('checkout.actor', true), '');
    told_at constant timestamptz := clock_timestamp();
    before jsonb;
    after jsonb;
BEGIN
    IF was = becomes THEN
        RETURN;
    END IF;
    SELECT
        coalesce(jsonb_object_agg(name, CASE WHEN name = ANY(hidden) THEN to_jsonb(hint) ELSE was->name END)
            FILTER (WHERE was->name <> 'null' AND (becomes IS NULL OR name <> ALL(hidden))), '{}'),
        coalesce(jsonb_object_agg(name, CASE WHEN name = ANY(hidden) THEN to_jsonb(hint) ELSE becomes->name END)
            FILTER (WHERE becomes->name <> 'null'), '{}')
    INTO before, after
    FROM jsonb_object_keys(coalesce(becomes, was)) AS name
    WHERE was->name IS DISTINCT FROM becomes->name;
    INSERT INTO kit_auditentry
        (id, at, actor, verb, object_type, object_id, reason, before, after, address, told_by_database)
    VALUES (
        overlay(overlay(gen_random_uuid()::text PLACING '7' FROM 15 FOR 1) PLACING regexp_replace(
            lpad(to_hex((extract(epoch FROM told_at) * 1000)::bigint), 12, '0'), '(.{8})', '\\1-'
        ) FROM 1 FOR 13)::uuid,
        told_at, left(coalesce(person, 'database:' || session_user), 160), verb, kind, about, '', before, after,
        coalesce(CASE WHEN person IS NOT NULL THEN current_setting('checkout.address', true) END,
            host(inet_client_addr()), ''),
        true
    );
END $$;
"""
TELL_REVERSE = """
DO $$
DECLARE
    watched regclass;
BEGIN
    FOR watched IN SELECT tgrelid FROM pg_trigger WHERE tgname = 'accounted_for' LOOP
        EXECUTE format('DROP TRIGGER accounted_for ON %s; DROP FUNCTION account_for_%s()', watched, watched);
    END LOOP;
END $$;
DROP FUNCTION audit_tell(text, text, text, jsonb, jsonb, text[]);
"""

# Nobody slips an entry into what is sealed.
IN_THE_PRESENT = """
CREATE FUNCTION audit_is_written_in_the_present() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'an audit entry bears the number of its transaction' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER in_the_present BEFORE INSERT ON kit_auditentry FOR EACH ROW
    WHEN (NEW.transaction_id <> audit_transaction()) EXECUTE FUNCTION audit_is_written_in_the_present();
"""
IN_THE_PRESENT_REVERSE = """
DROP TRIGGER in_the_present ON kit_auditentry;
DROP FUNCTION audit_is_written_in_the_present();
"""


class Migration(migrations.Migration):
    dependencies = [("kit", "0006_a_maker_withdraws")]

    operations = [
        migrations.RunSQL(NUMBERS, NUMBERS_REVERSE),
        migrations.AddField(
            model_name="auditentry",
            name="told_by_database",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name="auditentry",
            name="transaction_id",
            field=models.BigIntegerField(db_default=models.Func(function="audit_transaction"), editable=False),
        ),
        migrations.AddIndex(
            model_name="auditentry",
            index=models.Index(fields=["transaction_id", "id"], name="audit_by_transaction"),
        ),
        migrations.AddIndex(
            model_name="auditentry",
            index=models.Index(
                condition=~models.Q(actor__startswith="key:") & ~models.Q(actor__startswith="task:"),
                fields=["id"],
                name="audit_by_hand",
            ),
        ),
        migrations.AddIndex(
            model_name="auditentry",
            index=models.Index(
                condition=~models.Q(object_type__in=["payment", "refund"]),
                fields=["object_type", "id"],
                name="audit_but_payments",
            ),
        ),
        migrations.AddIndex(
            model_name="auditentry",
            index=models.Index(
                condition=models.Q(told_by_database=True), fields=["id"], name="audit_told_by_database"
            ),
        ),
        migrations.CreateModel(
            name="AuditSeal",
            fields=[
                ("number", models.BigIntegerField(primary_key=True, serialize=False)),
                ("begins_at", models.BigIntegerField()),
                ("ends_at", models.BigIntegerField()),
                ("entry_count", models.BigIntegerField()),
                ("content_hash", models.BinaryField(max_length=32)),
                ("seal_hash", models.BinaryField(max_length=32)),
                ("sealed_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={"ordering": ["-number"]},
        ),
        migrations.RunSQL(TELL, TELL_REVERSE),
        migrations.RunSQL(IN_THE_PRESENT, IN_THE_PRESENT_REVERSE),
        append_only("kit_auditseal"),
    ]
