"""Whatever is changed behind the ledger's back is found, and named."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction

from checkout.settings import policy
from ledger import recipes, seals
from ledger.models import (
    AccountBalance,
    AccountDay,
    AccountSnapshot,
    ClearingItem,
    ClosedDay,
    JournalEntry,
    LedgerSeal,
    Match,
)
from ledger.services import reserve_refund, seal, summarize
from ledger.verification import Finding, verify_ledger

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "RECORD_LAG_SECONDS", 0)


@pytest.fixture
def books(sold, backdate, fact, record, usd) -> None:
    """Three days of the record, summed up and sealed, and an entry since."""
    for number, days in enumerate((3, 2, 0), start=1):
        sold(number * 10_00, reference=f"att_{number}")
        if days:
            backdate(f"att_{number}", datetime.now(UTC) - timedelta(days=days))
    with transaction.atomic():
        reserve_refund(amount=usd(5_00), **fact("rfd_1"))
    record(recipes.for_refund_succeeded(amount=usd(5_00), **fact("rfd_1")))
    summarize()
    seal()
    sold(7_00, reference="att_9")


def red() -> dict[str, Finding]:
    return {finding.name.split()[0]: finding for finding in verify_ledger() if not finding.is_green}


def test_untouched_books_are_green(books) -> None:
    findings = verify_ledger()
    assert red() == {}
    assert [finding.checked for finding in findings] == [3, 10, 20, 3, 6, 8, 5, 0, 0]


def test_each_day_has_a_seal_that_continues_the_one_before(books) -> None:
    first, second, third = LedgerSeal.objects.order_by("ends_at")
    assert first.begins_at is None
    assert (second.begins_at, third.begins_at) == (first.ends_at, second.ends_at)
    assert [seal.entry_count for seal in (first, second, third)] == [2, 2, 4]
    assert [seal.posting_count for seal in (first, second, third)] == [4, 4, 8]


def test_what_is_sealed_is_not_sealed_again(books) -> None:
    (new,) = seal()
    assert new.entry_count == 2
    assert seal() == []


def test_an_empty_ledger_is_not_sealed(db) -> None:
    assert seal() == []
    assert red() == {}


def test_a_seal_cannot_be_changed(books) -> None:
    with pytest.raises(IntegrityError, match="is append-only"):
        LedgerSeal.objects.update(entry_count=1)
    with pytest.raises(IntegrityError, match="is append-only"):
        LedgerSeal.objects.all().delete()


def test_what_is_hashed_does_not_depend_on_the_session(books) -> None:
    seal = LedgerSeal.objects.order_by("ends_at").first()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL TIME ZONE 'Asia/Kolkata'; SET LOCAL DateStyle = 'German'")
        cursor.execute("SET LOCAL bytea_output = 'escape'; SET LOCAL extra_float_digits = 0")
        assert seals.content_of(seal.begins_at, seal.ends_at).content_hash == bytes(seal.content_hash)


ENTRY = "UPDATE ledger_journalentry SET {} WHERE kind = 'capture' AND reference = 'att_1'"
POSTING = (
    "UPDATE ledger_posting SET {} WHERE id = (SELECT min(posting.id) FROM ledger_posting AS posting"
    " JOIN ledger_journalentry AS entry ON entry.id = entry_id WHERE reference = 'att_1')"
)


@pytest.mark.parametrize(
    "change",
    [
        ENTRY.format("kind = 'late_success'"),
        ENTRY.format("reference = 'att_7'"),
        ENTRY.format("mode = 'live'"),
        ENTRY.format("merchant_id = NULL"),
        ENTRY.format("gateway_id = NULL"),
        ENTRY.format("gateway_reference = 'ch_7'"),
        ENTRY.format("payment_reference = 'pay_7'"),
        ENTRY.format("body_hash = 'x'"),
        ENTRY.format("occurred_on = occurred_on - 1"),
        ENTRY.format("created_at = created_at - interval '1 microsecond'"),
        ENTRY.format("id = gen_random_uuid()"),
        POSTING.format("amount_minor = amount_minor + 1"),
        POSTING.format("account_id = (SELECT id FROM ledger_account WHERE kind = 'merchant_available')"),
        POSTING.format("currency = 'EUR'"),
        POSTING.format("created_at = created_at - interval '1 microsecond'"),
        POSTING.format("id = 1000000"),
        "UPDATE ledger_account SET merchant_id = gen_random_uuid() WHERE kind = 'merchant_available'",
        "UPDATE ledger_account SET mode = 'live' WHERE kind = 'merchant_available'",
    ],
)
def test_a_changed_value_is_found(books, tamper, change) -> None:
    tamper(change)
    assert any("changed" in sample or "covers" in sample for sample in red()["Seals"].samples)


def test_a_removed_entry_is_found(books, tamper) -> None:
    entry = JournalEntry.objects.get(kind="capture", reference="att_1")
    tamper("DELETE FROM ledger_posting WHERE entry_id = %s", entry.pk)
    tamper("DELETE FROM ledger_journalentry WHERE id = %s", entry.pk)
    assert "covers 1 entries with 2 postings, and was made of 2 with 4" in red()["Seals"].samples[0]


@pytest.mark.parametrize(("lag", "rule"), [(timedelta(0), "Seals"), (timedelta(days=1), "Entries")])
def test_a_pair_added_to_an_old_entry_is_found_whatever_its_date(books, tamper, lag, rule) -> None:
    entry = JournalEntry.objects.get(kind="capture", reference="att_1")
    tamper(
        "INSERT INTO ledger_posting (entry_id, account_id, currency, amount_minor, created_at)"
        " SELECT entry_id, account_id, currency, -amount_minor, created_at + %s"
        " FROM ledger_posting WHERE entry_id = %s",
        lag,
        entry.pk,
    )
    samples = {
        "Seals": "covers 2 entries with 6 postings, and was made of 2 with 4",
        "Entries": f"{entry.public_id} was recorded at another time than its postings",
    }
    assert samples[rule] in red()[rule].samples[0]


def test_an_entry_slipped_into_a_sealed_day_is_found(books, sold, backdate) -> None:
    sold(1_00, reference="att_8")
    backdate("att_8", datetime.now(UTC) - timedelta(days=2))
    assert "covers 4 entries with 8 postings, and was made of 2 with 4" in red()["Seals"].samples[0]


def test_a_removed_seal_is_found(books, tamper) -> None:
    second = LedgerSeal.objects.order_by("ends_at")[1]
    tamper("DELETE FROM ledger_ledgerseal WHERE id = %s", second.pk)
    assert red()["Seals"].samples[0].endswith("does not continue the one before it")


def test_the_last_seals_cannot_be_removed_from_what_they_covered(books, tamper) -> None:
    tamper("DELETE FROM ledger_ledgerseal WHERE begins_at IS NOT NULL")
    assert "2 entries of before" in red()["Seals"].samples[0]  # what was recorded two days ago
    tamper("DELETE FROM ledger_ledgerseal")
    assert "4 entries of before" in red()["Seals"].samples[0]


def test_an_end_removed_with_all_that_it_covered_is_found_by_whoever_kept_its_seal(books, tamper) -> None:
    last = LedgerSeal.objects.order_by("ends_at").last()
    kept = bytes(last.seal_hash).hex()
    assert told("--seal", kept)[0] == 0
    tamper("DELETE FROM ledger_ledgerseal WHERE id = %s", last.pk)
    assert "Seals" not in red()
    code, text = told("--seal", kept)
    assert code == 1
    assert f"the seal {kept} is not there any more" in text


def test_a_closed_day_whose_sums_no_longer_hold_is_named(books, acme) -> None:
    today = datetime.now(UTC).date()
    first = JournalEntry.objects.order_by("id").first()
    sums = dict.fromkeys(("movement_minor", "matched_minor", "file_minor", "exceptions_minor"), 0)
    about = {"gateway": acme, "mode": "test", "currency": "USD", "closed_by": "test", **sums}
    assert first.occurred_on == today
    ClosedDay.objects.create(on=today - timedelta(days=1), opening_minor=0, closing_minor=0, **about)
    day = ClosedDay.objects.create(on=today, opening_minor=0, closing_minor=62_00, **about)
    assert red() == {}
    ClosedDay.objects.filter(pk=day.pk).update(opening_minor=1, closing_minor=2)
    assert red()["Closed"].samples == [
        f"{today} of acme test USD was closed with 1 at its beginning and has postings of 0",
        f"{today} of acme test USD was closed with 2 at its end and has postings of 6200",
    ]


def test_a_match_that_does_not_say_what_its_sides_differ_by_is_named(books, acme, tamper) -> None:
    def match(mode: str = "test", difference: int = 0) -> Match:
        return Match.objects.create(
            gateway=acme,
            mode=mode,
            currency="USD",
            how="exact",
            difference_minor=difference,
            matched_at=datetime.now(UTC),
        )

    items = list(ClearingItem.objects.order_by("entry_id"))
    right, wrong, elsewhere, empty = match("test", -10_00), match(), match("live", -30_00), match()
    for item, found in zip(items, (right, wrong, elsewhere), strict=False):
        ClearingItem.objects.filter(pk=item.pk).update(match=found)
    assert red()["Matches"].samples == [
        f"match {wrong.pk} says 0, and its sides differ by -2000",
        f"match {elsewhere.pk} is of another gateway, mode or currency than its sides",
        f"match {empty.pk} has neither a line nor an item",
    ]


def test_a_seal_made_again_after_a_change_breaks_the_next_one(books, tamper) -> None:
    """Whoever changes an old entry has to make every later seal again; the last one is known elsewhere."""
    tamper(ENTRY.format("reference = 'att_7'"))
    first = LedgerSeal.objects.order_by("ends_at").first()
    content = seals.content_of(first.begins_at, first.ends_at)
    again = seals.seal_hash(b"", first.begins_at, first.ends_at, content)
    tamper(
        "UPDATE ledger_ledgerseal SET content_hash = %s, seal_hash = %s WHERE id = %s",
        content.content_hash,
        again,
        first.pk,
    )
    (sample,) = red()["Seals"].samples
    assert sample.startswith(str(LedgerSeal.objects.order_by("ends_at")[1]))


def test_a_last_seal_made_again_to_leave_something_out_is_found(books, tamper) -> None:
    second, last = LedgerSeal.objects.order_by("ends_at")[1:]
    begin = JournalEntry.objects.get(kind="refund_requested").created_at
    content = seals.content_of(begin, last.ends_at)
    tamper(
        "UPDATE ledger_ledgerseal SET begins_at = %s, entry_count = %s, posting_count = %s, content_hash = %s,"
        " seal_hash = %s WHERE id = %s",
        begin,
        content.entry_count,
        content.posting_count,
        content.content_hash,
        seals.seal_hash(bytes(second.seal_hash), begin, last.ends_at, content),
        last.pk,
    )
    assert red()["Seals"].samples == [f"{last} does not continue the one before it"]


def test_an_entry_that_does_not_balance_is_named(books, tamper) -> None:
    tamper(POSTING.format("amount_minor = amount_minor + 1"))
    found = red()
    entry = JournalEntry.objects.order_by("postings__id").filter(reference="att_1").first()
    assert found["Entries"].samples == [f"{entry.public_id} does not balance"]
    assert found["The"].samples == ["the trial balance of test USD differs by 1"]


def test_a_wrong_running_balance_is_named(books) -> None:
    row = AccountBalance.objects.get(account__kind="merchant_available")
    AccountBalance.objects.filter(pk=row.pk).update(balance_minor=5)
    expected = f"account {row.pk} has a running balance of 5 and postings of {row.balance_minor}"
    assert red()["Running"].samples == [expected]


def test_a_missing_running_balance_is_named(books) -> None:
    row = AccountBalance.objects.get(account__kind="merchant_available")
    AccountBalance.objects.filter(pk=row.pk).delete()
    assert red()["Running"].samples[0].startswith(f"account {row.pk} has a running balance of nothing")


def test_a_wrong_snapshot_is_named(books) -> None:
    row = AccountSnapshot.objects.order_by("at").filter(account__kind="merchant_available").last()
    AccountSnapshot.objects.filter(pk=row.pk).update(balance_minor=5)
    assert f"has a snapshot of 5 and postings of {row.balance_minor}" in red()["Snapshots"].samples[0]


@pytest.mark.parametrize("change", [{"debit_minor": 5}, {"posting_count": 9}, {"kind": "manual"}])
def test_a_wrong_day_is_named(books, change) -> None:
    row = AccountDay.objects.filter(account__kind="merchant_available").first()
    AccountDay.objects.filter(pk=row.pk).update(**change)
    assert red()["Days"].samples[0].startswith(f"account {row.account_id} on {row.on}, ")


def test_a_removed_day_is_named(books) -> None:
    row = AccountDay.objects.filter(account__kind="merchant_available").first()
    row.delete()
    assert red()["Days"].violations == 1


def test_a_wrong_or_missing_clearing_item_is_named(books) -> None:
    first, second, *_ = ClearingItem.objects.order_by("entry_id")
    ClearingItem.objects.filter(pk=first.pk).update(gross_minor=5)
    removed = second.entry
    second.delete()
    assert sorted(red()["Clearing"].samples) == sorted(
        [
            f"{first.entry.public_id} moved {first.gross_minor} and has a clearing item of 5",
            f"{removed.public_id} has no clearing item",
        ]
    )


def told(*words: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("verify_ledger", *words, stdout=out, no_color=True)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()


def test_the_command_says_that_all_is_well_and_until_when(books) -> None:
    code, text = told()
    last = LedgerSeal.objects.order_by("ends_at").last()
    assert code == 0
    assert text.count("holds") == 9
    assert bytes(last.seal_hash).hex() in text.splitlines()[-1]


def test_the_command_fails_and_says_what_differs(books, tamper) -> None:
    tamper(POSTING.format("amount_minor = amount_minor + 1"))
    code, text = told()
    assert code == 1
    assert "does not balance" in text

    code, text = told("--json")
    found = {finding["name"].split()[0]: finding["violations"] for finding in json.loads(text)["findings"]}
    assert code == 1
    assert found["Seals"] == found["Entries"] == found["The"] == 1


def test_sums_that_are_wrong_can_be_made_again(books) -> None:
    AccountDay.objects.update(debit_minor=1)
    AccountSnapshot.objects.update(balance_minor=1)
    assert told()[0] == 1
    call_command("summarize_ledger", "--afresh", stdout=StringIO())
    assert told()[0] == 0


def test_an_empty_ledger_verifies(db: Any) -> None:
    code, text = told()
    assert code == 0
    assert text.splitlines()[-1] == "Nothing has been sealed yet."
