import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('gateways', '0003_notices_say_how_much'),
    ]

    operations = [
        migrations.CreateModel(
            name='ObservedFee',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('currency', models.CharField(max_length=3)),
                ('on', models.DateField()),
                ('charge_count', models.BigIntegerField(default=0)),
                ('gross_minor', models.BigIntegerField(default=0)),
                ('fee_minor', models.BigIntegerField(default=0)),
                ('gateway', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='observed_fees', to='gateways.gateway')),
            ],
            options={
                'ordering': ['gateway', 'currency', '-on'],
                'constraints': [models.UniqueConstraint(fields=('gateway', 'currency', 'on'), name='observed_fee_once')],
            },
        ),
    ]
