"""Errors as answers, in one place: problem details (RFC 9457) for programs, a page for people.

The message says what was wrong and where; no stack trace and no path of the server ever stands in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from rsm_graph import errors
from rsm_graph.formats import Format
from rsm_graph.negotiation import negotiate
from rsm_graph.web.replies import NEVER, Reply
from rsm_graph.web.security import DATA_HEADERS, PAGE_HEADERS
from rsm_graph.web.site import Site


@dataclass(frozen=True)
class Kind:
    """One kind of problem: its name is the fragment of its ``type`` address, ``/docs#{name}``."""

    name: str
    status: int
    title: str


class HttpProblem(errors.RsmGraphError):
    """A request that HTTP itself has a status for. ``extra`` are header fields such as ``Allow``."""

    def __init__(self, kind: Kind, message: str, remedy: str = "", extra: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__(message, remedy)
        self.kind = kind
        self.extra = tuple(extra)


BAD_REQUEST = Kind("bad-request", 400, "Bad request")
NOT_FOUND = Kind("not-found", 404, "Not found")
METHOD = Kind("method-not-allowed", 405, "Method not allowed")
TIMEOUT = Kind("request-timeout", 408, "Request too slow")
TOO_LARGE = Kind("content-too-large", 413, "Request too large")
MEDIA_TYPE = Kind("unsupported-media-type", 415, "Unsupported media type")
UNEXPECTED = Kind("unexpected", 500, "Something went wrong here")

# The most specific class first: the first row whose class fits is taken.
KINDS: tuple[tuple[type[errors.RsmGraphError], Kind], ...] = (
    (errors.QuerySyntaxError, Kind("query-syntax", 400, "The query does not parse")),
    (errors.QueryRefused, Kind("query-refused", 403, "The query asks for what is not allowed here")),
    (errors.QueryTooLarge, Kind("query-too-large", 413, "The query is too large")),
    (errors.QueryError, Kind("query", 400, "The query is at fault")),
    (errors.QueryTimeout, Kind("query-timeout", 503, "The query ran out of time")),
    (errors.QueryMemory, Kind("query-memory", 503, "The query ran out of memory")),
    (errors.AnswerTooLarge, Kind("answer-too-large", 503, "The answer is too large")),
    (errors.QueryStopped, Kind("query-stopped", 503, "The query was stopped")),
    (errors.NotAcceptable, Kind("not-acceptable", 406, "No such format on offer")),
    (errors.Unavailable, Kind("unavailable", 503, "Not available at the moment")),
    (errors.InputError, Kind("input", 400, "Unusable input")),
)
"""Which problem each error of the tree becomes."""

ALL = (*(kind for _, kind in KINDS), BAD_REQUEST, NOT_FOUND, METHOD, TIMEOUT, TOO_LARGE, MEDIA_TYPE, UNEXPECTED)
"""Every kind, for the documentation."""

_RETRY_SECONDS = 5
_JSON = Format("problem", "Problem details", "application/problem+json", "triples", ("application/json",))
_PAGE = Format("html", "HTML", "text/html", "triples", ("application/xhtml+xml",))


def kind_of(error: errors.RsmGraphError) -> Kind:
    """Return the kind of problem that an error is."""
    if isinstance(error, HttpProblem):
        return error.kind
    return next((kind for cls, kind in KINDS if isinstance(error, cls)), UNEXPECTED)


def unexpected(request_id: str) -> HttpProblem:
    """Return the problem of an error of this server itself; the log tells more under the request's number."""
    told = f"Request {request_id} met an error on this server."
    return HttpProblem(UNEXPECTED, told, "The server's log has the details under this number.")


def reply(error: errors.RsmGraphError, accept: str, site: Site) -> Reply:
    """Return the answer for an error: a page if the client prefers HTML, else problem details."""
    kind = kind_of(error)
    extra = [*DATA_HEADERS]
    if isinstance(error, HttpProblem):
        extra += error.extra
    if kind.status == 503:
        extra.append(("retry-after", str(_RETRY_SECONDS)))
    detail = {
        "type": f"{site.prefix}/docs#{kind.name}",
        "title": kind.title,
        "status": kind.status,
        "detail": error.message,
    }
    if error.remedy:
        detail["remedy"] = error.remedy
    if isinstance(error, errors.QuerySyntaxError) and error.line:
        detail |= {"line": error.line, "column": error.column}
    try:
        chosen = negotiate(accept, (_JSON, _PAGE))
    except errors.NotAcceptable:
        chosen = _JSON  # an error in a format that was not asked for is better than none (RFC 9110, 15.5.7)
    if chosen is _PAGE:
        body = site.render("problem.html", kind=kind, error=error)
        return Reply(body, "text/html; charset=utf-8", status=kind.status, extra=[*extra, *PAGE_HEADERS], cache=NEVER)
    body = json.dumps(detail, ensure_ascii=False).encode()
    return Reply(body, _JSON.media_type, status=kind.status, extra=extra, cache=NEVER)
