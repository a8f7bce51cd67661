"""Do the books hold whatever is told, in whatever order? Facts, requests, repeats, reversals, closings and summaries.

Everything is committed and nothing is forgotten between examples, so the books grow; each example has a merchant of its
own. There is no use in shrinking what failed: its traces stay. FUZZ_EXAMPLES in the environment makes it longer.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from checkout.kit.actors import Actor
from checkout.kit.ids import uuid7
from checkout.kit.money import Money
from checkout.settings import policy
from gateways.models import Gateway
from ledger import recipes, selectors, services
from ledger.chart import CHART, AccountKey, Keeping
from ledger.errors import InsufficientBalance
from ledger.models import Account, AccountBalance, ClosedDay, JournalEntry, Posting
from ledger.recipes import JournalDraft
from ledger.verification import verify_ledger
from merchants.models import Merchant
from merchants.services import create_merchant

pytestmark = pytest.mark.django_db(transaction=True)

AMOUNTS = st.integers(1, 300_00)
SIGNED = st.integers(-300_00, 300_00).filter(bool)
NUMBERS = count(1)


def usd(amount_minor: int) -> Money:
    return Money(amount_minor, "USD")


class Books:
    """What is told to the ledger, and what it must come to: sums by account, kept in plain Python beside it."""

    def __init__(self, merchant: Merchant, gateway: Gateway, expected: dict[tuple[AccountKey, str], int]) -> None:
        self.merchant, self.gateway = merchant, gateway
        self.expected = expected
        self.told: list[list[JournalDraft]] = []
        self.refunds: list[str] = []
        self.disputes: list[tuple[str, Money]] = []

    def fact(self, days_ago: int = 0) -> dict[str, Any]:
        return {
            "mode": "test",
            "merchant_id": self.merchant.pk,
            "gateway_id": self.gateway.pk,
            "reference": f"ref_{next(NUMBERS)}",
            "occurred_at": datetime.now(UTC) - timedelta(days=days_ago),
        }

    def of_gateway(self, days_ago: int = 0) -> dict[str, Any]:
        fact = self.fact(days_ago)
        del fact["merchant_id"]
        return fact

    def of_merchant(self, days_ago: int = 0) -> dict[str, Any]:
        fact = self.fact(days_ago)
        del fact["gateway_id"]
        return fact

    def tell(self, drafts: Sequence[JournalDraft]) -> None:
        """Facts and requests that the caller drafted."""
        drafts = [draft for draft in drafts if draft.postings]
        self.do(lambda: services.record_entries(drafts))
        self.told.append(list(drafts))

    def do(self, verb: Callable[[], None]) -> bool:
        """Whatever writes; what it wrote is added to what is expected. False if it was refused."""
        before = set(JournalEntry.objects.values_list("pk", flat=True))
        try:
            with transaction.atomic():
                verb()
        except InsufficientBalance:
            assert set(JournalEntry.objects.values_list("pk", flat=True)) == before
            return False
        for leg in Posting.objects.exclude(entry__in=before).select_related("account"):
            self.expected[leg.account.key, leg.currency] += leg.amount_minor
        return True


def sell(books: Books, data: st.DataObject) -> None:
    amount = data.draw(AMOUNTS)
    fee = data.draw(st.integers(0, amount // 3))
    books.tell(
        recipes.for_capture(
            amount=usd(amount),
            gateway_fee=usd(data.draw(st.integers(0, amount))),
            platform_fee=usd(fee),
            tax=usd(fee // 5),
            release=data.draw(st.booleans()),
            **books.fact(data.draw(st.integers(0, 3))),
        )
    )


def ask_for_refund(books: Books, data: st.DataObject) -> None:
    fact = books.fact() | {"payment_reference": ""}
    del fact["occurred_at"]
    if books.do(lambda: services.reserve_refund(amount=usd(data.draw(AMOUNTS)), **fact)):
        books.refunds.append(fact["reference"])


def end_refund(books: Books, data: st.DataObject) -> None:
    if books.refunds:
        requested = selectors.refund_requested(books.refunds.pop())
        amount = usd(sum(max(leg.amount_minor, 0) for leg in requested.postings.all()))
        if data.draw(st.booleans()):
            books.tell(recipes.for_refund_failed(requested=requested))
        else:
            books.tell(recipes.for_refund_succeeded(amount=amount, **books.fact() | {"reference": requested.reference}))


def charge_back(books: Books, data: st.DataObject) -> None:
    fact, amount, fee = books.fact(), usd(data.draw(AMOUNTS)), usd(data.draw(st.integers(0, 15_00)))
    again = lambda: services.record_chargeback(amount=amount, fee=fee, recharged=fee, **fact)  # noqa: E731
    assert books.do(again)
    assert books.do(again)
    books.disputes.append((fact["reference"], amount))


def decide(books: Books, data: st.DataObject) -> None:
    if books.disputes:
        reference, amount = books.disputes.pop()
        fact = books.fact() | {"reference": reference}
        if data.draw(st.booleans()):
            assert books.do(lambda: services.record_chargeback_won(amount=amount, **fact))
        else:
            books.tell([recipes.chargeback_lost(amount=amount, **fact)])


def adopt(books: Books, data: st.DataObject) -> None:
    fact, amount = books.fact(data.draw(st.integers(0, 3))), usd(data.draw(AMOUNTS))
    assert books.do(lambda: services.adopt_refund(amount=amount, **fact))


def settle(books: Books, data: st.DataObject) -> None:
    recipe, word = data.draw(
        st.sampled_from(
            [
                (recipes.settlement_announced, "net"),
                (recipes.bank_credit, "amount"),
                (recipes.fee_trued_up, "difference"),
                (recipes.rounding_difference, "difference"),
                (recipes.written_off, "difference"),
                (recipes.line_parked, "amount"),
                (recipes.gateway_fee_line, "fee"),
            ]
        )
    )
    books.tell([recipe(**{word: usd(data.draw(SIGNED))}, **books.of_gateway(data.draw(st.integers(0, 3))))])


def pay_out(books: Books, data: st.DataObject) -> None:
    amount = usd(data.draw(AMOUNTS))
    steps = [
        recipes.payout_requested(amount=amount, fee=usd(25), **books.of_merchant()),
        recipes.payout_sent(amount=amount, **books.of_merchant()),
        recipes.payout_returned(amount=amount, **books.of_merchant()),
    ]
    for step in steps[: data.draw(st.integers(1, 3))]:
        if not books.do(lambda: services.record_entries([step])):  # noqa: B023
            return


def store_value(books: Books, data: st.DataObject) -> None:
    amount, spent = data.draw(AMOUNTS), data.draw(AMOUNTS)
    books.tell([recipes.wallet_topped_up(amount=usd(amount), holder="cus_1", **books.fact())])
    books.tell([recipes.gift_card_issued(amount=usd(amount), holder="card_1", **books.fact())])
    fee = usd(min(36, spent))
    for recipe, holder in ((recipes.wallet_spent, "cus_1"), (recipes.gift_card_redeemed, "card_1")):
        words = {"amount": usd(spent), "fee": fee, "holder": holder}
        drafts = [recipe(**words, **books.of_merchant())]
        is_covered = books.do(lambda: services.record_entries(drafts))  # noqa: B023
        assert is_covered or spent > 0


def convert(books: Books, data: st.DataObject) -> None:
    given, mid = data.draw(AMOUNTS), data.draw(AMOUNTS)
    received = data.draw(st.integers(0, mid))
    words = {"given": usd(given), "mid": Money(mid, "EUR"), "received": Money(received, "EUR")}
    books.do(lambda: services.record_entries([recipes.currency_converted(**words, **books.of_merchant())]))


def repeat(books: Books, data: st.DataObject) -> None:
    if books.told:
        drafts = data.draw(st.sampled_from(books.told))
        if JournalEntry.objects.filter(kind=drafts[0].kind, reference=drafts[0].reference).exists():
            before = dict(books.expected)
            assert books.do(lambda: services.record_entries(drafts))
            assert books.expected == before


def reverse(books: Books, data: st.DataObject) -> None:
    entries = JournalEntry.objects.filter(merchant=books.merchant).order_by("id")
    if entries:
        entry = selectors.entry_with_postings(data.draw(st.sampled_from([entry.pk for entry in entries])))
        books.do(lambda: services.record_entries([recipes.reversal(entry=entry)]))


def close_a_day(books: Books, data: st.DataObject) -> None:
    day = datetime.now(UTC).date() - timedelta(days=data.draw(st.integers(1, 3)))
    sums = ("opening_minor", "movement_minor", "matched_minor", "closing_minor", "file_minor", "exceptions_minor")
    try:
        with transaction.atomic():
            services.lock_days(gateway_id=books.gateway.pk, mode="test", currency="USD", until=day)
            figures = services.statement(gateway=books.gateway, mode="test", currency="USD", on=day)
            kept = {name: getattr(figures, name) for name in sums}
            ClosedDay.objects.create(gateway=books.gateway, mode="test", currency="USD", on=day, closed_by="x", **kept)
    except IntegrityError:
        return  # it is closed already


def sum_up(books: Books, data: st.DataObject) -> None:
    services.summarize()
    services.seal()


STEPS = (sell, sell, ask_for_refund, end_refund, charge_back, decide, adopt, settle, pay_out, store_value, convert)
STEPS += (repeat, reverse, close_a_day, sum_up)


def of_each_day() -> dict[tuple[int, date, str], tuple[int, int]]:
    moved: dict[tuple[int, date, str], tuple[int, int]] = {}
    for leg in Posting.objects.select_related("entry"):
        key = (leg.account_id, leg.entry.occurred_on, leg.entry.kind)
        debit, credit = moved.get(key, (0, 0))
        moved[key] = (debit + max(leg.amount_minor, 0), credit + max(-leg.amount_minor, 0))
    return moved


def check(expected: dict[tuple[AccountKey, str], int]) -> None:
    found = {(row.account.key, row.account.currency): row for row in selectors.trial_balance(mode="test")}
    assert {name: row.sum.amount_minor for name, row in found.items()} == dict(expected)
    for currency in ("USD", "EUR"):
        assert sum(total for (_, code), total in expected.items() if code == currency) == 0
    strict = {row.account.key: row for row in AccountBalance.objects.select_related("account") if row.balance_minor}
    for balance in strict.values():
        assert balance.balance_minor == expected[balance.account.key, balance.account.currency]
        assert CHART[balance.account.key.kind].keeping is not Keeping.FLOORED or balance.balance_minor <= 0
    moved = selectors.movements(Account.objects.all())
    assert {(row.account_id, row.on, row.kind): (row.debit_minor, row.credit_minor) for row in moved} == of_each_day()
    assert [finding.samples for finding in verify_ledger() if not finding.is_green] == []


def test_the_books_hold_in_any_order(acme: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "RECORD_LAG_SECONDS", 0)
    expected: dict[tuple[AccountKey, str], int] = defaultdict(int)

    @settings(
        max_examples=int(os.environ.get("FUZZ_EXAMPLES", "15")),
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data(), steps=st.lists(st.sampled_from(STEPS), min_size=5, max_size=15), is_generous=st.booleans())
    def run(data: st.DataObject, steps: list[Callable[..., None]], is_generous: bool) -> None:
        policy.REFUND_BEYOND_AVAILABLE = is_generous
        ana = create_merchant(name=f"M {uuid7()}", country="PT", default_currency="USD", actor=Actor.command("test"))
        books = Books(ana, acme, expected)
        for step in steps:
            step(books, data)
        check(expected)

    monkeypatch.setattr(policy, "REFUND_BEYOND_AVAILABLE", policy.REFUND_BEYOND_AVAILABLE)
    run()
