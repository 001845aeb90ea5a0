"""The pages as one application: what FastAPI routes, and what its errors become.

It is loaded after the server has begun to answer queries, because the framework alone takes a third of a second.
"""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from rsm_graph import __version__
from rsm_graph.errors import RsmGraphError
from rsm_graph.web import downloads, pages, problems, reconcile, resources, sparql
from rsm_graph.web.observe import Observer
from rsm_graph.web.problems import HttpProblem
from rsm_graph.web.replies import head
from rsm_graph.web.site import Site

_LICENCE = {"name": "CC BY 4.0", "url": "https://creativecommons.org/licenses/by/4.0/"}


def pages_app(site: Site, endpoint: sparql.Endpoint, observer: Observer) -> ASGIApp:
    """Return everything but the endpoint as one ASGI application."""
    app = FastAPI(
        title=site.title or "rsm-graph",
        version=__version__,
        summary="Linked data over HTTP: descriptions of things, SPARQL, downloads.",
        license_info=_LICENCE if site.described else None,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        default_response_class=Response,
    )
    routers = (resources.routes(site), pages.routes(site, endpoint, observer), downloads.routes(site))
    for router in (*routers, reconcile.routes(site)):
        app.include_router(router)

    async def translate(request: Request, error: Exception) -> Response:
        return _problem(request.scope, error, site)

    for kind in (RsmGraphError, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, translate)

    async def routed(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "OPTIONS":
            await sparql.options(_methods(scope["path"]))(scope, receive, send)
        else:
            await app(scope, receive, send)

    return routed


def _methods(path: str) -> str:
    """Return the methods that an address takes, the endpoint's aside."""
    return reconcile.METHODS.get(path, "GET, HEAD, OPTIONS")


def _problem(scope: Scope, error: Exception, site: Site) -> Response:
    """Translate an error, the framework's own included."""
    accept = head(scope).get(b"accept", b"").decode("latin-1")
    if isinstance(error, RsmGraphError):
        return problems.reply(error, accept, site)
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        where = " ".join(str(part) for part in first["loc"])
        return problems.reply(HttpProblem(problems.BAD_REQUEST, f"{where}: {first['msg']}."), accept, site)
    if isinstance(error, HTTPException) and error.status_code == 405:
        allowed = _methods(scope["path"])
        problem = HttpProblem(
            problems.METHOD, f"{scope['method']} is not a method of this address.", f"Use one of {allowed}.",
            extra=[("allow", allowed)],
        )  # fmt: skip
        return problems.reply(problem, accept, site)
    if isinstance(error, HTTPException) and error.status_code == 404:
        return problems.reply(resources.unknown(scope["path"]), accept, site)
    return problems.reply(problems.unexpected(scope.get("rsm_graph.request_id", "")), accept, site)
