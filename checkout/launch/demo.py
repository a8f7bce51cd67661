"""What can the platform do? A story in a terminal, over HTTP, and each step says whether it showed what it should."""

import json
import os
import sys
import textwrap
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from checkout.launch.errors import LaunchError
from checkout.launch.running import Running

GOOD, NO_FUNDS = "4242424242424242", "4000000000009995"
CURRENCY = "EUR"
WAIT_SECONDS = 20

Facts = Sequence[tuple[str, str]]


class NotShown(Exception):
    """A step did not show what it should; the message says what it showed instead."""


def demo(running: Running) -> int:
    """Tell the whole story; returns 0 only if every step showed what it should."""
    if not running.facts.get("api_key"):
        raise LaunchError("The demo's API key is not known here. Set DEMO_API_KEY and start the platform again.")
    story = Story(running, Paper())
    try:
        story.tell()
    except NotShown as mistake:
        story.paper.mistake(str(mistake))
        return 1
    except OSError as error:
        raise LaunchError(
            f"{running.facts['api_url']} does not answer ({error}). Is `make run` still running?"
        ) from None
    return 0


class Paper:
    """What the story is written on: plain text, with colour only in a terminal that wants it."""

    def __init__(self) -> None:
        is_colourful = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        names = {"bold": 1, "dim": 2, "green": 32, "red": 31}
        self._colours = {name: f"\033[{number}m" if is_colourful else "" for name, number in names.items()}
        self._plain = "\033[0m" if is_colourful else ""
        self._steps = 0

    def step(self, title: str, sentence: str) -> None:
        """Begin a step: its title, and what it shows."""
        self._steps += 1
        print(f"\n{self._in('bold', f'{self._steps}. {title}')}\n{textwrap.fill(sentence, 110)}\n", flush=True)

    def facts(self, facts: Facts) -> None:
        """Facts by name, one below the other."""
        for name, fact in facts:
            print(f"   {self._in('dim', f'{name:<14}')}{fact}", flush=True)

    def gap(self) -> None:
        """An empty line."""
        print(flush=True)

    def table(self, text: str) -> None:
        """Lines that are aligned already."""
        print(textwrap.indent(text.rstrip("\n"), "   "), flush=True)

    def shown(self, conclusion: str) -> None:
        """The step showed what it should."""
        print(f"\n   {self._in('green', '✓')} {conclusion}", flush=True)

    def mistake(self, words: str) -> None:
        """The step did not."""
        print(f"\n   {self._in('red', '✗')} {words}", flush=True)

    def _in(self, colour: str, text: str) -> str:
        return f"{self._colours[colour]}{text}{self._plain}"


class Story:
    """The steps, in order. Amounts are minor units of a currency with two decimals."""

    def __init__(self, running: Running, paper: Paper) -> None:
        self.running = running
        self.paper = paper
        self._payments: dict[str, str] = {}

    def tell(self) -> None:
        """All of it. Refuses with NotShown at the first step that does not show what it should."""
        captured = self.approved()
        self.declined()
        self.fallback(captured["gateway"])
        self.captured_by_hand()
        self.refunded(captured["id"])
        self.ledger()
        self.gateways_books()

    def approved(self) -> dict[str, Any]:
        """A payment that goes well."""
        self.paper.step("An approved payment", "One call takes a payment; its answer is the outcome.")
        began = time.monotonic()
        payment = self._pay("approved", 48_90)
        seconds = time.monotonic() - began
        self.paper.facts([*_facts(payment), ("took", f"{seconds * 1000:.0f} ms")])
        _expect(payment, status="captured", amount_captured=48_90)
        self.paper.shown("The money is taken, in the ledger, and available to the merchant.")
        return payment

    def declined(self) -> None:
        """A payment that the card's bank refuses."""
        self.paper.step(
            "A declined one", "The card's bank says no: an answer like any other, and no other gateway is bothered."
        )
        payment = self._pay("declined", 25_00, number=NO_FUNDS)
        attempts = self._attempts(payment)
        self.paper.facts([*_facts(payment), ("why", payment["decline_message"]), ("tried", _route(attempts))])
        _expect(payment, status="declined", decline_code="insufficient_funds", amount_captured=0)
        _require(len(attempts) == 1, "a bank's no was taken to another gateway")
        self.paper.shown("The merchant knows why; the customer may try another card.")

    def fallback(self, code: str) -> None:
        """A payment whose first gateway is down."""
        self.paper.step(
            "A gateway that is down",
            f"{code} stops answering. It is certain that it charged nothing, so the next gateway is asked.",
        )
        with self._down(code):
            payment = self._pay("fallback", 71_50)
            attempts = self._attempts(payment)
        self.paper.facts([*_facts(payment), ("tried", _route(attempts))])
        for attempt in attempts:
            if attempt["routing"]:
                self.paper.gap()
                self.paper.facts([("why", attempt["gateway"])])
                self.paper.facts([(f"  {row['gateway']}", row["reason"]) for row in attempt["routing"]["considered"]])
        _expect(payment, status="captured", amount_captured=71_50)
        _require(
            (attempts[0]["gateway"], attempts[0]["status"]) == (code, "not_sent") and payment["gateway"] != code,
            f"the payment did not meet {code} while it was down; perhaps an earlier story left it unhealthy",
        )
        self.paper.shown(f"Paid once, at {payment['gateway']}; {code} is healthy again.")

    def captured_by_hand(self) -> None:
        """A payment that is reserved first and taken later, in part."""
        self.paper.step("A manual capture", "The money is only reserved, and a part of it taken when the goods leave.")
        payment = self._pay("manual capture", 80_00, capture="manual")
        _expect(payment, status="authorized", amount_authorized=80_00, amount_captured=0)
        reserved = _facts(payment)
        payment = self._post(f"/v1/payments/{payment['id']}/capture", {"amount": 55_00})
        self.paper.facts([*reserved, ("then", f"{payment['status']}, {_money(payment['amount_captured'])} of it")])
        _expect(payment, status="captured", amount_captured=55_00)
        self.paper.shown("The rest is not charged.")

    def refunded(self, payment_id: str) -> None:
        """Money that goes back."""
        self.paper.step("A refund", "A part of the first payment goes back to the customer.")
        refund = self._post(f"/v1/payments/{payment_id}/refunds", {"amount": 18_90, "reason": "one book came back"})
        payment = self._api("GET", f"/v1/payments/{payment_id}")
        self.paper.facts(
            [
                ("refund", f"{refund['id']}  {_money(refund['amount'])}  {refund['status']}"),
                ("payment", f"{payment['id']}  {_money(payment['amount_refunded'])} refunded"),
            ]
        )
        _expect(refund, status="succeeded", amount=18_90)
        _expect(payment, amount_captured=48_90, amount_refunded=18_90)
        self.paper.shown("Given back once, and never more than was taken.")

    def ledger(self) -> None:
        """The books of the platform."""
        self.paper.step(
            "The ledger",
            "Every capture, fee and refund is an entry whose debits equal its credits; so are the sums of all.",
        )
        done = self.running.manage(["trial_balance", CURRENCY, "--mode", "test"], capture=True)
        self.paper.table(done.stdout)
        _require(done.returncode == 0, f"the ledger could not be read, or does not balance: {done.stderr.strip()}")
        self.paper.shown("It ties to zero.")

    def gateways_books(self) -> None:
        """The books of the gateways, beside ours."""
        self.paper.step(
            "The gateways' own books",
            "What all gateways together took and gave back for each payment of this story, beside what we say.",
        )
        books = [row for gateway in self._simulator("GET", "/gateways") for row in self._book(gateway["code"])]
        lines = [_line("payment", "captured: ours", "theirs", "refunded: ours", "theirs")]
        is_equal = True
        for name, payment_id in self._payments.items():
            payment = self._api("GET", f"/v1/payments/{payment_id}")
            references = {attempt["id"] for attempt in self._attempts(payment)}
            charges = [row for row in books if row["kind"] == "charge" and row["reference"] in references]
            figures = [
                payment["amount_captured"],
                sum(row["captured_minor"] for row in charges),
                payment["amount_refunded"],
                sum(row["refunded_minor"] for row in charges),
            ]
            is_equal &= figures[::2] == figures[1::2]
            lines.append(_line(name, *map(_figure, figures)))
        self.paper.table("\n".join(lines))
        _require(is_equal, "a gateway's book differs from ours")
        self.paper.shown("Nothing lost, nothing doubled.")

    # How it talks.

    def _pay(self, name: str, amount: int, *, number: str = GOOD, **fields: Any) -> dict[str, Any]:
        card = {"number": number, "exp_month": 12, "exp_year": 2034, "cvv": "123", "holder_name": "Ana Lopez"}
        body = {"amount": amount, "currency": CURRENCY, "merchant_reference": f"demo-{name.replace(' ', '-')}"}
        payment = self._post("/v1/payments", {**body, "payment_method": {"type": "card", "card": card}, **fields})
        self._payments[name] = payment["id"]
        return payment

    def _attempts(self, payment: dict[str, Any]) -> list[dict[str, Any]]:
        attempts: list[dict[str, Any]] = self._api("GET", f"/v1/payments/{payment['id']}/attempts")["data"]
        return attempts

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {"Idempotency-Key": f"demo-{uuid.uuid4()}", "Prefer": f"wait={WAIT_SECONDS}"}
        return self._api("POST", path, body, headers)

    def _api(
        self, method: str, path: str, body: dict[str, Any] | None = None, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        key = {"Authorization": f"Bearer {self.running.facts['api_key']}"}
        answer: dict[str, Any] = _ask(method, self.running.facts["api_url"] + path, body, {**key, **(headers or {})})
        return answer

    def _simulator(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        return _ask(method, self.running.facts["simulator_url"] + path, body, {})

    def _book(self, code: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._simulator("GET", f"/book/{code}")
        return rows

    @contextmanager
    def _down(self, code: str) -> Iterator[None]:
        try:
            self._simulator("PATCH", f"/gateways/{code}", {"behaviour": "down"})
            yield
        finally:
            self._simulator("PATCH", f"/gateways/{code}", {"behaviour": "healthy"})


def _ask(method: str, url: str, body: dict[str, Any] | None, headers: dict[str, str]) -> Any:
    request = urllib.request.Request(
        url,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={**headers, "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=WAIT_SECONDS + 10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as refusal:
        raise NotShown(f"{method} {url} was answered {refusal.code}: {refusal.read().decode()}") from None


def _expect(document: dict[str, Any], **facts: Any) -> None:
    for name, expected in facts.items():
        _require(document[name] == expected, f"{name} should be {expected}, and is {document[name]}")


def _require(is_so: bool, complaint: str) -> None:
    if not is_so:
        raise NotShown(complaint)


def _facts(payment: dict[str, Any]) -> Facts:
    method = payment["payment_method"]["card"]
    return [
        ("payment", f"{payment['id']}  {_money(payment['amount'])}  {payment['status']}"),
        ("card", f"{method['brand']} {method['number']}"),
        ("gateway", payment["gateway"]),
    ]


def _route(attempts: Sequence[dict[str, Any]]) -> str:
    return ", then ".join(f"{row['gateway']} ({row['operation']}: {row['status']})" for row in attempts)


def _figure(minor: int) -> str:
    return f"{minor / 100:.2f}"


def _money(minor: int) -> str:
    return f"{_figure(minor)} {CURRENCY}"


def _line(name: str, *figures: str) -> str:
    return f"{name:<18}" + "".join(f"{figure:>16}" for figure in figures)
