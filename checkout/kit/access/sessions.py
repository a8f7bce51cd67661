"""How long is somebody in, and did they just prove it? Times are kept in the session, in seconds since 1970."""

from typing import Any

import django_otp
from django.http import HttpRequest

from checkout.kit import clock
from checkout.kit.access.codes import check_code
from checkout.kit.access.models import Authenticator
from checkout.kit.actors import Actor
from checkout.kit.models import User
from checkout.settings import policy

_BEGAN, _SEEN, _GIVEN = "began_at", "seen_at", "code_given_at"


def begin(request: HttpRequest, **signal: Any) -> None:
    """Somebody logged in."""
    request.session[_BEGAN] = request.session[_SEEN] = _now()


def why_ended(request: HttpRequest) -> str:
    """Why this session is over, in words for the login page; nothing while it goes on."""
    session, now = request.session, _now()
    if now - session.get(_BEGAN, 0) >= policy.SESSION_SECONDS:
        return f"A session ends after {policy.SESSION_SECONDS // 3600} hours. Log in again to go on."
    if now - session.get(_SEEN, 0) >= policy.SESSION_IDLE_SECONDS:
        minutes = policy.SESSION_IDLE_SECONDS // 60
        return f"Nothing was done here for {minutes} minutes, so you were logged out. Log in again to go on."
    if is_verified(request):
        return ""
    if _GIVEN in session:
        return "Your second factor was changed or reset. Log in again."
    return ""


def is_late_with_code(request: HttpRequest) -> bool:
    """Whether a password was given so long ago that it has to be given again before a code is."""
    return bool(_now() - request.session.get(_BEGAN, 0) >= policy.SESSION_UNVERIFIED_SECONDS)


def touch(request: HttpRequest) -> None:
    """Somebody did something. What a page reads again by itself is nobody's doing: browsers say so."""
    headers = request.headers
    is_by_itself = "Sec-Fetch-Mode" in headers and "Sec-Fetch-User" not in headers and request.method == "GET"
    if not is_by_itself and _now() - request.session.get(_SEEN, 0) >= policy.SESSION_TOUCH_SECONDS:
        request.session[_SEEN] = _now()


def is_verified(request: HttpRequest) -> bool:
    """Whether a code was given in this session, for the app that the person still has."""
    return bool(getattr(request.user, "otp_device", None))


def is_fresh(request: HttpRequest) -> bool:
    """Whether that was within the last minutes."""
    return is_verified(request) and bool(_now() - request.session.get(_GIVEN, 0) < policy.FRESH_CODE_SECONDS)


def give_code(request: HttpRequest, code: str, actor: Actor) -> None:
    """Take a code of the person at the desk. Refuses: CodeRefused, TooManyCodes."""
    assert isinstance(request.user, User)
    admit(request, check_code(user=request.user, code=code, actor=actor))


def admit(request: HttpRequest, authenticator: Authenticator) -> None:
    """The session is verified from now on, and its id is a new one."""
    django_otp.login(request, authenticator)
    request.session.cycle_key()
    request.session[_GIVEN] = _now()


def _now() -> int:
    return int(clock.now().timestamp())
