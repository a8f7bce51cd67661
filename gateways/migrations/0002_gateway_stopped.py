"""A gateway whose books do not agree with ours takes no new payments until a person has looked."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("gateways", "0001_initial")]

    operations = [
        migrations.AddField("gateway", "stopped_at", models.DateTimeField(editable=False, null=True)),
        migrations.AddField(
            "gateway", "stopped_reason", models.CharField(blank=True, default="", editable=False, max_length=200),
            preserve_default=False,
        ),
    ]
