"""The tests: real PostgreSQL and Redis, fixed keys, fast password hashing."""

import os

for _name in ("SECRET_KEY", "FERNET_KEYS", "FINGERPRINT_KEY", "API_KEY_HASH_KEY", "IDEMPOTENCY_FINGERPRINT_KEY"):
    os.environ.setdefault(_name, f"test-only-{_name.lower()}-0123456789abcdef")

from checkout.settings.base import *  # noqa: E402, F403

FAILPOINTS = True
WEBHOOK_ALLOW_LOOPBACK = True
ALLOWED_HOSTS = ["*"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
