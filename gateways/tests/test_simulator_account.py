"""Does the bank tell of every payout once, in a statement whose balances add up? Read with Python's ElementTree."""

import random
from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from defusedxml.ElementTree import fromstring

from checkout.kit.money import CURRENCY_DECIMALS
from gateways.simulator.archive import IssuedStatement
from gateways.simulator.formats.camt053 import iban
from gateways.simulator.plants import PlantRefused
from gateways.tests.trading import START, Trade

NAMESPACE = {"c": "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"}
FIRST = START.date() + timedelta(days=1)


@dataclass(frozen=True)
class Booking:
    """One booking: its signed amount, and those of what it consists of, by their end-to-end reference."""

    reference: str
    on: date
    amount_minor: int
    transfers: dict[str, int]
    texts: list[str]


@dataclass(frozen=True)
class Part:
    """The part of a statement that is about one account."""

    iban: str
    opening_minor: int
    closing_minor: int
    days: tuple[str, str]
    bookings: list[Booking]


def parts_of(trade: Trade, statement: IssuedStatement) -> dict[str, Part]:
    root = fromstring(trade.account.archive.statement_content(statement))
    return {_text(part, "c:Acct/c:Ccy"): _part(part) for part in root.findall("c:BkToCstmrStmt/c:Stmt", NAMESPACE)}


def _part(part: ET.Element) -> Part:
    balances = {_text(each, "c:Tp/c:CdOrPrtry/c:Cd"): _signed(each) for each in part.findall("c:Bal", NAMESPACE)}
    return Part(
        iban=_text(part, "c:Acct/c:Id/c:IBAN"),
        opening_minor=balances["OPBD"],
        closing_minor=balances["CLBD"],
        days=(_text(part, "c:FrToDt/c:FrDtTm"), _text(part, "c:FrToDt/c:ToDtTm")),
        bookings=[_booking(entry) for entry in part.findall("c:Ntry", NAMESPACE)],
    )


def _booking(entry: ET.Element) -> Booking:
    assert _text(entry, "c:Sts/c:Cd") == "BOOK"
    details = entry.findall("c:NtryDtls/c:TxDtls", NAMESPACE)
    batch = entry.find("c:NtryDtls/c:Btch", NAMESPACE)
    if len(details) > 1:
        assert batch is not None
        assert _text(batch, "c:NbOfTxs") == str(len(details))
        assert _text(batch, "c:TtlAmt") == _text(entry, "c:Amt")
    else:
        assert batch is None
    return Booking(
        reference=_text(entry, "c:AcctSvcrRef"),
        on=date.fromisoformat(_text(entry, "c:BookgDt/c:Dt")),
        amount_minor=_signed(entry),
        transfers={_text(each, "c:Refs/c:EndToEndId"): _signed(each) for each in details},
        texts=[_text(each, "c:RmtInf/c:Ustrd") for each in details],
    )


def _text(element: ET.Element, path: str) -> str:
    text = element.findtext(path, namespaces=NAMESPACE)
    assert text, path
    return text


def _signed(element: ET.Element) -> int:
    amount = element.find("c:Amt", NAMESPACE)
    assert amount is not None
    value = Decimal(amount.text or "")
    decimals = CURRENCY_DECIMALS[amount.get("Ccy", "")]
    assert value >= 0
    assert value.as_tuple().exponent == -decimals
    return int(value.scaleb(decimals)) * {"CRDT": 1, "DBIT": -1}[_text(element, "c:CdtDbtInd")]


@pytest.fixture
def gateways(tmp_path: Path) -> list[Trade]:
    """Three gateways with three formats in one book, and six days of trading, settled every day."""
    gateways = [
        Trade(tmp_path, "checkout-1", "north"),
        Trade(tmp_path, "stripe-itemized", "south"),
        Trade(tmp_path, "adyen-settlement-details", "east"),
    ]
    rng = random.Random(3)
    for _ in range(6):
        for trade in gateways:
            trade.day(rng, 12)
            trade.issue()
    return gateways


def payouts(trade: Trade) -> dict[str, dict[str, Any]]:
    rows = trade.book.connection.execute("SELECT * FROM payout").fetchall()
    return {row["reference"]: dict(row) for row in rows}


def statements(trade: Trade, number: int = 10, first: date = FIRST) -> list[IssuedStatement]:
    issued = [trade.account.issue(first + timedelta(days=day)) for day in range(number)]
    return [statement for statement in issued if statement]


def test_balances_add_up_and_follow_each_other(gateways: list[Trade]) -> None:
    before: dict[str, int] = {}
    for number, statement in enumerate(statements(gateways[0]), start=1):
        assert statement.number == number
        parts = parts_of(gateways[0], statement)
        assert parts.keys() >= before.keys()
        for currency, part in parts.items():
            assert part.opening_minor == before.get(currency, 0)
            assert part.closing_minor == part.opening_minor + sum(each.amount_minor for each in part.bookings)
            assert part.iban == iban(currency)
            assert all(sum(each.transfers.values()) == each.amount_minor for each in part.bookings)
            assert part.days == (f"{statement.told_on}T00:00:00Z", f"{statement.told_on}T23:59:59Z")
            before[currency] = part.closing_minor
        assert statement.balances == before
        assert statement.entry_count == sum(len(part.bookings) for part in parts.values())
    assert len(before) == 4
    owed = Counter[str]()
    for payout in payouts(gateways[0]).values():
        owed[payout["currency"]] += payout["amount_minor"]
    assert before == owed


def test_every_payout_arrives_once_within_two_days(gateways: list[Trade]) -> None:
    sent = payouts(gateways[0])
    paid_on = {
        row["id"]: date.fromisoformat(row["until"][:10])
        for row in gateways[0].book.connection.execute("SELECT id, until FROM settlement_file")
    }
    arrived: list[str] = []
    ways = Counter[int]()
    for statement in statements(gateways[0]):
        for currency, part in parts_of(gateways[0], statement).items():
            for booking in part.bookings:
                for reference, amount_minor in booking.transfers.items():
                    assert sent[reference]["currency"] == currency
                    assert sent[reference]["amount_minor"] == amount_minor
                    assert booking.on == statement.told_on
                    ways[(booking.on - paid_on[sent[reference]["file_id"]]).days] += 1
                    arrived.append(reference)
    assert sorted(arrived) == sorted(sent)
    assert set(ways) == {0, 1, 2}


def test_several_payouts_of_one_gateway_are_one_booking_or_one_each(gateways: list[Trade]) -> None:
    sizes = Counter[int]()
    for statement in statements(gateways[0]):
        for part in parts_of(gateways[0], statement).values():
            for booking in part.bookings:
                sizes[len(booking.transfers)] += 1
                assert len({payouts(gateways[0])[reference]["gateway"] for reference in booking.transfers}) == 1
    assert sizes[1]
    assert sum(count for size, count in sizes.items() if size > 1)


def test_the_bank_is_told_the_batch(gateways: list[Trade]) -> None:
    texts = [
        (reference, text)
        for statement in statements(gateways[0])
        for part in parts_of(gateways[0], statement).values()
        for booking in part.bookings
        for reference, text in zip(booking.transfers, booking.texts, strict=True)
    ]
    for reference, text in texts:
        payout = payouts(gateways[0])[reference]
        assert payout["batch"] in text
        assert len(reference) <= 35
    assert any(text.endswith("XT batch 3, east") for _, text in texts)


def test_more_refunds_than_charges_are_a_debit(tmp_path: Path) -> None:
    trade = Trade(tmp_path)
    charge = trade.sale(10_000)
    trade.now += timedelta(days=1)
    trade.issue()
    trade.sale(1_000)
    trade.bank.act("refund", charge.reference, 5_000)
    trade.now += timedelta(days=1)
    (net,) = trade.issue().payouts.values()

    bookings = [
        booking for told in statements(trade, 6) for part in parts_of(trade, told).values() for booking in part.bookings
    ]
    assert net == 1_000 - 59 - 5_000
    assert [sum(booking.transfers.values()) for booking in bookings].count(net) == 1


def test_a_day_is_told_of_once_and_a_skipped_one_with_the_next(gateways: list[Trade]) -> None:
    account = gateways[0].account
    first = account.issue(FIRST + timedelta(days=3))
    assert first is not None
    assert account.issue(FIRST + timedelta(days=3)) is None
    assert account.issue(FIRST + timedelta(days=2)) is None
    last = account.issue(FIRST + timedelta(days=20))
    assert last is not None
    (eur,) = [part for currency, part in parts_of(gateways[0], last).items() if currency == "EUR"]
    assert eur.days == (f"{FIRST + timedelta(days=4)}T00:00:00Z", f"{FIRST + timedelta(days=20)}T23:59:59Z")
    assert len({booking.on for booking in eur.bookings}) > 1
    for statement in (first, last):
        for part in parts_of(gateways[0], statement).values():
            assert all(part.days[0][:10] <= booking.on.isoformat() <= part.days[1][:10] for booking in part.bookings)
    assert [booking.on for booking in eur.bookings] == sorted(booking.on for booking in eur.bookings)
    references = [
        reference
        for statement in (first, last)
        for part in parts_of(gateways[0], statement).values()
        for booking in part.bookings
        for reference in booking.transfers
    ]
    assert sorted(references) == sorted(payouts(gateways[0]))


def test_there_is_no_statement_before_anything_has_arrived_and_one_of_nothing_afterwards(tmp_path: Path) -> None:
    trade = Trade(tmp_path)
    assert trade.account.issue(FIRST) is None
    trade.sale()
    trade.now += timedelta(days=1)
    trade.issue()
    assert trade.account.issue(FIRST + timedelta(days=9)) is not None
    empty = trade.account.issue(FIRST + timedelta(days=10))
    assert empty is not None
    assert (empty.entry_count, parts_of(trade, empty)["EUR"].closing_minor) == (0, 941)


@pytest.mark.parametrize("number", [0, 1, 4])
def test_what_is_planted_is_what_the_answers_say_and_nothing_else(gateways: list[Trade], number: int) -> None:
    sent = payouts(gateways[0])
    plant = {"missing_credit": number, "wrong_credit": number}
    statement = gateways[0].account.issue(FIRST + timedelta(days=20), plant=plant, seed=5)
    assert statement is not None
    told: dict[str, tuple[str, int]] = {}
    for part in parts_of(gateways[0], statement).values():
        assert part.closing_minor == part.opening_minor + sum(each.amount_minor for each in part.bookings)
        for booking in part.bookings:
            told |= {reference: (booking.reference, amount) for reference, amount in booking.transfers.items()}
            if any(sent[reference]["amount_minor"] != amount for reference, amount in booking.transfers.items()):
                assert len(booking.transfers) == 1
    wrong = {one: told.get(one, (None, None)) for one in sent if told.get(one, ("", 0))[1] != sent[one]["amount_minor"]}

    answers = gateways[0].account.archive.statement_answers(statement)["errors"]

    assert {answer["reference"]: (answer["entry"], answer["theirs_minor"]) for answer in answers} == wrong
    assert Counter(answer["planted"] for answer in answers) == {kind: count for kind, count in plant.items() if count}
    assert statement.planted_count == 2 * number == len(answers)
    for answer in answers:
        payout = sent[answer["reference"]]
        assert (answer["ours_minor"], answer["batch"]) == (payout["amount_minor"], payout["batch"])
        is_missing = answer["planted"] == "missing_credit"
        assert answer["expected"] == ("missing_bank_credit" if is_missing else "bank_amount_differs")
        assert is_missing or abs(answer["theirs_minor"] - answer["ours_minor"]) >= 2


def test_what_cannot_be_planted_is_refused_and_leaves_no_trace(gateways: list[Trade]) -> None:
    account = gateways[0].account
    for plant, named in (({"wrong_fee": 1}, "wrong_fee"), ({"missing_credit": 5_000}, "too few")):
        with pytest.raises(PlantRefused, match=named):
            account.issue(FIRST + timedelta(days=20), plant=plant)
    assert account.archive.statements() == []
    assert account.issue(FIRST + timedelta(days=20)) is not None


def test_an_account_has_an_iban_with_the_right_check_digits() -> None:
    numbers = [iban(currency) for currency in CURRENCY_DECIMALS]
    for number in numbers:
        assert len(number) == 22
        assert int("".join(str(int(character, 36)) for character in number[4:] + number[:4])) % 97 == 1
    assert len(set(numbers)) == len(numbers)
