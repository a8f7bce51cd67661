"""What does the schema say of every call? Who may make it, and how it is named."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema


class CheckoutSchema(AutoSchema):
    """Groups the calls by the resource they are about. A call is described by its summary: views explain themselves
    to who reads the code."""

    def get_tags(self) -> list[str]:
        return [self.path.removeprefix("/v1/").split("/")[0]]

    def get_description(self) -> str:  # type: ignore[override]
        return ""


class ApiKeyScheme(OpenApiAuthenticationExtension):
    """How the API key is described."""

    target_class = "checkout.api.authentication.ApiKeyAuthentication"
    name = "ApiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "sk_test_… or sk_live_…"}
