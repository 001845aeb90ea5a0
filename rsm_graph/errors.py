"""Every error that a user of rsm-graph can meet.

The tree; each class says what happened, and the two doors translate it once: :mod:`rsm_graph.cli` into a
line and an exit code, :mod:`rsm_graph.web.problems` into a status and ``application/problem+json``::

    RsmGraphError                   exit  status
    ├── InputError                  2     400    a file or an argument that cannot be used
    │   └── RdfSyntaxError          2     400    … because its RDF does not parse (file, line, column)
    ├── NotConforming               1     –      the data break a shape; carries the report
    ├── QueryError                  2     400    the query itself is at fault
    │   ├── QuerySyntaxError        2     400    … it does not parse (line, column)
    │   ├── QueryRefused            2     403    … it asks for what this server does not do (SERVICE, FROM <file:>)
    │   └── QueryTooLarge           2     413    … it is longer or deeper than the screen lets through
    ├── QueryStopped                2     503    the query ran over a limit and was ended
    │   ├── QueryTimeout
    │   ├── QueryMemory
    │   └── AnswerTooLarge
    ├── NotAcceptable               2     406    no format on offer is one that the client accepts
    ├── Unavailable                 2     503    nothing wrong with the query: queue full, evaluator died, shutting down
    └── RemoteError                 2     –      another server (Wikidata, for ``link``) gave no answer to trust
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rsm_graph.validation import Report


class RsmGraphError(Exception):
    """Base of the tree.

    ``message`` says what was wrong and where; ``remedy`` says what to do about it (may be empty). ``query`` is the
    text of the query that met the error, where somebody has set it.
    """

    query = ""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class InputError(RsmGraphError):
    """A file or an argument that cannot be used: missing, unreadable, unknown format, port taken."""


class RdfSyntaxError(InputError):
    """RDF that does not parse. ``place`` is ``file:line:column`` as far as the parser knows."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place}: {reason.rstrip('.')}.", "Correct the file; nothing was loaded or replaced.")
        self.place = place


class NotConforming(RsmGraphError):
    """The data break at least one shape of severity violation. ``report`` holds every result."""

    def __init__(self, report: Report) -> None:
        super().__init__(report.summary(), "Correct the data, or use --allow-nonconforming.")
        self.report = report


class QueryError(RsmGraphError):
    """The query itself is at fault; sending it again will not help."""


class QuerySyntaxError(QueryError):
    """SPARQL that does not parse. ``line`` and ``column`` count from 1; 0 when the engine names no place."""

    def __init__(self, reason: str, line: int = 0, column: int = 0) -> None:
        where = f"Line {line}, column {column}: " if line else ""
        super().__init__(f"{where}{reason}")
        self.line = line
        self.column = column


class QueryRefused(QueryError):
    """A query that asks this server to reach out (SERVICE, FROM of a foreign document) or to change data."""


class QueryTooLarge(QueryError):
    """A query that is longer, deeper or has more tokens than the settings allow."""


class QueryStopped(RsmGraphError):
    """A query that was ended because it reached one of its limits."""


class QueryTimeout(QueryStopped):
    """The query used up its time; its evaluator was killed."""


class QueryMemory(QueryStopped):
    """The query used up its memory (or its stack); its evaluator ended."""


class AnswerTooLarge(QueryStopped):
    """The answer grew beyond the stated bound."""


class NotAcceptable(RsmGraphError):
    """No format on offer is one that the client's ``Accept`` header takes (RFC 9110, 15.5.7)."""


class Unavailable(RsmGraphError):
    """The server cannot take the query now: the queue is full, it is starting or it is stopping."""


class RemoteError(RsmGraphError):
    """Another server could not be reached, or gave no answer that can be trusted; only ``link`` asks any."""
