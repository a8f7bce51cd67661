"""What we were told about an attempt is written once: the database refuses anything else."""

from django.db import migrations

from checkout.kit.append_only import append_only


class Migration(migrations.Migration):
    dependencies = [("payments", "0001_initial"), ("kit", "0002_audit_is_append_only")]

    operations = [append_only("payments_evidence")]
