"""What reaches the platform's bank account, and how does the bank say so? The payouts of all gateways, day by day.

account = BankAccount(Book(path))
statement = account.issue(date(2026, 3, 3), plant={"missing_credit": 1})
account.archive.statement_content(statement), account.archive.statement_answers(statement)
"""

import json
import random
from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from gateways.simulator import plants
from gateways.simulator.archive import Archive, IssuedStatement, OnItsWay
from gateways.simulator.book import Book
from gateways.simulator.formats import camt053
from gateways.simulator.formats.camt053 import Account, Entry, Transfer


class BankAccount:
    """One account in each currency that a payout ever came in. It was opened empty, and nothing else moves on it."""

    def __init__(self, book: Book) -> None:
        self.archive = Archive(book)
        self._book = book

    def issue(self, on: date, *, plant: Mapping[str, Any] | None = None, seed: int = 0) -> IssuedStatement | None:
        """Issue the statement of a day, which tells of all that arrived since the one before, even of nothing.

        None if the statement of that day or of a later one is out, or if nothing has ever arrived. `plant` says how
        many errors of each kind of `plants.BANK_ERRORS` there shall be. Raises PlantRefused.
        """
        wanted = plants.wanted(plant or {}, plants.BANK_ERRORS)
        with self._book.transaction():
            last = next(iter(self.archive.statements()[-1:]), None)
            arrived = self.archive.on_their_way(on)
            if (last and last.told_on >= on) or not (last or arrived):
                return None
            rng = random.Random(f"{seed}:bank:{on}")
            wrong = _wrong(arrived, wanted, rng)
            first_on = last.told_on + timedelta(days=1) if last else on
            accounts = _accounts(last.balances if last else {}, arrived, wrong, first_on, rng)
            number, name = last.number + 1 if last else 1, f"statement-{on}.xml"
            answers = _answers([payout for payout in arrived if payout.id in wrong], wrong, accounts)
            self.archive.insert_statement(
                [payout.id for payout in arrived],
                number=number,
                name=name,
                told_on=on.isoformat(),
                entry_count=sum(len(account.entries) for account in accounts),
                planted_count=len(answers),
                balances=json.dumps({account.currency: account.closing_minor for account in accounts}),
                content=camt053.document(name, number, (first_on, on), accounts),
                answers=json.dumps({"statement": name, "seed": seed, "errors": answers}),
            )
        return self.archive.statements()[-1]


def _wrong(arrived: Sequence[OnItsWay], wanted: Mapping[str, int], rng: random.Random) -> dict[int, int]:
    """What the bank books by the payout's id where it is not what was paid: nothing at all, or another amount."""
    if sum(wanted.values()) > len(arrived):
        raise plants.PlantRefused(f"plant: only {len(arrived)} payouts have arrived, too few for so many errors")
    chosen = rng.sample(arrived, sum(wanted.values()))
    missing = wanted.get("missing_credit", 0)
    other = {payout.id: _more(payout.amount_minor, rng) for payout in chosen[missing:]}
    return {payout.id: 0 for payout in chosen[:missing]} | other


def _more(amount_minor: int, rng: random.Random) -> int:
    """A larger amount in the same direction."""
    return amount_minor + rng.randint(2, 5_000) * (1 if amount_minor > 0 else -1)


def _accounts(
    openings: Mapping[str, int],
    arrived: Sequence[OnItsWay],
    wrong: Mapping[int, int],
    first_on: date,
    rng: random.Random,
) -> list[Account]:
    booked = [replace(payout, amount_minor=wrong.get(payout.id, payout.amount_minor)) for payout in arrived]
    currencies = sorted(openings.keys() | {payout.currency for payout in booked})
    came = {currency: [payout for payout in booked if payout.currency == currency] for currency in currencies}
    return [
        Account(currency, openings.get(currency, 0), _entries(came[currency], wrong.keys(), first_on, rng))
        for currency in currencies
    ]


def _entries(arrived: Sequence[OnItsWay], alone: Container[int], first_on: date, rng: random.Random) -> list[Entry]:
    """The bookings, day by day: several payouts of one gateway on one day are one booking, or one each, as it happens.

    What stands `alone` is always a booking of its own; what came to nothing is none.
    """
    together: dict[tuple[date, str, int], list[OnItsWay]] = defaultdict(list)
    is_one = {gateway: rng.random() < 0.5 for gateway in sorted({payout.gateway for payout in arrived})}
    for payout in arrived:
        if payout.amount_minor:
            is_alone = payout.id in alone or not is_one[payout.gateway]
            together[max(payout.arrives_on, first_on), payout.gateway, payout.id if is_alone else 0].append(payout)
    return [
        Entry(
            reference=f"{booked_on:%Y%m%d}{payouts[0].id:08}",
            booked_on=booked_on,
            transfers=[Transfer(each.payer, each.reference, each.text, each.amount_minor) for each in payouts],
        )
        for (booked_on, _, _), payouts in sorted(together.items())
    ]


def _answers(
    planted: Sequence[OnItsWay], wrong: Mapping[int, int], accounts: Sequence[Account]
) -> list[dict[str, Any]]:
    entries = {
        transfer.reference: entry.reference
        for account in accounts
        for entry in account.entries
        for transfer in entry.transfers
    }
    return [_answer(payout, wrong[payout.id], entries.get(payout.reference)) for payout in planted]


def _answer(payout: OnItsWay, booked_minor: int, entry: str | None) -> dict[str, Any]:
    kind = "wrong_credit" if booked_minor else "missing_credit"
    return {
        "planted": kind,
        "expected": plants.BANK_ERRORS[kind],
        "gateway": payout.gateway,
        "batch": payout.batch,
        "reference": payout.reference,
        "entry": entry,
        "currency": payout.currency,
        "ours_minor": payout.amount_minor,
        "theirs_minor": booked_minor or None,
    }
