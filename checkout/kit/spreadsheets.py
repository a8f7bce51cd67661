"""How does a table leave as a file, however long it is? In pieces that are sent as they come, so memory does not grow.

Cells are texts, which no spreadsheet takes for a formula, or numbers, which stay numbers.
"""

import csv
import io
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from xml.sax.saxutils import escape

Cell = str | int | Decimal
MAX_SHEET_ROWS = 1_048_576  # of one sheet, by the format
EXACT = 10**15  # a spreadsheet's numbers have fifteen digits: what has more is written as text

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_PIECE_BYTES = 64 * 1024
_MAX_SHEET_BYTES = 1_500_000_000  # beyond 2 GB an archive needs 64-bit sizes, which some programs cannot read
_MAX_CELL_CHARACTERS = 32_767  # by the format
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_LOOKS_ESCAPED = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")  # spreadsheets read _x000D_ as one character

_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_KIND = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_SHEET_BEGINS = (
    f'{_XML}<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0">'
    '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews>'
    '<cols><col min="1" max="64" width="20" customWidth="1"/></cols><sheetData>'
)
_SHEET_ENDS = b"</sheetData></worksheet>"


def safe(text: str) -> str:
    """A text that no spreadsheet takes for a formula where all cells are texts, as in CSV."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def csv_pieces(rows: Iterable[Sequence[Cell]]) -> Iterator[bytes]:
    """RFC 4180 in UTF-8, with a point before the decimals whatever the locale."""
    text = io.StringIO(newline="")
    out = csv.writer(text)
    for row in rows:
        out.writerow([safe(cell) if isinstance(cell, str) else _digits(cell) for cell in row])
        if text.tell() >= _PIECE_BYTES:
            yield text.getvalue().encode("utf-8", "replace")
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode("utf-8", "replace")


def xlsx_pieces(rows: Iterable[Sequence[Cell]]) -> Iterator[bytes]:
    """A workbook (ECMA-376). The first row is the header of every sheet; a full sheet is followed by another."""
    pipe = _Pipe()
    every = iter(rows)
    header = _row(next(every, ()))
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        sheet_count, row = 0, next(every, None)
        while row is not None or not sheet_count:
            sheet_count += 1
            with archive.open(f"xl/worksheets/sheet{sheet_count}.xml", "w") as sheet:
                written = sheet.write(f"{_SHEET_BEGINS}{header}".encode())
                lines = 1
                while row is not None and lines < MAX_SHEET_ROWS and written < _MAX_SHEET_BYTES:
                    written += sheet.write(_row(row).encode())
                    lines += 1
                    row = next(every, None)
                    if pipe.size >= _PIECE_BYTES:
                        yield pipe.take()
                sheet.write(_SHEET_ENDS)
        for name, text in _about(sheet_count).items():
            archive.writestr(name, _XML + text)
    yield pipe.take()


@dataclass(frozen=True)
class FileFormat:
    """One form: how its files end, what they are over HTTP, and how rows become their bytes, the header first."""

    name: str
    content_type: str
    pieces: Callable[[Iterable[Sequence[Cell]]], Iterator[bytes]]


FILE_FORMATS: Mapping[str, FileFormat] = {
    form.name: form
    for form in (
        FileFormat("csv", "text/csv; charset=utf-8", csv_pieces),
        FileFormat("xlsx", f"{_KIND}.sheet", xlsx_pieces),
    )
}


class _Pipe(io.RawIOBase):
    """What an archive is written to, and taken from as it comes; it cannot be wound back."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, piece: bytes) -> int:  # type: ignore[override]
        self._pieces.append(bytes(piece))
        self.size += len(piece)
        return len(piece)

    def take(self) -> bytes:
        """What was written since the last time."""
        taken = b"".join(self._pieces)
        self._pieces.clear()
        self.size = 0
        return taken


def _digits(number: int | Decimal) -> str:
    return f"{number:f}" if isinstance(number, Decimal) else str(number)


def _row(row: Sequence[Cell]) -> str:
    return f"<row>{''.join(map(_cell, row))}</row>"


def _cell(cell: Cell) -> str:
    if not isinstance(cell, str):
        if -EXACT < cell < EXACT:
            return f"<c><v>{_digits(cell)}</v></c>"
        cell = _digits(cell)
    if not cell:
        return "<c/>"
    text = _LOOKS_ESCAPED.sub("_x005F_", _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", cell[:_MAX_CELL_CHARACTERS]))
    return f'<c t="inlineStr"><is><t xml:space="preserve">{escape(text)}</t></is></c>'


def _about(sheet_count: int) -> dict[str, str]:
    """The parts of a workbook that name its sheets, by their places in the archive."""
    numbers = range(1, sheet_count + 1)
    sheets = "".join(f'<sheet name="list {n}" sheetId="{n}" r:id="rId{n}"/>' for n in numbers)
    links = "".join(
        f'<Relationship Id="rId{n}" Type="{_RELATIONS}/worksheet" Target="worksheets/sheet{n}.xml"/>' for n in numbers
    )
    parts = "".join(
        f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{_KIND}.worksheet+xml"/>' for n in numbers
    )
    return {
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_RELATIONS}"><sheets>{sheets}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">{links}</Relationships>',
        "_rels/.rels": (
            f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1" '
            f'Type="{_RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>'
        ),
        "[Content_Types].xml": (
            f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" '
            'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Override PartName="/xl/workbook.xml" ContentType="{_KIND}.sheet.main+xml"/>{parts}</Types>'
        ),
    }
