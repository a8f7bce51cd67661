from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("kit", "0005_one_open_approval_for_the_same"),
    ]

    operations = [
        migrations.RemoveConstraint(model_name="approval", name="approval_status"),
        migrations.AlterField(
            model_name="approval",
            name="status",
            field=models.CharField(
                choices=[
                    ("requested", "Requested"),
                    ("approved", "Approved"),
                    ("rejected", "Rejected"),
                    ("withdrawn", "Withdrawn"),
                    ("expired", "Expired"),
                ],
                default="requested",
                max_length=10,
            ),
        ),
        migrations.AddField(
            model_name="approval",
            name="answer",
            field=models.CharField(blank=True, db_default="", default="", max_length=500),
        ),
        migrations.AddConstraint(
            model_name="approval",
            constraint=models.CheckConstraint(
                condition=models.Q(("status__in", ["requested", "approved", "rejected", "withdrawn", "expired"])),
                name="approval_status",
            ),
        ),
    ]
