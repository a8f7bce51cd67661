from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('merchants', '0004_what_was_missed_is_sent_in_batches'),
    ]

    operations = [
        migrations.AddField(
            model_name='webhookredelivery',
            name='served_at',
            field=models.DateTimeField(null=True),
        ),
    ]
