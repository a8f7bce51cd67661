"""How are many new rows of different tables written at once? In one statement, one round trip.

Foreign keys are checked at commit, so the order of the rows does not matter.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from django.db import connection, models


def insert_all(rows: Iterable[models.Model]) -> None:
    """Insert new rows, of whatever tables, in one statement. Keys must be set by us or by the database's identity.

    `auto_now` and `auto_now_add` are obeyed, signals are not sent, and the rows do not learn what the database gave.
    """
    rows = list(rows)
    if not rows:
        return
    values = []
    for row in rows:
        for field in _columns(type(row)):
            values.append(field.get_db_prep_save(field.pre_save(row, add=True), connection))
        row._state.adding = False
        row._state.db = connection.alias
    with connection.cursor() as cursor:
        cursor.execute(_statement(tuple(type(row) for row in rows)), values)


@lru_cache(maxsize=256)
def _columns(model: type[models.Model]) -> tuple[Any, ...]:
    return tuple(
        field
        for field in model._meta.concrete_fields
        if not isinstance(field, models.AutoField) and (field.has_default() or not field.has_db_default())
    )


@lru_cache(maxsize=256)
def _statement(tables: tuple[type[models.Model], ...]) -> str:
    inserts = []
    for number, model in enumerate(tables):
        columns = _columns(model)
        names = ", ".join(f'"{field.column}"' for field in columns)
        marks = ", ".join(["%s"] * len(columns))
        table = model._meta.db_table
        inserts.append(f'row{number} AS (INSERT INTO "{table}" ({names}) VALUES ({marks}))')  # noqa: S608
    return f"WITH {', '.join(inserts)} SELECT 1"
