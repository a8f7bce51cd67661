import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('gateways', '0003_notices_say_how_much'),
        ('ledger', '0005_closed_days_and_seals'),
        ('merchants', '0003_country_is_assigned'),
    ]

    operations = [
        migrations.AddField(
            model_name='settlementbatch',
            name='entry',
            field=models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='settlement_batch', to='ledger.journalentry'),
        ),
        migrations.AddField(
            model_name='settlementbatch',
            name='payout_minor',
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='settlementfile',
            name='reconciled_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AlterField(
            model_name='clearingitem',
            name='match',
            field=models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='items', to='ledger.match'),
        ),
        migrations.AlterField(
            model_name='match',
            name='gateway',
            field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='matches', to='gateways.gateway'),
        ),
        migrations.AlterField(
            model_name='match',
            name='how',
            field=models.CharField(choices=[('exact', 'Exact'), ('rounding', 'Rounding'), ('our_reference', 'Our Reference'), ('split', 'Split'), ('amount_and_date', 'Amount And Date'), ('by_hand', 'By Hand'), ('posted', 'Posted')], max_length=20),
        ),
        migrations.AlterField(
            model_name='settlementline',
            name='match',
            field=models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='lines', to='ledger.match'),
        ),
        migrations.AddIndex(
            model_name='clearingitem',
            index=models.Index(fields=['reference'], name='item_by_reference'),
        ),
        migrations.AddIndex(
            model_name='journalentry',
            index=models.Index(condition=models.Q(('kind__in', ['capture', 'refund_succeeded', 'late_success', 'late_success_reversed', 'wallet_topped_up', 'gift_card_issued']), models.Q(('gateway_reference', ''), _negated=True)), fields=['gateway_reference'], name='entry_by_gateway_reference'),
        ),
        migrations.AddIndex(
            model_name='settlementfile',
            index=models.Index(condition=models.Q(('reconciled_at', None), ('status', 'imported')), fields=['gateway'], name='file_to_reconcile'),
        ),
    ]
