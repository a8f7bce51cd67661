"""In which form does a report leave? Each writes a run to a binary file, row by row, and its controls last."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from ledger.reports.formats import csv, json, table, xlsx
from ledger.reports.running import Run


@dataclass(frozen=True)
class Format:
    """One form: how its files end, what they are over HTTP, and whether they are for reading on a terminal only."""

    name: str
    content_type: str
    write: Callable[[Run, BinaryIO], None]
    is_file: bool = True


_ALL = (
    Format("csv", "text/csv; charset=utf-8", csv.write),
    Format("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", xlsx.write),
    Format("json", "application/json", json.write),
    Format("jsonl", "application/x-ndjson", json.write_lines),
    Format("table", "text/plain; charset=utf-8", table.write, is_file=False),
)
FORMATS: Mapping[str, Format] = {form.name: form for form in _ALL}
FILE_FORMATS = tuple(form.name for form in _ALL if form.is_file)
