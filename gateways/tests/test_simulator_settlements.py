"""Does every movement of money get into exactly one settlement file, and does the file say what truly happened?"""

import random
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkout.kit.money import CURRENCY_DECIMALS, Money
from gateways.settlements import LineKind, SettlementLine, detect, read
from gateways.simulator import money
from gateways.simulator.calls import CAPTURE, CHARGE, REFUND, VOID, Call, Operation
from gateways.simulator.settings import SETTLEMENT_FORMATS
from gateways.tests.trading import FORMATS, START, Paper, Trade, fee_of

DAYS = 6


@pytest.fixture(params=FORMATS)
def trade(request: pytest.FixtureRequest, tmp_path: Path) -> Trade:
    return Trade(tmp_path, request.param)


def days(trade: Trade, number: int = DAYS, seed: int = 11) -> list[Paper]:
    """So many days of everything that may happen, each with its file; what is pending at the end is decided."""
    rng = random.Random(seed)
    papers = []
    for _ in range(number):
        trade.day(rng)
        papers.append(trade.issue())
    for operation in trade.book.pending(trade.settings.code):
        trade.bank.settle(operation.id)
    trade.now += timedelta(hours=1)
    return [*papers, trade.issue()]


def is_movement(operation: Operation) -> bool:
    """Whether it took money or gave some back."""
    is_sale = operation.kind == CHARGE and operation.capture
    return operation.status == "approved" and (is_sale or operation.kind in (CAPTURE, REFUND))


def test_there_is_a_format_for_every_setting() -> None:
    assert list(SETTLEMENT_FORMATS) == FORMATS


def test_sums_tie_with_the_book(trade: Trade) -> None:
    papers = days(trade)

    owed: dict[str, int] = {}
    for entry in [entry for paper in papers for entry in paper.entries]:
        owed[entry.currency] = owed.get(entry.currency, 0) + entry.gross_minor
    totals = trade.book.totals(trade.settings.code)
    assert owed == {currency: sums["net_owed_minor"] for currency, sums in totals.items()}
    assert len(owed) == 4
    assert all(owed.values())


def test_nothing_is_settled_twice_and_nothing_is_forgotten(trade: Trade) -> None:
    papers = days(trade)

    settled = [entry.id for paper in papers for entry in paper.entries]
    assert len(settled) == len(set(settled))
    rows = {row.id: row for row in trade.rows()}
    canceled = {row.id for row in rows.values() if row.kind == CHARGE and row.canceled}
    expected = {
        row.id for row in rows.values() if is_movement(row) and row.id not in canceled and row.parent_id not in canceled
    }
    assert expected <= set(settled)
    # What else there is belongs to charges that were canceled when a part of them had been settled already.
    for other in set(settled) - expected:
        charge_id = other if other in rows else f"ch_{other[3:]}"
        assert (rows[charge_id].parent_id or charge_id) in canceled
    assert trade.settlements.issue(trade.settings, until=trade.now + timedelta(days=99)) is None


def test_every_row_says_what_the_book_says(trade: Trade) -> None:
    papers = days(trade)

    rows = {row.id: row for row in trade.rows()}
    for paper in papers:
        for entry in paper.entries:
            assert entry.net_minor == entry.gross_minor - entry.fee_minor
            assert entry.kind == ("refund" if entry.id[:2] in ("rf", "cn") else "charge")
            assert entry.fee_minor == (0 if entry.kind == "refund" else fee_of(entry.gross_minor, trade.settings))
            if (row := rows.get(entry.id)) and not row.canceled:
                is_ours = not row.reference.startswith("office-")
                assert entry.reference == (row.reference if is_ours else row.parent_reference)
                assert (entry.currency, entry.on) == (row.currency, row.final_at[:10])
                assert entry.gross_minor == (-row.amount_minor if row.kind == REFUND else row.amount_minor)


def test_a_payout_is_what_the_rows_of_its_batch_come_to(trade: Trade) -> None:
    papers = days(trade)

    batches = [key for paper in papers for key in paper.payouts]
    assert len(batches) == len(set(batches))
    for paper in papers:
        assert paper.payouts == paper.nets()
        assert len({currency for _, currency in paper.payouts}) == len(paper.payouts)
    paid = trade.book.connection.execute("SELECT batch, currency, amount_minor FROM payout").fetchall()
    assert {(row[0], row[1]): row[2] for row in paid} == {
        key: net for paper in papers for key, net in paper.payouts.items() if net
    }


def test_what_became_final_at_the_very_moment_belongs_to_the_next_file(trade: Trade) -> None:
    before = trade.sale()
    trade.now += timedelta(milliseconds=1)
    at = trade.sale()

    assert [entry.id for entry in trade.issue(until=trade.now).entries] == [before.id]
    assert [entry.id for entry in trade.issue(until=trade.now + timedelta(milliseconds=1)).entries] == [at.id]


def test_what_was_decided_late_belongs_to_the_day_of_the_decision(trade: Trade) -> None:
    waiting = trade.sale(is_late=True)
    trade.sale()
    trade.now += timedelta(days=1)
    first = trade.issue()
    trade.now += timedelta(hours=1)
    trade.bank.settle(waiting.id)
    trade.now += timedelta(hours=1)

    assert waiting.id not in {entry.id for entry in first.entries}
    (entry,) = trade.issue().entries
    assert (entry.id, entry.on) == (waiting.id, "2026-03-02")


def test_what_took_no_money_is_in_no_file(trade: Trade) -> None:
    trade.sale(card_number="4000000000000002")
    trade.do(CHARGE, 0, currency="EUR", card_number="4242424242424242")
    authorized = trade.sale(capture=False)
    voided = trade.sale(capture=False)
    trade.do(VOID, charge=voided)
    canceled = trade.sale()
    trade.bank.cancel(canceled.reference)
    trade.bank.cancel("never-seen")
    trade.do(REFUND, 999_999, charge=trade.sale())
    sold = trade.rows()[-2].id
    trade.now += timedelta(days=1)

    assert [entry.id for entry in trade.issue().entries] == [sold]
    trade.do(CAPTURE, 400, charge=authorized)
    trade.now += timedelta(days=1)
    assert [(entry.kind, entry.gross_minor) for entry in trade.issue().entries] == [("charge", 400)]


def test_each_part_of_a_capture_is_a_line_and_costs_its_own_fee(trade: Trade) -> None:
    charge = trade.sale(10_000, capture=False)
    parts = [trade.do(CAPTURE, amount, charge=charge) for amount in (1_000, 2_500)]
    trade.now += timedelta(days=1)

    entries = trade.issue().entries
    assert {(entry.id, entry.reference, entry.gross_minor, entry.fee_minor) for entry in entries} == {
        (parts[0].id, parts[0].reference, 1_000, 29 + 30),
        (parts[1].id, parts[1].reference, 2_500, 72 + 30),  # 72.5, half to even
    }


def test_a_charge_canceled_after_it_was_settled_is_given_back_once(trade: Trade) -> None:
    charge = trade.sale(10_000)
    trade.now += timedelta(days=1)
    trade.issue()
    trade.do(REFUND, 3_000, charge=charge)
    trade.bank.cancel(charge.reference)
    trade.now += timedelta(days=1)

    given_back = trade.issue().entries
    assert sorted(entry.gross_minor for entry in given_back) == [-7_000, -3_000]
    assert {entry.kind for entry in given_back} == {"refund"}
    (rest,) = [entry for entry in given_back if entry.gross_minor == -7_000]
    assert (rest.id, rest.reference, rest.on) == (f"cn_{charge.id[3:]}", charge.reference, "2026-03-02")
    assert trade.settlements.issue(trade.settings, until=trade.now + timedelta(days=9)) is None


def test_a_charge_refunded_in_part_and_canceled_before_anything_was_settled_is_in_no_file(trade: Trade) -> None:
    charge = trade.sale(10_000)
    trade.do(REFUND, 3_000, charge=charge)
    trade.bank.cancel(charge.reference)
    other = trade.sale()
    trade.now += timedelta(days=1)

    assert [entry.id for entry in trade.issue().entries] == [other.id]


def test_two_gateways_in_one_book_settle_each_its_own(tmp_path: Path) -> None:
    north = Trade(tmp_path)
    south = Trade(tmp_path, "adyen-settlement-details", "south")
    ours, theirs = north.sale(), south.sale()
    for trade in (north, south):
        trade.now += timedelta(days=1)

    assert [entry.id for entry in north.issue().entries] == [ours.id]
    assert [entry.id for entry in south.issue().entries] == [theirs.id]


def test_the_file_can_be_listed_and_read_in_pieces_that_are_hashed(tmp_path: Path) -> None:
    trade = Trade(tmp_path)
    with trade.book.transaction():
        for _ in range(4_000):
            trade.sale()
    trade.now += timedelta(days=1)
    file = trade.issue().file
    pieces = list(trade.settlements.archive.content(file))

    assert len(pieces) > 1
    assert sum(map(len, pieces)) == file.size_bytes
    assert file.line_count == 4_001 == b"".join(pieces).count(b"\n") - 1
    trade.sale()
    trade.now += timedelta(days=1)
    newer = trade.issue().file
    archive = trade.settlements.archive
    assert [each.name for each in archive.files("north")] == [file.name, newer.name]
    assert [each.name for each in archive.files("north", newest=1)] == [newer.name]
    assert archive.file("north", "nope") is None


def test_a_fee_is_what_the_platform_expects_it_to_be() -> None:
    @given(amount=st.integers(0, 10**10), fee_bps=st.integers(0, 10_000), fixed=st.integers(0, 1_000))
    def check(amount: int, fee_bps: int, fixed: int) -> None:
        expected = min(Money(amount, "EUR").share_bps(fee_bps).amount_minor + fixed, amount)
        assert money.fee_of(amount, fee_bps=fee_bps, fee_fixed_minor=fixed) == expected

    check()


@given(amount=st.integers(-(10**12), 10**12), currency=st.sampled_from(sorted(CURRENCY_DECIMALS)))
def test_an_amount_is_written_with_the_decimals_of_its_currency(amount: int, currency: str) -> None:
    assert money.major(amount, currency) == f"{Money(amount, currency).as_decimal():f}"


def test_an_interrupted_issue_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trade = Trade(tmp_path)
    sold = trade.sale()
    trade.now += timedelta(days=1)
    archive = trade.settlements.archive
    with monkeypatch.context() as broken:
        broken.setattr(archive, "insert_payout", lambda **values: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            trade.issue()

    assert archive.files("north") == []
    assert [entry.id for entry in trade.issue().entries] == [sold.id]


def test_a_book_of_before_there_were_settlements_is_read_on(tmp_path: Path) -> None:
    trade = Trade(tmp_path)
    sold, waiting = trade.sale(), trade.sale(is_late=True)
    trade.book.close()
    with sqlite3.connect(tmp_path / "book.sqlite3") as book:
        tables = ("payout", "bank_statement", "settled", "settlement_chunk", "settlement_file")
        book.executescript("".join(f"DROP TABLE {table};" for table in tables))
        book.execute("ALTER TABLE operation DROP COLUMN final_at")

    again = Trade(tmp_path)
    again.now = START + timedelta(days=2)
    assert [entry.id for entry in again.issue().entries] == [sold.id]
    again.bank.settle(waiting.id)
    again.now += timedelta(days=1)
    assert [(entry.id, entry.on) for entry in again.issue().entries] == [(waiting.id, "2026-03-03")]


# What the files look like


def test_a_plain_file_has_the_documented_header(tmp_path: Path) -> None:
    paper = days(Trade(tmp_path, "checkout-1"), 1)[0]
    header = "kind,gateway_reference,reference,currency,gross_minor,fee_minor,net_minor,occurred_on,batch"
    assert paper.content.decode().splitlines()[0] == header
    assert paper.file.name == "settlement-000001-2026-03-02.csv"
    for row in paper.rows:
        assert row["batch"] == f"north-000001-{row['currency']}"


def test_a_file_like_stripes(tmp_path: Path) -> None:
    paper = days(Trade(tmp_path, "stripe-itemized"), 1)[0]
    assert {"automatic_payout_id", "balance_transaction_id", "reporting_category", "trace_id"} <= set(paper.rows[0])
    for row in paper.rows:
        assert row["automatic_payout_id"].startswith("po_")
        assert row["balance_transaction_id"].startswith("txn_")
        assert row["created_utc"] <= row["automatic_payout_effective_at_utc"] == "2026-03-02 00:00:00"
        if row["reporting_category"] == "payout":
            assert row["source_id"] == row["automatic_payout_id"]
        else:
            assert row["payment_intent_id"] == f"pi_{row['charge_id'][3:]}"


def test_a_file_like_adyens(tmp_path: Path) -> None:
    paper = days(Trade(tmp_path, "adyen-settlement-details", merchant_id="AnasBooksECOM"), 1)[0]
    assert paper.file.name == "settlement_detail_report_batch_1.csv"
    assert len(paper.rows[0]) == 30
    assert list(paper.rows[0])[:4] == ["Company Account", "Merchant Account", "Psp Reference", "Merchant Reference"]
    payouts = [row for row in paper.rows if row["Type"] == "MerchantPayout"]
    assert paper.rows[-1] == payouts[-1]
    for row in payouts:
        assert row["Modification Reference"].endswith("XT batch 1, AnasBooksECOM")
        assert row["Psp Reference"] == row["Gross Currency"] == ""
    charged = [row for row in paper.rows if row["Type"] == "Settled"]
    assert {bool(row["Commission (NC)"]) for row in charged} == {True, False}
    for row in charged:
        assert bool(row["Commission (NC)"]) != bool(row["Markup (NC)"])
        assert bool(row["Gross Credit (GC)"])
    for row in paper.rows:
        if row["Type"] == "Refunded":
            assert row["Gross Debit (GC)"] == row["Net Debit (NC)"] != ""
        assert (row["Batch Number"], row["Merchant Account"]) == ("1", "AnasBooksECOM")


# The platform's own readers


def test_the_platform_reads_what_was_written(trade: Trade) -> None:
    for paper in days(trade):
        profile = detect(paper.content[:65_536])
        assert profile.code == paper.file.format
        (folder := trade.folder / "files").mkdir(exist_ok=True)
        (path := folder / paper.file.name).write_bytes(paper.content)
        with path.open("rb") as stream:
            lines = list(read(profile, stream))
        assert all(isinstance(line, SettlementLine) for line in lines), lines
        assert {
            (line.line_number, line.kind.value, line.gateway_reference, line.reference, line.currency)
            + (line.gross_minor, line.fee_minor, line.net_minor, line.occurred_on.isoformat(), line.batch_reference)
            for line in lines
            if line.kind is not LineKind.PAYOUT
        } == {tuple(vars(entry).values()) for entry in paper.entries}
        assert {
            (line.batch_reference, line.currency): -line.net_minor for line in lines if line.kind is LineKind.PAYOUT
        } == paper.payouts


def test_a_call_at_another_time_is_written_down_at_that_time(tmp_path: Path) -> None:
    trade = Trade(tmp_path)
    trade.now = START + timedelta(days=40, hours=3)
    operation, _ = trade.bank.submit(
        Call(CHARGE, "order-7", amount_minor=5, currency="EUR", capture=True), profile="always_yes", late_seconds=0
    )
    assert (operation.at, operation.final_at) == ("2026-04-10T03:00:00.000+00:00",) * 2
