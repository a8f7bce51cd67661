"""How may a file be refused: in full, or a line of it?

Neither says what stands in the file: a cell may hold a card number.
"""

from dataclasses import dataclass


class FileRefused(Exception):
    """The file as a whole cannot be believed; nothing that was read of it counts.

    `line` is the physical line, from 1, and `column` a column's name or the byte of that line; 0 and "" where the
    reason is about the file. In a bank statement `column` is the entry and its element.
    """

    def __init__(self, line: int, column: str, reason: str) -> None:
        self.line, self.column, self.reason = line, column, reason
        place = ", ".join([f"line {line}"] * (line > 0) + [column] * bool(column))
        super().__init__(f"{place}: {reason}" if place else reason)


class CellRefused(ValueError):
    """One cell is not what its column promises."""

    def __init__(self, column: str, reason: str) -> None:
        self.column, self.reason = column, reason
        super().__init__(f"{column}: {reason}")


@dataclass(frozen=True, slots=True)
class LineError:
    """A line that cannot be read, by its first fault. `count` is above 1 only in one that stands for many."""

    line_number: int
    column: str
    reason: str
    count: int = 1
