"""Does a secret stay where it belongs while everything runs? Looked for in every table, in whatever went through Redis,
in all that was logged by all processes, in answers and in webhooks.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx
import pytest
import redis

from gateways.models import Notice
from merchants.services import create_endpoint
from merchants.tests.receiver import Receiver, receivers
from payments.models import CardSecret, Payment
from tests.canary.conftest import tables
from tests.canary.marks import Search, forms, next_card
from tests.flows.conftest import ACTOR, Flows
from tests.flows.shop import Shop, until
from tests.flows.test_notices import notice_body, send_notice, signed
from tests.simulation import Simulation, their_credentials

PAYMENTS, AT_ONCE = 24, 8


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """The merchant's server, which hears its webhooks."""
    with receivers() as open_receiver:
        yield open_receiver()


def test_no_secret_is_to_be_read_anywhere_while_payments_are_made(
    shop: Shop, flows: Flows, simulation: Simulation, receiver: Receiver
) -> None:
    endpoint = create_endpoint(merchant=shop.merchant, mode="test", url=receiver.url, actor=ACTOR)
    search = Search(secrets_of(flows, shop, endpoint.secret))
    answers: list[httpx.Response] = []

    def keep(answer: httpx.Response) -> httpx.Response:
        assert answer.status_code < 500, answer.text
        answers.append(answer)
        return answer

    def pay(number: int = 0) -> str:
        first, second = ({"payment_method": next_card().method} for _ in range(2))
        body = {"amount": 50_00, "currency": "EUR", **first, "confirm": not number % 2}
        made = keep(shop.post("/v1/payments", body, prefer="respond-async")).json()
        if number % 2:
            card = second if number % 4 == 1 else None
            keep(shop.post(f"/v1/payments/{made['id']}/confirm", card, prefer="respond-async"))
        return str(made["id"])

    with everything_said_to(flows.redis_url) as through_redis:
        simulation.change(shop.codes[0], behaviour="charge_then_500")
        lost = pay()
        until(lambda: ("response", "unknown") in shop.evidence(lost), 10, "nothing unknown happened")
        simulation.calm()
        with flows.frozen("worker"):
            waiting = pay()
            in_redis = words_in_redis(flows.redis_url)
        with ThreadPoolExecutor(AT_ONCE) as threads:
            paid = list(threads.map(pay, range(PAYMENTS)))
        for word in [forms(next_card().number)[form] for form in ("plain", "spaced", "fullwidth")]:
            for name in ("description", "merchant_reference", "customer_email"):
                body = {"amount": 1, "currency": "EUR", "payment_method": next_card().method, name: word}
                assert keep(shop.post("/v1/payments", body)).status_code == 400
            keep(shop.ask("GET", f"/v1/payments/{word}?card={word}"))
            keep(httpx.get(f"{flows.url}/pay/return/{word}", params={"card": word}))
            keep(httpx.get(f"{flows.url}/admin/", params={"q": word}))
        for number, (code, is_signed) in enumerate(
            [(shop.codes[0], True), (shop.codes[1], True), (shop.codes[0], False)]
        ):
            told = notice_body(f"msg_{number}", "att_of_nobody").replace(b"ch_1", f"ch {next_card().number}".encode())
            keep(send_notice(flows, code, signed(code, told) if is_signed else {}, told))
        for payment_id in (lost, waiting, *paid):
            shop.ends(payment_id, "captured", within=30)
            keep(shop.ask("GET", f"/v1/payments/{payment_id}/attempts"))
        keep(httpx.get(f"{flows.url}/metrics"))
        heard = until(lambda: what_was_heard_of(paid, receiver), 20, "the merchant was not told of everything")
    terminal = [flows.platform.manage("list_merchants"), flows.platform.manage("audit", "--json")]

    kept = (flows.folder / "redis").rglob("*.aof")
    places = {
        **tables(),
        "what was in Redis": in_redis,
        "what went through Redis": "\n".join(through_redis),
        "answers": "\n".join(answer.text for answer in answers if answer.headers["Content-Type"].endswith("json")),
        "pages": "\n".join(answer.text for answer in answers if not answer.headers["Content-Type"].endswith("json")),
        "headers": "\n".join(f"{name}: {value}" for answer in answers for name, value in answer.headers.items()),
        "webhooks": heard,
        "terminal": "\n".join(terminal),
        **{f"log {path.name}": path.read_text(errors="replace") for path in (flows.folder / "log").iterdir()},
        "what Redis kept": "\n".join(path.read_text(errors="replace") for path in kept),
    }
    for place in ("log web.log", "log worker.log", "what Redis kept", "what went through Redis", "pages", "answers"):
        assert places[place], f"nothing was written to {place}"
    pages = ("log", "headers", "pages", "terminal")  # where a verification value must be named to be known
    leaks = [
        f"{place}: {leak}"
        for place, text in places.items()
        for leak in search.leaks(text, is_page=place.startswith(pages))
    ]
    assert not leaks, "\n".join(leaks)
    assert Search({"planted": paid[0]}).leaks(places["table merchants_webhookevent"]), "the search finds nothing"
    assert not CardSecret.objects.filter(payment__in=Payment.objects.filter(merchant=shop.merchant)).exists()
    assert Notice.objects.filter(gateway__code__in=shop.codes, body__contains="…").count() == 2


def secrets_of(flows: Flows, shop: Shop, signing_secret: str) -> dict[str, str]:
    """Whatever opens anything on this platform, by name."""
    names = ("SECRET_KEY", "FERNET_KEYS", "FINGERPRINT_KEY", "API_KEY_HASH_KEY", "IDEMPOTENCY_FINGERPRINT_KEY")
    environment = flows.platform.environment
    return {
        "the API key": shop.secret[24:],
        "the webhook secret": signing_secret.removeprefix("whsec_"),
        **{f"the {name} of {code}": their_credentials(code)[name] for code in shop.codes for name in _CREDENTIALS},
        **{f"our {name}": environment[name] for name in names},
        "the database's password": urlsplit(flows.database_url).password or "",
        "the broker's password": urlsplit(flows.redis_url).password or "",
    }


_CREDENTIALS = ("api_key", "notice_secret")


def what_was_heard_of(payment_ids: list[str], receiver: Receiver) -> str:
    """All that the merchant was told, once it was told that each of the payments was captured; until then nothing."""
    messages = [message.body.decode() for message in receiver.received]
    captured = "".join(message for message in messages if "payment.captured" in message)
    return "\n".join(messages) if all(payment_id in captured for payment_id in payment_ids) else ""


@contextmanager
def everything_said_to(url: str) -> Iterator[list[str]]:
    """Every command that reaches Redis from anybody during the block, as text."""
    said: list[str] = []
    client = redis.Redis.from_url(url)
    with client.monitor() as monitor:

        def listen() -> None:
            try:
                for command in monitor.listen():
                    said.append(str(command["command"]))
            except (redis.RedisError, OSError, ValueError):
                pass  # the block is over

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        yield said
        client.ping()
        until(lambda: any("PING" in command for command in said), 5, "Redis tells nothing of what it hears")


def words_in_redis(url: str) -> str:
    """Everything in Redis as text."""
    client = redis.Redis.from_url(url)
    words = []
    for key in client.scan_iter():
        kind = client.type(key)
        read = {b"list": lambda name: client.lrange(name, 0, -1), b"set": client.smembers, b"hash": client.hgetall}
        read |= {b"zset": lambda name: client.zrange(name, 0, -1), b"string": client.get}
        words.append(f"{key!r} {read[kind](key)!r}")
    assert any("payments.run_due" in word for word in words), "no message was there to be read"
    return " ".join(words)
