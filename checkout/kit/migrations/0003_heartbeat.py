"""Every process says now and then that it is alive."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("kit", "0002_audit_is_append_only")]

    operations = [
        migrations.CreateModel(
            name="Heartbeat",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=20)),
                ("host", models.CharField(blank=True, max_length=80)),
                ("pid", models.PositiveIntegerField()),
                ("beat_at", models.DateTimeField()),
                ("details", models.JSONField(default=dict)),
            ],
            options={
                "ordering": ["name", "-beat_at"],
                "constraints": [models.UniqueConstraint(fields=("name", "host", "pid"), name="heartbeat_once")],
            },
        ),
    ]
