"""Who tells of a change that nobody accounted for? The database itself, at commit.

Each watched table has a deferred trigger. For every row that was inserted, updated or deleted it asks at commit whether
the transaction wrote an audit entry about that object; if not, it writes one: its verb is `<table>.<what was done>`,
its actor whoever the transaction says it acts for (`checkout.kit.acting`), or else the database's own user.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from django.apps import apps
from django.db import connections, models, transaction

from checkout.kit.fields import EncryptedTextField
from checkout.kit.models import AuditSeal, PublicModel

TRIGGER = "accounted_for"

_ATTACH = """
CREATE OR REPLACE FUNCTION account_for_{table}() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
DECLARE
    it "{table}"%ROWTYPE;
    subject text;
BEGIN
    IF TG_OP = 'DELETE' THEN
        it := OLD;
    ELSE
        it := NEW;
    END IF;
    subject := left({about}, 64);
    IF subject IS NOT NULL AND coalesce({when}, false) AND NOT EXISTS (
        SELECT FROM kit_auditentry WHERE transaction_id = audit_transaction() AND NOT told_by_database
            AND object_id = ANY(ARRAY[subject, {also}])
    ) THEN
        PERFORM audit_tell(
            '{kind}', subject, '{table}.' || lower(TG_OP), {was}, {becomes}, '{{{hidden}}}'
        );
    END IF;
    RETURN NULL;
END $$;
DROP TRIGGER IF EXISTS {trigger} ON "{table}";
CREATE CONSTRAINT TRIGGER {trigger} AFTER {events} ON "{table}" DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION account_for_{table}();
"""
_DETACH = 'DROP TRIGGER {trigger} ON "{table}"; DROP FUNCTION account_for_{table}()'
_REMEMBER = "COMMENT ON TRIGGER {trigger} ON \"{table}\" IS '{digest}'"
_ATTACHED = """
SELECT relname, obj_description(trigger.oid, 'pg_trigger')
FROM pg_trigger AS trigger JOIN pg_class ON pg_class.oid = tgrelid
WHERE tgname = %s AND relnamespace = current_schema()::regnamespace
"""
_COUNT_FROM = "CREATE OR REPLACE FUNCTION audit_offset() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT {more}::bigint'"

# What a foreign key to something without an outside name is called.
_NAMES = {
    "kit.User": "(SELECT 'user:' || username FROM kit_user WHERE id = {})",
    "auth.Group": "(SELECT name FROM auth_group WHERE id = {})",
    "auth.Permission": "(SELECT codename FROM auth_permission WHERE id = {})",
}


@dataclass(frozen=True)
class Watched:
    """A table whose changes the audit tells of.

    `model` is named as Django names it. `about` is the outside name of what a row belongs to, in SQL, of the row `it`;
    by default its own; what went away together with it is told of with it. An entry about `also` accounts for it as
    well. It is told of only `when` so, in SQL of OLD and NEW. `kind` is what the subject is called. `only`
    these columns matter, or all but those `ignored`; `hidden` ones are told of without values, encrypted ones always.
    """

    model: str
    kind: str = ""
    about: str = ""
    also: str = "NULL"
    only: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    events: str = "INSERT OR UPDATE OR DELETE"
    when: str = "true"

    def sql(self, model: type[models.Model], schema: str) -> str:
        """The statements that attach the trigger to the model's table."""
        columns = {str(field.column): field for field in model._meta.concrete_fields}
        ignored = [name for name in columns if name in self.ignored or (self.only and name not in self.only)]
        encrypted = [name for name, field in columns.items() if isinstance(field, EncryptedTextField)]
        kept = [(name, field) for name, field in columns.items() if name not in ignored]
        named = [f"'{name}', {call}" for name, field in kept if (call := _call(field))]
        facts = f"to_jsonb({{row}}) - '{{{{{','.join(ignored)}}}}}'::text[]"
        if named:
            facts += f" || jsonb_build_object({', '.join(named)})"
        return _ATTACH.format(
            trigger=TRIGGER,
            schema=schema,
            table=model._meta.db_table,
            events=self.events,
            about=self.about or _named(model, "it.id"),
            also=self.also,
            when=self.when,
            kind=self.kind or model._meta.model_name,
            hidden=",".join([*self.hidden, *encrypted]),
            was=facts.format(row="OLD"),
            becomes=facts.format(row="NEW"),
        )


def _named(model: type[models.Model], value: str) -> str:
    """What an object with this key is called outside, in SQL; nothing if it has no name."""
    if issubclass(model, PublicModel):
        return f"public_id('{model.PUBLIC_PREFIX}', {value})"
    return _NAMES.get(model._meta.label, "").format(value)


def _call(field: "models.Field[Any, Any]") -> str:
    return _named(field.related_model, f"{{row}}.{field.column}") if isinstance(field, models.ForeignKey) else ""


def watch(tables: tuple[Watched, ...], *, using: str = "default") -> None:
    """Have exactly these tables watched, as far as they are there. What is attached as it should be is left alone."""
    connection = connections[using]
    with transaction.atomic(using=using), connection.cursor() as cursor:
        if AuditSeal._meta.db_table not in connection.introspection.table_names(cursor):
            return  # migrated only so far, or back
        _keep_counting(cursor)
        cursor.execute("SELECT quote_ident(current_schema())")
        (schema,) = cursor.fetchone()
        there = set(connection.introspection.table_names(cursor))
        cursor.execute(_ATTACHED, [TRIGGER])
        attached = dict(cursor.fetchall())
        for table in tables:
            model = apps.get_model(table.model)
            if model._meta.db_table not in there:
                continue
            sql = table.sql(model, schema)
            digest = sha256(sql.encode()).hexdigest()
            if attached.pop(model._meta.db_table, None) != digest:
                cursor.execute(sql)
                cursor.execute(_REMEMBER.format(trigger=TRIGGER, table=model._meta.db_table, digest=digest))
        for name in attached:
            cursor.execute(_DETACH.format(trigger=TRIGGER, table=name))


def _keep_counting(cursor: Any) -> None:
    """In a new cluster, into which a backup was restored, transactions are numbered on from where they were."""
    cursor.execute("SELECT coalesce(max(transaction_id), 0) FROM kit_auditentry")
    (last,) = cursor.fetchone()
    cursor.execute("SELECT audit_transaction(), pg_current_xact_id()::text::bigint")
    present, bare = cursor.fetchone()
    if present <= last:
        cursor.execute(_COUNT_FROM.format(more=last - bare + 1))
