"""Can more be given back than was taken, when everybody asks at once? REFUND_ROUNDS=1000 asks a thousand times."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from django.conf import settings
from django.db import connection

from checkout.kit import clock
from checkout.kit.actors import Actor
from checkout.kit.money import Money
from gateways.client import Account, Answer, Call
from gateways.outcomes import GatewayResult, Outcome
from ledger.models import AccountBalance
from payments.models import Attempt, Payment
from payments.services.record import record_answer
from payments.services.run import claim_due

PROCESSES = 10
REFUNDS_EACH = 10
ROUNDS = int(os.environ.get("REFUND_ROUNDS", "3"))


@pytest.fixture
def crowd(transactional_db: None) -> Iterator[list["subprocess.Popen[str]"]]:
    """Ten processes with this test's database, each waiting for a line."""
    database = settings.DATABASES["default"]
    url = f"postgres://{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}"
    environment = {**os.environ, "DATABASE_URL": f"{url}/{connection.settings_dict['NAME']}"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.races.refunding"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(PROCESSES)
    ]
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def capture(payment: Payment) -> None:
    """Let the first attempt of a payment come back as a sale that succeeded."""
    claim_due(limit=1000, busy=[])
    attempt = Attempt.objects.select_related("gateway").get(payment=payment)
    result = GatewayResult(Outcome.SUCCEEDED, gateway_reference=f"ch_{attempt.pk.hex}", captured=True)
    call = Call(account=Account.of(attempt.gateway), verb="authorize", tag=(payment.pk, attempt.pk))
    answer = Answer(call=call, result=result, started_at=attempt.created_at, duration_ms=1, http_status=201)
    record_answer(answer=answer, actor=Actor.task("race"))


def test_a_hundred_refunds_by_ten_processes_end_at_exactly_the_captured_sum(
    crowd: list["subprocess.Popen[str]"], created_payment: Callable[..., Payment], eur: Callable[[int], Money]
) -> None:
    for number in range(ROUNDS):
        payment = created_payment(eur(50_00), confirm=True)
        capture(payment)
        for process in crowd:
            assert process.stdin is not None
            process.stdin.write(f"{payment.public_id} {REFUNDS_EACH} 90\n")
            process.stdin.flush()
        accepted = sum(int(process.stdout.readline()) for process in crowd if process.stdout is not None)
        refunds = list(payment.refunds.all())
        assert accepted == sum(refund.amount_minor for refund in refunds) == 55 * 90, f"round {number}"
        assert len(refunds) == 55  # 55 x 0.90 is 49.50, and one more would be 50.40
        payment.attempts.update(next_action_at=clock.seconds_from_now(86_400))  # out of the way of the next round
    in_flight = AccountBalance.objects.get(account__kind="refund_in_flight")
    assert in_flight.balance_minor == -ROUNDS * 55 * 90
