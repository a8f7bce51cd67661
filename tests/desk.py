"""How does a test sit down at the desk? As somebody with a role, by a browser that follows links and sends forms."""

import re
from collections.abc import Callable
from html import unescape
from html.parser import HTMLParser
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django_otp import DEVICE_ID_SESSION_KEY

from checkout.kit import clock
from checkout.kit.access.codes import code_at, current_step
from checkout.kit.access.models import Authenticator
from checkout.kit.models import User
from checkout.kit.roles import ROLES
from checkout.settings import policy

EVERYBODY = ["administrator", *ROLES]


def at_desk(role: str = "administrator", *, is_fresh: bool = True) -> Client:
    """A browser in which somebody with a role is logged in; the small-lettered administrator may do everything.

    They gave a code just now; with `is_fresh=False` that was a while ago.
    """
    is_administrator = role == "administrator"
    user = User.objects.create_user(f"a {role}", is_staff=True, is_superuser=is_administrator)
    if not is_administrator:
        user.groups.add(Group.objects.get(name=role))
    return browser_of(user, is_fresh=is_fresh)


def browser_of(user: User, *, is_fresh: bool = True) -> Client:
    """A browser in which this person is logged in, with a code."""
    authenticator = app_of(user)
    browser = Client()
    browser.force_login(user)
    session = browser.session
    given_at = clock.seconds_from_now(0 if is_fresh else -policy.FRESH_CODE_SECONDS)
    session.update({DEVICE_ID_SESSION_KEY: authenticator.persistent_id, "code_given_at": int(given_at.timestamp())})
    session.save()
    return browser


def app_of(user: User) -> Authenticator:
    """The authenticator app of somebody, who has set up one by now."""
    return Authenticator.objects.get_or_create(user=user, confirmed=True)[0]


def code_of(user: User) -> str:
    """What that app shows now."""
    return code_at(app_of(user).key, current_step())


def lists() -> list[str]:
    """The address of every list."""
    return [f"/admin/{m._meta.app_label}/{m._meta.model_name}/" for m in admin.site._registry]


def details() -> list[str]:
    """The address of one page of each kind that there is a row for."""
    found = []
    for model in admin.site._registry:
        row: Any = model._default_manager.first()
        if row is not None:
            key = getattr(row, "public_id", row.pk) if hasattr(model, "PUBLIC_PREFIX") else row.pk
            found.append(f"/admin/{model._meta.app_label}/{model._meta.model_name}/{key}/change/")
    return found


def fields_of(html: str) -> dict[str, str]:
    """What the page's last form would send if nobody touched it."""
    forms = _Forms()
    forms.feed(html)
    return forms.found[-1]


def fill_in(browser: Client, address: str, **fields: Any) -> Any:
    """Open a page, fill in its form and send it; returns the answer, unfollowed."""
    page = browser.get(address)
    assert page.status_code == 200, (address, page.status_code)
    return browser.post(address, {**fields_of(page.content.decode()), **fields})


def text_of(response: Any) -> str:
    """What a page says, without its markup."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", response.content.decode())))


def badge_of(html: str, address: str) -> str:
    """The number beside an entry of the sidebar."""
    entry = html[html.index(f'<a href="{address}"') :]
    entry = entry[: entry.index("</a>")]
    _, _, badge = entry.partition("min-w-[18px]")
    return badge.partition(">")[2].partition("<")[0].strip()


def queries_of(deed: Callable[[], Any]) -> int:
    """How many queries something takes."""
    with CaptureQueriesContext(connection) as queries:
        deed()
    return len(queries)


class _Forms(HTMLParser):
    """The forms of a page: the names and values of their inputs, selects and text areas."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, str]] = []
        self._select = self._area = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        about = {name: value or "" for name, value in attributes}
        if tag == "form":
            self.found.append({})
        if not self.found:
            return
        name = about.get("name", "")
        match tag:
            case "input" if name and about.get("type") not in ("checkbox", "radio", "submit"):
                self.found[-1][name] = about.get("value", "")
            case "input" if name and "checked" in about:
                self.found[-1][name] = about.get("value", "on")
            case "select":
                self._select = name
            case "option" if self._select and "selected" in about:
                self.found[-1][self._select] = about.get("value", "")
            case "textarea":
                self._area = name
                self.found[-1][name] = ""

    def handle_data(self, data: str) -> None:
        if self._area:
            self.found[-1][self._area] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "select":
            self._select = ""
        if tag == "textarea":
            self._area = ""
