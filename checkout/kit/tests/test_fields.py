"""Does a secret stay a secret at rest, and readable by us?"""

from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.fernet import InvalidToken
from django.core.exceptions import FieldError
from django.db import connection, models, transaction
from django.db.models import F, Value
from django.db.models.functions import Concat
from django.test.utils import isolate_apps

from checkout.kit.fields import EncryptedTextField, check_keys, keyed_hash

PLAIN = "sk_live_not_for_your_eyes"


@pytest.fixture
def safe(db: None) -> Iterator[Any]:
    """A table with one encrypted column, for one test."""
    with isolate_apps("checkout.kit"):

        class Safe(models.Model):  # noqa: DJ008
            secret = EncryptedTextField(default="")

            class Meta:
                app_label = "kit"

        with connection.schema_editor() as editor:
            editor.create_model(Safe)
        yield Safe


def stored(model: Any) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {model._meta.db_table}")  # noqa: S608
        return repr([bytes(value) if isinstance(value, memoryview) else value for (_, value) in cursor.fetchall()])


def test_what_is_stored_shows_nothing_and_is_read_as_it_was(safe: Any) -> None:
    safe.objects.create(secret=PLAIN)
    safe.objects.create(secret=PLAIN)

    assert [row.secret for row in safe.objects.all()] == [PLAIN, PLAIN]
    raw = stored(safe)
    assert PLAIN not in raw
    one, other = raw.strip("[]").split(", ")
    assert one != other  # the same secret twice cannot be seen to be the same


@pytest.mark.parametrize(
    "expression", [F("secret"), Value(PLAIN), Concat(Value("a"), Value("b"))], ids=["F", "Value", "Concat"]
)
def test_an_expression_is_refused_and_nothing_is_written(safe: Any, expression: Any) -> None:
    row = safe.objects.create(secret=PLAIN)
    before = stored(safe)

    with pytest.raises(FieldError, match="cannot be set by an expression"), transaction.atomic():
        safe.objects.filter(pk=row.pk).update(secret=expression)
    with pytest.raises((FieldError, ValueError)), transaction.atomic():  # Django itself refuses F in an insert
        safe.objects.create(secret=expression)

    assert stored(safe) == before


def test_a_secret_cannot_be_searched_for(safe: Any) -> None:
    with pytest.raises(FieldError):
        safe.objects.filter(secret=PLAIN).exists()


def test_after_a_rotation_old_secrets_are_read_and_new_ones_use_the_new_key(safe: Any, settings: Any) -> None:
    old, new = settings.FERNET_KEYS, "a-newer-key-0123456789abcdef"
    kept = safe.objects.create(secret=PLAIN)

    def sees(keys: list[str], row: Any) -> str:
        _use(safe, settings, keys)
        return str(safe.objects.get(pk=row.pk).secret)

    assert sees([new, *old], kept) == PLAIN
    fresh = safe.objects.create(secret="fresh")
    assert sees([new], fresh) == "fresh"
    with pytest.raises(InvalidToken):
        sees([new], kept)


def _use(model: Any, settings: Any, keys: list[str]) -> None:
    """Let a field take up other keys, as a restart would."""
    settings.FERNET_KEYS = keys
    field = model._meta.get_field("secret")
    for name in ("keys", "fernet_keys", "fernet"):
        field.__dict__.pop(name, None)


def test_a_keyed_hash_depends_on_text_and_key() -> None:
    assert keyed_hash("key", "text") == keyed_hash("key", "text")
    assert len({keyed_hash("key", "text"), keyed_hash("key", "texT"), keyed_hash("kez", "text")}) == 3
    assert len(keyed_hash("key", "text")) == 64


@pytest.mark.parametrize("name", ["FERNET_KEYS", "FINGERPRINT_KEY", "API_KEY_HASH_KEY", "IDEMPOTENCY_FINGERPRINT_KEY"])
def test_nobody_starts_without_keys_of_their_own(settings: Any, name: str) -> None:
    assert check_keys(None) == []
    setattr(settings, name, [] if name == "FERNET_KEYS" else "")
    assert [error.msg for error in check_keys(None)] == [f"{name} is not set."]
