"""How does each test get the database as it was installed? A pytest plugin: for the flush after a transactional test
it sets aside, inside the same transaction, the triggers that refuse TRUNCATE, and then puts back what the installation
had written, instead of having it written anew. Outside the tests nothing can.
"""

from collections.abc import Iterator

import pytest
from django.core.management.commands import flush
from django.db import connection, transaction
from django.db.backends.postgresql.operations import DatabaseOperations
from pytest_django import DjangoDbBlocker

from checkout.kit.append_only import TRIGGER
from ledger.services import forget_accounts

_GUARDED_TABLES = "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = %s AND NOT tgisinternal"


@pytest.fixture(scope="session", autouse=True)
def _flush_of_append_only_tables() -> Iterator[None]:
    execute = DatabaseOperations.execute_sql_flush

    def execute_sql_flush(self: DatabaseOperations, sql_list: list[str]) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(_GUARDED_TABLES, [TRIGGER])
            tables = [table for (table,) in cursor.fetchall()]
        lift = [f"ALTER TABLE {table} DISABLE TRIGGER {TRIGGER}" for table in tables]
        restore = [f"ALTER TABLE {table} ENABLE TRIGGER {TRIGGER}" for table in tables]
        execute(self, [*lift, *sql_list, *restore])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DatabaseOperations, "execute_sql_flush", execute_sql_flush)
        yield


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """pytest-django's, and what the installation wrote is remembered: roles, what they permit, and their audit."""
    with django_db_blocker.unblock():
        installed = _rows_by_table()
        sequences = connection.introspection.sequence_list()
        numbered = [(row["table"], row["column"]) for row in sequences if row["table"] in installed]

    def put_back(*args: object) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            for table, rows in installed.items():
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
                with cursor.copy(f"COPY {table} FROM STDIN (FORMAT binary)") as copy:
                    copy.write(rows)
            for table, column in numbered:  # a test may have had the numbers begin anew
                last = f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'), max({column})) FROM {table}"  # noqa: S608
                cursor.execute(last)
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("; ".join(f"ALTER TABLE {table} ENABLE TRIGGER USER" for table in installed))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flush, "emit_post_migrate_signal", put_back)
        yield


def _rows_by_table() -> dict[str, bytes]:
    rows = {}
    with connection.cursor() as cursor:
        for table in connection.introspection.django_table_names(only_existing=True, include_views=False):
            cursor.execute(f"SELECT EXISTS (SELECT FROM {table})")  # noqa: S608
            if cursor.fetchone()[0]:
                with cursor.copy(f"COPY {table} TO STDOUT (FORMAT binary)") as copy:
                    rows[table] = b"".join(copy)
    return rows


@pytest.fixture(autouse=True)
def _accounts_do_not_outlive_a_test() -> Iterator[None]:
    yield
    forget_accounts()
