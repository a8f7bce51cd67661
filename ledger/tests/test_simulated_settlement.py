"""Simulated gateways' files in every format, with errors planted: each is found where it is, and nothing else is."""

import io
import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from checkout.kit.money import Money
from checkout.settings import policy
from gateways.settlements import PROFILES
from gateways.simulator.formats import Line
from gateways.tests.trading import CURRENCIES, START, Paper, Trade
from ledger import recipes
from ledger.models import ClearingItem, Discrepancy, SettlementBatch, SettlementFile, SettlementLine
from ledger.reconciliation.control import receivable_control
from ledger.services import import_file, receive_file, reconcile, reconcile_bank, record_entries
from ledger.statuses import UNRESOLVED
from ledger.tests.settling import ACTOR

pytestmark = pytest.mark.django_db

PLANT = {
    **{"missing_line": 2, "late_line": 2, "extra_line": 2, "duplicate_line": 2, "wrong_amount": 2, "wrong_fee": 2},
    **{"wrong_currency": 1, "unmapped_type": 1, "dashboard_refund": 1, "batch_total": 1},
}


@pytest.fixture(autouse=True)
def _the_simulated_days_are_not_too_long_ago(monkeypatch):
    monkeypatch.setattr(policy, "SETTLEMENT_LINE_DAYS", 100_000)


@pytest.fixture(params=sorted(PROFILES))
def trade(request, tmp_path, acme) -> Trade:
    acme.currencies = [*CURRENCIES, "GBP", "CHF", "KRW", "BHD"]
    acme.save()
    trade = Trade(tmp_path, request.param, code="acme")
    trade.bank.act = lambda *told: None  # its back office does nothing but what is planted
    return trade


def remember(trade: Trade, gateway: Any) -> list[Line]:
    """Write down what the gateway will have to settle, as if we had asked for all of it."""
    known = set(ClearingItem.objects.values_list("reference", flat=True))
    owed = [line for line in trade.settlements._owed(trade.settings, trade.now) if line.reference not in known]
    for line in owed:
        amount, fee = Money(abs(line.gross_minor), line.currency), Money(line.fee_minor, line.currency)
        fact: Any = {
            "mode": "test",
            "gateway_id": gateway.pk,
            "reference": line.reference,
            "gateway_reference": line.id,
            "occurred_at": datetime.fromisoformat(line.at[:10]).replace(hour=12, tzinfo=UTC),
        }
        recipe = recipes.for_late_success if line.kind == "charge" else recipes.for_late_success_reversed
        drafts = recipe(amount=amount, **fact)
        if fee:
            drafts.append(recipes.gateway_fee_charged(fee=fee, **fact))
        with transaction.atomic():
            record_entries(drafts)
    return owed


def bring_in(trade: Trade, gateway: Any, paper: Paper) -> SettlementFile:
    about = {"gateway": gateway, "mode": "test", "source": "fetch", "actor": ACTOR}
    file = import_file(receive_file(stream=io.BytesIO(paper.content), name=paper.file.name, **about))
    assert (file.status, file.errors) == ("imported", [])
    assert file.profile == trade.settings.settlement_format
    return file


def told() -> Counter[str]:
    return Counter(Discrepancy.objects.filter(status__in=UNRESOLVED).values_list("kind", flat=True))


def ties(gateway: Any) -> bool:
    currencies = set(SettlementLine.objects.values_list("currency", flat=True))
    controls = [receivable_control(gateway=gateway, mode="test", currency=currency) for currency in currencies]
    return all(control.difference_minor == 0 for control in controls)


@pytest.mark.parametrize("seed", [1, 2])
def test_every_planted_error_is_found_where_it_is_and_nothing_else(trade, acme, seed):
    rng = random.Random(seed)
    trade.day(rng, 40)
    remember(trade, acme)
    paper = trade.issue(plant=PLANT, seed=seed)
    file = bring_in(trade, acme, paper)
    today = (START + timedelta(days=1)).date()
    reconcile(gateway=acme, mode="test", actor=ACTOR, until=today)

    expected = Counter(answer["expected"] for answer in paper.answers)
    expected["timing"] += expected.pop("missing_at_gateway")  # it is too early to tell the two apart
    assert told() == expected
    assert ties(acme)
    for answer in paper.answers:
        check(answer, file)

    trade.day(rng, 10)
    remember(trade, acme)
    bring_in(trade, acme, trade.issue())
    reconcile(gateway=acme, mode="test", actor=ACTOR, until=today + timedelta(days=9))
    expected["missing_at_gateway"] = expected.pop("timing") - PLANT["late_line"]
    assert {kind: count for kind, count in told().items() if kind != "missing_bank_credit"} == expected
    assert ties(acme)
    assert not reconcile(gateway=acme, mode="test", actor=ACTOR, until=today + timedelta(days=9)).changed_anything


def check(answer: dict[str, Any], file: SettlementFile) -> None:
    """One planted error: it was found at its line or item, with its amounts."""
    if answer["planted"] == "batch_total":
        found = Discrepancy.objects.get(batch__reference=answer["batch"], batch__currency=answer["currency"])
    elif answer["planted"] in ("missing_line", "late_line"):
        found = Discrepancy.objects.get(item__reference=answer["reference"])
        assert found.kind == "timing"
        assert found.ours_minor == answer["ours_minor"]
        return
    else:
        lines = Discrepancy.objects.filter(line__file=file, line__line_number__in=answer["lines"])
        found = lines.get(kind=answer["expected"])
    assert found.kind == answer["expected"]
    assert found.theirs_minor == answer["theirs_minor"]
    if answer["ours_minor"] is not None:
        assert found.ours_minor == answer["ours_minor"]


def test_payouts_of_every_format_reach_the_bank_or_are_told(trade, acme):
    rng = random.Random(3)
    trade.day(rng, 40)
    remember(trade, acme)
    bring_in(trade, acme, trade.issue())
    reconcile(gateway=acme, mode="test", actor=ACTOR, until=trade.now.date())
    batches = SettlementBatch.objects.exclude(net_minor=0).count()
    assert batches > 2

    on: date = (START + timedelta(days=4)).date()
    issued = trade.account.issue(on, plant={"missing_credit": 1, "wrong_credit": 1})
    assert issued is not None
    content = trade.account.archive.statement_content(issued)
    about = {"gateway": None, "mode": "test", "source": "upload", "actor": ACTOR}
    file = import_file(receive_file(stream=io.BytesIO(content), name=Path(issued.name).name, **about))
    assert (file.status, file.errors) == ("imported", [])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ledger.reconciliation.selectors._BANK_LINE_DAYS", 100_000)
        done = reconcile_bank(mode="test", actor=ACTOR, until=on + timedelta(days=9))
    assert (done.payouts, done.differing, done.missing) == (batches - 1, 1, 1)
    answers = {answer["expected"]: answer for answer in trade.account.archive.statement_answers(issued)["errors"]}
    for kind in ("missing_bank_credit", "bank_amount_differs"):
        found = Discrepancy.objects.get(kind=kind)
        assert (found.batch.reference, found.batch.currency) == (answers[kind]["batch"], answers[kind]["currency"])
