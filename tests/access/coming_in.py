"""How does somebody come in? By the two forms, in a browser that has nothing yet."""

from typing import Any
from urllib.parse import quote

from django.test import Client

from checkout.kit.access.codes import code_at, current_step
from checkout.kit.access.models import Authenticator
from checkout.kit.models import User

HOME, LOGIN, CODE, ENROL = "/admin/", "/admin/login/", "/admin/code/", "/admin/second-factor/enrol/"
OWN = "/admin/second-factor/"
PASSWORD = "a-long-Secret-9"


def log_in(browser: Client, name: str = "ana", password: str = PASSWORD, onward: str = HOME) -> Any:
    """Send the first of the two forms; returns the answer, unfollowed."""
    return browser.post(f"{LOGIN}?next={quote(onward)}", {"username": name, "password": password, "next": onward})


def guess(name: str = "ana", times: int = 1, address: str = "192.0.2.9") -> Any:
    """Send wrong passwords from an address; returns the last answer."""
    for number in range(times):
        answer = Client(REMOTE_ADDR=address).post(LOGIN, {"username": name, "password": f"no-{number}"})
    return answer


def code_of_pending(user: User) -> str:
    """What the app shows that somebody is setting up."""
    return code_at(Authenticator.objects.get(user=user, confirmed=False).key, current_step())
