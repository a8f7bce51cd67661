"""Does money survive a short round of harm? And would the judge say so if it did not?"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from checkout.kit import clock
from checkout.kit.money import Money
from checkout.launch.files import ROOT
from gateways.models import Gateway
from gateways.simulator.book import Book
from gateways.simulator.calls import Operation
from ledger.models import AccountBalance
from merchants.models import Merchant
from payments.models import Attempt, Payment
from payments.services import refund_payment
from tests.chaos.history import History
from tests.chaos.judge import Judge, Verdict
from tests.chaos.load import Shop, wishes
from tests.chaos.nemesis import plan
from tests.chaos.rig import DIALECTS, faults
from tests.simulation import Simulation

PAYMENTS, SEED = 50, 7


@pytest.mark.chaos
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.xdist_group("flow")  # one platform at a time is enough for the machine
def test_in_a_short_round_nothing_is_doubled_lost_or_left_open() -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    command = [sys.executable, "-m", "tests.chaos", "--rounds", "1", "--seed", str(SEED), "--payments", str(PAYMENTS)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-5000:]
    assert f"payments {PAYMENTS}" in done.stdout
    shutil.rmtree(Path(done.stdout.split()[-1]).parent)


def test_a_seed_says_what_is_wanted_and_what_strikes() -> None:
    assert wishes(SEED, 50, 3) == wishes(SEED, 50, 3) != wishes(SEED + 1, 50, 3)
    strikes = plan(SEED, kills=40, gateways=list(DIALECTS))
    assert strikes == plan(SEED, kills=40, gateways=list(DIALECTS))
    assert sum(strike.kind.startswith("kill") for strike in strikes) == 40
    assert {"stop", "flush", "delay", "refuse", "reset"} < {strike.kind for strike in strikes}


def test_at_least_three_of_ten_answers_are_faulty() -> None:
    for code in DIALECTS:
        mix = faults(SEED, code)
        assert 0.3 <= sum(mix.values()) - mix["asynchronous"] - mix["duplicate_and_late_notices"] <= 0.5


class Court:
    """A captured and partly refunded payment, the gateways' book of it, and what its merchant was told."""

    def __init__(self, folder: Path, merchant: Merchant, payment: Payment, rows: list[Operation]) -> None:
        self.merchant = merchant
        self.payment = payment
        self.book = Book(str(folder / "book.sqlite3"))
        self.charge = next(row for row in rows if row.kind == "charge")
        for row in rows:
            self.book.insert(row)
        self.history = History(folder / "history.jsonl")
        self.told({"id": payment.public_id, "amount": payment.amount_minor, "currency": payment.currency})
        self._judge = Judge(folder / "book.sqlite3")
        self._history_path = folder / "history.jsonl"

    def told(self, document: dict[str, Any], key: str = "k") -> None:
        """Let the merchant have been answered so."""
        number = self.history.asks(shop=self.merchant.name, key=key)
        self.history.hears(number, http_status=201, body=json.dumps(document))

    def verdict(self) -> Verdict:
        """What the judge says."""
        since = clock.now() - timedelta(hours=1)
        shops = [Shop(self.merchant.name, "")]
        return self._judge.judge(shops=shops, history=self._history_path, since=since)

    def kinds(self) -> set[str]:
        """What the judge finds."""
        return {finding.kind for finding in self.verdict().findings} - {"audit"}


@pytest.fixture
def court(
    tmp_path: Path,
    merchant: Merchant,
    captured_payment: Callable[..., Payment],
    carry_out: Callable[[], int],
    eur: Callable[[int], Money],
    simulation: Simulation,
    actor: Any,
) -> Court:
    """A case in which all is well."""
    payment = captured_payment(eur(50_00))
    refund_payment(payment=payment, amount=eur(20_00), actor=actor)
    carry_out()
    payment.refresh_from_db()
    ours = {attempt.reference for attempt in payment.attempts.all()}
    charge, *rest = [row for row in simulation.book("north") if row["reference"] in ours]
    rows = [Operation(gateway="north", capture=True, **charge)]
    rows += [Operation(gateway="north", parent_id=charge["id"], **row) for row in rest]
    return Court(tmp_path, merchant, payment, rows)


def test_a_judge_who_finds_nothing_says_so(court: Court) -> None:
    verdict = court.verdict()
    assert verdict.findings == []
    assert (verdict.statuses, verdict.ledger_difference) == ({"captured": 1}, 0)


def test_a_second_charge_is_found(court: Court, gateways: dict[str, Gateway]) -> None:
    first = court.payment.attempts.get(operation="authorize")
    second = Attempt.objects.create(
        payment=court.payment,
        seq=9,
        confirmation=1,
        operation="authorize",
        status="abandoned",
        gateway=gateways["spare"],
        amount_minor=first.amount_minor,
        currency="EUR",
        created_at=clock.now(),
    )
    court.book.insert(
        replace(
            court.charge, id="ch_2", gateway="spare", reference=second.reference, captured_minor=0, refunded_minor=0
        )
    )
    assert court.kinds() == {"doubled"}


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        ({"voided": True}, {"lost"}),
        ({"captured_minor": 40_00}, {"lost"}),
        ({"refunded_minor": 40_00}, {"doubled"}),
        ({"refunded_minor": 0}, {"lost"}),
    ],
)
def test_a_gateway_that_did_something_else_is_found(court: Court, change: dict[str, Any], kinds: set[str]) -> None:
    court.book.update(court.charge, **change)
    assert court.kinds() == kinds


def test_money_that_a_gateway_no_longer_owes_us_is_found(court: Court) -> None:
    refund = {"kind": "refund", "reference": "office_1", "parent_id": court.charge.id, "amount_minor": 5_00}
    court.book.insert(replace(court.charge, id="re_9", captured_minor=0, refunded_minor=0, capture=False, **refund))
    verdict = court.verdict()
    assert [(finding.kind, finding.words) for finding in verdict.findings if finding.kind != "audit"] == [
        ("ledger", "north in EUR, ours less theirs: 500")
    ]
    assert verdict.ledger_difference == 5_00


def test_money_at_a_gateway_that_nobody_knows_is_found(court: Court) -> None:
    court.book.insert(replace(court.charge, id="ch_2", reference="att_nobody", captured_minor=0, refunded_minor=0))
    assert court.kinds() == {"lost"}


def test_a_payment_that_was_answered_and_is_not_there_is_found(court: Court) -> None:
    court.told({"id": "pay_0000000000000000000000", "amount": 1, "currency": "EUR"}, key="k2")
    assert court.kinds() == {"lost"}


def test_another_amount_than_was_answered_is_found(court: Court) -> None:
    court.told({"id": court.payment.public_id, "amount": 49_99, "currency": "EUR"}, key="k2")
    assert court.kinds() == {"lost"}


def test_two_objects_under_one_key_are_found(court: Court) -> None:
    refund = court.payment.refunds.get()
    court.told({"id": refund.public_id, "amount": refund.amount_minor, "currency": "EUR"})
    assert court.kinds() == {"doubled", "lost"}


def test_an_outcome_left_open_is_found(court: Court) -> None:
    Attempt.objects.filter(operation="refund").update(status="unknown", next_action_at=clock.now())
    assert court.kinds() == {"unknown"}


def test_a_balance_that_is_not_the_sum_of_its_postings_is_found(court: Court) -> None:
    account = AccountBalance.objects.exclude(balance_minor=0)[0]
    AccountBalance.objects.filter(pk=account.pk).update(balance_minor=account.balance_minor - 7)
    verdict = court.verdict()
    assert (verdict.ledger_difference, {finding.kind for finding in verdict.findings} - {"audit"}) == (7, {"ledger"})
