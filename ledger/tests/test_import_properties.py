"""Does any file get in the same way, however it is cut into pieces and steps and whenever its import dies? And does
any damage keep all of it out, and is told where it is?
"""

import csv
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import count
from typing import Any
from unittest.mock import patch
from xml.sax.saxutils import escape

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from checkout.kit import clock
from checkout.kit.failpoints import Died, arm, disarm
from checkout.kit.money import Money
from checkout.settings import policy
from gateways.models import Gateway
from gateways.tests.settling import CURRENCY, DAY, GOOD, GROSS, NET, OURS
from ledger.models import BankLine, SettlementBatch, SettlementFile, SettlementLine
from ledger.services.files import import_file, receive_file
from ledger.tests.settling import ACTOR, day
from ledger.tests.test_bank_files import balance, document, entry

pytestmark = pytest.mark.django_db

CARD = "4111111111111111"
FORMATS = sorted(GOOD)
POINTS = [
    "claim_file.after_commit",
    *("import_kept.before_commit", "import_kept.after_commit"),
    *("import_step.before_commit", "import_step.after_commit"),
    "import_finished.before_commit",
]
# Our kind, the word for it in each format, and the sign of its gross.
KINDS = {
    "charge": (("charge", "charge", "Settled"), 1),
    "refund": (("refund", "refund", "Refunded"), -1),
    "chargeback": (("chargeback", "dispute", "Chargeback"), -1),
    "adjustment": (("adjustment", "other_adjustment", "ManualCorrected"), -1),
    "unmapped": (("loyalty_bonus", "topup", "New"), 1),
}
WORD_OF = dict(zip(("checkout-1", "stripe-itemized", "adyen-settlement-details"), range(3), strict=True))

_numbers = count(1)

few = settings(
    deadline=None,
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "12")),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
names = st.text(st.sampled_from("abcXYZ0189-_\\é€ß,\"'"), max_size=12)
amounts = st.integers(0, 10**9)
told = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(sorted(KINDS)),
        "theirs": names,
        "ours": names,
        "currency": st.sampled_from(["USD", "JPY", "KWD"]),
        "gross": amounts,
        "fee": st.integers(-50, 10**6),
        "ago": st.integers(0, 400),
        "batch": st.sampled_from(["one", "two"]),
    }
)


@dataclass(frozen=True)
class Cut:
    """How a file is taken in: bytes per piece, lines per step, and where the import dies, after how many passes."""

    piece: int
    step: int
    deaths: list[tuple[str, int]]


cuts = st.builds(
    Cut,
    piece=st.sampled_from([1, 7, 64, 1000, 10**6]),
    step=st.integers(1, 8),
    deaths=st.lists(st.tuples(st.sampled_from(POINTS), st.integers(1, 6)), max_size=3),
)


@pytest.fixture(autouse=True)
def gateway(acme: Gateway) -> Iterator[Gateway]:
    acme.currencies = ["USD", "JPY", "KWD"]
    acme.save()
    yield acme
    disarm()


def take_in(content: bytes, gateway: Gateway | None, cut: Cut) -> SettlementFile:
    """Receive a file and import it, by as many workers as it takes."""
    with (
        patch.object(policy, "SETTLEMENT_CHUNK_BYTES", max(cut.piece, len(content) // 10)),
        patch.object(policy, "SETTLEMENT_LINES_PER_COMMIT", cut.step),
    ):
        file = receive_file(
            stream=io.BytesIO(content), name="any", gateway=gateway, mode="test", source="upload", actor=ACTOR
        )
        for point, passes in cut.deaths:
            arm(point, dying_at(passes))
            try:
                import_file(file)
            except Died:
                assert not SettlementBatch.objects.filter(file=file).exists()
                assert SettlementFile.objects.get(pk=file.pk).status in ("received", "importing")
            finally:
                disarm()
            if not SettlementFile.objects.filter(pk=file.pk, next_action_at__gt=clock.now()).update(
                next_action_at=clock.now()
            ):
                break  # it did not die: the file has ended
        import_file(file)
        file.refresh_from_db()
        return file


def dying_at(passes: int) -> Any:
    """What dies when it is passed for the so-manieth time."""
    left = iter(range(passes - 1))

    def die() -> None:
        if next(left, None) is None:
            raise Died

    return die


def decimal(minor: int, currency: str) -> str:
    return f"{Money(minor, currency).as_decimal():f}"


def sides(minor: int, currency: str) -> tuple[str, str]:
    """Debit and credit."""
    amount = decimal(abs(minor), currency)
    return (amount, "") if minor < 0 else ("", amount)


def row_of(code: str, line: dict[str, Any]) -> dict[str, str]:
    """A line as a format says it."""
    currency, on = line["currency"], str(day(line["ago"]))
    words, sign = KINDS[line["kind"]]
    gross, fee, word = sign * line["gross"], line["fee"], words[WORD_OF[code]]
    net = gross - fee
    if code == "checkout-1":
        return {
            **{"kind": word, "gateway_reference": line["theirs"], "reference": line["ours"], "currency": currency},
            **{"gross_minor": str(gross), "fee_minor": str(fee), "net_minor": str(net), "occurred_on": on},
            "batch": line["batch"],
        }
    if code == "stripe-itemized":
        return {
            **{"automatic_payout_id": line["batch"], "balance_transaction_id": "", "created_utc": f"{on} 23:59:59"},
            **{"currency": currency.lower(), "gross": decimal(gross, currency), "fee": decimal(fee, currency)},
            **{"net": decimal(net, currency), "reporting_category": word, "source_id": line["theirs"]},
            **{"payment_metadata[our_id]": line["ours"], "description": 'a, "quoted"\r\nline'},
        }
    before = date.fromisoformat(on) - timedelta(days=1)
    return {
        **dict.fromkeys(GOOD[code], ""),
        **{"Merchant Reference": line["ours"], "Modification Reference": line["theirs"], "Type": word},
        **{"Creation Date": f"{before} 20:30:00", "TimeZone": "EST", "Batch Number": line["batch"]},
        **{"Gross Currency": currency, "Net Currency": currency, "Commission (NC)": decimal(fee, currency)},
        **dict(zip(("Gross Debit (GC)", "Gross Credit (GC)"), sides(gross, currency), strict=True)),
        **dict(zip(("Net Debit (NC)", "Net Credit (NC)"), sides(net, currency), strict=True)),
    }


def unlike_any_before(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Lines of batches that were not told before."""
    number = next(_numbers)
    return [{**line, "batch": f"{line['batch']}-{number}"} for line in lines]


def written(rows: list[dict[str, str]], *, end: str = "\r\n", quoting: Any = csv.QUOTE_MINIMAL) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator=end, quoting=quoting)
    writer.writerow(rows[0])
    writer.writerows(row.values() for row in rows)
    return out.getvalue().encode()


def line_number(code: str, index: int) -> int:
    """Where a row starts; those of one format hold two lines each."""
    return 2 + index * (2 if code == "stripe-itemized" else 1)


@pytest.mark.parametrize("code", FORMATS)
@few
@given(
    lines=st.lists(told, min_size=1, max_size=12),
    cut=cuts,
    end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    mark=st.sampled_from([b"", b"\xef\xbb\xbf"]),
)
def test_a_good_file_is_the_same_lines_however_it_gets_in(
    gateway: Gateway, code: str, lines: list[dict[str, Any]], cut: Cut, end: str, quoting: Any, mark: bytes
) -> None:
    lines = unlike_any_before(lines)
    content = mark + written([row_of(code, line) for line in lines], end=end, quoting=quoting)

    file = take_in(content, gateway, cut)

    assert (file.status, file.errors, file.line_count) == ("imported", [], len(lines))
    assert file.read_bytes == file.size_bytes == len(content)
    assert list(
        SettlementLine.objects.filter(file=file).values_list(
            *("line_number", "kind", "gateway_reference", "reference", "currency", "gross_minor", "fee_minor"),
            *("net_minor", "occurred_on", "batch_reference"),
        )
    ) == [
        (
            *(line_number(code, index), line["kind"], line["theirs"], line["ours"], line["currency"]),
            *((gross := KINDS[line["kind"]][1] * line["gross"]), line["fee"], gross - line["fee"]),
            *(day(line["ago"]), line["batch"]),
        )
        for index, line in enumerate(lines)
    ]
    batches = SettlementBatch.objects.filter(file=file)
    assert sum(batch.line_count for batch in batches) == len(lines)
    assert sum(batch.net_minor for batch in batches) == sum(
        KINDS[line["kind"]][1] * line["gross"] - line["fee"] for line in lines
    )


DAMAGES: list[tuple[str, dict[str, str], str]] = [
    ("an exponent", GROSS, "1e3"),
    ("a comma", GROSS, "1,5"),
    ("digits of another script", GROSS, "１２"),
    ("nothing", NET, ""),
    ("another sum", NET, "123456789012"),
    ("a currency that is none", CURRENCY, "ЕUR"),
    ("a date of another form", DAY, "01/02/03"),
    ("a card number", OURS, CARD),
    ("what a spreadsheet makes of a name", OURS, "1.23E+15"),
]


@pytest.mark.parametrize("code", FORMATS)
@few
@given(lines=st.lists(told, min_size=1, max_size=12), cut=cuts, damage=st.sampled_from(DAMAGES), at=st.integers(0, 11))
def test_a_damaged_line_is_named_and_keeps_everything_out(
    gateway: Gateway, code: str, lines: list[dict[str, Any]], cut: Cut, damage: Any, at: int
) -> None:
    lines = [{**line, "kind": "charge", "fee": 0} for line in unlike_any_before(lines)]
    rows = [row_of(code, line) for line in lines]
    index = at % len(rows)
    what, columns, cell = damage
    rows[index][columns[code]] = cell

    file = take_in(written(rows), gateway, cut)

    (line, column, reason), *more = file.errors
    assert (file.status, more) == ("refused", [])
    assert (line, column) == (line_number(code, index), columns[code])
    assert reason
    assert cell not in reason or not cell
    assert not SettlementLine.objects.filter(file=file).exists()
    assert not SettlementBatch.objects.filter(file=file).exists()
    assert file.chunks.exists() == (what != "a card number")


movements = st.lists(
    st.tuples(st.integers(-(10**9), 10**9).filter(bool), st.text(st.sampled_from("abc é&<")), st.integers(0, 300)),
    min_size=1,
    max_size=12,
)


def statement_of(told: list[tuple[int, str, int]], *, off_by: int = 0, damaged: int | None = None) -> tuple[bytes, str]:
    """A bank statement of these movements, and what the names of its payments begin with."""
    name = f"payment-{next(_numbers)}"
    entries = [
        entry(
            "1e3" if number == damaged else decimal(abs(minor), "EUR"),
            indicator="DBIT" if minor < 0 else "CRDT",
            booked=f"<Dt>{day(ago)}</Dt>",
            more=f"<NtryDtls><TxDtls><Refs><EndToEndId>{name}-{number}</EndToEndId></Refs>"
            f"<RmtInf><Ustrd>{escape(text)}</Ustrd></RmtInf></TxDtls></NtryDtls>",
        )
        for number, (minor, text, ago) in enumerate(told, 1)
    ]
    closing = sum(minor for minor, *_ in told) + off_by
    about = balance("CLBD", decimal(abs(closing), "EUR"), indicator="DBIT" if closing < 0 else "CRDT")
    account = "<Acct><Id><IBAN>DE02100100109307118603</IBAN></Id></Acct>"
    return document(account, balance("OPBD", "0.00"), about, *entries), name


@few
@given(told=movements, cut=cuts)
def test_a_bank_statement_is_the_same_bookings_however_it_gets_in(told: list[tuple[int, str, int]], cut: Cut) -> None:
    content, name = statement_of(told)

    file = take_in(content, None, cut)

    assert (file.status, file.errors, file.line_count) == ("imported", [], len(told))
    days = [day(ago) for *_, ago in told]
    assert (file.first_on, file.last_on) == (min(days), max(days))
    booked = BankLine.objects.filter(file=file).order_by("line_number")
    assert list(booked.values_list("line_number", "reference", "text", "currency", "amount_minor", "booked_on")) == [
        (number, f"{name}-{number}", " ".join(text.split()), "EUR", minor, day(ago))
        for number, (minor, text, ago) in enumerate(told, 1)
    ]


@few
@given(told=movements, cut=cuts, at=st.integers(0, 11), is_sum=st.booleans())
def test_a_damaged_bank_statement_is_refused_and_says_where(
    told: list[tuple[int, str, int]], cut: Cut, at: int, is_sum: bool
) -> None:
    number = 1 + at % len(told)
    content, _ = statement_of(told, off_by=1) if is_sum else statement_of(told, damaged=number)

    file = take_in(content, None, cut)

    ((_, place, reason),) = file.errors
    assert file.status == "refused"
    assert place == ("statement 1, Bal" if is_sum else f"entry {number}, Amt")
    assert ("the difference is -0.01 EUR" in reason) == is_sum
    assert not BankLine.objects.filter(file=file).exists()
