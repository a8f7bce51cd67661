"""Where do secrets come from? The environment first; else generated once and kept, so that data stays readable."""

import base64
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from checkout.launch.files import read_json, write_private

_NEEDED: dict[str, Callable[[], str]] = {
    "SECRET_KEY": lambda: secrets.token_urlsafe(64),
    "FERNET_KEYS": lambda: base64.urlsafe_b64encode(os.urandom(32)).decode(),
    "FINGERPRINT_KEY": lambda: secrets.token_hex(32),
    "API_KEY_HASH_KEY": lambda: secrets.token_hex(32),
    "IDEMPOTENCY_FINGERPRINT_KEY": lambda: secrets.token_hex(32),
}
_FOR_THE_DEMO: dict[str, Callable[[], str]] = {
    "DEMO_ADMIN_PASSWORD": lambda: secrets.token_urlsafe(12),
}


def fresh() -> dict[str, str]:
    """New strong values for every secret that an installation needs, by the name of its variable."""
    return {name: make() for name, make in _NEEDED.items()}


class Keyring:
    """The secrets of one installation, in one private file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._values: dict[str, str] = read_json(path)

    def complete(self, environment: Mapping[str, str]) -> dict[str, str]:
        """The application's secrets: what the environment says, else what was generated here, now or earlier."""
        makers = {**_NEEDED, **_FOR_THE_DEMO}
        return {name: environment.get(name) or self._kept(name, make) for name, make in makers.items()}

    def password(self, name: str) -> str:
        """The password of a private service, generated here, now or earlier."""
        return self._kept(name, lambda: secrets.token_hex(24))

    def get(self, name: str) -> str | None:
        """A secret kept earlier, or None."""
        return self._values.get(name)

    def keep(self, name: str, value: str) -> None:
        """Add a secret to the file, at once and for good."""
        self._values[name] = value
        write_private(self.path, self._values)

    def _kept(self, name: str, make: Callable[[], str]) -> str:
        if name not in self._values:
            self.keep(name, make())
        return self._values[name]
