"""Dereferencing: every IRI under the base has an address here that describes it, in every format."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from urllib.parse import quote

import pyoxigraph as ox
from fastapi import APIRouter, Request
from starlette.responses import Response

from rsm_graph import catalog, formats
from rsm_graph.errors import InputError, NotAcceptable
from rsm_graph.formats import QUADS, TRIPLES, Format
from rsm_graph.namespaces import VOCABULARIES
from rsm_graph.negotiation import negotiate
from rsm_graph.web import diagram, overviews, problems, views
from rsm_graph.web.apart import apart
from rsm_graph.web.problems import HttpProblem
from rsm_graph.web.replies import Reply
from rsm_graph.web.security import DATA_HEADERS, PAGE_HEADERS
from rsm_graph.web.site import Site

HTML = Format("html", "HTML", "text/html", "quads", ("application/xhtml+xml",), ("htm",))
FORMATS = (HTML, *TRIPLES, *QUADS)

Statements = Sequence[ox.Triple] | Sequence[ox.Quad]


def routes(site: Site) -> APIRouter:
    """Return the addresses of things, of the ontology and its kin, and of the graphs."""
    router = APIRouter(tags=["descriptions"], default_response_class=Response)
    dataset, index = site.release.dataset, site.release.index

    @router.get("/id/{key:path}", status_code=303, summary="A thing: redirects to its description")
    async def thing(request: Request, key: str) -> Response:
        raw: bytes = request.scope["raw_path"].removeprefix(b"/")
        if not any(iri in index for iri in site.iris_of(raw)):
            raise unknown(f"/id/{key}")
        target = f"{site.prefix}/doc/{raw.decode('ascii').removeprefix('id/')}"
        link = ("link", f'<{target}>; rel="describedby"')
        return Reply(b"", "", status=303, extra=[*DATA_HEADERS, ("location", target), link])

    @router.get("/doc/{key:path}", summary="The description of a thing, negotiated; an extension pins the format")
    async def description(request: Request, key: str) -> Response:
        raw: bytes = b"id/" + request.scope["raw_path"].removeprefix(b"/doc/")
        for candidate, pinned in _candidates(raw):
            for iri in site.iris_of(candidate):
                if iri in index:
                    stem = f"/doc/{candidate.decode('ascii').removeprefix('id/')}"
                    return await _thing(site, request, iri, stem, pinned)
        raise unknown(f"/doc/{key}")

    @router.get("/graph/{name}", summary="One of the dataset's own named graphs")
    async def graph(request: Request, name: str) -> Response:
        raw: bytes = request.scope["raw_path"].removeprefix(b"/")
        for candidate, pinned in _candidates(raw):
            for iri in site.iris_of(candidate):
                if iri in dataset.graphs:
                    return await _thing(site, request, iri, f"/{candidate.decode('ascii')}", pinned)
        raise unknown(f"/graph/{name}")

    def whole_graph(name: str) -> Callable[[Format], Statements]:
        quads = dataset.graphs.get(dataset.iri(f"graph/{name}"), ())
        return lambda fmt: quads if fmt.carries == "quads" else [quad.triple for quad in quads]

    def ontology_page() -> bytes:
        view = overviews.ontology(site)
        return site.render("ontology.html", view=view, diagram=diagram.classes(site))

    @router.get("/ontology", summary="The vocabulary: documentation or RDF")
    @router.get("/ontology.{ending}", include_in_schema=False)
    async def ontology(request: Request) -> Response:
        content = whole_graph("ontology")
        return await _document(
            site, request, "/ontology", ending_of(request), ontology_page, content, cite=dataset.iri("ontology")
        )

    @router.get("/ontology/{version}", summary="The vocabulary by its version IRI")
    async def ontology_version(request: Request, version: str) -> Response:
        iri = dataset.iri(f"ontology/{version}")
        known = index.values(dataset.iri("ontology"), VOCABULARIES["owl"] + "versionIRI")
        if iri not in {str(v.value) for v in known}:
            raise unknown(f"/ontology/{version}")
        return await _document(site, request, "/ontology", "", ontology_page, whole_graph("ontology"), cite=iri)

    @router.get("/shapes", summary="The shapes that the data are checked against: documentation or RDF")
    @router.get("/shapes.{ending}", include_in_schema=False)
    async def shapes(request: Request) -> Response:
        def page() -> bytes:
            return site.render(
                "shapes.html",
                topics=overviews.shapes(site),
                words=overviews.shapes_words(site),
                report=site.release.report,
            )

        return await _document(site, request, "/shapes", ending_of(request), page, whole_graph("shapes"))

    @router.get("/concepts", summary="The code lists")
    async def concept_schemes() -> Response:
        return await page_reply(site, "concepts.html", lambda: {"schemes": overviews.schemes(site)})

    @router.get("/concepts/{name}", summary="A code list: documentation or RDF; an extension pins the format")
    async def concept_scheme(request: Request, name: str) -> Response:
        known = [
            (candidate.decode(), ending)
            for candidate, ending in _candidates(name.encode())
            if dataset.iri(f"id/concept/{candidate.decode()}") in index
        ]
        if not known:
            raise unknown(f"/concepts/{name}")
        scheme, pinned = known[0]
        iri = dataset.iri(f"id/concept/{scheme}")

        def page() -> bytes:
            return site.render("concept-scheme.html", scheme=overviews.scheme(site, iri))

        members = [s.subject.value for s in index.mentioning(iri) if s.predicate == VOCABULARIES["skos"] + "inScheme"]

        def content(fmt: Format) -> Statements:
            if fmt.carries == "quads":
                return list(dict.fromkeys(q for i in (iri, *sorted(members)) for q in index.quads(i)))
            return list(dict.fromkeys(t for i in (iri, *sorted(members)) for t in index.triples(i)))

        return await _document(site, request, f"/concepts/{scheme}", pinned, page, content, cite=iri)

    @router.get("/dataset", summary="The release in DCAT, VoID and PROV: a page or RDF")
    @router.get("/dataset.{ending}", include_in_schema=False)
    async def release(request: Request) -> Response:
        graph = ox.NamedNode(dataset.iri("graph/dataset"))

        def content(fmt: Format) -> Statements:
            triples = site.release.description
            return _in_graph(triples, graph) if fmt.carries == "quads" else triples

        def page() -> bytes:
            return site.render("dataset.html", view=overviews.release(site))

        await asyncio.to_thread(lambda: site.release.description)  # its files may yet have to be written
        return await _document(
            site, request, "/dataset", ending_of(request), page, content, cite=dataset.iri("id/dataset/rsm")
        )

    @router.get("/.well-known/void", status_code=303, summary="Redirects to the description of the release")
    async def well_known() -> Response:
        return Reply(b"", "", status=303, extra=[*DATA_HEADERS, ("location", f"{site.prefix}/dataset")], vary="")

    @router.get("/validation", summary="The SHACL report of this release: a page or RDF")
    @router.get("/validation.{ending}", include_in_schema=False)
    async def validation(request: Request) -> Response:
        def page() -> bytes:
            return site.render("validation.html", report=site.release.report)

        def content(fmt: Format) -> Statements:
            report = site.release.report
            about = catalog.of_report(dataset, report, site.release.modified.date())
            triples = (*about, *report.triples_of_report(dataset.iri("validation")))
            return _in_graph(triples, ox.DefaultGraph()) if fmt.carries == "quads" else list(triples)

        return await _document(site, request, "/validation", ending_of(request), page, content)

    @router.get("/wikidata/{item}", status_code=302, summary="The thing that is linked to a Wikidata item")
    async def wikidata(item: str) -> Response:
        linked = index.mentioning(VOCABULARIES["wd"] + item)
        order = [VOCABULARIES["skos"] + name for name in ("exactMatch", "closeMatch", "broadMatch", "narrowMatch")]
        found = sorted((order.index(s.predicate), s.subject.value) for s in linked if s.predicate in order)
        if not found:
            raise HttpProblem(
                problems.NOT_FOUND,
                f"Nothing here is linked to the Wikidata item {item[:40]!r}.",
                "Items are written like Q183.",
            )
        target = site.address(found[0][1])
        return Reply(b"", "", status=302, extra=[*DATA_HEADERS, ("location", target)], vary="")

    return router


def ending_of(request: Request) -> str:
    """Return the extension in the address of a request, where its route has a place for one and it is used."""
    return str(request.path_params.get("ending", ""))


def unknown(path: str) -> HttpProblem:
    """Return the problem of an address at which there is nothing."""
    return HttpProblem(problems.NOT_FOUND, f"There is nothing at {path[:200]}.", "Search for it by name at /search.")


async def page_reply(site: Site, template: str, context: Callable[[], dict[str, object]]) -> Reply:
    """Return a page that exists as HTML only, made out of the event loop's way."""
    body = await apart(lambda: site.render(template, **context()))
    extra = [*DATA_HEADERS, *PAGE_HEADERS]
    return Reply(body, "text/html; charset=utf-8", extra=extra, modified=site.release.modified)


def _in_graph(triples: Iterable[ox.Triple], graph: ox.NamedNode | ox.DefaultGraph) -> list[ox.Quad]:
    return [ox.Quad(t.subject, t.predicate, t.object, graph) for t in triples]


def _candidates(raw: bytes) -> list[tuple[bytes, str]]:
    """Return what a path may mean: itself, or what stands before an extension that pins a format."""
    stem, dot, ending = raw.rpartition(b".")
    named = dot and "/" not in ending.decode("latin-1")
    return [(raw, ""), (stem, ending.decode("latin-1"))] if named else [(raw, "")]


async def _thing(site: Site, request: Request, iri: str, stem: str, pinned: str) -> Response:
    index = site.release.index

    def page() -> bytes:
        thing = views.thing(site, iri)
        shapes = overviews.checked(site, iri)
        return site.render("thing.html", thing=thing, stem=stem, citation=overviews.citation(site, iri), shapes=shapes)

    def content(fmt: Format) -> Statements:
        return index.quads(iri) if fmt.carries == "quads" else index.triples(iri)

    kind = stem.split("/")[2] if stem.startswith("/doc/") else ""
    collection = f"/browse/{kind}" if kind else ""
    return await _document(site, request, stem, pinned, page, content, cite=iri, collection=collection)


async def _document(
    site: Site,
    request: Request,
    stem: str,
    pinned: str,
    page: Callable[[], bytes],
    content: Callable[[Format], Statements],
    *,
    cite: str = "",
    collection: str = "",
) -> Reply:
    """Return one description in the format that the address pins or the client prefers."""
    if pinned:
        try:
            chosen = formats.by_name(pinned, FORMATS)
        except InputError:
            raise unknown(f"{stem}.{pinned}") from None
    else:
        chosen = negotiate(request.headers.get("accept", ""), FORMATS)
    extra = [*DATA_HEADERS, ("link", ", ".join(_links(site, stem, chosen, cite, collection)))]
    if not pinned:
        extra.append(("content-location", f"{site.prefix}{stem}.{chosen.name}"))
    if chosen is HTML:
        body, extra = await apart(page), [*extra, *PAGE_HEADERS]
    else:
        try:
            body = await apart(lambda: formats.serialize(content(chosen), chosen, site.names))
        except InputError as error:  # RDF/XML cannot carry everything
            raise NotAcceptable(error.message, error.remedy) from error
    modified = site.release.modified
    return Reply(body, chosen.content_type, extra=extra, modified=modified, vary="" if pinned else "Accept")


def _links(site: Site, stem: str, chosen: Format, cite: str, collection: str) -> Iterable[str]:
    """Yield the link header values (RFC 8288): the same in other formats, and what this description is part of."""
    for fmt in FORMATS:
        if fmt is not chosen:
            yield f'<{site.prefix}{stem}.{fmt.name}>; rel="alternate"; type="{fmt.media_type}"'
    if cite:
        yield f'<{_uri(cite)}>; rel="cite-as"'
    yield f'<{site.prefix}/dataset>; rel="describedby"'
    license_iri = overviews.license_of(site)
    if license_iri:
        yield f'<{license_iri}>; rel="license"'
    if collection:
        yield f'<{site.prefix}{collection}>; rel="collection"'


def _uri(iri: str) -> str:
    """Return an IRI as a URI (RFC 3987, 3.1), so that it can stand in a header."""
    return quote(iri, safe="/:?#[]@!$&'()*+,;=%-._~")
