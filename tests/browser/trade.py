"""What is there to work off? A day of trade at three gateways, and what they and the bank say about it.

The gateways and the bank are the simulator's own. Northgate's file has errors planted, and so has the statement.
"""

import io
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from checkout.kit import clock
from gateways.models import Gateway
from gateways.simulator.account import BankAccount
from gateways.simulator.book import Book
from gateways.simulator.settlements import Settlements
from ledger.models import SettlementFile
from ledger.services.files import import_file, receive_file
from ledger.services.matching import reconcile
from payments.month import market

PAYMENTS, SEED, CURRENCY = 75, 4, "EUR"
# Old enough that what no file names is missing, and not only late.
DAYS_AGO = 6
PLANTED = {"wrong_fee": 3, "wrong_amount": 1, "missing_line": 1, "extra_line": 1}


@dataclass(frozen=True)
class Trade:
    """The day, Northgate, the two files that somebody has to bring in, and what is wrong with the first."""

    on: date
    settled_on: date
    northgate: Gateway
    settlement: Path
    statement: Path
    errors: list[dict[str, Any]]


def trade(folder: Path) -> Trade:
    """Live through the day. The files of the other two gateways are in already, and hold no errors."""
    on = clock.now().date() - timedelta(days=DAYS_AGO)
    book = Book(str(folder / "book.sqlite3"))
    settlements, account = Settlements(book), BankAccount(book)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(market, "CURRENCIES", (CURRENCY,))
        place = market.Market(book, SEED)
        place.trade(on, PAYMENTS)
    until = datetime.combine(on + timedelta(days=1), time(0), UTC)
    northgate, *others = place.gateways
    for gateway in others:
        issued = settlements.issue(place.settings(gateway), until=until)
        assert issued is not None
        _fetch(gateway, issued.name, b"".join(settlements.archive.content(issued)))
    issued = settlements.issue(place.settings(northgate), until=until, plant=PLANTED, seed=SEED)
    told = account.issue(on + timedelta(days=4), plant={"wrong_credit": 1}, seed=SEED)
    assert issued is not None
    assert told is not None
    settlement, statement = folder / issued.name, folder / told.name
    settlement.write_bytes(b"".join(settlements.archive.content(issued)))
    statement.write_bytes(account.archive.statement_content(told))
    return Trade(on, until.date(), northgate, settlement, statement, settlements.archive.answers(issued)["errors"])


def _fetch(gateway: Gateway, name: str, content: bytes) -> None:
    about: dict[str, Any] = {"gateway": gateway, "mode": "test", "actor": market.ACTOR}
    import_file(receive_file(stream=io.BytesIO(content), name=name, source=SettlementFile.Source.FETCH, **about))
    reconcile(**about)
