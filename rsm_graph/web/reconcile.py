"""The Reconciliation Service API 0.2 at ``/reconcile``, and a page that does the same for a pasted list."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from starlette.responses import Response

from rsm_graph.errors import InputError
from rsm_graph.reconcile import protocol, sheet
from rsm_graph.reconcile.catalogue import Catalogue
from rsm_graph.reconcile.matching import CLEAR, SURE
from rsm_graph.web import problems
from rsm_graph.web.apart import apart
from rsm_graph.web.problems import HttpProblem
from rsm_graph.web.replies import NEVER, Reply
from rsm_graph.web.resources import page_reply, unknown
from rsm_graph.web.security import DATA_HEADERS
from rsm_graph.web.site import Site
from rsm_graph.web.sparql import FORM_TYPE, parameters, read_body

_CALLBACK = re.compile(r"[A-Za-z_$][\w$]{0,63}(\.[A-Za-z_$][\w$]{0,63}){0,3}", re.ASCII)
METHODS = {"/reconcile": "GET, HEAD, POST, OPTIONS", "/reconcile/ui": "GET, HEAD, POST, OPTIONS"}
"""The addresses here that take more than GET, with their methods."""

_CURSOR = 10_000
_LISTED = 1000
"""Names that the page takes at once."""

_FRAMED = (
    (
        "content-security-policy",
        "default-src 'none'; style-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'",
    ),
    ("referrer-policy", "strict-origin-when-cross-origin"),
)
"""Header fields of the preview: other sites' clients show it in a frame."""

_Result = TypeVar("_Result")


def _documented(*names: str, required: bool = False) -> dict[str, Any]:
    """Return what OpenAPI says of parameters; unknown ones beside them are let pass."""
    return {
        "parameters": [{"name": n, "in": "query", "required": required, "schema": {"type": "string"}} for n in names]
    }


def routes(site: Site) -> APIRouter:
    """Return the addresses of the reconciliation service."""
    router = APIRouter(tags=["reconciliation"], default_response_class=Response)

    @cache
    def catalogue() -> Catalogue:
        """Return what there is to find; the search index is opened when somebody first asks."""
        return Catalogue(site.release.index, site.release.search)

    def address(request: Request) -> str:
        return f"{site.origin(request.scope)}/reconcile"

    async def service(request: Request, given: dict[str, str], cache: bool) -> Response:
        """Answer what the parameters ask for (0.2, Sending Reconciliation Queries, Data Extension Query Requests)."""
        callback = given.get("callback", "")
        if "queries" in given:
            text = given["queries"]
            content = await _work(lambda: protocol.answer_batch(catalogue(), protocol.read_batch(catalogue(), text)))
        elif "query" in given:
            text = given["query"]
            content = await _work(lambda: protocol.answer(catalogue(), protocol.read_single(catalogue(), text)))
        elif "extend" in given:
            text = given["extend"]
            content = await _work(lambda: protocol.extend(catalogue(), text))
        else:
            content = protocol.manifest(catalogue(), address(request))
        return _json(content, callback, cache)

    @router.get(
        "/reconcile",
        summary="The service manifest; with queries or extend, the answer to them",
        openapi_extra=_documented("queries", "query", "extend", "callback"),
    )
    async def get(request: Request) -> Response:
        return await service(request, _given(request), cache=True)

    @router.post("/reconcile", summary="Reconciliation queries, or a data extension query, as a form")
    async def post(request: Request) -> Response:
        return await service(request, _given(request) | await _form(site, request), cache=False)

    @router.get(
        "/reconcile/suggest/{what}",
        summary="Things, types or properties while a name is being typed",
        openapi_extra=_documented("prefix", "cursor", "limit", "type", "callback"),
    )
    async def suggest(request: Request, what: str) -> Response:
        given = parameters(request.scope["query_string"], "address")
        values = dict(given)
        prefix = values.get("prefix", "")
        cursor = _number(values.get("cursor"), "cursor", 0)
        most = protocol.limit(values.get("limit"), "limit", 20)
        if what == "entity":
            types = [value for name, value in given if name == "type"]
            content = _clear(lambda: protocol.suggest_entity(catalogue(), prefix, cursor, most, types))
        elif what == "type":
            content = protocol.suggest_type(catalogue(), prefix, cursor, most)
        elif what == "property":
            content = protocol.suggest_property(catalogue(), prefix, cursor, most)
        else:
            raise unknown(f"/reconcile/suggest/{what}")
        return _json(content, values.get("callback", ""), True)

    @router.get(
        "/reconcile/flyout/{what}",
        summary="A few words about a suggestion",
        openapi_extra=_documented("id", required=True),
    )
    async def flyout(request: Request, what: str) -> Response:
        given = _given(request)
        key = given.get("id", "")
        name, words = _about(catalogue(), what, key)
        shown = f"<p><strong>{html.escape(name)}</strong></p><p>{html.escape(words)}</p>"
        return _json({"id": key, "html": shown}, given.get("callback", ""), True)

    @router.get(
        "/reconcile/preview",
        summary="A small page about a thing, to be shown in a frame",
        openapi_extra=_documented("id", required=True),
    )
    async def preview(request: Request) -> Response:
        iri = _thing(catalogue(), _given(request).get("id", ""))
        body = site.render(
            "reconcile-preview.html",
            iri=iri,
            label=catalogue().index.label(iri),
            description=catalogue().description(iri),
            items=[(item, catalogue().remote_label(item)) for item in catalogue().wikidata(iri)],
        )
        extra = [*DATA_HEADERS, *_FRAMED]
        return Reply(body, "text/html; charset=utf-8", extra=extra, vary="", modified=site.release.modified)

    @router.get(
        "/reconcile/view",
        status_code=303,
        summary="Redirects to the page of a thing",
        openapi_extra=_documented("id", required=True),
    )
    async def view(request: Request) -> Response:
        iri = _thing(catalogue(), _given(request).get("id", ""))
        return Reply(b"", "", status=303, extra=[*DATA_HEADERS, ("location", site.address(iri))], vary="")

    @router.get(
        "/reconcile/properties",
        summary="The properties that things of a type have",
        openapi_extra=_documented("type", "limit", "callback"),
    )
    async def properties(request: Request) -> Response:
        given = _given(request)
        most = protocol.limit(given["limit"], "limit", protocol.MOST) if given.get("limit") else None
        content = _clear(lambda: protocol.propose(catalogue(), given.get("type", ""), most))
        return _json(content, given.get("callback", ""), True)

    def page(request: Request, **given: object) -> Awaitable[Reply]:
        def context() -> dict[str, object]:
            types = [(t.id, t.name) for t in catalogue().types.values() if len(t.members) > 1]
            fixed = {"service": address(request), "types": types, "largest": _LISTED, "sure": SURE, "clear": CLEAR}
            return {"text": "", "chosen": "", "found": None} | fixed | given

        return page_reply(site, "reconcile.html", context)

    @router.get("/reconcile/ui", summary="A page that reconciles a pasted list")
    async def ui(request: Request) -> Response:
        return await page(request)

    @router.post("/reconcile/ui", summary="The pasted list, reconciled: a page or CSV")
    async def listed(request: Request) -> Response:
        given = await _form(site, request)
        names = [line.strip() for line in given.get("names", "").splitlines()]
        names = [name for name in names if name]
        if len(names) > _LISTED:
            raise HttpProblem(
                problems.TOO_LARGE,
                f"{len(names):,} names in one list.",
                f"Paste at most {_LISTED:,}, or use the service.",
            )
        chosen = given.get("type", "")
        types = [_clear(lambda: catalogue().type(chosen))] if chosen else []
        found = await _work(lambda: list(sheet.look_up(catalogue(), names, types)))
        if given.get("format") == "csv":
            disposition = ("content-disposition", 'attachment; filename="reconciled.csv"')
            return Reply(_csv(found), "text/csv; charset=utf-8", extra=[*DATA_HEADERS, disposition], cache=NEVER)
        return await page(request, text="\n".join(names), chosen=chosen, found=found)

    return router


def _given(request: Request) -> dict[str, str]:
    return dict(parameters(request.scope["query_string"], "address"))


async def _form(site: Site, request: Request) -> dict[str, str]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != FORM_TYPE:
        raise HttpProblem(
            problems.MEDIA_TYPE,
            f"The request body has the media type {kind[:80]!r}." if kind else "The request body has no media type.",
            f"Send {FORM_TYPE}.",
            extra=[("accept-post", FORM_TYPE)],
        )
    settings = site.settings
    body = await read_body(request.scope, request.receive, settings.request_bytes, settings.request_timeout)
    return dict(parameters(body, "body"))


async def _work(task: Callable[[], _Result]) -> _Result:
    """Run what may take long away from the sockets."""
    return await apart(lambda: _clear(task))


def _clear(task: Callable[[], _Result]) -> _Result:
    try:
        return task()
    except protocol.TooMany as error:
        raise HttpProblem(problems.TOO_LARGE, error.message, error.remedy) from error


def _thing(catalogue: Catalogue, key: str) -> str:
    iri = catalogue.iri(key)
    if not iri:
        raise HttpProblem(problems.NOT_FOUND, f"There is nothing with the identifier {key[:80]!r}.", "Like nation/DEU.")
    return iri


def _about(catalogue: Catalogue, what: str, key: str) -> tuple[str, str]:
    """Return name and description of an entity, a type or a property."""
    if what == "entity":
        iri = _thing(catalogue, key)
        return catalogue.index.label(iri), catalogue.description(iri)
    try:
        if what == "type":
            found = catalogue.type(key)
            return found.name, found.description
        if what == "property":
            offered = catalogue.property(key)
            return offered.name, offered.description
    except InputError as error:
        raise HttpProblem(problems.NOT_FOUND, error.message, error.remedy) from error
    raise unknown(f"/reconcile/flyout/{what}")


def _number(given: str | None, where: str, default: int) -> int:
    if not given:
        return default
    if not given.isascii() or not given.isdigit() or len(given) > 9:
        raise HttpProblem(problems.BAD_REQUEST, f"{where} is {given[:40]!r}.", "It is a whole number.")
    return min(int(given), _CURSOR)


def _json(content: Any, callback: str, cache: bool) -> Reply:
    """Return JSON, or JSONP (0.2, Cross-Origin Access) where a callback is named."""
    # ASCII only: safe as JavaScript (U+2028), and for names that are no Unicode text (lone surrogates).
    text = json.dumps(content)
    extra = [*DATA_HEADERS]
    options: dict[str, Any] = {} if cache else {"cache": NEVER}
    if not callback:
        return Reply(text.encode(), "application/json", extra=extra, vary="", **options)
    if not _CALLBACK.fullmatch(callback):
        raise HttpProblem(problems.BAD_REQUEST, f"callback is no name of a function: {callback[:40]!r}.")
    body = f"/**/{callback}({text});".encode()
    return Reply(body, "text/javascript; charset=utf-8", extra=extra, vary="", **options)


def _csv(found: list[sheet.Found]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["name", *sheet.ADDED])
    for one in found:
        writer.writerow([one.text, one.iri, one.wikidata, one.score or "", one.reason])
    return out.getvalue().encode()
