"""How is a secret kept in a column? Encrypted with Fernet; never searchable, never computed with in SQL."""

import hashlib
import hmac
from typing import Any

from django.conf import settings
from django.core.checks import Error, register
from django.core.exceptions import FieldError
from fernet_fields import EncryptedTextField as FernetTextField


class EncryptedTextField(FernetTextField):
    """Text encrypted at rest with the newest of FERNET_KEYS; all of them decrypt.

    Refuses SQL expressions (FieldError): the underlying field would store their text.
    """

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        if hasattr(value, "resolve_expression"):
            raise FieldError(f"{self.name} is encrypted and cannot be set by an expression.")
        return super().get_db_prep_save(value, connection)


def keyed_hash(key: str, text: str) -> str:
    """HMAC-SHA256 in hex: lets an encrypted or hidden value be looked up without being readable."""
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


@register()
def check_keys(app_configs: Any, **kwargs: Any) -> list[Error]:
    """Refuse to start without encryption and hashing keys of their own; none falls back to SECRET_KEY."""
    names = ("FERNET_KEYS", "FINGERPRINT_KEY", "API_KEY_HASH_KEY", "IDEMPOTENCY_FINGERPRINT_KEY")
    return [
        Error(f"{name} is not set.", hint="See .env.example.", id=f"kit.E{number:03}")
        for number, name in enumerate(names, 1)
        if not getattr(settings, name, None)
    ]
