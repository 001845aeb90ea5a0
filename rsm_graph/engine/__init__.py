"""SPARQL evaluation behind one interface, so that a query can be stopped and never harms another.

:class:`Engine` is what the web and the command line see. Behind it stands :mod:`rsm_graph.engine.supervisor`
(evaluators forked from one parent that has loaded the store); a remote SPARQL 1.1 store could stand there as well.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Query:
    """One SPARQL query with its dataset and the wish for a format.

    ``accept`` is the client's ``Accept`` header (the form of the query, known only after parsing, decides which
    formats are on offer); ``default_graphs`` and ``named_graphs`` are the protocol's parameters (SPARQL 1.1
    Protocol, 2.1.4). ``client`` names who asks, for fairness between clients.
    """

    text: str
    accept: str = ""
    default_graphs: tuple[str, ...] = ()
    named_graphs: tuple[str, ...] = ()
    client: str = ""


@dataclass(frozen=True)
class Answer:
    """A whole answer: its media type and length in bytes are known before the first byte is sent."""

    media_type: str
    length: int
    chunks: AsyncIterator[bytes]
    seconds: float


class Engine(Protocol):
    """Evaluates queries against one loaded dataset.

    ``evaluate`` raises :class:`~rsm_graph.errors.QueryError` (the query is at fault),
    :class:`~rsm_graph.errors.QueryStopped` (a limit was reached) or :class:`~rsm_graph.errors.Unavailable`;
    cancelling it ends the evaluation.
    """

    async def start(self) -> None: ...

    async def evaluate(self, query: Query) -> Answer: ...

    async def close(self) -> None: ...
