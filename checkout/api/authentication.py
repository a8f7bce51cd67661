"""Who is asking? A merchant's software, by its API key (RFC 6750); the scheme's letter case does not matter."""

from typing import Any

from rest_framework.authentication import BaseAuthentication

from merchants import selectors, services
from merchants.errors import KeyRefused
from merchants.models import ApiKey, Merchant


class ApiKeyAuthentication(BaseAuthentication):
    """Sets `request.user` to the merchant and `request.auth` to its key."""

    def authenticate(self, request: Any) -> tuple[Merchant, ApiKey]:
        header = request.META.get("HTTP_AUTHORIZATION", "")
        scheme, _, secret = header.partition(" ")
        if not header:
            raise KeyRefused("An API key is needed: Authorization: Bearer sk_…", "missing_api_key")
        if scheme.lower() != "bearer":
            raise KeyRefused("The scheme must be Bearer.")
        key = selectors.api_key_of(secret.strip())
        services.note_key_used(key=key)
        return key.merchant, key

    def authenticate_header(self, request: Any) -> str:
        return 'Bearer realm="api"'
