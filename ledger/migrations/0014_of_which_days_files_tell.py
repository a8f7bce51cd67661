"""Of which days does a file tell, in each currency? Counted once, when it is imported; those that are in are counted
here.
"""

import django.db.models.deletion
from django.db import migrations, models

_COUNT = """
INSERT INTO ledger_covereddays (file_id, currency, first_on, last_on)
SELECT file_id, currency, min(occurred_on), max(occurred_on)
FROM (
    SELECT file_id, currency, occurred_on, count(*) FILTER (WHERE is_first) OVER (
        PARTITION BY file_id, currency ORDER BY occurred_on
    ) AS stretch
    FROM (
        SELECT file_id, currency, occurred_on, coalesce(occurred_on - lag(occurred_on) OVER (
            PARTITION BY file_id, currency ORDER BY occurred_on
        ) > 7, true) AS is_first
        FROM (
            SELECT DISTINCT file_id, currency, occurred_on
            FROM ledger_settlementline AS line JOIN ledger_settlementfile AS file ON file.id = line.file_id
            WHERE file.status = 'imported' AND line.kind <> 'payout'
        ) AS day
    ) AS begun
) AS told
GROUP BY file_id, currency, stretch
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0013_matches_are_indexed_by_pages")]

    operations = [
        migrations.CreateModel(
            name="CoveredDays",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("currency", models.CharField(max_length=3)),
                ("first_on", models.DateField()),
                ("last_on", models.DateField()),
                (
                    "file",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="covered_days",
                        to="ledger.settlementfile",
                    ),
                ),
            ],
            options={"verbose_name_plural": "covered days"},
        ),
        migrations.RunSQL(_COUNT, migrations.RunSQL.noop),
    ]
