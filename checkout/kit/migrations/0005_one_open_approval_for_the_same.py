from django.db import migrations, models

# Of several that are open for the same, the latest stays.
_EXPIRE_EARLIER = """
UPDATE kit_approval AS earlier SET status = 'expired'
WHERE status = 'requested' AND EXISTS (
    SELECT 1 FROM kit_approval AS later
    WHERE later.kind = earlier.kind AND later.object_id = earlier.object_id AND later.status = 'requested'
        AND later.id > earlier.id
)
"""


class Migration(migrations.Migration):

    dependencies = [
        ('kit', '0004_approvals'),
    ]

    operations = [
        migrations.RunSQL(_EXPIRE_EARLIER, migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name='approval',
            constraint=models.UniqueConstraint(condition=models.Q(('status', 'requested')), fields=('kind', 'object_id'), name='approval_requested_once'),
        ),
    ]
