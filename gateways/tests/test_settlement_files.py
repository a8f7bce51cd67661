"""What is refused of a settlement file as a whole, and does a refusal keep to itself what it saw?"""

import gzip
import io
import traceback
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from checkout.kit.card_numbers import holds_card_number
from gateways.settlements import PROFILES, FileRefused, LineError, SettlementLine, detect, read, reading
from gateways.tests.settling import (
    CARD,
    GATEWAY_NAME,
    GOLDEN,
    GOOD,
    GOOD_FILE,
    HEADER,
    LINE,
    every_profile,
    file_of,
    outcomes,
    table,
)

WORKBOOK = io.BytesIO()
with zipfile.ZipFile(WORKBOOK, "w") as archive:
    archive.writestr("[Content_Types].xml", "<Types/>")

REFUSED = [
    ("V1 an empty file", b"", 0, "", "is empty"),
    ("V1 only a header", HEADER, 1, "", "is followed by no line"),
    ("V1 only a byte order mark", b"\xef\xbb\xbf", 0, "", "is empty"),
    ("V1 a blank first line", b"\r\n" + GOOD_FILE, 0, "", "does not begin with a header"),
    ("V3 Latin-1", GOOD_FILE + LINE.replace(b"op_1", b"caf\xe9"), 3, "byte 11", "is not UTF-8"),
    ("V3 Windows-1252", GOOD_FILE + LINE.replace(b"EUR", b"\x80"), 3, "byte 19", "is not UTF-8"),
    ("V3 UTF-16 with a byte order mark", GOOD_FILE.decode().encode("utf-16"), 0, "", "is UTF-16"),
    ("V3 UTF-16 with the other one", b"\xfe\xff" + GOOD_FILE.decode().encode("utf-16-be"), 0, "", "is UTF-16"),
    ("V3 UTF-16 without", GOOD_FILE.decode().encode("utf-16-le"), 1, "byte 2", "UTF-16"),
    ("V3 a NUL", GOOD_FILE + LINE.replace(b"op_1", b"op\0"), 3, "byte 10", "is a NUL"),
    ("V7 semicolons", GOOD_FILE.replace(b",", b";"), 1, "", "with ',' between cells"),
    ("V7 tabs", GOOD_FILE.replace(b",", b"\t"), 1, "", "with ',' between cells"),
    ("V7 apostrophes for quotes", HEADER.replace(b"batch", b"'batch'") + LINE, 1, "", "lacks batch"),
    ("V7 a quote within a cell", GOOD_FILE + LINE.replace(b"op_1", b'o"p'), 3, "", "a quote stands where none may"),
    ("V7 two quotes within a cell", GOOD_FILE + LINE.replace(b"op_1", b'o"p"'), 3, "", "a quote stands"),
    ("V7 more after a quoted cell", GOOD_FILE + LINE.replace(b"op_1", b'"op"1'), 3, "", "a quote stands"),
    ("V7 a quote that is not closed", GOOD_FILE + LINE.replace(b"op_1", b'"op_1'), 3, "", "a quote stands"),
    ("V9 CR only", GOOD_FILE.replace(b"\r\n", b"\r"), 1, "", "with CRLF or LF"),
    ("V9 CRLF, then LF", GOOD_FILE + LINE.replace(b"\r\n", b"\n") + LINE, 3, "", "as the first line does"),
    ("V9 LF, then CRLF", GOOD_FILE.replace(b"\r\n", b"\n") + LINE, 3, "", "as the first line does"),
    ("V9 a bare CR in a line", GOOD_FILE + LINE.replace(b"op_1", b"op\r1"), 3, "", "as the first line does"),
    ("V9 another end after quotes", GOOD_FILE + LINE.replace(b"b_1\r", b'"b_1"'), 3, "", "unlike the first one"),
    ("V11 a line of 100 MB", GOOD_FILE + b"x" * 100_000_000, 3, "", "is longer than 64 kB"),
    ("V11 a cell of many lines", GOOD_FILE + b'"' + b"x\r\n" * 30_000, 3, "", "is longer than 64 kB"),
    ("V17 a formula in the header", HEADER.replace(b"batch", b"=1+1") + LINE, 1, "column 9", "like a formula"),
    ("V19 a workbook under another name", WORKBOOK.getvalue(), 0, "", "is an Excel workbook"),
    ("V19 an old workbook", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 99, 0, "", "is an Excel workbook"),
    ("V21 gzip", gzip.compress(GOOD_FILE, mtime=0), 0, "", "is compressed with gzip"),
    ("V21 an empty zip archive", b"PK\x05\x06" + b"\0" * 18, 0, "", "is an empty zip"),
    ("V39 a comment before the header", b"# March\r\n" + GOOD_FILE, 1, "", "is no header of a format we read"),
    ("a bank statement", b"<?xml version='1.0'?><Document/>", 0, "", "is XML"),
    ("a column twice", HEADER.replace(b"batch", b"kind") + LINE, 1, "column 9", "the name of another"),
    ("a column without a name", HEADER.replace(b"batch", b"") + LINE, 1, "column 9", "has no name"),
    (
        "a column less",
        HEADER.replace(b",batch", b"") + LINE,
        1,
        "",
        "Checkout settlement CSV, version 1, and lacks batch",
    ),
    ("a column more", HEADER.replace(b"batch", b"batch,note") + LINE, 1, "", "exactly kind, gateway_reference"),
    ("two columns exchanged", HEADER.replace(b"currency,gross_minor", b"gross_minor,currency"), 1, "", "exactly"),
]


@pytest.mark.parametrize(("content", "line", "column", "words"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_the_whole_file_is_refused(content: bytes, line: int, column: str, words: str) -> None:
    with pytest.raises(FileRefused) as refused:
        outcomes(content)

    assert (refused.value.line, refused.value.column) == (line, column)
    assert words in refused.value.reason
    assert refused.value.reason in str(refused.value)


def test_an_unknown_header_is_told_what_comes_nearest_and_what_is_missing() -> None:
    header = [column for column in GOOD["stripe-itemized"] if column not in ("net", "automatic_payout_id")]

    with pytest.raises(FileRefused, match="nearest to Stripe .*, and lacks automatic_payout_id, net"):
        detect(table(header))


def test_a_header_of_nothing_we_know_is_told_all_that_we_read() -> None:
    with pytest.raises(FileRefused) as refused:
        detect(b"a,b,c\r\n")

    assert all(profile.title in str(refused.value) for profile in PROFILES.values())


@every_profile
def test_a_file_is_known_by_its_header_and_read_with_or_without_a_byte_order_mark(code: str) -> None:
    content = file_of(code, {})

    assert detect(content).code == code
    assert detect(b"\xef\xbb\xbf" + content).code == code
    assert outcomes(b"\xef\xbb\xbf" + content) == outcomes(content)


@every_profile
def test_lines_end_with_crlf_or_lf_and_the_last_one_may_not_end(code: str) -> None:
    content = file_of(code, {}, {})

    assert outcomes(content.replace(b"\r\n", b"\n")) == outcomes(content)
    assert outcomes(content.removesuffix(b"\r\n")) == outcomes(content)


def test_a_file_is_not_read_by_another_profile() -> None:
    with pytest.raises(FileRefused, match="is nearest to Checkout"):
        list(read(PROFILES["checkout-1"], io.BytesIO(file_of("stripe-itemized", {}))))


def test_v9_a_line_is_numbered_by_where_it_starts_although_a_cell_has_line_ends() -> None:
    content = file_of("stripe-itemized", {"description": "one\r\ntwo\nthree"}, {}, {"net": "1.00"})

    first, second, third = outcomes(content)

    assert (first.line_number, second.line_number, third.line_number) == (2, 5, 6)
    assert isinstance(third, LineError)


RAGGED = [
    ("V5 fewer cells", b"charge,op_1,att_1,EUR", "has 4 cells"),
    ("V5 more cells", LINE.strip() + b",more", "has 10 cells"),
    ("V39 a blank line in the middle", b"", "has 0 cells"),
    ("V39 a comment", b"# the second of March", "has 1 cells"),
    ("V39 a line of blanks", b"   ", "has 1 cells"),
]


@pytest.mark.parametrize(("row", "words"), [row[1:] for row in RAGGED], ids=[row[0] for row in RAGGED])
def test_a_ragged_line_is_that_lines_error_only(row: bytes, words: str) -> None:
    before, found, after = outcomes(GOOD_FILE + row + b"\r\n" + LINE)

    assert isinstance(before, SettlementLine)
    assert isinstance(after, SettlementLine)
    assert found == LineError(3, "", f"{words} where the header has 9")


CARDS = [
    *(CARD, "see 378282246310005.", "４１１１１１１１１１１１１１１１"),
    *(gap.join(["4111", "1111", "1111", "1111"]) for gap in (" ", "-", "   ", ".", "–", "+", "%20", r"\u0020", "\n")),
]


@every_profile
@pytest.mark.parametrize("cell", CARDS, ids=ascii)
def test_v29_a_card_number_spoils_the_whole_file_and_is_not_repeated(code: str, cell: str) -> None:
    for column in GOOD[code]:
        if column in PROFILES[code].gateway_names:
            continue
        lines = read(PROFILES[code], io.BytesIO(file_of(code, {}, {column: cell}, {})))
        assert isinstance(next(lines), SettlementLine)
        with pytest.raises(FileRefused) as refused:
            next(lines)

        assert refused.value.line == 3
        assert "card number" in refused.value.reason
        told = "".join(traceback.format_exception(refused.value)) + repr(vars(refused.value))
        assert not any(digits in told for digits in (cell, CARD, "1111", "378282"))


@pytest.mark.parametrize(
    "row", [f"charge,{CARD}".encode(), LINE.strip() + f",{CARD}".encode(), f"# {CARD}".encode()], ids=ascii
)
def test_v29_a_ragged_line_is_searched_for_card_numbers_in_every_cell(row: bytes) -> None:
    with pytest.raises(FileRefused, match="card number"):
        outcomes(GOOD_FILE + row + b"\r\n")


def test_v29_a_card_number_for_a_header_is_not_repeated() -> None:
    with pytest.raises(FileRefused) as refused:
        detect(table([*GOOD["stripe-itemized"], CARD]))

    assert "card number" in refused.value.reason
    assert CARD not in str(refused.value)


@every_profile
def test_v29_a_gateways_own_reference_may_look_like_a_card_number(code: str) -> None:
    (line,) = outcomes(file_of(code, {GATEWAY_NAME[code]: CARD}))

    assert isinstance(line, SettlementLine)
    assert line.gateway_reference == CARD


@settings(deadline=None)
@given(
    st.text(alphabet="0123456789 -x_１２٣", max_size=40)
    | st.text(max_size=40)
    | st.lists(st.sampled_from(["4111", "1111", *" .+-–_x%\\u", "%20", r"\u0020", r"\n"]), max_size=12).map("".join)
)
@example(CARD)
@example("１４111111111111111 4111-1111-1111-1111")
def test_nothing_that_holds_a_card_number_is_passed_over_by_the_quick_search(text: str) -> None:
    if holds_card_number(text):
        assert reading._long_number(text)


def test_v33_after_a_thousand_errors_the_rest_is_counted() -> None:
    content = HEADER + b"# note\r\n" * 10_000 + LINE

    *errors, line, rest = outcomes(content)

    assert len(errors) == 1000
    assert isinstance(line, SettlementLine)
    assert isinstance(rest, LineError)
    assert (rest.line_number, rest.count) == (10_002, 9000)
    assert sum(error.count for error in [*errors, rest] if isinstance(error, LineError)) == 10_000


def test_v33_a_thousand_errors_are_all_told() -> None:
    found = outcomes(HEADER + b"# note\r\n" * 1000)

    assert [error.line_number for error in found] == list(range(2, 1002))


class Endless(io.RawIOBase):
    """A header and then line after line, made when they are read."""

    def __init__(self, header: bytes, line: Callable[[int], bytes], count: int) -> None:
        self._pieces = self._made(header, line, count)
        self._rest = b""

    @staticmethod
    def _made(header: bytes, line: Callable[[int], bytes], count: int) -> Iterator[bytes]:
        yield header
        for number in range(count):
            yield line(number)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        while len(self._rest) < len(buffer) and (piece := next(self._pieces, b"")):
            self._rest += piece
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


def test_memory_does_not_grow_with_the_file() -> None:
    def line(number: int) -> bytes:
        return b"charge,op_%d,att_%d,EUR,%d,0,%d,2026-03-01,b_1\r\n" % (number, number, number, number)

    stream = io.BufferedReader(Endless(HEADER, line, 60_000))
    count = 0
    tracemalloc.start()
    for _ in read(PROFILES["checkout-1"], stream):
        count += 1
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert count == 60_000
    assert peak < 1024 * 1024


PIECES = [
    *(table(list(good)) for good in GOOD.values()),
    HEADER,
    LINE,
    b'"',
    b",",
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"\xff",
]
PIECES += [b"\xef\xbb\xbf", b"charge", b"1", b"EUR", b"2026-03-01", CARD.encode(), "１".encode()]


def found_in(read_file: Callable[[bytes], list[SettlementLine | LineError]], content: bytes) -> list[object]:
    try:
        return [*read_file(content)]
    except FileRefused as refused:
        return [refused]


@settings(deadline=None)
@given(st.binary(max_size=300) | st.lists(st.sampled_from(PIECES) | st.binary(max_size=5), max_size=30).map(b"".join))
@example(GOOD_FILE)
def test_any_bytes_are_refused_or_read_and_nothing_else_happens(content: bytes) -> None:
    for read_file in (outcomes, *(lambda c, p=p: list(read(p, io.BytesIO(c))) for p in PROFILES.values())):
        found = found_in(read_file, content)

        assert found
        assert all(isinstance(one, SettlementLine | LineError | FileRefused) for one in found)


@every_profile
@settings(deadline=None)
@given(data=st.data())
def test_any_cells_below_a_good_header_are_lines_or_errors(code: str, data: st.DataObject) -> None:
    cell = st.sampled_from(sorted({*GOOD[code].values(), "-1", "0", "EUR", "9" * 19})) | st.text(max_size=8)
    width = len(GOOD[code])
    rows = data.draw(st.lists(st.lists(cell, min_size=width, max_size=width), min_size=1, max_size=4))

    for one in found_in(outcomes, table(list(GOOD[code]), *rows)):
        assert not isinstance(one, SettlementLine) or one.net_minor == one.gross_minor - one.fee_minor


def test_the_golden_files_are_here_for_every_profile() -> None:
    assert {detect(path.read_bytes()).code for path in GOLDEN.glob("*.csv")} == set(PROFILES)
