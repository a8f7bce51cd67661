"""May this key do that? A view names the scope each method needs."""

from typing import Any

from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import BasePermission


class HasScope(BasePermission):
    """The key carries the scope that the view asks for under `scopes[method]`, HEAD asking as GET does.

    A method without a scope is one that the view does not have.
    """

    def has_permission(self, request: Any, view: Any) -> bool:
        scope = view.scopes.get("GET" if request.method == "HEAD" else request.method)
        if scope is None or request.auth is None:
            return True
        if scope not in request.auth.scopes:
            raise PermissionDenied(f"The API key lacks the scope {scope}.", "scope_missing")
        return True
