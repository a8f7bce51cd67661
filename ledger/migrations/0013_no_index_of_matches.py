"""Nothing is looked up by its match, and each of millions of rows matched at once was entered in an index of them."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("ledger", "0012_room_for_what_matching_changes")]

    operations = [
        migrations.RemoveIndex(model_name="clearingitem", name="item_of_match"),
        migrations.RemoveIndex(model_name="settlementline", name="line_of_match"),
    ]
