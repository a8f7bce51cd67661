"""What did the merchants ask, and what were they told? One line on disk before each call and one after it.

A line is in the operating system's hands before the call goes out, so that what was answered is never only in the
memory of a process. No card number is written.
"""

import itertools
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class History:
    """A file of calls, written by many at once."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1)
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def asks(self, **call: Any) -> int:
        """Write down a call that is about to be made; returns its number."""
        number = next(self._numbers)
        self._write({"call": number, "at": time.time(), **call})
        return number

    def hears(self, number: int, **answer: Any) -> None:
        """Write down what came of it: `http_status` and `body`, or `error`."""
        self._write({"answer_to": number, "at": time.time(), **answer})

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, line: dict[str, Any]) -> None:
        with self._lock:
            self._file.write(json.dumps(line) + "\n")


def answered(path: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Every call that has an answer, with it."""
    calls = {}
    for text in path.read_text().splitlines():
        line = json.loads(text)
        if "call" in line:
            calls[line["call"]] = line
        elif "http_status" in line:
            yield calls[line["answer_to"]], line
