from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('gateways', '0006_unmatched_notices_are_found'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='notice',
            index=models.Index(condition=models.Q(('status', 'set_aside')), fields=['id'], name='notice_set_aside'),
        ),
    ]
