"""Every line and item is changed once, when it is matched: its pages, and its keys', leave room for that.

The guard of what is matched comes after the change: one that comes before makes PostgreSQL lock each row first, and
write that down, even where its condition is false. A row's first key stays in the order in which rows come, so the
room is where the second one goes.
"""

from django.db import migrations

_TABLES = {
    "ledger_settlementline": ("ledger_settlementline_pkey", "line_once"),
    "ledger_clearingitem": ("ledger_clearingitem_pkey", "item_by_reference"),
}

_GUARD = """
DROP TRIGGER stays_matched ON {table};
CREATE TRIGGER stays_matched {moment} UPDATE OR DELETE ON {table}
    FOR EACH ROW WHEN (OLD.match_id IS NOT NULL) EXECUTE FUNCTION ledger_stays_matched();
"""


def _guards(moment: str) -> str:
    return "".join(_GUARD.format(table=table, moment=moment) for table in _TABLES)


def _room(change: str) -> str:
    return "".join(
        f"ALTER TABLE {table} {change};" + "".join(f"ALTER INDEX {index} {change};" for index in indexes)
        for table, indexes in _TABLES.items()
    )


class Migration(migrations.Migration):
    dependencies = [("ledger", "0011_facts_are_filed_in_one_call")]

    operations = [
        migrations.RunSQL(_guards("AFTER"), _guards("BEFORE")),
        migrations.RunSQL(_room("SET (fillfactor = 45)"), _room("RESET (fillfactor)")),
    ]
