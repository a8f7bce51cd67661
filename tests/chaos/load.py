"""What do merchants do while all this happens? What they always do, and they try again until they are answered.

Everything is drawn from the seed beforehand: a round with the same seed wants the same payments in the same order.
"""

import asyncio
import itertools
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.chaos.history import History

CARDS = {
    "good": "4242424242424242",
    "declined": "4000000000000002",
    "no funds": "4000000000009995",
    "stolen": "4000000000009979",
    "try elsewhere": "4000000000000119",
}
CURRENCIES = ("EUR", "EUR", "EUR", "USD", "JPY")
CALL_SECONDS = 10
FEWEST_AT_ONCE, MOST_AT_ONCE = 8, 100
PATIENCE_SECONDS = 150  # how long a merchant tries again before it gives up on one call
IN_PROCESS = ("created", "processing", "requires_action")


@dataclass(frozen=True)
class Shop:
    """A merchant of this round."""

    name: str
    secret: str


@dataclass(frozen=True)
class Wish:
    """One payment as its merchant wants it.

    `then` is what comes after the first outcome, in order: verbs with a share of the amount in percent, 0 for none
    named. Every verb is sent three times at once with the probability `impatience`.
    """

    number: int
    shop: int
    amount: int
    currency: str
    card: str
    capture: str
    prefer: str
    is_two_step: bool
    then: tuple[tuple[str, int], ...]
    impatience: float


def wishes(seed: int, count: int, shops: int) -> list[Wish]:
    """The payments of a round, all different in amount."""
    draw = random.Random(f"{seed}:load")
    found = []
    for number in range(1, count + 1):
        is_manual = draw.random() < 0.4
        found.append(
            Wish(
                number=number,
                shop=draw.randrange(shops),
                amount=1_000 + 7 * number,
                currency=draw.choice(CURRENCIES),
                card=draw.choices(list(CARDS), (78, 6, 6, 4, 6))[0],
                capture="manual" if is_manual else "automatic",
                prefer=draw.choice(("wait=2", "wait=5", "respond-async")),
                is_two_step=draw.random() < 0.2,
                then=_story(draw, is_manual),
                impatience=draw.choice((0.0, 0.0, 0.0, 0.3)),
            )
        )
    return found


def _story(draw: random.Random, is_manual: bool) -> tuple[tuple[str, int], ...]:
    after: list[tuple[str, int]] = []
    if draw.random() < 0.04:
        return (("cancel at once", 0),)
    if is_manual:
        taken = draw.choices(
            ([("capture", 0)], [("capture", 60)], [("capture", 40), ("capture", 60)], [("cancel", 0)], []),
            (40, 15, 15, 20, 10),
        )[0]
        after += taken
    after += draw.choices(
        ([], [("refund", 0)], [("refund", 30)], [("refund", 30), ("refund", 0)], [("refund", 70), ("refund", 70)]),
        (60, 12, 12, 10, 6),
    )[0]
    if draw.random() < 0.05:
        after.append(("cancel", 0))
    return tuple(after)


class Load:
    """Merchants at work. `urls` are the web servers, of which every try takes the next one."""

    def __init__(self, *, urls: Sequence[str], shops: Sequence[Shop], seed: int, history: History) -> None:
        self.duplicates = 0
        self.given_up = 0
        self.begun = 0
        self._urls = itertools.cycle(urls)
        self._shops = shops
        self._seed = seed
        self._history = history

    async def run(self, wanted: Sequence[Wish]) -> None:
        """Ask for everything, some at a time, and return when every merchant is content or has given up."""
        places = asyncio.Semaphore(min(MOST_AT_ONCE, max(FEWEST_AT_ONCE, len(wanted) // 4)))
        timeout = aiohttp.ClientTimeout(total=CALL_SECONDS)
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session,
            asyncio.TaskGroup() as tasks,
        ):
            for wish in wanted:
                await places.acquire()
                self.begun += 1
                task = tasks.create_task(self._fulfil(session, wish))
                task.add_done_callback(lambda _: places.release())

    async def _fulfil(self, session: aiohttp.ClientSession, wish: Wish) -> None:
        try:
            await _Buyer(self, session, wish).buy()
        except GivenUp:
            self.given_up += 1

    async def ask(
        self, session: aiohttp.ClientSession, shop: Shop, method: str, path: str, body: Any, headers: dict[str, str]
    ) -> tuple[int, Any]:
        """Make one call and write it down; the HTTP status, 0 for none, and the document."""
        said = {name: value for name, value in (body or {}).items() if name != "payment_method"}
        number = self._history.asks(
            shop=shop.name, method=method, path=path, key=headers.get("Idempotency-Key"), body=said
        )
        headers = {"Authorization": f"Bearer {shop.secret}", **headers}
        try:
            async with session.request(method, next(self._urls) + path, json=body, headers=headers) as answer:
                http_status, text = answer.status, await answer.text()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._history.hears(number, error=type(error).__name__)
            return 0, None
        self._history.hears(number, http_status=http_status, body=text)
        return http_status, json.loads(text) if text.startswith("{") else {}

    def shop_of(self, wish: Wish) -> Shop:
        """Whose wish it is."""
        return self._shops[wish.shop]

    def draw_of(self, wish: Wish) -> random.Random:
        """The chance that one buyer has, apart from all others."""
        return random.Random(f"{self._seed}:buyer:{wish.number}")


class GivenUp(Exception):
    """Nobody gave a final answer for a long time, or a good order was refused."""


class _Buyer:
    """One payment's way, from its merchant's side."""

    def __init__(self, load: Load, session: aiohttp.ClientSession, wish: Wish) -> None:
        self._load = load
        self._session = session
        self._wish = wish
        self._shop = load.shop_of(wish)
        self._draw = load.draw_of(wish)
        self._keys = (f"{self._shop.name}:{wish.number}:{place}" for place in itertools.count(1))
        self._path = ""

    async def buy(self) -> None:
        """Create, confirm, and whatever the story says."""
        wish = self._wish
        order: dict[str, Any] = {
            "amount": wish.amount,
            "currency": wish.currency,
            "capture": wish.capture,
            "merchant_reference": f"order-{wish.number}",
        }
        card = {"payment_method": _method(wish.card)}
        if wish.is_two_step:
            payment = await self._insist("/v1/payments", order)
            self._path = f"/v1/payments/{payment['id']}"
            if wish.number % 5 == 0:
                await self._insist(f"{self._path}/cancel")
            elif wish.number % 5 == 1:
                return
            await self._insist(f"{self._path}/confirm", card)
        else:
            payment = await self._insist("/v1/payments", {**order, **card})
            self._path = f"/v1/payments/{payment['id']}"
        for verb, share in wish.then:
            if verb == "cancel at once":
                await self._insist(f"{self._path}/cancel")
                continue
            payment = await self._settled()
            if payment["status"] in ("declined", "failed"):
                if self._draw.random() < 0.4:
                    await self._insist(f"{self._path}/confirm", {"payment_method": _method("good")})
                    await self._settled()
                return
            amount = {"amount": wish.amount * share // 100} if share else {}
            await self._insist(f"{self._path}/{'refunds' if verb == 'refund' else verb}", amount)
        await self._settled()

    async def _insist(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """POST under one key until the answer is final, or accepted; returns its document. Raises GivenUp."""
        headers = {"Idempotency-Key": next(self._keys), "Prefer": self._wish.prefer}
        deadline = time.monotonic() + PATIENCE_SECONDS
        pause = 0.3
        copies = 3 if self._draw.random() < self._wish.impatience else 1
        while time.monotonic() < deadline:
            self._load.duplicates += copies - 1
            answers = await asyncio.gather(*(self._ask("POST", path, body or {}, headers) for _ in range(copies)))
            final = [answer for answer in answers if _is_final(*answer)]
            accepted = [answer for answer in answers if answer[0] == 202]
            if final or accepted:
                if self._draw.random() < 0.05:
                    self._load.duplicates += 1
                    await self._ask("POST", path, body or {}, headers)
                document = (final or accepted)[0][1]
                if path == "/v1/payments" and "id" not in document:
                    raise GivenUp
                return document
            await asyncio.sleep(pause * self._draw.uniform(0.7, 1.3))
            pause, copies = min(pause * 2, 4.0), 1
        raise GivenUp

    async def _settled(self) -> Any:
        """The payment once something can be done with it. Raises GivenUp."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        pause = 0.2
        while time.monotonic() < deadline:
            http_status, payment = await self._ask("GET", self._path, None, {})
            if http_status == 200 and payment["status"] not in IN_PROCESS:
                return payment
            await asyncio.sleep(pause * self._draw.uniform(0.7, 1.3))
            pause = min(pause * 1.5, 3.0)
        raise GivenUp

    async def _ask(self, method: str, path: str, body: Any, headers: dict[str, str]) -> tuple[int, Any]:
        return await self._load.ask(self._session, self._shop, method, path, body, headers)


def _method(card: str) -> dict[str, Any]:
    return {"type": "card", "card": {"number": CARDS[card], "exp_month": 12, "exp_year": 2034, "cvv": "123"}}


def _is_final(http_status: int, document: Any) -> bool:
    """Whether trying again could not change it: done, or refused for good. A 409 is, unless the key is in flight."""
    if http_status == 409:
        return bool(document.get("code") != "idempotency_key_in_flight")
    return 200 <= http_status < 300 and http_status != 202 or 400 <= http_status < 500 and http_status != 429
