"""Behind a proxy that ends TLS. Everything secret comes from the environment."""

from django.core.exceptions import ImproperlyConfigured

from checkout.settings.base import *  # noqa: F403
from checkout.settings.base import PROXY_COUNT

if PROXY_COUNT < 1:
    raise ImproperlyConfigured(
        "Set PROXY_COUNT to the number of proxies of yours in front of Checkout, at least 1. Without it everybody has "
        "the proxy's address, and one person who guesses passwords locks everybody out."
    )

SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = True
# A key or token sent in the clear must not be answered by a redirect.
SECURE_REDIRECT_EXEMPT = [r"^health/", r"^metrics$", r"^v1/"]
SECURE_HSTS_SECONDS = 31_536_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
# Browsers take these from nobody but this very host, over TLS.
SESSION_COOKIE_NAME = "__Host-sessionid"
CSRF_COOKIE_NAME = "__Host-csrftoken"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
