"""May this request see the desk at all? One place that every address of the admin passes, whoever made its page."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from checkout.kit.access import sessions
from checkout.kit.access.codes import authenticator_of
from checkout.kit.access.need import needs_second_factor
from checkout.kit.models import User

Answer = Callable[[HttpRequest], HttpResponse]

_ALWAYS_OPEN = {"admin:login", "admin:logout"}
_CODE, _ENROL = "admin:code", "admin:enrol"


class Gate:
    """Ends sessions that are over, and leads to the second factor whoever has one or needs one."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        """Runs before every view, after cookies and CSRF tokens were looked at."""
        match = request.resolver_match
        if match is None or "admin" not in match.app_names or not isinstance(request.user, User):
            return None
        if words := sessions.why_ended(request):
            return _end(request, words)
        sessions.touch(request)
        if match.view_name in _ALWAYS_OPEN or sessions.is_verified(request) or not request.user.is_staff:
            return None
        return self._ask(request, match.view_name)

    def _ask(self, request: HttpRequest, name: str) -> HttpResponse | None:
        assert isinstance(request.user, User)
        if authenticator_of(request.user):
            wanted = _CODE
        elif needs_second_factor(request.user):
            wanted = _ENROL
        else:
            return None
        if sessions.is_late_with_code(request):
            return _end(request, "The code took too long. Log in again.")
        return None if name == wanted else HttpResponseRedirect(f"{reverse(wanted)}?{_onward(request)}")


class ClientAddress:
    """Behind proxies of ours, who asks is what the outermost of them wrote down; anything before it can be made up."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        count = settings.PROXY_COUNT
        addresses = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",")]
        if count and len(addresses) >= count and addresses[-count]:
            request.META["REMOTE_ADDR"] = addresses[-count]
        return self.get_response(request)


def _end(request: HttpRequest, words: str) -> HttpResponse:
    logout(request)
    messages.info(request, words)
    return HttpResponseRedirect(f"{reverse('admin:login')}?{_onward(request)}")


def _onward(request: HttpRequest) -> str:
    here = request.get_full_path() if request.method == "GET" else request.path
    return urlencode({"next": here})
