"""Holds an answer until it is whole: in memory first, then in an unnamed temporary file."""

from __future__ import annotations

from rsm_graph.engine import Answer, AnswerFile
from rsm_graph.formats import Format


class Spool:
    """Takes an answer block by block."""

    def __init__(self, memory: int) -> None:
        """``memory`` is the number of bytes beyond which the answer goes into a file."""
        self._memory = memory
        self._blocks: list[bytes] = []
        self._file: AnswerFile | None = None
        self.length = 0

    def write(self, block: bytes) -> None:
        """Add a block; raises ``OSError`` when the temporary file cannot take it."""
        self.length += len(block)
        if self._file is None and self.length <= self._memory:
            self._blocks.append(block)
            return
        if self._file is None:
            self._file = AnswerFile()
            for earlier in self._blocks:
                self._file.write(earlier)
            self._blocks = []
        self._file.write(block)

    def answer(self, fmt: Format, seconds: float, *, volatile: bool) -> Answer:
        """Return what was written as one answer."""
        blocks = self._blocks
        data = blocks[0] if len(blocks) == 1 else b"".join(blocks)
        return Answer(fmt, self.length, seconds, volatile, data, self._file)
