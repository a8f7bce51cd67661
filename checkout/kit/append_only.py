"""How is a table kept from forgetting? The database itself refuses to change, remove or truncate what was written."""

from django.db import migrations

TRIGGER = "append_only"

_REFUSE = f"""
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER {TRIGGER} BEFORE UPDATE OR DELETE OR TRUNCATE ON "{{table}}"
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""


def append_only(table: str) -> migrations.RunSQL:
    """A migration operation after which UPDATE, DELETE and TRUNCATE of a table raise IntegrityError, for every role.

    The trigger is per statement, so it refuses even a change that would touch no row. The function is shared by all
    such tables and stays when the operation is reversed.
    """
    return migrations.RunSQL(_REFUSE.format(table=table), f'DROP TRIGGER {TRIGGER} ON "{table}"')
