"""What are the rows of this file? RFC 4180 to the letter: what is not clearly a table of text is refused.

Lines end as the first one does, with CRLF or LF; a quote opens a cell or stands doubled inside a quoted one. Only the
row at hand is held in memory.
"""

import csv
import re
from collections.abc import Iterator
from typing import BinaryIO

from gateways.settlements.errors import FileRefused

LONGEST_ROW_BYTES = 64 * 1024

_MAGIC = {
    b"PK\x03\x04": "is an Excel workbook or a zip archive, whatever its name says: export it as CSV",
    b"PK\x05\x06": "is an empty zip archive",
    b"\xd0\xcf\x11\xe0": "is an Excel workbook, whatever its name says: export it as CSV",
    b"\x1f\x8b": "is compressed with gzip: unpack it first",
    b"\xff\xfe": "is UTF-16: export it as UTF-8",
    b"\xfe\xff": "is UTF-16: export it as UTF-8",
    b"%PDF": "is a PDF",
    b"<?xml": "is XML: a bank statement is imported as one",
}
_BOM = b"\xef\xbb\xbf"
_NOT_A_ROW = "is not a row of RFC 4180: a quote stands where none may, or a line end is unlike the first one's"


def rows(stream: BinaryIO, encoding: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Every row with the physical line it starts on, from 1. An empty line is a row without cells.

    Raises FileRefused, where the fault is met: rows before it have been given by then.
    """
    lines = _Lines(stream, encoding, delimiter)
    try:
        for cells in csv.reader(lines, delimiter=delimiter, strict=True):
            if lines.is_open:
                raise FileRefused(lines.row_starts, "", _NOT_A_ROW)
            yield lines.row_starts, cells
    except csv.Error:
        raise FileRefused(lines.row_starts, "", _NOT_A_ROW) from None


class _Lines:
    """Physical lines as text. A row is checked when its last line is there; `row_starts` is where it began."""

    def __init__(self, stream: BinaryIO, encoding: str, delimiter: str) -> None:
        self.row_starts, self.is_open = 0, False
        self._stream, self._encoding = stream, encoding
        cell = rf'(?:"(?:[^"]++|"")*+"|[^"{re.escape(delimiter)}\r\n]*+)'
        self._row = re.compile(rf"{cell}(?:{re.escape(delimiter)}{cell})*+")

    def __iter__(self) -> Iterator[str]:
        raw = self._stream.readline(LONGEST_ROW_BYTES + 1)
        _refuse_what_is_no_text(raw)
        raw = raw.removeprefix(_BOM)
        ending = "\r\n" if raw.endswith(b"\r\n") else "\n"
        number, size, held = 0, 0, ""
        while raw:
            number += 1
            if not self.is_open:
                self.row_starts, size = number, 0
            size += len(raw)
            if size > LONGEST_ROW_BYTES:
                raise FileRefused(self.row_starts, "", f"is longer than {LONGEST_ROW_BYTES // 1024} kB")
            text = self._decoded(raw, number)
            if self.is_open or '"' in text:
                held += text
                self.is_open ^= text.count('"') % 2 == 1
                if not self.is_open and not self._row.fullmatch(held.removesuffix(ending)):
                    raise FileRefused(self.row_starts, "", _NOT_A_ROW)
                held = held if self.is_open else ""
            else:
                body = text.removesuffix(ending)
                if "\r" in body or "\n" in body:
                    raise FileRefused(number, "", "does not end as the first line does, with CRLF or LF")
            yield text
            raw = self._stream.readline(LONGEST_ROW_BYTES + 1)

    def _decoded(self, raw: bytes, number: int) -> str:
        if b"\0" in raw:
            raise FileRefused(number, f"byte {raw.index(0) + 1}", "is a NUL: the file is no text, or UTF-16")
        try:
            return raw.decode(self._encoding)
        except UnicodeDecodeError as error:
            reason = f"is not {self._encoding.upper()}: export the file in that encoding"
            raise FileRefused(number, f"byte {error.start + 1}", reason) from None


def _refuse_what_is_no_text(head: bytes) -> None:
    for magic, reason in _MAGIC.items():
        if head.startswith(magic):
            raise FileRefused(0, "", reason)
