import django.db.models.deletion
import django.db.models.functions.text
from django.db import migrations, models


def foreign_key(to: str, name: str, **options: bool) -> models.ForeignKey:
    return models.ForeignKey(
        db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name=name, to=to, **options
    )


class Migration(migrations.Migration):
    """Indexes for what people look for; instead of three that others which begin with the same column stand for."""

    dependencies = [("payments", "0007_refunds_await_approval")]

    operations = [
        migrations.AlterField("payment", "merchant", foreign_key("merchants.merchant", "payments")),
        migrations.AlterField("payment", "gateway", foreign_key("gateways.gateway", "payments", null=True)),
        migrations.AlterField("attempt", "gateway", foreign_key("gateways.gateway", "attempts")),
        migrations.AddIndex("card", models.Index(fields=["last4", "-id"], name="card_by_last4")),
        migrations.AddIndex(
            "payment",
            models.Index(
                django.db.models.functions.text.Upper("customer_email"),
                models.OrderBy(models.F("id"), descending=True),
                condition=models.Q(("customer_email", ""), _negated=True),
                name="payment_by_email",
            ),
        ),
        migrations.AddIndex("payment", models.Index(fields=["mode", "currency", "-id"], name="payment_by_currency")),
        migrations.AddIndex(
            "payment",
            models.Index(
                fields=["status", "-id"],
                condition=models.Q(("status", "captured"), _negated=True),
                name="payment_not_captured",
            ),
        ),
        migrations.AddIndex(
            "payment",
            models.Index(
                fields=["decline_code", "-id"],
                condition=models.Q(("decline_code", ""), _negated=True),
                name="payment_by_decline",
            ),
        ),
        migrations.AddIndex(
            "refund",
            models.Index(
                fields=["-id"],
                condition=models.Q(("status__in", ["requested", "awaiting_approval", "processing"])),
                name="refund_open",
            ),
        ),
    ]
