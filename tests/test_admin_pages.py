"""Does every page of the desk open, for every role, quickly, and without asking anybody else for anything?"""

import re
from typing import Any

import pytest
from django.contrib.staticfiles import finders

from checkout.kit.models import User
from tests.desk import EVERYBODY, at_desk, details, lists

HOME = "/admin/"


@pytest.mark.parametrize("role", EVERYBODY)
def test_every_page_opens_for_who_may_see_it(a_day: None, role: str) -> None:
    browser = at_desk(role)
    user = User.objects.get(username=f"a {role}")
    assert len(details()) == len(lists())  # there is a row of everything, so every kind of page is opened

    for address in [HOME, "/admin/ledger/account/trial-balance/", *lists(), *details()]:
        answer = browser.get(address)
        app, model = (address.split("/")[2:4] + [""])[:2]
        may_see = address == HOME or user.has_perm(f"{app}.view_{model}")
        assert answer.status_code in ((200, 302) if may_see else (403,)), (address, answer.status_code)
        assert "whsec_never-shown" not in answer.content.decode()


def test_nobody_comes_in_without_logging_in(a_day: None, client: Any) -> None:
    for address in [HOME, "/admin/ledger/account/trial-balance/", *lists(), *details()]:
        assert client.get(address).status_code == 302, address


def test_no_page_asks_another_host_for_anything(a_day: None) -> None:
    browser = at_desk("administrator")
    loaded = re.compile(r"""<(?:script|link|img|iframe|source)[^>]+(?:src|href)=["']([^"']+)""")

    for address in [HOME, "/admin/ledger/account/trial-balance/", *lists(), *details()]:
        answer = browser.get(address, follow=True)
        for found in loaded.findall(answer.content.decode()):
            assert re.match("/[^/]", found), (address, found)
        policy = answer["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "script-src 'self' 'unsafe-eval'" in policy
        assert "style-src 'self' 'unsafe-inline'" in policy


def test_the_policy_is_for_the_desk_only(api: Any) -> None:
    assert "Content-Security-Policy" not in api.get("/v1/payments")


@pytest.mark.parametrize("name", ["desk/desk.css", "desk/icon.svg"])
def test_what_the_pages_look_like_is_among_the_static_files(name: str) -> None:
    assert finders.find(name)


def test_no_query_string_breaks_a_list(a_day: None) -> None:
    browser = at_desk("administrator")

    for query in ("p=999999", "p=x", "o=1.2.3", "q=%00", "all=", "e=1", "status__exact=nonsense"):
        for address in lists():
            assert browser.get(f"{address}?{query}", follow=True).status_code == 200, (address, query)
