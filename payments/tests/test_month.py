"""Do a few days of trade, settlement and closing tie out, and does the verdict see what does not?"""

import io
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from checkout.kit import clock
from checkout.kit.models import AuditEntry
from ledger.models import ClosedDay, Discrepancy
from payments.month.run import simulate
from payments.month.verdict import judge

pytestmark = pytest.mark.django_db(transaction=True)


def test_days_with_planted_errors_tie_out() -> None:
    out = io.StringIO()

    call_command("simulate_month", days=2, payments=400, seed=2, stdout=out)

    assert "the books tie out" in out.getvalue().splitlines()[-1]
    assert Discrepancy.objects.exclude(status__in=["resolved", "cleared"]).count() == 0
    assert ClosedDay.objects.filter(on__lt=clock.now().date() - timedelta(days=8)).exists()
    assert not AuditEntry.objects.filter(told_by_database=True).exclude(verb="kit_user.insert").exists()


def test_what_was_planted_and_not_reported_is_missed_and_what_was_not_planted_is_false() -> None:
    simulate(days=1, payments=200, seed=3, say=lambda line: None)
    answer = {
        "planted": "extra_line",
        "expected": "missing_in_ledger",
        "file": "other.csv",
        "gateway": "x",
        "lines": [2],
    }

    verdict = judge([answer])

    assert len(verdict.missed) == 1
    assert len(verdict.false_reports) == Discrepancy.objects.count() > 0
    assert not verdict.is_perfect


def test_a_month_of_nothing_is_refused() -> None:
    with pytest.raises(CommandError, match="at the least"):
        call_command("simulate_month", days=0)
