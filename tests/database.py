"""How do tests get an empty ledger? A pytest plugin: for the flush after a transactional test it sets aside, inside
the same transaction, the triggers that refuse TRUNCATE. Outside the tests nothing can.
"""

from collections.abc import Iterator

import pytest
from django.db.backends.postgresql.operations import DatabaseOperations

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


@pytest.fixture(autouse=True)
def _accounts_do_not_outlive_a_test() -> Iterator[None]:
    yield
    forget_accounts()
