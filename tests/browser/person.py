"""How does somebody use the desk? With a mouse, a keyboard and their eyes; and what must never happen meanwhile.

A person notes everything that is wrong with what they are given: an error in the console, a request to another host, an
answer of 500 or above, and, on each page that they look at, what keeps some people from using it.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Download, Locator, Page, ViewportSize, expect

DESKTOP = ViewportSize(width=1280, height=800)
PHONE = ViewportSize(width=390, height=844)
PASSWORD = "correct horse battery staple"
PICTURES = os.environ.get("SCREENSHOTS", "")  # where pictures of what is looked at are kept, if at all

_PATIENCE_MS = 20_000
_TOO_BAD = ("serious", "critical")
_AXE, _ONLY_VIOLATIONS = Axe(), {"resultTypes": ["violations"]}


class Person:
    """Somebody with a browser of their own, at the size of a desk unless told otherwise; their `app` shows a code."""

    def __init__(
        self, browser: Browser, url: str, name: str, *, app: Callable[[], str], size: ViewportSize = DESKTOP
    ) -> None:
        self.name = name
        self.app = app
        self.url = url
        self.size = size
        self.complaints: list[str] = []
        self._browser = browser
        self._context = self._open(size)
        self.page = self._context.new_page()

    def log_in(self) -> None:
        """Through the forms, as everybody does: with a password, and a code."""
        self.page.goto(f"{self.url}/admin/")
        self.fill("Username", self.name)
        self.fill("Password", PASSWORD)
        self.page.keyboard.press("Enter")
        self.fill("Code", self.app())
        self.page.keyboard.press("Enter")
        self.page.wait_for_url(f"{self.url}/admin/")

    def leave(self) -> None:
        """Close the browser."""
        self._context.close()

    # What hands do.

    def go_to(self, entry: str) -> None:
        """By the menu at the side, where a number may say how much waits there."""
        named = re.compile(rf"(^|\s){re.escape(entry)}(\s+\d+\+?)?$")
        self.page.locator("#nav-sidebar").get_by_role("link", name=named).click()

    def click(self, name: str, *, within: Locator | None = None) -> None:
        """A link or a button of the page itself, by what it says."""
        place = within or self.page.locator("#main")
        says = _ending_in(name)
        place.get_by_role("link", name=says).or_(place.get_by_role("button", name=says)).first.click()

    def fill(self, label: str, text: str) -> None:
        """A field."""
        self._field(label).fill(text)

    def choose(self, label: str, option: str) -> None:
        """One of a list."""
        self._field(label).select_option(label=option)

    def hand_over(self, label: str, path: Path) -> None:
        """A file."""
        self._field(label).set_input_files(path)

    def download(self, name: str) -> bytes:
        """What a link of the page gives to keep."""
        with self.page.expect_download() as told:
            self.click(name)
        download: Download = told.value
        return Path(download.path()).read_bytes()

    # What eyes do.

    def see(self, *texts: str) -> None:
        """Wait until each of these can be read on the page."""
        for text in texts:
            expect(self.page.locator("#main")).to_contain_text(text, use_inner_text=True)

    def row(self, *texts: str) -> Locator:
        """The first row of a table in which all of these stand."""
        rows = self.page.locator("tbody tr")
        for text in texts:
            rows = rows.filter(has_text=text)
        return rows.first

    def look(self, picture: str = "", *, phone: bool = False, dark: bool = False) -> None:
        """Look at the page as it is; on a phone and in the dark as well, where that is asked for.

        A picture of what has a name is kept, where pictures are wanted.
        """
        self._examine(self.page, picture)
        if dark:
            self.page.emulate_media(color_scheme="dark")
            self.page.reload()
            self._examine(self.page, picture, "-dark")
            self.page.emulate_media(color_scheme="light")
        if phone:
            context = self._open(PHONE, storage_state=self._context.storage_state(), is_mobile=True, has_touch=True)
            page = context.new_page()
            page.goto(self.page.url)
            self._examine(page, picture, "-phone")
            context.close()

    def _field(self, label: str) -> Locator:
        return self.page.get_by_label(
            re.compile(rf"^\s*{re.escape(label)}(\s*\*)?\s*$")
        )  # a star says that it is asked for

    def _open(self, size: ViewportSize, **options: Any) -> BrowserContext:
        context = self._browser.new_context(viewport=size, reduced_motion="reduce", **options)
        context.set_default_timeout(_PATIENCE_MS)
        context.on("console", lambda said: self._note(said.text) if said.type == "error" else None)
        context.on("weberror", lambda failed: self._note(str(failed.error)))
        context.on(
            "request", lambda request: self._note(f"asked {request.url}") if self._is_foreign(request.url) else None
        )
        context.on("response", lambda got: self._note(f"{got.status} from {got.url}") if got.status >= 500 else None)
        return context

    def _examine(self, page: Page, picture: str, how: str = "") -> None:
        page.wait_for_load_state("load")
        page.evaluate("document.fonts.ready")
        if picture and PICTURES:
            page.screenshot(path=Path(PICTURES) / f"{picture}{how}.png", animations="disabled", caret="hide")
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            self._note(f"wider than the screen {how}")
        for found in _AXE.run(page, options=_ONLY_VIOLATIONS).response["violations"]:
            if found["impact"] in _TOO_BAD:
                places = [" ".join(map(str, node["target"])) + " " + node["html"][:160] for node in found["nodes"][:3]]
                self._note(f"{found['help']} ({found['impact']}, {len(found['nodes'])} times {how}): {places}")

    def where(self) -> str:
        """Where they are, and what they have in front of them."""
        return f"{self.name} at {self.page.url}\n{self.page.locator('#main, body').last.inner_text()[:3000]}"

    def _note(self, complaint: str) -> None:
        self.complaints.append(f"{self.name} at {self.page.url}: {complaint}")

    def _is_foreign(self, url: str) -> bool:
        return urlsplit(url).scheme in ("http", "https", "ws", "wss") and not url.startswith(f"{self.url}/")


def _ending_in(name: str) -> re.Pattern[str]:
    """Before what a link says stands the name of its icon."""
    return re.compile(rf"(^|\s){re.escape(name)}$")
