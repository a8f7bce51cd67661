"""What do people in a real browser come to? The site itself over HTTP, on the tests' PostgreSQL and Redis.

It is served by a thread of the test's own process, so a test may play the worker between two clicks.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group
from playwright.sync_api import Browser, sync_playwright

from checkout.kit.models import User
from tests import chromium
from tests.browser.person import PASSWORD, Person
from tests.desk import app_of, code_of

SitDown = Callable[..., Person]
PEOPLE = pytest.StashKey[list[Person]]()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of them share a browser, so they share a worker of pytest-xdist."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.django_db(transaction=True))
            item.add_marker(pytest.mark.xdist_group("browser"))
            item.add_marker(pytest.mark.timeout(600))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A walk that failed tells where everybody stood."""
    report = yield
    if report.when == "call" and report.failed:
        report.sections += [("Where they stood", person.where()) for person in item.stash.get(PEOPLE, [])]
    return report


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """A Chromium for all tests here, and for none elsewhere: while it is there, an event loop runs in this thread."""
    with sync_playwright() as playwright, pytest.MonkeyPatch.context() as patch:
        found = chromium.launch(playwright)
        if found is None:
            pytest.skip(chromium.MISSING)
        patch.setitem(os.environ, "DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # nothing of ours runs in that loop
        yield found
        found.close()


@pytest.fixture
def sit_down(
    browser: Browser, live_server: Any, transactional_db: None, request: pytest.FixtureRequest
) -> Iterator[SitDown]:
    """`sit_down("fiona", "Finance")`: somebody with a role, logged in; afterwards nobody may have a complaint."""
    people = request.node.stash[PEOPLE] = []

    def sit_down(name: str, role: str, **options: Any) -> Person:
        user = User.objects.create_user(name, password=PASSWORD, is_staff=True)
        user.groups.add(Group.objects.get(name=role))
        app_of(user)
        people.append(person := Person(browser, live_server.url, name, app=lambda: code_of(user), **options))
        person.log_in()
        return person

    yield sit_down
    for person in people:
        person.leave()
    assert [complaint for person in people for complaint in person.complaints] == []
