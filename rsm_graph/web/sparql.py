"""The SPARQL endpoint (SPARQL 1.1 Protocol, 2), as plain ASGI: every hop that a query does not take is time saved."""

from __future__ import annotations

import asyncio
import json
import re
from binascii import a2b_qp
from collections.abc import Awaitable, Iterable
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

import pyoxigraph as ox
from starlette.types import Receive, Scope, Send

from rsm_graph import catalog, formats
from rsm_graph.engine import Answer, Query
from rsm_graph.engine.screen import form_of, without_comments
from rsm_graph.errors import QueryError, QueryRefused, QueryStopped, RsmGraphError
from rsm_graph.formats import SOLUTIONS, TRIPLES, Format
from rsm_graph.namespaces import RDF_TYPE, VOCABULARIES
from rsm_graph.negotiation import negotiate
from rsm_graph.web import problems, views
from rsm_graph.web.apart import apart
from rsm_graph.web.problems import HttpProblem
from rsm_graph.web.replies import NEVER, SHARED, Kept, Reply, Sent, Spooled, head
from rsm_graph.web.security import DATA_HEADERS, PAGE_HEADERS
from rsm_graph.web.site import Site

METHODS = "GET, HEAD, POST, QUERY, OPTIONS"
QUERY_TYPE = "application/sparql-query"
FORM_TYPE = "application/x-www-form-urlencoded"
UPDATE_TYPE = "application/sparql-update"

_ACCEPTED_BODIES = (("accept-post", f"{QUERY_TYPE}, {FORM_TYPE}"), ("accept-query", QUERY_TYPE))

HTML = Format("html", "HTML page", "text/html", "solutions", ("application/xhtml+xml",))
"""What a browser asks for: the editor, or the answer as a page."""

_PARAMETERS = ("query", "default-graph-uri", "named-graph-uri")
_FORMAT_PARAMETERS = ("format", "output", "results")
"""Not the protocol's, but what SPARQLWrapper sends with every query, and scripts written for other endpoints."""
_ALSO_CALLED = {"n3": "ttl", "rdf+xml": "rdf"}
"""Names of formats that SPARQLWrapper uses and the table of formats does not know."""
_UPDATE_PARAMETERS = ("update", "using-graph-uri", "using-named-graph-uri")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|\\^`]*")
_BAD_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_ROWS_ON_A_PAGE = 1000
_PARAMETERS_AT_MOST = 5_000
"""A form of a hundred thousand takes a third of a second to read."""
_PATIENCE = 0.03
"""Seconds of a query after which the server looks whether its client is still there."""

_RESULT_FORMATS = {
    "json": "SPARQL_Results_JSON",
    "xml": "SPARQL_Results_XML",
    "csv": "SPARQL_Results_CSV",
    "tsv": "SPARQL_Results_TSV",
    "ttl": "Turtle",
    "nt": "N-Triples",
    "jsonld": "JSON-LD",
    "rdf": "RDF_XML",
}
"""The names of formats in http://www.w3.org/ns/formats/ (SPARQL 1.1 Service Description, 3.2.8)."""


class Asked(NamedTuple):
    """A protocol request, read: the query's text with the graphs of its dataset, and the formats that it names."""

    text: str
    default_graphs: tuple[str, ...] = ()
    named_graphs: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()


class Endpoint:
    """``/sparql`` of one site. ``/sparql.csv`` and its kin are the same with the format fixed by the address."""

    def __init__(self, site: Site, kept: Kept) -> None:
        self.site = site
        self._kept = kept

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        accept = head(scope).get(b"accept", b"").decode("latin-1")
        reply = await self._told(self._reply(scope, receive, accept), accept)
        await reply(scope, receive, send)

    async def ask(self, method: str, query_string: bytes, fields: dict[bytes, bytes], body: bytes, client: str) -> Sent:
        """Return the answer to a request with a query, as it is when nobody cancels the call; an error is one too."""
        accept = fields.get(b"accept", b"").decode("latin-1")

        async def work() -> Sent:
            asked = read(method, query_string, fields, body)
            assert asked is not None
            return await self.answer(asked, accept, client=client)

        return await self._told(work(), accept)

    async def _told(self, work: Awaitable[Sent], accept: str) -> Sent:
        """Return the result of ``work``, or what its error says."""
        try:
            return await work
        except RsmGraphError as error:
            return problems.reply(error, accept, self.site)

    async def _reply(self, scope: Scope, receive: Receive, accept: str) -> Sent:
        pinned = scope["path"].rpartition("/sparql")[2].lstrip(".")
        if pinned and pinned not in _RESULT_FORMATS:
            raise HttpProblem(
                problems.NOT_FOUND, f"There is nothing at {scope['path']}.", f"Formats: {', '.join(_RESULT_FORMATS)}."
            )
        method = scope["method"]
        if method == "OPTIONS":
            return options(METHODS)
        bounds = self.site.settings.request_bytes, self.site.settings.request_timeout
        body = b"" if method in ("GET", "HEAD") else await read_body(scope, receive, *bounds)
        asked = read(method, scope["query_string"], head(scope), body)
        if asked is None:
            if pinned:
                raise HttpProblem(problems.BAD_REQUEST, "The parameter query is missing.")
            return await self._description(accept, self.site.origin(scope))
        client = scope.get("client")
        return await unless_gone(self.answer(asked, accept, pinned, client[0] if client else ""), receive)

    async def answer(self, asked: Asked, accept: str, pinned: str = "", client: str = "") -> Sent:
        """Return the answer to a query: from memory, or from the engine.

        ``pinned`` is the name of a format, which wins over the one in the request, which wins over ``accept``.

        Raises :class:`~rsm_graph.errors.NotAcceptable` and whatever the engine raises.
        """
        form = form_of(asked.text)
        if form is None:
            wanted = pinned  # a faulty query; the engine says what is wrong with it, and where
        else:
            offered = SOLUTIONS if form in ("SELECT", "ASK") else TRIPLES
            if pinned:
                wanted = formats.by_name(pinned, offered).name
            elif asked.formats:
                wanted = _named(asked.formats, offered).name
            elif "html" in accept and negotiate(accept, (*offered, HTML)) is HTML:
                return await self._page(asked, offered, client)
            else:
                wanted = negotiate(accept, offered).name
        key = (without_comments(asked.text), wanted, "default", *asked.default_graphs, "named", *asked.named_graphs)
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        query = Query(asked.text, accept, asked.default_graphs, asked.named_graphs, client, wanted)
        try:
            answer = await self.site.engine.evaluate(query)
        except (QueryError, QueryStopped) as error:
            error.query = asked.text  # a page shows it, to be mended
            raise
        reply = _answered(answer)
        if isinstance(reply, Reply) and reply.keep:
            self._kept.put(key, reply)
        return reply

    async def _page(self, asked: Asked, offered: tuple[Format, ...], client: str) -> Sent:
        """Return the answer as a page."""
        reply = await self.answer(asked, "", offered[0].name, client)
        table: views.Solutions | None = None
        text = ""
        if isinstance(reply, Reply):
            if offered is SOLUTIONS:
                table = views.solutions(self.site, json.loads(reply.content), _ROWS_ON_A_PAGE)
            else:
                text = reply.content.decode()
        given = {"query": asked, "table": table, "text": text, "offered": offered}
        body = await apart(lambda: self.site.render("answer.html", **given))
        return Reply(body, "text/html; charset=utf-8", extra=[*DATA_HEADERS, *PAGE_HEADERS])

    async def _description(self, accept: str, origin: str) -> Reply:
        """Return the service description (SPARQL 1.1 Service Description), or the editor to a browser."""
        chosen = negotiate(accept, (*TRIPLES, HTML))
        if chosen is HTML:
            body = self.site.render("sparql.html")
            return Reply(body, "text/html; charset=utf-8", extra=[*DATA_HEADERS, *PAGE_HEADERS])
        counts = self._counts() if self.site.described else await self._asked_counts()
        triples = self._description_triples(f"{origin}/sparql", counts)
        body = formats.serialize(triples, chosen, self.site.names)
        link = ("link", f'<{self.site.prefix}/dataset>; rel="describedby"')
        return Reply(body, chosen.content_type, extra=[*DATA_HEADERS, link, ("accept-query", QUERY_TYPE)])

    def _counts(self) -> dict[str, int]:
        """Return the VoID figures of the default graph."""
        dataset = self.site.release.dataset
        triples, start = dataset.default_triples, dataset.iri("id/")
        return {
            "triples": len(triples),
            "entities": len({s for t in triples if (s := t.subject.value).startswith(start)}),
            "classes": len({t.object for t in triples if t.predicate.value == RDF_TYPE}),
            "properties": len({t.predicate for t in triples}),
        }

    async def _asked_counts(self) -> dict[str, int]:
        """Return what the engine counts; nothing when it has no time for that."""
        query = Query("SELECT (COUNT(*) AS ?n) WHERE { ?s ?p ?o }", format="csv")
        try:
            answer = await self.site.engine.evaluate(query)
        except QueryStopped:
            return {}
        return {"triples": int(answer.data.split()[1])}

    def _description_triples(self, endpoint: str, counts: dict[str, int]) -> list[ox.Triple]:
        dataset = self.site.release.dataset
        sd = VOCABULARIES["sd"]
        count = 'void:triples "{}"^^xsd:nonNegativeInteger'.format
        formats_offered = " ".join(
            f"<http://www.w3.org/ns/formats/{_RESULT_FORMATS[f.name]}> ,"
            for f in (*SOLUTIONS, *TRIPLES)
            if f.name in _RESULT_FORMATS
        ).rstrip(" ,")
        federated = " ; sd:feature sd:BasicFederatedQuery" if self.site.settings.allow_service else ""
        lines = [
            f"""<{endpoint}> a sd:Service ; sd:endpoint <{endpoint}> ; sd:supportedLanguage sd:SPARQL11Query ;
            sd:resultFormat {formats_offered} ; sd:defaultDataset <{endpoint}#dataset>{federated} .
            <{endpoint}#dataset> a sd:Dataset ; sd:defaultGraph <{endpoint}#default-graph> .
            <{endpoint}#default-graph> a sd:Graph, void:Dataset ."""
        ]
        for name, number in counts.items():
            lines.append(f'<{endpoint}#default-graph> void:{name} "{number}"^^xsd:nonNegativeInteger .')
        if self.site.described:
            lines.append(f"<{endpoint}#dataset> dcterms:isVersionOf <{catalog.release_iri(dataset)}> .")
            lines.append(f'<{endpoint}#default-graph> void:uriSpace "{dataset.iri("id/")}" .')
        # The passages are named graphs too, hundreds of them; they are found by asking for rsm:Passage.
        own = [name for name in dataset.graphs if name.startswith(dataset.iri("graph/"))]
        for name in own:
            node = f"{endpoint}#graph-{name.rpartition('/')[2]}"
            lines.append(
                f"<{endpoint}#dataset> sd:namedGraph <{node}> . <{node}> a sd:NamedGraph ; sd:name <{name}> ; "
                f"sd:graph <{node}-content> . <{node}-content> a sd:Graph ; {count(len(dataset.graphs[name]))} ."
            )
        prefixes = "".join(f"@prefix {name}: <{iri}> .\n" for name, iri in (self.site.names | {"sd": sd}).items())
        text = prefixes + "\n".join(lines)
        return [q.triple for q in formats.parse(text.encode(), formats.by_name("ttl"), "service description")]


def _answered(answer: Answer) -> Reply | Spooled:
    timing = ("server-timing", f"query;dur={answer.seconds * 1000:.1f}")
    if answer.file is not None:
        return Spooled(answer, [*DATA_HEADERS, timing])
    cache = NEVER if answer.volatile else SHARED
    return Reply(answer.data, answer.media_type, extra=[*DATA_HEADERS, timing], cache=cache)


async def unless_gone(work: Awaitable[Sent], receive: Receive) -> Sent:
    """Return the result of ``work``, and cancel it when the client leaves before.

    Whether the client is still there is looked at only when the work takes long: it costs as much as a short query.
    """
    task = asyncio.current_task()
    assert task is not None
    watcher: asyncio.Task[None] | None = None

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        task.cancel()

    def begin() -> None:
        nonlocal watcher
        watcher = asyncio.ensure_future(watch())

    timer = asyncio.get_running_loop().call_later(_PATIENCE, begin)
    try:
        return await work
    finally:
        timer.cancel()
        if watcher is not None:
            watcher.cancel()


async def read_body(scope: Scope, receive: Receive, limit: int, seconds: float) -> bytes:
    """Return the whole request body, of at most ``limit`` bytes, arriving within ``seconds``."""
    length = head(scope).get(b"content-length", b"0")
    if length.isdigit() and int(length) > limit:
        raise _too_large(limit)
    message = await receive()
    if not message.get("more_body"):
        body: bytes = message.get("body", b"")
        if len(body) > limit:
            raise _too_large(limit)
        return body
    parts = [message["body"]]
    size = len(parts[0])
    try:
        async with asyncio.timeout(seconds):
            while message.get("more_body"):
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise asyncio.CancelledError
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > limit:
                    raise _too_large(limit)
    except TimeoutError:
        raise HttpProblem(
            problems.TIMEOUT, f"The request did not arrive within {seconds:g} seconds.", extra=[("connection", "close")]
        ) from None
    return b"".join(parts)


def _too_large(limit: int) -> HttpProblem:
    return HttpProblem(
        problems.TOO_LARGE, f"The request body has more than {limit:,} bytes.", extra=[("connection", "close")]
    )


def read(method: str, query_string: bytes, fields: dict[bytes, bytes], body: bytes) -> Asked | None:
    """Return what a protocol request asks for (SPARQL 1.1 Protocol, 2.1); nothing: the service description.

    Raises :class:`HttpProblem` for a method, media type or parameter that the protocol does not know, and
    :class:`~rsm_graph.errors.QueryRefused` for SPARQL Update.
    """
    in_address = parameters(query_string, "address")
    if method in ("GET", "HEAD"):
        _check(in_address)
        if not in_address:
            return None
        return _query(in_address)
    if method not in ("POST", "QUERY"):
        raise HttpProblem(
            problems.METHOD, f"{method} is not a method of this endpoint.", f"Use one of {METHODS}.",
            extra=[("allow", METHODS)],
        )  # fmt: skip
    kind = _body_type(fields)
    if kind == UPDATE_TYPE:
        raise _update()
    if kind == FORM_TYPE:
        if in_address:
            raise HttpProblem(
                problems.BAD_REQUEST,
                f"The parameter {in_address[0][0]} stands in the address of a form request.",
                "Send all parameters in the body.",
            )
        in_body = parameters(body, "body")
        _check(in_body)
        return _query(in_body)
    _check(in_address)
    if any(name == "query" for name, _ in in_address):
        raise HttpProblem(problems.BAD_REQUEST, "The query stands both in the address and in the body.", "Send one.")
    text = _utf8(body, "body")
    return _query([("query", text), *in_address])


def _body_type(fields: dict[bytes, bytes]) -> str:
    accepted = _ACCEPTED_BODIES
    if fields.get(b"content-encoding", b"identity").lower() != b"identity":
        raise HttpProblem(problems.MEDIA_TYPE, "The request body is compressed.", "Send it as it is.", extra=accepted)
    value = fields.get(b"content-type", b"").decode("latin-1")
    kind, *rest = (part.strip() for part in value.lower().split(";"))
    if kind not in (QUERY_TYPE, FORM_TYPE, UPDATE_TYPE):
        raise HttpProblem(
            problems.MEDIA_TYPE,
            f"The request body has the media type {value!r}." if value else "The request body has no media type.",
            f"Send {QUERY_TYPE} or {FORM_TYPE}.",
            extra=accepted,
        )
    charset = next((p.partition("=")[2].strip('" ') for p in rest if p.partition("=")[0].strip() == "charset"), "utf-8")
    if charset not in ("utf-8", "utf8", "us-ascii"):
        raise HttpProblem(problems.MEDIA_TYPE, f"The request body is in {charset}.", "Send UTF-8.", extra=accepted)
    return kind


def parameters(raw: bytes, where: str) -> list[tuple[str, str]]:
    """Return the parameters of ``application/x-www-form-urlencoded`` bytes, decoded strictly as UTF-8."""
    found = []
    if raw.count(b"&") >= _PARAMETERS_AT_MOST:
        raise HttpProblem(problems.TOO_LARGE, f"The {where} has more than {_PARAMETERS_AT_MOST:,} parameters.")
    for pair in raw.split(b"&"):
        if not pair:
            continue
        if _BAD_PERCENT.search(pair):
            raise HttpProblem(
                problems.BAD_REQUEST, f"A percent sign in the {where} is not followed by two hexadecimal digits."
            )
        name, _, value = pair.partition(b"=")
        found.append((_decoded(name, where), _decoded(value, where)))
    return found


def _decoded(raw: bytes, where: str) -> str:
    """Return a name or value of a form, decoded; every percent sign in it is followed by two digits.

    Quoted-printable is percent-encoding with another mark and soft line breaks, and Python decodes it in C: a query
    of two kilobytes takes a fifteenth of the time that ``urllib`` needs.
    """
    raw = raw.replace(b"+", b" ")
    if b"%" in raw:
        if b"\n" in raw or b"\r" in raw:
            raw = unquote_to_bytes(raw)
        else:
            raw = a2b_qp(raw.replace(b"=", b"=3D").replace(b"%", b"="))
    return _utf8(raw, where)


def _utf8(raw: bytes, where: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise HttpProblem(problems.BAD_REQUEST, f"The {where} is not UTF-8 (at byte {error.start}).") from None


def _check(given: Iterable[tuple[str, str]]) -> None:
    for name, value in given:
        if name in _UPDATE_PARAMETERS:
            raise _update()
        if name not in _PARAMETERS + _FORMAT_PARAMETERS:
            raise HttpProblem(
                problems.BAD_REQUEST,
                f"Unknown parameter {name[:60]!r}.",
                f"The parameters are {', '.join(_PARAMETERS)}, and format where Accept cannot be sent.",
            )
        if name.endswith("-uri") and not _ABSOLUTE.fullmatch(value):
            raise HttpProblem(problems.BAD_REQUEST, f"The value of {name} is not an absolute IRI: {value[:200]!r}.")


def _query(given: list[tuple[str, str]]) -> Asked:
    texts = [value for name, value in given if name == "query"]
    if not texts:
        raise HttpProblem(problems.BAD_REQUEST, "The parameter query is missing.")
    if len(texts) > 1:
        raise HttpProblem(problems.BAD_REQUEST, f"The parameter query is given {len(texts)} times.", "Give it once.")
    return Asked(
        texts[0],
        default_graphs=tuple(value for name, value in given if name == "default-graph-uri"),
        named_graphs=tuple(value for name, value in given if name == "named-graph-uri"),
        formats=tuple(value for name, value in given if name in _FORMAT_PARAMETERS),
    )


def _named(wishes: tuple[str, ...], offered: tuple[Format, ...]) -> Format:
    """Return the one format that all wishes name; of a list, as SPARQLWrapper sends one, the first item counts."""
    names = [wish.partition(",")[0].strip().lower() for wish in wishes]
    found = {formats.by_name(_ALSO_CALLED.get(name, name), offered) for name in names}
    if len(found) > 1:
        raise HttpProblem(problems.BAD_REQUEST, f"Several formats are asked for: {', '.join(names)}.", "Name one.")
    return found.pop()


def _update() -> QueryRefused:
    return QueryRefused("SPARQL Update is not offered here: the data are read-only.", "Send a query.")


def options(methods: str) -> Reply:
    """Return the answer to OPTIONS, a CORS preflight or not."""
    return Reply(
        b"",
        "",
        status=204,
        cache="public, max-age=86400",
        vary="",
        extra=[
            ("allow", methods),
            ("access-control-allow-origin", "*"),
            ("access-control-allow-methods", methods),
            ("access-control-allow-headers", "accept, content-type, if-none-match, range"),
            ("access-control-max-age", "86400"),
            *(_ACCEPTED_BODIES if "QUERY" in methods else (("accept-post", FORM_TYPE),) if "POST" in methods else ()),
        ],
    )
