"""Do we read what the simulator writes as it was meant: bank statements, fees, and the names of what is planted?"""

import io
import random
from datetime import timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from checkout.kit.money import Money
from gateways.simulator import money, plants
from gateways.tests.trading import START, Trade
from ledger.bank import read_camt053
from ledger.fees import gateway_fee
from ledger.models import Discrepancy


def test_every_planted_error_is_to_be_reported_as_a_kind_of_discrepancy() -> None:
    expected = {**plants.LINE_ERRORS, **plants.BATCH_ERRORS, **plants.BANK_ERRORS}
    assert set(expected.values()) <= set(Discrepancy.Kind.values)


@given(amount=st.integers(0, 10**10), fee_bps=st.integers(0, 10_000), fixed=st.integers(0, 1_000))
def test_a_simulated_gateway_takes_the_fee_that_we_expect(amount: int, fee_bps: int, fixed: int) -> None:
    expected = gateway_fee(amount=Money(amount, "EUR"), fee_bps=fee_bps, fixed_minor=fixed)
    assert money.fee_of(amount, fee_bps=fee_bps, fee_fixed_minor=fixed) == expected.amount_minor


def test_a_bank_statement_is_read_payout_by_payout(tmp_path: Path) -> None:
    trade = Trade(tmp_path, "adyen-settlement-details")
    rng = random.Random(3)
    for _ in range(5):
        trade.day(rng, 12)
        trade.issue()
    sent: dict[tuple[str, str], int] = {
        (row["reference"], row["currency"]): row["amount_minor"]
        for row in trade.book.connection.execute("SELECT * FROM payout")
    }

    issued = [trade.account.issue((START + timedelta(days=day)).date()) for day in (2, 4, 9)]
    told: dict[tuple[str, str], int] = {}
    for statement in issued:
        assert statement is not None
        read = read_camt053(io.BytesIO(trade.account.archive.statement_content(statement)))
        for line in read.lines:
            assert (line.reference, line.currency) not in told
            assert line.reference in line.text
            told[line.reference, line.currency] = line.amount_minor
        assert {balance.currency: balance.closing_minor for balance in read.balances} == statement.balances

    assert told == sent
    assert len(sent) > 10
