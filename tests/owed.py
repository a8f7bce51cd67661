"""Do a gateway of the simulator and we agree on what it owes us: in no file yet, or on its way to the bank?

Its book is read as it stands, from a copy, so that the simulator may go on writing.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path

from gateways.models import Gateway
from gateways.simulator.archive import Archive
from gateways.simulator.book import Book
from gateways.simulator.calls import CHARGE, moment
from gateways.simulator.money import fee_of
from ledger.chart import AccountKind
from ledger.selectors import trial_balance

_OWES = (AccountKind.GATEWAY_RECEIVABLE, AccountKind.GATEWAY_IN_TRANSIT)
_FAR = moment(datetime.max.replace(tzinfo=UTC))

Owed = Counter[tuple[str, str]]  # minor units by code and currency


def ours_less_theirs(book_file: Path, gateways: Iterable[Gateway]) -> Owed:
    """By code and currency, what our books say beyond what the gateway's own says: nothing, if no money was lost.

    To be asked while nothing is in flight. A capture costs at the gateway what we expect of it.
    """
    terms = {gateway.code: gateway for gateway in gateways}
    difference: Owed = Counter()
    for balance in trial_balance(mode="test"):
        account = balance.account
        if account.kind in _OWES and account.gateway and account.gateway.code in terms:
            difference[account.gateway.code, account.currency] += balance.sum.amount_minor
    difference.subtract(_theirs(book_file, terms))
    return difference


def _theirs(book_file: Path, terms: dict[str, Gateway]) -> Owed:
    book = Book(":memory:")
    source = sqlite3.connect(f"file:{book_file}?mode=ro", uri=True)
    try:
        source.backup(book.connection)
        archive, owed = Archive(book), Owed()
        for code, gateway in terms.items():
            for line in archive.owed(code, until=_FAR):
                fee = {"fee_bps": gateway.fee_bps, "fee_fixed_minor": gateway.fee_fixed_minor}
                owed[code, line.currency] += line.gross_minor
                owed[code, line.currency] -= fee_of(line.gross_minor, **fee) if line.kind == CHARGE else 0
        for payout in archive.on_their_way(date.max):
            owed[payout.gateway, payout.currency] += payout.amount_minor if payout.gateway in terms else 0
        return owed
    finally:
        source.close()
        book.close()
