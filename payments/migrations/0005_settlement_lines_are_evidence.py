from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('payments', '0004_reversals_challenges_and_verifications'),
    ]

    operations = [
        migrations.AlterField(
            model_name='evidence',
            name='source',
            field=models.CharField(choices=[('response', 'Response'), ('inquiry', 'Inquiry'), ('cancel', 'Cancel'), ('lease', 'Lease'), ('operator', 'Operator'), ('settlement', 'Settlement')], max_length=10),
        ),
    ]
