import checkout.kit.fields
import checkout.kit.ids
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('gateways', '0004_observed_fees'),
        ('kit', '0004_approvals'),
    ]

    operations = [
        migrations.CreateModel(
            name='GatewayMaintenance',
            fields=[
                ('id', models.UUIDField(default=checkout.kit.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('starts_at', models.DateTimeField()),
                ('ends_at', models.DateTimeField()),
                ('reason', models.CharField(max_length=200)),
                ('planned_by', models.CharField(max_length=160)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('canceled_at', models.DateTimeField(null=True)),
            ],
            options={
                'ordering': ['starts_at', 'id'],
            },
        ),
        migrations.CreateModel(
            name='PendingCredentials',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('values', checkout.kit.fields.EncryptedTextField(editable=False)),
            ],
        ),
        migrations.RemoveConstraint(
            model_name='gateway',
            name='gateway_status',
        ),
        migrations.AlterField(
            model_name='gateway',
            name='status',
            field=models.CharField(choices=[('enabled', 'Enabled'), ('draining', 'Draining'), ('disabled', 'Disabled')], default='enabled', max_length=10),
        ),
        migrations.AlterField(
            model_name='historicalgateway',
            name='status',
            field=models.CharField(choices=[('enabled', 'Enabled'), ('draining', 'Draining'), ('disabled', 'Disabled')], default='enabled', max_length=10),
        ),
        migrations.AddIndex(
            model_name='gatewaycall',
            index=models.Index(fields=['gateway', '-started_at'], name='call_by_gateway_and_time'),
        ),
        migrations.RemoveIndex(
            model_name='gatewaycall',
            name='call_by_gateway',
        ),
        migrations.AddConstraint(
            model_name='gateway',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['enabled', 'draining', 'disabled'])), name='gateway_status'),
        ),
        migrations.AddField(
            model_name='gatewaymaintenance',
            name='gateway',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='maintenances', to='gateways.gateway'),
        ),
        migrations.AddField(
            model_name='pendingcredentials',
            name='approval',
            field=models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='kit.approval'),
        ),
        migrations.AddIndex(
            model_name='gatewaymaintenance',
            index=models.Index(condition=models.Q(('canceled_at', None)), fields=['ends_at'], name='maintenance_open'),
        ),
        migrations.AddConstraint(
            model_name='gatewaymaintenance',
            constraint=models.CheckConstraint(condition=models.Q(('ends_at__gt', models.F('starts_at'))), name='maintenance_lasts'),
        ),
    ]
