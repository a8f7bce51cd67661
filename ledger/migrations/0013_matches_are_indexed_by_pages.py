"""Millions of rows are matched at once. An index that knows each of them takes as long again as the change itself; one
that knows which pages hold which matches costs next to nothing, since rows lie about as they were matched.
"""

import django.contrib.postgres.indexes
from django.db import migrations


def _by_pages(name: str) -> django.contrib.postgres.indexes.BrinIndex:
    return django.contrib.postgres.indexes.BrinIndex(
        autosummarize=True, fields=["match"], name=name, opclasses=["int8_minmax_multi_ops"], pages_per_range=32
    )


class Migration(migrations.Migration):
    dependencies = [("ledger", "0012_room_for_what_matching_changes")]

    operations = [
        migrations.RemoveIndex(model_name="clearingitem", name="item_of_match"),
        migrations.RemoveIndex(model_name="settlementline", name="line_of_match"),
        migrations.AddIndex(model_name="clearingitem", index=_by_pages("item_by_match")),
        migrations.AddIndex(model_name="settlementline", index=_by_pages("line_by_match")),
    ]
