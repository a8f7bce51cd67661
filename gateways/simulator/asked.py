"""What does a request to the control port carry?"""

from typing import Any

from aiohttp import web

from gateways.simulator.settings import SettingsRefused


async def json_object(request: web.Request) -> dict[str, Any]:
    """The object in a request's body. Raises SettingsRefused."""
    # Only JSON by name: a form on a foreign page can post text, but not this without asking first.
    if request.content_type != "application/json":
        raise SettingsRefused("the body must be application/json")
    try:
        body = await request.json()
    except (ValueError, RecursionError):
        raise SettingsRefused("the body is not JSON") from None
    if not isinstance(body, dict):
        raise SettingsRefused("the body must be an object")
    return body
