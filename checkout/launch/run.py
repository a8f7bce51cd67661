"""What does `make run` do? Everything, from an empty directory to the first payment; then it watches until told to end.

All that it makes lies under `var/`: data, logs, secrets, and `var/run.json`, which says where everything is.
"""

import hashlib
import json
import logging
import os
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from types import FrameType
from typing import Any

from checkout.launch import files, ports
from checkout.launch.files import ROOT, private_directory
from checkout.launch.platform import Platform

VAR = ROOT / "var"
FIRST_PAYMENT = {
    "amount": 2599,
    "currency": "EUR",
    "merchant_reference": "order-1001",
    "payment_method": {
        "type": "card",
        "card": {"number": "4242424242424242", "exp_month": 12, "exp_year": 2034, "cvv": "123"},
    },
}

logger = logging.getLogger(__name__)


def run() -> None:
    """Bring the platform up, show how to use it, and stay until SIGINT, SIGTERM or SIGHUP."""
    began = time.monotonic()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s  %(message)s", datefmt="%H:%M:%S", stream=sys.stdout)
    os.umask(0o077)
    told_to_end = _listen()
    environment = {**files.read_dotenv(ROOT / ".env"), **os.environ}
    environment["DJANGO_SETTINGS_MODULE"] = "checkout.settings.local"
    lock = files.lock(private_directory(VAR) / "lock")
    platform = Platform(
        var_dir=VAR,
        database_url=environment.get("DATABASE_URL"),
        redis_url=environment.get("REDIS_URL"),
        environment=environment,
        beat=True,
        simulator_config=VAR / "simulator.json",
        preferred_ports=ports.PREFERRED,
    )
    try:
        _step("PostgreSQL and Redis", platform.start_services)
        _step("Tables", lambda: platform.manage("migrate", "--noinput", "--verbosity", "0"))
        _step("Static files", lambda: _collect_static(platform))
        _step("Demo data", lambda: _seed(platform))
        _step("Web, worker, beat, sweeper, gateway simulator", platform.start)
        outcome = _first_payment(platform)
        _show(platform, outcome, time.monotonic() - began)
        told_to_end.wait()
        logger.info("Ending …")
    except _ToldToEnd:
        logger.info("Ending …")
    finally:
        _become_deaf()
        platform.stop()
        lock.close()


class _ToldToEnd(BaseException):
    """A signal asked us to end while something was being started."""


class _Bell(threading.Event):
    """Rung by a signal; until somebody waits for it, being rung interrupts whatever goes on."""

    awaited = False

    def wait(self, timeout: float | None = None) -> bool:
        self.awaited = True
        return super().wait(timeout)


def _listen() -> _Bell:
    bell = _Bell()

    def hear(number: int, frame: FrameType | None) -> None:
        bell.set()
        if not bell.awaited:
            raise _ToldToEnd

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, hear)
    return bell


def _become_deaf() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _step(name: str, action: Any) -> None:
    began = time.monotonic()
    action()
    logger.info("%s: %.1f s", name, time.monotonic() - began)


def _collect_static(platform: Platform) -> None:
    """Gather static files again only when one of ours or the set of packages has changed."""
    digest = hashlib.sha256((ROOT / "requirements.txt").read_bytes())
    for path in sorted(path for path in ROOT.glob("*/**/static/**/*") if path.is_file() and VAR not in path.parents):
        status = path.stat()
        digest.update(f"{path}:{status.st_size}:{status.st_mtime_ns}\n".encode())
    stamp = VAR / "static.stamp"
    if not stamp.exists() or stamp.read_text() != digest.hexdigest():
        platform.manage("collectstatic", "--noinput", "--verbosity", "0")
        stamp.write_text(digest.hexdigest())


def _seed(platform: Platform) -> None:
    """Make the demo merchant and its surroundings, and learn who may log in.

    The API key is told once, when it is made; it is kept with the other secrets.
    """
    if key := platform.keyring.get("DEMO_API_KEY"):
        platform.environment["DEMO_API_KEY"] = key
    seeded = json.loads(platform.manage("seed_demo").strip().splitlines()[-1])
    if seeded.get("api_key"):
        platform.keyring.keep("DEMO_API_KEY", seeded["api_key"])
    logins = {login["role"]: login for login in seeded["logins"]}
    administrator = seeded["logins"][0]
    web = platform.url_of("web")
    platform.facts = {
        "admin_url": f"{web}/admin/",
        "docs_url": f"{web}/v1/docs",
        "api_key": platform.keyring.get("DEMO_API_KEY"),
        "admin_username": administrator["username"],
        "admin_password": administrator["password"],
        "admin_secret": administrator["secret"],
        "logins": logins,
    }


def _first_payment(platform: Platform) -> str | None:
    """Take one payment where there is none yet, and say what came of it and where it is seen."""
    if not platform.facts["api_key"]:
        return None
    try:
        if _ask(platform, "GET", "/v1/payments?limit=1")["data"]:
            return None
        payment = _ask(platform, "POST", "/v1/payments", FIRST_PAYMENT)
    except urllib.error.HTTPError as refusal:
        logger.warning("The first payment was refused: %s", refusal.read().decode(errors="replace"))
        return None
    except (OSError, KeyError, ValueError) as error:
        logger.warning("The first payment could not be taken: %s", error)
        return None
    amount = f"{payment['amount'] / 100:.2f} {payment['currency']}"
    seen = f"{platform.facts['admin_url']}payments/payment/?q={payment['id']}"
    return f"{payment['id']}  {amount}  {payment['status']}\n                      {seen}"


def _ask(platform: Platform, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    request = urllib.request.Request(
        platform.url_of("web") + path,
        method=method,
        data=json.dumps(body).encode() if body else None,
        headers={
            "Authorization": f"Bearer {platform.facts['api_key']}",
            "Content-Type": "application/json",
            "Idempotency-Key": "first-payment",
        },
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        answered: dict[str, Any] = json.load(answer)
        return answered


def _show(platform: Platform, first_payment: str | None, seconds: float) -> None:
    facts, web = platform.facts, platform.url_of("web")
    bold, dim, plain = (
        ("\033[1m", "\033[2m", "\033[0m") if sys.stdout.isatty() and "NO_COLOR" not in os.environ else ("",) * 3
    )
    lines = [
        "",
        f"{bold}Checkout is ready{plain} {dim}after {seconds:.0f} s{plain}",
        "",
        f"  Operations desk     {facts['admin_url']}",
        f"  API documentation   {facts['docs_url']}",
        f"  Gateway simulator   {platform.url_of('control')}",
        "",
        f"  {dim}Log in as{plain}                              {dim}and a code: make code{plain}",
        *(f"  {role:<18}  {login['username']:<18}  {login['password']}" for role, login in facts["logins"].items()),
        "",
    ]
    if facts["api_key"]:
        lines += [
            f"  API key             {facts['api_key']}",
            "",
            f"  {dim}Take a payment:{plain}",
            f"  curl -sS {web}/v1/payments \\",
            f"    -H 'Authorization: Bearer {facts['api_key']}' \\",
            "    -H 'Content-Type: application/json' -H \"Idempotency-Key: $(date +%s)\" \\",
            f"    -d '{json.dumps(FIRST_PAYMENT)}'",
            "",
        ]
    else:
        lines += ["  The demo's API key was shown when it was made; make another one in the operations desk.", ""]
    if first_payment:
        lines += [f"  First payment       {first_payment}", ""]
    lines += [f"  {dim}Logs in var/log, addresses and process ids in var/run.json. Ctrl-C ends everything.{plain}", ""]
    print("\n".join(lines), flush=True)
