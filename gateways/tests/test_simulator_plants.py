"""Is what was planted in a settlement file exactly what its answers say, and nothing else?

The same book is settled twice, in two copies: once truthfully and once with errors. What differs between the two files
is found here by comparing them, and not by asking the simulator.
"""

import random
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateways.simulator.plants import BATCH_ERRORS, LINE_ERRORS, PlantRefused
from gateways.tests.trading import FORMATS, Entry, Paper, Trade

EVERYTHING = {**dict.fromkeys([*LINE_ERRORS, *BATCH_ERRORS], 1), "missing_line": 3, "wrong_fee": 4, "late_line": 2}
EXPECTED = {
    "missing_line": "missing_at_gateway",
    "late_line": "timing",
    "extra_line": "missing_in_ledger",
    "dashboard_refund": "missing_in_ledger",
    "duplicate_line": "duplicate_at_gateway",
    "wrong_amount": "amount_differs",
    "wrong_fee": "fee_differs",
    "wrong_currency": "currency_differs",
    "unmapped_type": "unmapped_type",
    "batch_total": "batch_total_differs",
}


@pytest.fixture(params=FORMATS)
def trade(request: pytest.FixtureRequest, tmp_path: Path) -> Trade:
    """A day of trading that is not settled yet."""
    (folder := tmp_path / "original").mkdir()
    trade = Trade(folder, request.param)
    trade.day(random.Random(5), 120)
    return trade


def differences(truth: Paper, told: Paper) -> list[tuple[str, tuple[int, ...], int | None, int | None]]:
    """What differs: the reason, the lines (of what is missing its id), what it should be, and what it is."""
    ours = {entry.id: entry for entry in truth.entries}
    theirs: dict[str, list[Entry]] = {}
    for entry in told.entries:
        theirs.setdefault(entry.id, []).append(entry)
    found: list[Any] = []
    for one in ours.keys() - theirs.keys():
        found.append(("missing", one, ours[one].gross_minor, None))
    for one, entries in theirs.items():
        lines = tuple(entry.line for entry in entries)
        told_of, expected = entries[0], ours.get(one)
        if told_of.kind not in ("charge", "refund"):
            found.append(("unmapped_type", lines, None, told_of.gross_minor))
        elif expected is None:
            found.append(("missing_in_ledger", lines, None, told_of.gross_minor))
        elif len(entries) > 1:
            found.append(("duplicate_at_gateway", lines, None, told_of.gross_minor))
        elif told_of.currency != expected.currency:
            found.append(("currency_differs", lines, expected.gross_minor, told_of.gross_minor))
        elif told_of.gross_minor != expected.gross_minor:
            found.append(("amount_differs", lines, expected.gross_minor, told_of.gross_minor))
        elif told_of.fee_minor != expected.fee_minor:
            found.append(("fee_differs", lines, expected.fee_minor, told_of.fee_minor))
    for key, net in told.nets().items():
        if told.payouts[key] != net:
            found.append(("batch_total_differs", (told.payout_lines[key],), net, told.payouts[key]))
    return sorted(found, key=repr)


def answered(paper: Paper) -> list[tuple[str, tuple[int, ...], int | None, int | None]]:
    """The answers in the same form."""
    found: list[Any] = []
    for answer in paper.answers:
        is_missing = answer["planted"] in ("missing_line", "late_line")
        reason = "missing" if is_missing else answer["expected"]
        place = answer["gateway_reference"] if is_missing else tuple(answer["lines"])
        found.append((reason, place, answer["ours_minor"], answer["theirs_minor"]))
    return sorted(found, key=repr)


def test_a_truthful_file_differs_in_nothing(trade: Trade, tmp_path: Path) -> None:
    truth, told = trade.copied(tmp_path / "truth").issue(), trade.copied(tmp_path / "again").issue()

    assert truth.answers == []
    assert truth.content == told.content
    assert differences(truth, told) == []


@pytest.mark.parametrize("kind", EXPECTED)
def test_one_error_is_planted_and_answered(trade: Trade, tmp_path: Path, kind: str) -> None:
    truth = trade.copied(tmp_path / "truth").issue()
    told = trade.copied(tmp_path / "told").issue(plant={kind: 1}, seed=3)

    (answer,) = told.answers
    assert (answer["planted"], answer["expected"]) == (kind, EXPECTED[kind])
    assert len(differences(truth, told)) == 1
    assert differences(truth, told) == answered(told)
    assert told.file.planted_count == 1


def test_many_errors_are_planted_each_in_lines_of_its_own(trade: Trade, tmp_path: Path) -> None:
    truth = trade.copied(tmp_path / "truth").issue()
    told = trade.copied(tmp_path / "told").issue(plant=EVERYTHING, seed=3)

    assert Counter(answer["planted"] for answer in told.answers) == EVERYTHING
    assert differences(truth, told) == answered(told)
    touched = [line for answer in told.answers for line in answer["lines"]]
    assert len(touched) == len(set(touched))


def test_nobody_takes_a_difference_for_rounding(trade: Trade) -> None:
    told = trade.issue(plant={"wrong_amount": 15, "wrong_fee": 15, "batch_total": 2}, seed=3)

    for answer in told.answers:
        assert abs(answer["theirs_minor"] - answer["ours_minor"]) >= 2
        assert answer["theirs_minor"] * (answer["ours_minor"] or 1) >= 0


def test_a_wrong_payout_line_is_not_what_is_paid(trade: Trade) -> None:
    told = trade.issue(plant={"batch_total": 1}, seed=3)

    paid = trade.book.connection.execute("SELECT batch, currency, amount_minor FROM payout").fetchall()
    assert {(row[0], row[1]): row[2] for row in paid} == told.nets() != told.payouts


def test_a_late_line_is_in_the_next_file_and_a_missing_one_in_none(trade: Trade) -> None:
    told = trade.issue(plant={"late_line": 3, "missing_line": 2}, seed=3)
    late = {answer["gateway_reference"] for answer in told.answers if answer["planted"] == "late_line"}
    trade.now += timedelta(days=1)

    following = trade.issue()

    assert {entry.id for entry in following.entries} == late
    assert following.answers == []
    trade.now += timedelta(days=1)
    assert trade.settlements.issue(trade.settings, until=trade.now) is None


def test_a_refund_of_the_dashboard_is_in_the_book_and_settled_once(trade: Trade) -> None:
    before = trade.book.totals("north")
    told = trade.issue(plant={"dashboard_refund": 2}, seed=3)

    for answer in told.answers:
        refund = trade.book.get("north", answer["gateway_reference"])
        assert (refund.kind, refund.status) == ("refund", "approved")
        assert refund.reference.startswith("office-")
        assert refund.final_at < told.file.until
        assert (answer["reference"], answer["charge_reference"]) == ("", refund.parent_reference)
        (entry,) = [entry for entry in told.entries if entry.id == refund.id]
        assert (entry.reference, -entry.gross_minor) == (refund.parent_reference, refund.amount_minor)
    refunded = sum(sums["refunded_minor"] for sums in trade.book.totals("north").values())
    given_back = sum(answer["theirs_minor"] for answer in told.answers)
    assert refunded - sum(sums["refunded_minor"] for sums in before.values()) == -given_back
    trade.now += timedelta(days=1)
    assert trade.settlements.issue(trade.settings, until=trade.now) is None


def test_the_same_seed_plants_the_same_errors_and_another_one_others(trade: Trade, tmp_path: Path) -> None:
    plant = {kind: count for kind, count in EVERYTHING.items() if kind != "dashboard_refund"}
    first, again, other = (
        trade.copied(tmp_path / name).issue(plant=plant, seed=seed) for name, seed in (("a", 3), ("b", 3), ("c", 4))
    )

    assert first.content == again.content
    assert first.answers == again.answers
    assert first.content != other.content


def test_the_next_file_has_other_errors_under_the_same_seed(trade: Trade) -> None:
    first = trade.issue(plant={"wrong_fee": 3}, seed=3)
    trade.day(random.Random(5), 120)
    second = trade.issue(plant={"wrong_fee": 3}, seed=3)

    assert [answer["lines"] for answer in first.answers] != [answer["lines"] for answer in second.answers]


@pytest.mark.parametrize(
    ("plant", "named"),
    [
        ({"wrong_weather": 1}, "wrong_weather"),
        ({"missing_credit": 1}, "missing_credit"),
        ({"wrong_fee": -1}, "wrong_fee"),
        ({"wrong_fee": True}, "wrong_fee"),
        ({"wrong_fee": "1"}, "wrong_fee"),
        ({"wrong_fee": 100_001}, "wrong_fee"),
        ({"wrong_fee": 5_000}, "not enough charges"),
        ({"missing_line": 5_000}, "not enough lines"),
        ({"dashboard_refund": 5_000}, "not enough charges"),
        ({"batch_total": 9}, "batch_total"),
    ],
)
def test_what_cannot_be_planted_is_refused_and_leaves_no_trace(trade: Trade, plant: dict[str, Any], named: str) -> None:
    rows = trade.rows()
    with pytest.raises(PlantRefused, match=named):
        trade.issue(plant=plant)

    assert trade.rows() == rows
    assert trade.settlements.archive.files("north") == []
    assert trade.issue().answers == []


def test_a_file_is_not_emptied(tmp_path: Path) -> None:
    trade = Trade(tmp_path)
    trade.sale()
    trade.now += timedelta(days=1)
    with pytest.raises(PlantRefused, match="nothing would be left"):
        trade.issue(plant={"missing_line": 1})

    assert len(trade.issue().entries) == 1


def test_where_nothing_is_owed_an_extra_line_still_can_be(tmp_path: Path) -> None:
    trade = Trade(tmp_path)
    told = trade.issue(plant={"extra_line": 2, "unmapped_type": 1}, seed=3)

    assert [entry.kind for entry in told.entries].count("charge") == 2
    assert told.payouts == told.nets()
