"""SPARQL evaluation behind one interface, so that a query can be stopped and never harms another.

:class:`Engine` is what the web sees. Behind it stands :mod:`rsm_graph.engine.supervisor` (evaluators forked from
one parent that has loaded the store); a remote SPARQL 1.1 store could stand there as well. The command line
evaluates in its own process with :mod:`rsm_graph.engine.local`. Both run the same
:mod:`rsm_graph.engine.evaluator`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from rsm_graph.formats import Format

EXACT_BYTES = 32 * 2**20
"""Bytes of RDF up to which literals come out as they were written unless a source says otherwise."""
CHUNK = 256 * 1024
"""Bytes of an answer handed on at a time."""


@dataclass(frozen=True)
class DataFile:
    """An RDF file to load; a file of triples goes into ``graph``, or into the default graph when that is empty."""

    path: Path
    graph: str = ""


@dataclass(frozen=True)
class Source:
    """Where the evaluated dataset comes from: N-Quads in memory, files, or an on-disk store.

    N-Quads (``quads``, or a file of a release) hold the default graph as triples and every named graph.
    ``store`` is a folder of an on-disk Oxigraph store; together with ``files`` it is filled from them first when
    it is empty. ``exact`` says whether to keep the literals of ``quads`` and ``files`` as they were written, which
    takes three times as long to load; ``None`` does so up to :data:`EXACT_BYTES`.
    """

    quads: bytes = b""
    files: tuple[DataFile, ...] = ()
    store: Path | None = None
    exact: bool | None = None


@dataclass(frozen=True)
class Query:
    """One SPARQL query with its dataset and the wish for a format.

    ``accept`` is the client's ``Accept`` header (the form of the query decides which formats are on offer);
    ``format`` overrides it with the name of a row of the format table. ``default_graphs`` and ``named_graphs``
    are the protocol's parameters and win over FROM (SPARQL 1.1 Protocol, 2.1.4). ``client`` names who asks, for
    fairness between clients.
    """

    text: str
    accept: str = ""
    default_graphs: tuple[str, ...] = ()
    named_graphs: tuple[str, ...] = ()
    client: str = ""
    format: str = ""


class AnswerFile:
    """An unnamed temporary file that several readers may share; it is closed with the last of them."""

    def __init__(self) -> None:
        with tempfile.TemporaryFile(prefix="rsm-graph-") as file:
            self._descriptor = os.dup(file.fileno())

    def write(self, block: bytes) -> None:
        """Add a block at the end; raises ``OSError`` when there is no room for it."""
        rest = memoryview(block)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def read(self, offset: int, size: int) -> bytes:
        """Return so many bytes from a place, fewer at the end."""
        os.lseek(self._descriptor, offset, os.SEEK_SET)
        return os.read(self._descriptor, size)

    def __del__(self) -> None:
        os.close(self._descriptor)


@dataclass(frozen=True)
class Answer:
    """A whole answer: its format and length are known before the first byte is sent.

    A short answer is in ``data``; a long one is in ``file``.
    """

    format: Format
    length: int
    seconds: float
    volatile: bool = False
    """Whether the same query may be answered otherwise a moment later (NOW, RAND, SERVICE, …)."""
    data: bytes = b""
    file: AnswerFile | None = None

    @property
    def media_type(self) -> str:
        """The value of ``Content-Type``."""
        return self.format.content_type

    def parts(self) -> Iterator[bytes]:
        """Yield the body from its beginning, a chunk at a time; may be called more than once."""
        if self.file is None:
            yield self.data
            return
        for offset in range(0, self.length, CHUNK):
            yield self.file.read(offset, CHUNK)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as :meth:`parts` does; the temporary file is in the page cache, so nothing waits."""
        for part in self.parts():
            yield part


@dataclass(frozen=True)
class Snapshot:
    """What an engine has done and is doing, for ``/metrics`` and readiness."""

    ready: bool
    """Whether the store is loaded and its parent process is alive."""
    evaluators: int
    """Living evaluator processes, busy or not."""
    running: int
    """Queries under evaluation."""
    running_long: int
    """… of which those that have used up their first time slice and hold a permit to go on."""
    waiting: int
    """Queries that wait for an evaluator."""
    memory_bytes: int
    """Memory of the parent and its evaluators, each shared page counted once."""
    outcomes: dict[str, int] = field(default_factory=dict)
    """Finished queries by outcome: ``answered``, ``cancelled`` or the name of the error class in snake case."""
    kills: dict[str, int] = field(default_factory=dict)
    """Evaluators ended from outside, by reason: ``deadline``, ``cancelled``, ``preempted``, ``recycled``."""
    crashes: int = 0
    """Evaluators that ended by themselves in the middle of a query."""
    rebuilds: int = 0
    """Times the parent process was lost and built again."""
    durations: tuple[tuple[float, int], ...] = ()
    """Cumulative histogram of answered queries: (seconds, number that took at most so long)."""
    duration_sum: float = 0.0
    """Seconds of all answered queries together."""


class Engine(Protocol):
    """Evaluates queries against one loaded dataset."""

    async def start(self) -> None:
        """Load the dataset; returns when the first query can be answered.

        Raises :class:`~rsm_graph.errors.InputError` when the data cannot be read.
        """

    async def evaluate(self, query: Query) -> Answer:
        """Return the whole answer; cancelling the call ends the evaluation.

        Raises :class:`~rsm_graph.errors.QueryError` (the query is at fault),
        :class:`~rsm_graph.errors.NotAcceptable`, :class:`~rsm_graph.errors.QueryStopped` (a limit was reached)
        or :class:`~rsm_graph.errors.Unavailable`.
        """

    async def reload(self, source: Source) -> None:
        """Load ``source`` beside what is served and swap; queries under way end on the old data.

        Raises :class:`~rsm_graph.errors.InputError`, and goes on with the old data, when it cannot be read.
        """

    def snapshot(self) -> Snapshot:
        """Return the counters and gauges of this moment."""

    async def close(self) -> None:
        """End every query and every process; may be called more than once."""
