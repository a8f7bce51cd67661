import checkout.kit.ids
import django.contrib.postgres.indexes
import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('gateways', '0004_observed_fees'),
        ('ledger', '0007_what_is_matched_stays_matched'),
        ('merchants', '0003_country_is_assigned'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='ReportSubscription',
            fields=[
                ('id', models.UUIDField(default=checkout.kit.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('report', models.CharField(max_length=40)),
                ('period', models.CharField(max_length=20)),
                ('format', models.CharField(max_length=10)),
                ('mode', models.CharField(choices=[('test', 'Test'), ('live', 'Live')], max_length=4)),
                ('currency', models.CharField(blank=True, max_length=3)),
                ('every', models.CharField(choices=[('day', 'day'), ('week', 'week, on Monday'), ('month', 'month, on the first')], default='day', max_length=10)),
                ('hour', models.PositiveSmallIntegerField(default=6, help_text='0 to 23.', validators=[django.core.validators.MaxValueValidator(23)], verbose_name='hour, UTC')),
                ('due_at', models.DateTimeField(null=True)),
                ('next_at', models.DateTimeField(null=True)),
                ('last_sent_at', models.DateTimeField(null=True)),
                ('last_error', models.CharField(blank=True, max_length=200)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'ordering': ['-id'],
                'permissions': [('view_report', 'Can see, export and receive reports')],
            },
        ),
        migrations.AddIndex(
            model_name='clearingitem',
            index=django.contrib.postgres.indexes.BrinIndex(autosummarize=True, fields=['occurred_on'], name='item_by_day'),
        ),
        migrations.AddIndex(
            model_name='journalentry',
            index=django.contrib.postgres.indexes.BrinIndex(autosummarize=True, fields=['occurred_on'], name='journal_entry_by_day'),
        ),
        migrations.AddField(
            model_name='reportsubscription',
            name='gateway',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='gateways.gateway'),
        ),
        migrations.AddField(
            model_name='reportsubscription',
            name='merchant',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='merchants.merchant'),
        ),
        migrations.AddField(
            model_name='reportsubscription',
            name='recipients',
            field=models.ManyToManyField(related_name='report_subscriptions', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddIndex(
            model_name='reportsubscription',
            index=models.Index(condition=models.Q(('next_at__isnull', False)), fields=['next_at'], name='subscription_due'),
        ),
        migrations.AddConstraint(
            model_name='reportsubscription',
            constraint=models.CheckConstraint(condition=models.Q(('mode__in', ['test', 'live'])), name='subscription_mode'),
        ),
        migrations.AddConstraint(
            model_name='reportsubscription',
            constraint=models.CheckConstraint(condition=models.Q(('hour__lte', 23)), name='subscription_hour'),
        ),
        migrations.AddConstraint(
            model_name='reportsubscription',
            constraint=models.CheckConstraint(condition=models.Q(('due_at', None), ('next_at__isnull', False), _connector='OR'), name='subscription_is_queued'),
        ),
    ]
