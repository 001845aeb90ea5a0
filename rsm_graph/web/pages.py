"""Pages about the whole: home, search, sources, queries; and what operators and crawlers ask for."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Query, Request
from fastapi.openapi.utils import get_openapi
from starlette.responses import Response

from rsm_graph import engine, formats
from rsm_graph.engine.screen import form_of
from rsm_graph.errors import InputError, QueryRefused
from rsm_graph.formats import SOLUTIONS, TRIPLES, Format
from rsm_graph.negotiation import negotiate
from rsm_graph.web import chronology, geography, overviews, problems, sparql, views
from rsm_graph.web.apart import apart
from rsm_graph.web.observe import Observer
from rsm_graph.web.problems import HttpProblem
from rsm_graph.web.replies import FOREVER, NEVER, Reply
from rsm_graph.web.resources import HTML, ending_of, page_reply, unknown
from rsm_graph.web.security import DATA_HEADERS
from rsm_graph.web.site import Site

_JSON = Format("json", "JSON", "application/json", "solutions")
_GEOJSON = Format("geojson", "GeoJSON", "application/geo+json", "solutions", ("application/json",))

Context = Callable[[], dict[str, object]]
_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}


def routes(site: Site, endpoint: sparql.Endpoint, observer: Observer) -> APIRouter:
    """Return the addresses of the pages."""
    router = APIRouter(default_response_class=Response)
    index = site.release.index

    @router.get("/", tags=["pages"], summary="The mission at a glance")
    async def home(request: Request) -> Response:
        if not site.described:
            return await page_reply(site, "sparql.html", dict)
        # The base IRI itself is no document in any RDF format; who asks for one gets the dataset's description.
        chosen = negotiate(request.headers.get("accept", ""), (HTML, *TRIPLES))
        if chosen is not HTML:
            location = ("location", f"{site.prefix}/dataset")
            return Reply(b"", "", status=303, extra=[*DATA_HEADERS, location])

        def context() -> dict[str, object]:
            drawing = geography.draw(site, geography.of_site(site), 560, every=False)
            return {"home": overviews.home(site), "drawing": drawing}

        return await page_reply(site, "home.html", context)

    @router.get("/browse", tags=["pages"], summary="The kinds of things")
    async def browse() -> Response:
        return await page_reply(site, "browse.html", lambda: {"kinds": overviews.kinds(site)})

    @router.get("/browse/{kind}", tags=["pages"], summary="All things of a kind")
    async def things(kind: str) -> Response:
        if kind not in {k.name for k in overviews.kinds(site)}:
            raise unknown(f"/browse/{kind}")

        def context() -> dict[str, object]:
            return {"heading": overviews.kind_heading(kind), "tables": overviews.of_kind(site, kind)}

        return await page_reply(site, "kind.html", context)

    @router.get("/search", tags=["pages"], summary="Things by name: a page or JSON")
    async def search(request: Request, q: str = Query("", max_length=200)) -> Response:
        chosen = negotiate(request.headers.get("accept", ""), (HTML, _JSON))
        hits = await apart(lambda: overviews.search(site, q))
        if chosen is HTML:
            return await page_reply(site, "search.html", lambda: {"wanted": q, "hits": hits})
        results = [
            {"iri": h.shown.title, "label": h.shown.text, "kind": h.kind, "matched": h.matched, "score": h.score}
            for h in hits
        ]
        return _json({"query": q, "results": results})

    async def page_or_data(
        request: Request, data: Format, content: Callable[[], Any], template: str, context: Context
    ) -> Response:
        """Return a page, or the data behind it: pinned by the address or preferred by the client."""
        ending = ending_of(request)
        if ending not in ("", "html", data.name):
            raise unknown(request.scope["path"])
        offered = [f for f in (HTML, data) if ending in ("", f.name)]
        chosen = negotiate(request.headers.get("accept", ""), offered) if not ending else offered[0]
        if chosen is HTML:
            return await page_reply(site, template, context)
        return _json(await apart(content), data.media_type)

    @router.get("/sources", tags=["pages"], summary="The source documents by reliability: a page or JSON")
    @router.get("/sources.{ending}", include_in_schema=False)
    async def sources(request: Request) -> Response:
        def content() -> Any:
            return [asdict(d) for documents in overviews.sources(site).values() for d in documents]

        def context() -> dict[str, object]:
            return {"groups": overviews.sources(site)}

        return await page_or_data(request, _JSON, content, "sources.html", context)

    @router.get("/map", tags=["pages"], summary="The places: a page or GeoJSON")
    @router.get("/map.{ending}", include_in_schema=False)
    async def places(request: Request) -> Response:
        def context() -> dict[str, object]:
            view = geography.of_site(site)
            return {"map": view, "drawing": geography.draw(site, view, 1120, every=True)}

        return await page_or_data(request, _GEOJSON, lambda: geography.geojson(site), "map.html", context)

    @router.get("/timeline", tags=["pages"], summary="Strength, events and posts over time: a page or JSON")
    @router.get("/timeline.{ending}", include_in_schema=False)
    async def timeline(request: Request) -> Response:
        def context() -> dict[str, object]:
            chronicle = chronology.of_site(site)
            return {"chronicle": chronicle, "drawing": chronology.draw(site, chronicle), "date": views.date}

        content = chronology.of_site
        return await page_or_data(request, _JSON, lambda: content(site).json(), "timeline.html", context)

    @router.get("/queries", tags=["sparql"], summary="The example queries")
    async def queries() -> Response:
        return await page_reply(site, "queries.html", lambda: {"queries": site.queries.values()})

    @router.get(
        "/queries/{name}", tags=["sparql"], summary="An example query with its answer; an extension: the answer alone"
    )
    async def query(request: Request, name: str) -> Response:
        stem, _, ending = name.partition(".")
        text = site.queries.get(stem)
        if text is None:
            raise unknown(f"/queries/{name}")
        offered = SOLUTIONS if form_of(text.text) in ("SELECT", "ASK") else TRIPLES
        if ending == "rq":
            return Reply(text.text.encode(), f"{sparql.QUERY_TYPE}; charset=utf-8", extra=DATA_HEADERS, vary="")
        wanted = offered[0]
        if ending:
            try:
                wanted = formats.by_name(ending, offered)
            except InputError:
                raise unknown(f"/queries/{name}") from None
        client = request.client.host if request.client else ""
        try:
            answer: Response | None = await endpoint.answer(sparql.Asked(text.text), "", wanted.name, client)
        except QueryRefused:  # SERVICE to an address that is not allowed here; the page shows the query all the same
            if ending:
                raise
            answer = None
        if ending and answer is not None:
            return answer

        def context() -> dict[str, object]:
            table = None
            if isinstance(answer, Reply) and offered is SOLUTIONS:
                table = views.solutions(site, json.loads(answer.content), 1000)
            return {"text": text, "table": table, "offered": offered, "refused": answer is None}

        page = await page_reply(site, "query.html", context)
        page.keep = page.keep and isinstance(answer, Reply) and answer.keep
        return page

    @router.get("/health/live", tags=["operation"], summary="Whether this process answers")
    async def live() -> Response:
        return Reply(b"ok\n", "text/plain; charset=utf-8", cache=NEVER, vary="")

    @router.get("/health/ready", tags=["operation"], summary="Whether queries are answered: runs one")
    async def ready() -> Response:
        answer = await site.engine.evaluate(engine.Query("ASK {}", format="json", client="health"))
        if b"true" not in answer.data:
            raise HttpProblem(problems.UNEXPECTED, "ASK {} did not answer true.")
        return Reply(b"ok\n", "text/plain; charset=utf-8", cache=NEVER, vary="")

    @router.get("/metrics", tags=["operation"], summary="Metrics in the Prometheus text format")
    async def metrics() -> Response:
        return Reply(observer.metrics(), "text/plain; version=0.0.4; charset=utf-8", cache=NEVER, vary="")

    @router.get("/openapi.json", tags=["operation"], summary="This interface in OpenAPI 3.1")
    async def openapi(request: Request) -> Response:
        return _json(_openapi(site, request))

    @router.get("/docs", tags=["pages"], summary="This interface, for people")
    async def docs(request: Request) -> Response:
        paths = _openapi(site, request)["paths"]
        return await page_reply(site, "docs.html", lambda: {"paths": paths, "problems": problems.ALL})

    @router.get("/sitemap.xml", tags=["operation"], summary="All pages, for crawlers")
    async def sitemap(request: Request) -> Response:
        def made() -> bytes:
            kinds = [f"/browse/{kind.name}" for kind in overviews.kinds(site)]
            fixed = ["/", "/sparql", "/docs"]
            if site.described:
                fixed += ["/browse", "/queries", "/download/", "/ontology", "/shapes", "/concepts", "/dataset", "/map"]
                fixed += ["/timeline", "/validation", "/sources"]
            paths = [*fixed, *kinds, *(f"/queries/{name}" for name in site.queries)]
            addresses = [f"{site.prefix}{path}" for path in paths] + [site.address(iri) for iri in index.things]
            origin = site.origin(request.scope).removesuffix(site.prefix)
            return site.render("sitemap.xml", addresses=addresses, origin=origin, modified=site.release.modified)

        body = await apart(made)
        return Reply(body, "application/xml", modified=site.release.modified, vary="")

    @router.get("/robots.txt", tags=["operation"], summary="What crawlers may read")
    async def robots(request: Request) -> Response:
        lines = ["User-agent: *", *(f"Disallow: {site.prefix}{p}" for p in ("/sparql?", "/search?", "/metrics"))]
        lines += ["Allow: /", "", f"Sitemap: {site.origin(request.scope)}/sitemap.xml", ""]
        return Reply("\n".join(lines).encode(), "text/plain; charset=utf-8", vary="")

    by_address = dict(site.assets.values())

    @router.get("/static/{name:path}", include_in_schema=False)
    async def static(name: str) -> Response:
        content = by_address.get(name)
        if content is None:
            raise unknown(f"/static/{name}")
        media_type = _MEDIA_TYPES["." + name.rpartition(".")[2]]
        return Reply(content, media_type, cache=FOREVER, vary="", extra=DATA_HEADERS)

    @router.get("/favicon.ico", include_in_schema=False)
    async def favicon() -> Response:
        return Reply(site.assets["icon.svg"][1], "image/svg+xml", vary="", extra=DATA_HEADERS)

    return router


def _json(content: Any, media_type: str = "application/json") -> Reply:
    body = json.dumps(content, ensure_ascii=False, indent=1).encode()
    return Reply(body, media_type, extra=DATA_HEADERS)


def _openapi(site: Site, request: Request) -> dict[str, Any]:
    app = request.app
    described = get_openapi(
        title=app.title, version=app.version, summary=app.summary, routes=app.routes,
        license_info=app.license_info, servers=[{"url": site.prefix or "/"}],
    )  # fmt: skip
    problem = {
        "description": "A problem (RFC 9457)",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for operations in described["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = problem
    described["paths"]["/sparql"] = _sparql_paths(problem)
    described["components"] = {"schemas": {"Problem": _PROBLEM_SCHEMA}}
    return described


_PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "remedy": {"type": "string"},
        "line": {"type": "integer"},
        "column": {"type": "integer"},
    },
}


def _sparql_paths(problem: dict[str, Any]) -> dict[str, Any]:
    text = {"type": "string"}
    graphs = {"type": "array", "items": {"type": "string", "format": "iri"}}

    def parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
        return {"name": name, "in": "query", "schema": schema, "style": "form", "explode": True}

    name = {**text, "description": "Name or media type of a format, where Accept cannot be sent"}
    further: dict[str, dict[str, Any]] = {"default-graph-uri": graphs, "named-graph-uri": graphs, "format": name}
    beside = [parameter(*pair) for pair in further.items()]
    content = {f.media_type: {"schema": text} for f in (*SOLUTIONS, *TRIPLES)}
    responses = {"200": {"description": "The answer, whole", "content": content}, "default": problem}
    form = {
        "type": "object",
        "required": ["query"],
        "properties": {"query": text, **further},
    }
    common = {"tags": ["sparql"], "responses": responses}
    return {
        "get": {
            **common,
            "operationId": "sparql_get",
            "summary": "A SPARQL query; without one, the service description or the editor",
            "parameters": [parameter("query", text), *beside],
        },
        "post": {
            **common,
            "operationId": "sparql_post",
            "summary": "A SPARQL query in the body; the method QUERY does the same",
            "parameters": beside,
            "requestBody": {
                "required": True,
                "content": {sparql.QUERY_TYPE: {"schema": text}, sparql.FORM_TYPE: {"schema": form}},
            },
        },
    }
