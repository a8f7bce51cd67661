"""An audit entry is written once: the database refuses anything else."""

from django.db import migrations

from checkout.kit.append_only import append_only


class Migration(migrations.Migration):
    dependencies = [("kit", "0001_initial")]

    operations = [append_only("kit_auditentry")]
