"""Is a bank statement read to the cent, and refused where it does not add up or is not what it says?"""

import io
import tracemalloc
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from checkout.kit.money import CURRENCY_DECIMALS, Money
from gateways.settlements import FileRefused
from ledger.bank import AccountBalance, StatementLine, camt053, read_camt053

GOLDEN = Path(__file__).parent / "bank"
CARD = "4111 1111 1111 1111"
NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"
IBAN = "DE02100100109307118603"


def balance(code: str, amount: str, *, indicator: str = "CRDT", currency: str = "EUR") -> str:
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>"
        f'<Amt Ccy="{currency}">{amount}</Amt><CdtDbtInd>{indicator}</CdtDbtInd></Bal>'
    )


def entry(
    amount: str = "5.00",
    *,
    currency: str = "EUR",
    indicator: str = "CRDT",
    status: str = "<Cd>BOOK</Cd>",
    booked: str = "<Dt>2026-03-05</Dt>",
    more: str = "",
) -> str:
    return (
        f'<Ntry><Amt Ccy="{currency}">{amount}</Amt><CdtDbtInd>{indicator}</CdtDbtInd><Sts>{status}</Sts>'
        f"<BookgDt>{booked}</BookgDt>{more}</Ntry>"
    )


ACCOUNT = f"<Acct><Id><IBAN>{IBAN}</IBAN></Id></Acct>"
OPENING, CLOSING = balance("OPBD", "10.00"), balance("CLBD", "15.00")


def document(*parts: str, namespace: str = NAMESPACE) -> bytes:
    """A document with one statement of these parts."""
    inside = "".join(parts)
    return f'<Document xmlns="{namespace}"><BkToCstmrStmt><Stmt>{inside}</Stmt></BkToCstmrStmt></Document>'.encode()


PARTS = (ACCOUNT, OPENING, CLOSING, entry())
GOOD = document(*PARTS)


def with_entries(*entries: str, closing: str = "15.00") -> bytes:
    return document(ACCOUNT, OPENING, balance("CLBD", closing), *entries)


def lines_of(content: bytes) -> list[StatementLine]:
    return list(read_camt053(io.BytesIO(content)).lines)


def refusal(content: bytes) -> FileRefused:
    with pytest.raises(FileRefused) as refused:
        lines_of(content)
    return refused.value


def golden(name: str) -> tuple[list[tuple[object, ...]], list[AccountBalance]]:
    with (GOLDEN / name).open("rb") as stream:
        statement = read_camt053(stream)
        lines = [
            (
                line.line_number,
                line.account,
                line.reference,
                line.text,
                line.currency,
                line.amount_minor,
                line.booked_on,
            )
            for line in statement.lines
        ]
    return lines, statement.balances


def test_a_statement_of_version_8() -> None:
    on = date(2026, 3, 5)
    lines, balances = golden("camt053_08.xml")

    assert lines == [
        (1, IBAN, "PO-1", "Acquirer payout batch b_1", "EUR", 9680, on),
        (2, IBAN, "BANK-2", "Account fee", "EUR", -1250, on),
        (3, IBAN, "PO-2", "", "EUR", 7000, on),
        (4, IBAN, "BANK-3", "RF18539007547034", "EUR", 9000, on),
        (5, IBAN, "PO-4", "", "EUR", -1000, on),
        (6, IBAN, "5", "Returned", "EUR", -4000, on),
    ]
    assert balances == [AccountBalance(IBAN, "EUR", 100000, 119430)]


def test_two_statements_of_version_2_in_latin_1_with_a_prefix() -> None:
    on, account = date(2026, 3, 4), "FR7630006000011234567890189"
    lines, balances = golden("camt053_02.xml")

    assert lines == [
        (1, account, "B-1", "première seconde", "EUR", 12000, on),
        (2, account, "B-2", "collected, less a charge", "EUR", 9500, on),
        (3, account, "C", "", "EUR", 3000, on),
        (4, account, "D", "", "EUR", 2000, on),
        (5, "7-0012345", "", "", "JPY", 1234, on),
    ]
    assert balances == [
        AccountBalance(account, "EUR", -2000, 24500),
        AccountBalance("7-0012345", "JPY", 5000, 6234),
    ]


@pytest.mark.parametrize("version", ["02", "04", "08", "10", "13"])
def test_every_version_of_the_message_is_read(version: str) -> None:
    assert len(lines_of(document(*PARTS, namespace=f"{NAMESPACE[:-2]}{version}"))) == 1


def test_a_day_without_movements_adds_up() -> None:
    statement = read_camt053(io.BytesIO(document(ACCOUNT, OPENING, balance("CLBD", "10.00"))))

    assert list(statement.lines) == []
    assert statement.balances == [AccountBalance(IBAN, "EUR", 1000, 1000)]


def test_a_statement_that_does_not_add_up_is_refused_naming_the_difference() -> None:
    refused = refusal(with_entries(entry("4.95")))

    assert refused.column == "statement 1, Bal"
    assert "opening 10.00 EUR + movements 4.95 EUR is not closing 15.00 EUR" in refused.reason
    assert "the difference is -0.05 EUR" in refused.reason


@pytest.mark.parametrize("status", ["<Cd>PDNG</Cd>", "PDNG", "INFO", "<Cd>FUTR</Cd>"])
def test_only_what_is_booked_counts(status: str) -> None:
    assert len(lines_of(with_entries(entry(), entry("7.00", status=status)))) == 1


def test_a_reversal_goes_the_way_its_indicator_says() -> None:
    reversal = entry("5.00", indicator="DBIT", more="<RvslInd>true</RvslInd>")

    assert [line.amount_minor for line in lines_of(with_entries(entry("10.00"), reversal))] == [1000, -500]


def test_the_opening_balance_of_the_day_counts_before_the_closing_one_of_the_day_before() -> None:
    yesterday = balance("PRCD", "99.00")

    assert len(lines_of(document(ACCOUNT, yesterday, OPENING, CLOSING, entry()))) == 1
    assert (
        "difference is 89.00 EUR" in refusal(document(ACCOUNT, balance("PRCD", "99.00"), CLOSING, entry("5.00"))).reason
    )


def details(*amounts: str, currency: str = "EUR") -> str:
    each = "".join(f'<TxDtls><Amt Ccy="{currency}">{amount}</Amt></TxDtls>' for amount in amounts)
    return f"<NtryDtls>{each}</NtryDtls>"


@pytest.mark.parametrize(
    ("more", "amounts"),
    [
        (details("2.00", "3.00"), [200, 300]),
        (details("2.00") + details("3.00"), [200, 300]),
        (details("2.00", "2.00"), [500]),
        (details("2.00", "3.00", currency="USD"), [500]),
        (details("2.00", "3.00", currency="HRK"), [500]),
        (details("2.00", "3.00") + "<NtryDtls><TxDtls/></NtryDtls>", [500]),
        (details("4.00"), [500]),
        ("<NtryDtls><Btch><NbOfTxs>2</NbOfTxs></Btch></NtryDtls>", [500]),
    ],
    ids=["two", "in two groups", "not the sum", "in another currency", "in an old one", "one unsaid", "one", "none"],
)
def test_an_entry_of_many_payments_is_given_as_these_where_they_sum_to_it(more: str, amounts: list[int]) -> None:
    lines = lines_of(with_entries(entry("5.00", more=more)))

    assert [line.amount_minor for line in lines] == amounts
    assert [line.line_number for line in lines] == list(range(1, len(amounts) + 1))


REFUSED = [
    ("no amount", "<Ntry><CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts>{booked}</Ntry>", "Amt", "is missing"),
    ("two amounts", entry(more='<Amt Ccy="EUR">5.00</Amt>'), "Amt", "more than once"),
    ("a negative amount", entry("-5.00"), "Amt", "is negative"),
    ("too many decimals", entry("5.001"), "Amt", "more decimals than EUR"),
    ("a comma", entry("5,00"), "Amt", "has a comma"),
    ("digits of another script", entry("５.00"), "Amt", "not ASCII"),
    ("an exponent", entry("5e2"), "Amt", "scientific"),
    ("beyond an amount", entry("9" * 19), "Amt", "beyond"),
    ("an unknown currency", entry(currency="XXX"), "Amt Ccy", "is not the ISO 4217 code"),
    ("another currency", entry(currency="USD"), "Amt Ccy", "is USD, on an account in EUR"),
    ("no direction", entry(indicator=""), "CdtDbtInd", "is missing"),
    ("an unknown direction", entry(indicator="crdt"), "CdtDbtInd", "is neither"),
    ("no status", entry(status=""), "Sts/Cd", "is missing"),
    ("an unknown status", entry(status="DONE"), "Sts", "is neither BOOK nor"),
    ("no date", entry(booked=""), "BookgDt/Dt", "is missing"),
    ("another date", entry(booked="<Dt>05.03.2026</Dt>"), "BookgDt", "is not a date"),
    ("no such date", entry(booked="<Dt>2026-02-30</Dt>"), "BookgDt", "is not a date"),
    ("a long reference", entry(more=f"<AcctSvcrRef>{'x' * 141}</AcctSvcrRef>"), "AcctSvcrRef", "longer than 140"),
]


@pytest.mark.parametrize(("bad", "column", "words"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_faulty_entry_is_refused_by_its_number(bad: str, column: str, words: str) -> None:
    refused = refusal(with_entries(entry(), bad.format(booked="<BookgDt><Dt>2026-03-05</Dt></BookgDt>"), entry()))

    assert refused.column == f"entry 2, {column}"
    assert words in refused.reason
    assert str(refused).startswith("entry 2, ")


INCOMPLETE = [
    ("no account", (OPENING, CLOSING, entry()), "Acct"),
    ("the account after its balances", (OPENING, ACCOUNT, CLOSING, entry()), "Acct"),
    ("neither account nor balances", (), "Bal"),
    ("no opening balance", (ACCOUNT, CLOSING, entry()), "Bal"),
    ("no closing balance", (ACCOUNT, OPENING, entry()), "Bal"),
    ("two opening balances", (ACCOUNT, OPENING, OPENING, CLOSING, entry()), "Bal"),
    ("balances in two currencies", (ACCOUNT, OPENING, balance("CLBD", "15.00", currency="USD")), "Amt Ccy"),
    ("an account's name that is too long", (f"<Acct><Id><IBAN>{'X' * 41}</IBAN></Id></Acct>",), "Id/IBAN"),
]


@pytest.mark.parametrize(("parts", "column"), [row[1:] for row in INCOMPLETE], ids=[row[0] for row in INCOMPLETE])
def test_a_faulty_statement_is_refused(parts: tuple[str, ...], column: str) -> None:
    assert refusal(document(*parts)).column == f"statement 1, {column}"


BOMB = '<!DOCTYPE b [<!ENTITY a "x"><!ENTITY b "&a;&a;">]>'
NO_DOCUMENT = [
    ("nothing", b"", "well-formed"),
    ("no XML", b"kind,gateway_reference\r\n", "well-formed"),
    ("cut off", GOOD[:-5], "well-formed"),
    ("a control character", GOOD.replace(b"CRDT", b"\x01"), "well-formed"),
    ("a surrogate", GOOD.replace(b"CRDT", b"&#xD800;"), "well-formed"),
    ("entities", BOMB.encode() + GOOD.replace(b"CRDT", b"&b;"), "declares"),
    ("an outer entity", b'<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + GOOD, "declares"),
    ("an outer document type", b'<!DOCTYPE d SYSTEM "http://127.0.0.1:9/d">' + GOOD, "declares"),
    ("another message", document(*PARTS, namespace=NAMESPACE.replace("053", "054")), "is no camt.053"),
    ("no namespace", document(*PARTS, namespace=""), "is no camt.053"),
    ("a namespace that only begins so", document(*PARTS, namespace=NAMESPACE + "x"), "is no camt.053"),
    ("another root", f'<Doc xmlns="{NAMESPACE}"/>'.encode(), "is no camt.053"),
    ("no statement", f'<Document xmlns="{NAMESPACE}"><BkToCstmrStmt/></Document>'.encode(), "has no statement"),
    ("a statement elsewhere", GOOD.replace(b"BkToCstmrStmt", b"BkToCstmrAcctRpt"), "has no statement"),
    ("an unknown encoding", b'<?xml version="1.0" encoding="x-mine"?>' + GOOD, ""),
    ("an encoding of many bytes", b'<?xml version="1.0" encoding="big5"?>' + GOOD, ""),
]


@pytest.mark.parametrize(("content", "words"), [row[1:] for row in NO_DOCUMENT], ids=[row[0] for row in NO_DOCUMENT])
def test_what_is_no_statement_is_refused(content: bytes, words: str) -> None:
    assert words in refusal(content).reason


def test_elements_of_another_namespace_are_not_the_banks() -> None:
    foreign = entry(more='<AcctSvcrRef>ours</AcctSvcrRef><x:AcctSvcrRef xmlns:x="urn:other">theirs</x:AcctSvcrRef>')

    assert lines_of(with_entries(foreign))[0].reference == "ours"
    assert "no statement" in refusal(GOOD.replace(b"<Stmt>", b'<Stmt xmlns="urn:other">')).reason


def test_an_entry_under_another_parent_does_not_count() -> None:
    nested = f"<Ntry>{entry()}</Ntry>"

    assert refusal(with_entries(entry(), nested)).column == "entry 2, Sts/Cd"
    assert len(lines_of(with_entries(entry(), f"<Other>{entry()}</Other>"))) == 1


def test_text_is_on_one_line_without_what_cannot_be_seen_or_a_card_number() -> None:
    told = f"Order\n\t12 \u202e {CARD} " + "x" * 600
    (line,) = lines_of(with_entries(entry(more=f"<AddtlNtryInf>{told}</AddtlNtryInf>")))

    assert line.text.startswith("Order 12 …1111 xxx")
    assert len(line.text) == 500


def test_text_may_be_cdata_or_written_in_entities() -> None:
    more = "<AcctSvcrRef><![CDATA[A&B]]></AcctSvcrRef>"
    (line,) = lines_of(with_entries(entry("&#53;.00", more=more)))

    assert (line.amount_minor, line.reference) == (500, "A&B")


class Endless(io.RawIOBase):
    """Pieces that are made when they are read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest = pieces, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        while len(self._rest) < len(buffer) and (piece := next(self._pieces, b"")):
            self._rest += piece
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


def test_memory_does_not_grow_with_the_file() -> None:
    count = 4000
    begin, end = document(ACCOUNT, OPENING, balance("CLBD", f"{10 + 5 * count}.00"), "|").split(b"|")

    def pieces() -> Iterator[bytes]:
        yield begin
        for _ in range(count):
            yield entry(more=f"<AddtlNtryInf>{'x' * 500}</AddtlNtryInf>").encode()
        yield end

    tracemalloc.start()
    lines = sum(1 for _ in read_camt053(io.BufferedReader(Endless(pieces()))).lines)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert lines == count
    assert peak < 2 * 1024 * 1024


@pytest.mark.parametrize(
    ("entry_without_end", "words"),
    [
        ("<a/>" * 1001, "has more than 1,000 elements in one entry"),
        ("<a>" * 1001, "has more than 1,000 elements in one entry"),
        ("x" * 3 * 1024**2, "has an entry of more than 2 MB"),
    ],
    ids=["wide", "deep", "long"],
)
def test_an_entry_without_end_is_refused(entry_without_end: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camt053, "MOST_ELEMENTS", 1000)
    monkeypatch.setattr(camt053, "LARGEST_PART_BYTES", 2 * 1024**2)

    assert refusal(document(ACCOUNT, f"<Ntry>{entry_without_end}")).reason == words


PIECES = [ACCOUNT, OPENING, CLOSING, entry(), entry("5.001"), details("2.00"), "</Stmt>", "<Stmt>", "<Ntry>", "&x;"]


@settings(deadline=None)
@given(
    st.binary(max_size=200)
    | st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=6).map(lambda parts: document(*parts))
)
@example(GOOD)
@example(b'<?xml version="1.0" encoding="utf-16"?>' + GOOD)
@example(b"\xff\xfe" + GOOD)
def test_any_bytes_are_refused_or_read_and_nothing_else_happens(content: bytes) -> None:
    statement = read_camt053(io.BytesIO(content))
    try:
        lines = list(statement.lines)
    except FileRefused:
        return
    assert sum(line.amount_minor for line in lines) == sum(
        b.closing_minor - b.opening_minor for b in statement.balances
    )


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=30)
MOVEMENTS = st.tuples(st.integers(-(10**11), 10**11), TEXTS, TEXTS, st.dates(date(2000, 1, 1), date(2099, 12, 31)))


@settings(deadline=None)
@given(st.sampled_from(sorted(CURRENCY_DECIMALS)), st.integers(-(10**12), 10**12), st.lists(MOVEMENTS, max_size=6))
def test_what_was_written_is_read(currency: str, opening: int, movements: list[tuple[int, str, str, date]]) -> None:
    def sides(minor: int) -> dict[str, str]:
        amount: Decimal = Money(abs(minor), currency).as_decimal()
        return {"amount": f"{amount:f}", "indicator": "DBIT" if minor < 0 else "CRDT", "currency": currency}

    closing = opening + sum(minor for minor, *_ in movements)
    content = document(
        ACCOUNT,
        balance("OPBD", **sides(opening)),
        balance("CLBD", **sides(closing)),
        *(
            entry(
                **sides(minor),
                booked=f"<Dt>{on}</Dt>",
                more=f"<NtryDtls><TxDtls><Refs><EndToEndId>{escape(reference)}</EndToEndId></Refs>"
                f"<RmtInf><Ustrd>{escape(text)}</Ustrd></RmtInf></TxDtls></NtryDtls>",
            )
            for minor, reference, text, on in movements
        ),
    )

    assert [(line.amount_minor, line.reference, line.booked_on, line.currency) for line in lines_of(content)] == [
        (minor, reference, on, currency) for minor, reference, _, on in movements
    ]
