"""Which pages are open to whom? Every address of the admin, tried as everybody."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import URLPattern, URLResolver
from django.urls.resolvers import RegexPattern

from checkout.kit.display import name_of
from checkout.kit.models import User
from tests.access.coming_in import CODE, ENROL, LOGIN
from tests.desk import EVERYBODY, app_of, at_desk

MODELS = {model._meta.model_name for model in admin.site._registry}

Address = tuple[str, str, Any]


def addresses() -> list[Address]:
    """Every address of the admin, of objects that are there: its name, where it is, and the verb that it asks for."""
    urls, _, _ = admin.site.urls
    return list(_walk(urls, "", None))


def _walk(patterns: Any, before: str, model: Any) -> Iterator[Address]:
    for pattern in patterns:
        if isinstance(pattern.pattern, RegexPattern):
            yield pattern.name or "", f"/admin/{'kit' if pattern.name == 'app_list' else 'no/such/page'}/", None
            continue
        path = f"{before}{pattern.pattern}"
        if isinstance(pattern, URLResolver):
            app, _, name = path.strip("/").partition("/")
            found = [m for m in admin.site._registry if (m._meta.app_label, m._meta.model_name) == (app, name)]
            yield from _walk(pattern.url_patterns, path, found[0] if found else model)
        elif isinstance(pattern, URLPattern):
            filled = re.sub(r"<(?:(\w+):)?(\w+)>", lambda part: _value(part[1], part[2], model), path)
            yield pattern.name or "", f"/admin/{filled}", pattern.default_args.get("verb")


def _value(converter: str, name: str, model: Any) -> str:
    row = model._default_manager.first() if model else None
    if name in ("object_id", "id") and row is not None:
        return quote(name_of(row))
    words = {"uuid": "00000000-0000-0000-0000-000000000000", "int": "1"}
    return words.get(converter) or {"form": "csv", "name": "revenue"}.get(name, "x")


@pytest.mark.timeout(600)
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("role", EVERYBODY)
def test_every_address_is_open_to_who_may_and_to_nobody_else(a_day: None, role: str) -> None:
    browser = at_desk(role)
    user = User.objects.get(username=f"a {role}")
    found = addresses()
    assert len(found) > 200
    assert {verb.name for _, _, verb in found if verb} >= {"refund", "new-key", "reset-second-factor", "approve"}

    for name, address, verb in found:
        if name == "logout":
            continue
        answer = browser.get(address)
        if answer.streaming:
            answer.getvalue()
        assert answer.status_code in (200, 302, 403, 404, 405), (address, answer.status_code)
        if verb and not user.has_perm(verb.permission):
            assert answer.status_code == 403, (role, address)
            assert browser.post(address, {"reason": "x"}).status_code == 403, (role, address)
        elif verb and "/approval/" not in address:  # of those it matters who asked
            assert answer.status_code in (200, 302), (role, address)
        app, _, kind = name.partition("_")
        model, _, page = kind.rpartition("_")
        if page in ("changelist", "change", "history") and model in MODELS and not verb:
            assert (answer.status_code == 403) != user.has_perm(f"{app}.view_{model}"), (role, address)
        if app == "ledger" and not any(word.startswith("ledger.") for word in user.get_all_permissions()):
            assert answer.status_code != 200, (role, address)


def test_no_address_is_open_to_who_is_not_logged_in(a_day: None) -> None:
    for name, address, _ in addresses():
        if name in ("login", "logout"):
            continue
        for send in (Client().get, Client().post):
            answer = send(address)
            assert answer.status_code == 302, (address, answer.status_code)
            assert answer["Location"].startswith(LOGIN), address


@pytest.mark.parametrize("has_app", [False, True])
def test_before_the_code_only_the_page_that_asks_for_it_is_open(a_day: None, has_app: bool) -> None:
    user = User.objects.create_superuser("root")
    if has_app:
        app_of(user)
    browser = Client()
    browser.force_login(user)
    wanted = CODE if has_app else ENROL

    for name, address, _ in addresses():
        if name in ("login", "logout") or address == wanted:
            continue
        for send in (browser.get, browser.post):
            answer = send(address)
            assert answer.status_code == 302, (address, answer.status_code)
            assert answer["Location"].startswith(wanted), (address, answer["Location"])
    assert browser.get(wanted).status_code == 200


def test_nothing_is_posted_without_the_forms_own_token(a_day: None) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.cookies = at_desk().cookies

    for _, address, _ in addresses():
        assert browser.post(address, {"reason": "x"}).status_code == 403, address
