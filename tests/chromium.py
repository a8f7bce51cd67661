"""With which browser do people come? With the machine's Chromium, or one that Playwright has downloaded before.

None is ever installed from here. As a pytest plugin it says at the end of a run, once and loudly, that there was none.
"""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
MISSING = "there is no Chromium"
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


def launch(playwright: "Playwright") -> "Browser | None":
    """A browser without a window, on a profile that is thrown away; None where there is no Chromium."""
    found = next(filter(None, map(shutil.which, NAMES)), None) or playwright.chromium.executable_path
    if not Path(found).exists():
        return None
    return playwright.chromium.launch(executable_path=found, args=FLAGS)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say that nobody looked."""
    skipped = sum(MISSING in str(report.longrepr) for report in terminalreporter.stats.get("skipped", ()))
    if skipped:
        terminalreporter.section("NOBODY LOOKED AT THE DESK", sep="!", yellow=True, bold=True)
        terminalreporter.line(
            f"{skipped} browser tests were skipped: {MISSING} on PATH, nor one that Playwright has downloaded."
        )
        terminalreporter.line("Install one: apt-get install chromium, or .venv/bin/playwright install chromium.")
