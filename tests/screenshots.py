"""What does it look like? Photographs the pages of the platform that runs, into docs/screenshots.

Run as `python -m tests.screenshots` or `make screenshots`, beside `make run`. A page that asks another host for
anything, or whose scripts complain, is an error.
"""

import argparse
import json
import secrets
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, sync_playwright

from checkout.launch.codes import code_at
from tests import chromium

ROOT = Path(__file__).resolve().parent.parent
DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
_USED: set[str] = set()
CARDS = {"good": "4242424242424242", "declined": "4000000000000002", "insufficient funds": "4000000000009995"}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--run-file", type=Path, default=ROOT / "var" / "run.json", help="written by make run")
    arguments.add_argument("--into", type=Path, default=ROOT / "docs" / "screenshots")
    chosen = arguments.parse_args()
    if not chosen.run_file.exists():
        sys.exit("Nothing runs here. Start it with `make run`, in another terminal.")
    facts = json.loads(chosen.run_file.read_text())
    chosen.into.mkdir(parents=True, exist_ok=True)
    payment_id = _payments(facts)
    with sync_playwright() as playwright:
        browser = chromium.launch(playwright)
        if browser is None:
            sys.exit("Chromium is needed and was not found: apt-get install chromium")
        try:
            _photograph(browser, facts, payment_id, chosen.into)
        finally:
            browser.close()


def _photograph(browser: Browser, facts: dict[str, Any], payment_id: str, into: Path) -> None:
    desk = facts["admin_url"].rstrip("/")
    page = _page(browser, facts, DESKTOP)
    pages = {
        "home": f"{desk}/",
        "payments": f"{desk}/payments/payment/",
        "payment": f"{desk}/payments/payment/{payment_id}/change/",
        "refund": f"{desk}/payments/payment/{payment_id}/refund/",
        "gateways": f"{desk}/gateways/gateway/",
        "gateway": _first_link(page, f"{desk}/gateways/gateway/?q=", "/gateways/gateway/"),
        "region": _first_link(page, f"{desk}/gateways/region/", "/gateways/region/"),
        "trial-balance": f"{desk}/ledger/account/trial-balance/",
    }
    for name, address in pages.items():
        _take(page, address, into / f"{name}.png")
    _take(_page(browser, facts, DESKTOP, color_scheme="dark"), f"{desk}/", into / "home-dark.png")
    phone = _page(browser, facts, PHONE, device_scale_factor=2, is_mobile=True, has_touch=True)
    _take(phone, pages["home"], into / "home-phone.png")
    _take(phone, pages["payment"], into / "payment-phone.png")
    outside = browser.new_page(viewport=DESKTOP)
    _take(outside, facts["simulator_url"], into / "simulator.png")
    _take(outside, facts["docs_url"], into / "api-documentation.png")


def _page(browser: Browser, facts: dict[str, Any], viewport: dict[str, int], **options: Any) -> Page:
    """A browser window of its own, logged in as the administrator."""
    page = browser.new_context(viewport=viewport, **options).new_page()  # type: ignore[arg-type]
    page.goto(facts["admin_url"])
    page.fill("input[name=username]", facts["admin_username"])
    page.fill("input[name=password]", facts["admin_password"])
    page.click("button[type=submit]")
    page.fill("input[name=code]", _next_code(facts["admin_secret"]))
    page.click("button[type=submit]")
    page.wait_for_load_state("networkidle")
    return page


def _next_code(secret: str) -> str:
    """A code that was not used yet: each is good once, so the next window waits for the next one."""
    while (code := code_at(secret, time.time())) in _USED:
        time.sleep(1)
    _USED.add(code)
    return code


def _take(page: Page, address: str, path: Path) -> None:
    home = urlsplit(address).netloc
    complaints: list[str] = []
    page.on("request", lambda request: complaints.append(request.url) if _is_foreign(request.url, home) else None)
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    answer = page.goto(address)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(300)
    page.screenshot(path=path)
    if answer is None or not answer.ok or complaints:
        sys.exit(f"{address}: {answer and answer.status} {complaints}")
    print(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _is_foreign(url: str, home: str) -> bool:
    return urlsplit(url).scheme in ("http", "https", "ws", "wss") and urlsplit(url).netloc != home


def _first_link(page: Page, address: str, part: str) -> str:
    """The first row's page of a list."""
    page.goto(address)
    link = page.locator(f"#result_list a[href*='{part}'][href*='/change/']").first
    return str(link.evaluate("link => link.href"))


def _payments(facts: dict[str, Any]) -> str:
    """Take a few payments, so that there is something to see; returns the id of one that fell back and was captured."""
    for number, (name, card) in enumerate(CARDS.items()):
        _pay(facts, 49_90 + number * 15_00, "EUR", "DE", card, name)
    _pay(facts, 250_00, "EUR", "FR", CARDS["good"], "manual", capture="manual")
    _pay(facts, 12_800, "JPY", "JP", CARDS["good"], "japan")
    _behave(facts, "down")
    try:
        return str(_pay(facts, 129_00, "EUR", "DE", CARDS["good"], "order-1042")["id"])
    finally:
        _behave(facts, "healthy")


def _pay(
    facts: dict[str, Any], amount: int, currency: str, country: str, card: str, reference: str, **more: str
) -> dict[str, Any]:
    method = {"type": "card", "card": {"number": card, "exp_month": 12, "exp_year": 2034, "cvv": "123"}}
    body = {
        "amount": amount,
        "currency": currency,
        "country": country,
        "merchant_reference": reference.replace(" ", "-"),
        "customer_email": "ana@example.com",
        "payment_method": method,
        **more,
    }
    return _send("POST", f"{facts['api_url']}/v1/payments", body, {"Authorization": f"Bearer {facts['api_key']}"})


def _behave(facts: dict[str, Any], behaviour: str) -> None:
    _send("PATCH", f"{facts['simulator_url']}/gateways/north", {"behaviour": behaviour}, {})


def _send(method: str, address: str, body: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
    headers = {"Content-Type": "application/json", **headers}
    if method == "POST":
        headers["Idempotency-Key"] = secrets.token_urlsafe(12)
    request = urllib.request.Request(address, json.dumps(body).encode(), headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return dict(json.load(answer))


if __name__ == "__main__":
    main()
