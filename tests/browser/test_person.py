"""Would anybody notice? Each thing that must never happen on a page is noted by whoever comes across it."""

from collections.abc import Iterator

import pytest

from tests.browser.conftest import SitDown
from tests.browser.person import Person

BAD_PAGE = """
<!doctype html><html lang="en"><title>Bad</title><body><main><h1>Bad</h1>
<p style="color: #bbb; background: #ccc">hard to read</p><img src="data:,"><div style="width: 3000px">wide</div></main>
"""


@pytest.fixture
def rita(sit_down: SitDown) -> Iterator[Person]:
    rita = sit_down("rita", "Read-only")
    rita.page.goto("about:blank")
    assert rita.complaints == []
    yield rita
    rita.complaints.clear()


def test_what_goes_wrong_on_a_page_is_noted(rita: Person) -> None:
    rita.page.route("**/broken", lambda route: route.fulfill(status=500, body=""))

    rita.page.evaluate("console.error('it said so')")
    rita.page.evaluate("void setTimeout(() => { throw new Error('it fell over') })")
    rita.page.evaluate("fetch('http://127.0.0.1:9/elsewhere').catch(() => 0)")
    rita.page.evaluate(f"fetch('{rita.url}/broken').catch(() => 0)")
    rita.page.wait_for_timeout(200)

    noted = "\n".join(rita.complaints)
    for expected in ("it said so", "it fell over", "asked http://127.0.0.1:9/elsewhere", f"500 from {rita.url}/broken"):
        assert expected in noted, noted


def test_what_keeps_people_from_using_a_page_is_noted(rita: Person) -> None:
    rita.page.set_content(BAD_PAGE)
    rita.look()

    noted = "\n".join(rita.complaints)
    for expected in ("wider than the screen", "alternative text", "contrast"):
        assert expected in noted, noted
