"""What stands in a file that was received? Its bytes as a stream, from compressed pieces, one of them in memory."""

import io
import zlib
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from ledger.models import SettlementFileChunk


class Content(io.RawIOBase):
    """The bytes of a file from its beginning. `given` is how many have been handed out.

    `before_more` is called before every piece but the first: whoever reads for long can say so.
    """

    def __init__(self, file_id: UUID, before_more: Callable[[], object] = lambda: None) -> None:
        self.given = 0
        self._file_id = file_id
        self._before_more = before_more
        self._number = 0
        self._piece = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._piece:
            self._piece = memoryview(self._next_piece())
        size = min(len(buffer), len(self._piece))
        buffer[:size] = self._piece[:size]
        self._piece = self._piece[size:]
        self.given += size
        return size

    def _next_piece(self) -> bytes:
        if self._number:
            self._before_more()
        chunks = SettlementFileChunk.objects.filter(file_id=self._file_id, number=self._number)
        content = chunks.values_list("content", flat=True).first()
        self._number += 1
        return zlib.decompress(content) if content is not None else b""


def opened(content: Content) -> io.BufferedReader:
    """A reader of lines over it."""
    return io.BufferedReader(content, buffer_size=1 << 20)


def pieces_of(file_id: UUID) -> Iterator[bytes]:
    """The bytes of a file in pieces, for whoever wants to have them back."""
    reader = opened(Content(file_id))
    while piece := reader.read(1 << 20):
        yield piece
