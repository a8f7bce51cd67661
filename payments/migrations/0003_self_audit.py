"""What the self-audit found is kept. It compares rows with what is written down under their outside names, so the
database must know those names too."""

from django.db import migrations, models

# The same as `checkout.kit.ids.public_id`: 22 base-62 digits, cut into pieces that a bigint can hold.
PUBLIC_ID = """
CREATE FUNCTION public_id(prefix text, key uuid) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    digits constant text := '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
    hex constant text := replace(key::text, '-', '');
    number constant numeric :=
        (('x' || substr(hex, 1, 8))::bit(32)::bigint * 4294967296::numeric
        + ('x' || substr(hex, 9, 8))::bit(32)::bigint) * 18446744073709551616::numeric
        + ('x' || substr(hex, 17, 8))::bit(32)::bigint * 4294967296::numeric
        + ('x' || substr(hex, 25, 8))::bit(32)::bigint;
    rest constant numeric := mod(number, 704423425546998022968330264616370176::numeric);
    high constant bigint := div(number, 704423425546998022968330264616370176::numeric);
    middle constant bigint := div(rest, 839299365868340224::numeric);
    low constant bigint := mod(rest, 839299365868340224::numeric);
BEGIN
    RETURN prefix || '_' || {digits};
END $$;
"""


def _digits(variable: str, count: int) -> list[str]:
    return [f"substr(digits, ({variable} / {62**place} % 62)::int + 1, 1)" for place in reversed(range(count))]


class Migration(migrations.Migration):
    dependencies = [("payments", "0002_evidence_is_append_only")]

    operations = [
        migrations.RunSQL(
            PUBLIC_ID.format(
                digits=" || ".join([*_digits("high", 2), *_digits("middle", 10), *_digits("low", 10)])
            ),
            "DROP FUNCTION public_id(text, uuid)",
        ),
        migrations.CreateModel(
            name="AuditRun",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("started_at", models.DateTimeField()),
                ("duration_ms", models.PositiveIntegerField()),
                ("result", models.CharField(choices=[("green", "Green"), ("red", "Red")], max_length=5)),
                ("findings", models.JSONField(default=list)),
                ("counts", models.JSONField(default=dict)),
            ],
            options={
                "ordering": ["-id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("result__in", ["green", "red"])), name="audit_run_result"
                    )
                ],
            },
        ),
    ]
