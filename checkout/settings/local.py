"""One machine, one person: what `make run` uses."""

from checkout.settings.base import *  # noqa: F403

ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]", "web"]
WEBHOOK_ALLOW_LOOPBACK = True

if "EMAIL_URL" not in env:  # noqa: F405
    EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
