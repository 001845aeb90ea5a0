"""The application: a thin ASGI layer that answers repeated requests from memory, the endpoint, and the pages.

::

    App            request id, log, metrics, path prefix; replies kept in memory
    ├── /sparql    web.sparql.Endpoint, plain ASGI
    └── the rest   web.routing: FastAPI with web.resources, web.pages, web.downloads, web.reconcile
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from functools import partial
from urllib.parse import unquote_to_bytes

from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rsm_graph.engine import Engine, Source
from rsm_graph.errors import RsmGraphError
from rsm_graph.release import Release
from rsm_graph.settings import Settings
from rsm_graph.web import problems, sparql
from rsm_graph.web.observe import LogHandler, Observer
from rsm_graph.web.protocol import Client, Fields, Work
from rsm_graph.web.replies import Kept, Key, Reply, head
from rsm_graph.web.site import Site

_FROM_MEMORY = (b"server-timing", b"kept")


class App:
    """The ASGI application of one process, which starts the engine at lifespan startup and closes it at shutdown.

    :meth:`replace` gives it a new release without a failed request.
    """

    def __init__(self, release: Release, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._settings = settings
        self.observer = Observer(settings, engine)
        self._side = _Side(Site(release, engine, settings), self.observer)

    async def replace(self, release: Release, source: Source) -> None:
        """Serve another release: load it into the engine, then swap pages and memory.

        Raises as :meth:`~rsm_graph.engine.Engine.reload`; the old release is then served on.
        """
        side = _Side(Site(release, self._engine, self._settings), self.observer)
        await side.pages()
        await self._engine.reload(source)
        self._side = side

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._request(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)

    def takes(self, target: bytes) -> bool:
        """Return whether ``target`` is the endpoint, so that a POST to it is a query."""
        return self._side.path(target.partition(b"?")[0]) == b"/sparql"

    def at_once(self, target: bytes, fields: Fields, client: Client, body: bytes | None) -> tuple[bytes, bytes] | None:
        """Return head and body of the answer when it is kept; the protocol then sends it by itself.

        The head lacks its last empty line; see :meth:`~rsm_graph.web.replies.Reply.wire`.
        """
        started = time.perf_counter()
        side = self._side
        reply = side.replies.get(side.key(target, fields, body))
        wire = reply.wire(fields.get(b"accept-encoding", b"")) if reply else None
        if reply is None or wire is None:
            return None
        scope = self._scope(side, target, client, body)
        self.observer.request(scope, reply.status_code, len(wire[1]), time.perf_counter() - started, True)
        request_id = scope["rsm_graph.request_id"].encode()
        return b"%sx-request-id: %s\r\nserver-timing: kept\r\n" % (wire[0], request_id), wire[1]

    def soon(self, target: bytes, fields: Fields, client: Client, body: bytes | None) -> Work | None:
        """Return what finds head and parts of the answer, if the request asks the endpoint a query.

        The protocol sends them by itself, which saves a third of what HTTP costs a short query, and cancels the
        call when the client leaves. The head lacks its last empty line.
        """
        query = target.partition(b"?")[2]
        if body is None and (b"query=" not in query or b"#" in query or not self.takes(target)):
            return None
        return partial(self._asked, target, fields, client, body)

    async def _asked(
        self, target: bytes, fields: Fields, client: Client, body: bytes | None
    ) -> tuple[bytes, Iterable[bytes]]:
        started = time.perf_counter()
        side = self._side
        scope = self._scope(side, target, client, body)
        request_id = scope["rsm_graph.request_id"]
        status, sent = 500, 0
        try:
            peer = client[0] if client else ""
            reply = await side.endpoint.ask(scope["method"], scope["query_string"], fields, body or b"", peer)
            if isinstance(reply, Reply) and reply.keep:
                side.replies.put(side.key(target, fields, body), reply)
            head, parts, sent = await reply.sent(fields.get(b"accept-encoding", b""))
            status = reply.status_code
        except asyncio.CancelledError:
            status = 499
            raise
        finally:
            self.observer.request(scope, status, sent, time.perf_counter() - started, False)
        return b"%sx-request-id: %s\r\n" % (head, request_id.encode()), parts

    def _scope(self, side: _Side, target: bytes, client: Client, body: bytes | None) -> Scope:
        """Return what the log says about a request that the protocol answers by itself."""
        path, _, query = target.partition(b"?")
        return {
            "path": side.path(path).decode("latin-1"),
            "query_string": query,
            "method": "GET" if body is None else "POST",
            "client": client,
            "rsm_graph.request_id": self.observer.next_id(),
        }

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self._engine.start()
        except RsmGraphError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        handler = LogHandler(self.observer)
        if not logging.getLogger().handlers:  # else somebody has already said where logs go
            logging.getLogger().addHandler(handler)
        making = asyncio.ensure_future(self._side.pages())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        making.cancel()
        await self._engine.close()
        logging.getLogger().removeHandler(handler)
        self.observer.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        observer, side = self.observer, self._side
        request_id = observer.next_id()
        scope = side.entered(scope)
        scope["rsm_graph.request_id"] = request_id
        hit = side.kept(scope)
        extra = [(b"x-request-id", request_id.encode()), *([_FROM_MEMORY] if hit else ())]
        status = 0
        sent = 0

        async def observed(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *extra]
            else:
                sent += len(message.get("body", b""))
            await send(message)

        try:
            await (hit or side)(scope, receive, observed)
        except asyncio.CancelledError:
            # The client has left, so there is nobody to answer; its query has been ended.
            status = status or 499
        finally:
            observer.request(scope, status or 500, sent, time.perf_counter() - started, hit is not None)


_ASKED = (b"/sparql", b"/search", b"/reconcile")
"""Where the addresses begin that read what stands behind the question mark; to all others it means nothing."""


class _Side:
    """Everything that belongs to one release."""

    def __init__(self, site: Site, observer: Observer) -> None:
        self.replies = Kept(site.settings.cache_bytes // 2)
        """Replies by request target, Accept and Host."""
        answers = Kept(site.settings.cache_bytes // 2)
        observer.watch(self.replies, answers)
        self._site = site
        self._observer = observer
        self.endpoint = sparql.Endpoint(site, answers)
        self._guarded = ServerErrorMiddleware(self.endpoint, handler=self._unexpected)
        self._pages: asyncio.Future[ASGIApp] | None = None
        self._prefixes = tuple(prefix.encode() for prefix in site.prefixes_in_path)

    async def _unexpected(self, request: Request, error: Exception) -> Response:  # noqa: ARG002 (it is logged)
        problem = problems.unexpected(request.scope.get("rsm_graph.request_id", ""))
        return problems.reply(problem, request.headers.get("accept", ""), self._site)

    def entered(self, scope: Scope) -> Scope:
        """Return the scope as everything behind here sees it: without a path prefix, HEAD as a GET without body."""
        raw: bytes = scope["raw_path"]
        if scope["method"] in ("GET", "HEAD"):
            fields, query = head(scope), scope["query_string"]
            target = raw + b"?" + query if query else raw
            scope["rsm_graph.key"] = self.key(target, fields)
        path = self.path(raw)
        if path is not raw:
            scope["path"] = scope["path"][len(raw) - len(path) :] or "/"
            scope["raw_path"] = path or b"/"
        if scope["method"] == "HEAD":
            # A copy, because the server itself looks at the method when the answer is sent.
            return {**scope, "method": "GET", "rsm_graph.bodiless": True}
        return scope

    def key(self, target: bytes, fields: Fields, body: bytes | None = None) -> Key:
        """Return what equal requests have in common: target, Accept and Host; for a POST, the body and its type too."""
        if b"?" in target and not target.startswith(_ASKED):
            path = target.partition(b"?")[0]
            if not unquote_to_bytes(self.path(path)).startswith(_ASKED):
                target = path
        if body is None:
            return target, fields.get(b"accept", b""), fields.get(b"host", b"")
        names = (b"accept", b"host", b"content-type", b"content-encoding")
        return target, *(fields.get(name, b"") for name in names), body

    def path(self, raw: bytes) -> bytes:
        """Return a path without the prefix that a proxy, or the base IRI, has put before it."""
        for prefix in self._prefixes:
            if raw == prefix or raw.startswith(prefix + b"/"):
                return raw[len(prefix) :]
        return raw

    def kept(self, scope: Scope) -> Reply | None:
        """Return the reply that an equal request had, if it is kept."""
        return self.replies.get(scope["rsm_graph.key"]) if "rsm_graph.key" in scope else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, and keep the reply if it may serve again."""
        await self._dispatch(scope, receive, send)
        reply = scope.get("rsm_graph.reply")
        if reply is not None and reply.keep and "rsm_graph.key" in scope:
            self.replies.put(scope["rsm_graph.key"], reply)

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path == "/sparql" or (path.startswith("/sparql.") and "/" not in path[8:]):
            await self._guarded(scope, receive, send)
        else:
            pages = await self.pages()
            await pages(scope, receive, send)

    async def pages(self) -> ASGIApp:
        """Return the application of the pages, made beside the event loop when it is first wanted."""
        if self._pages is None:
            self._pages = asyncio.ensure_future(asyncio.to_thread(self._make_pages))
        return await asyncio.shield(self._pages)  # a client that leaves must not take it along

    def _make_pages(self) -> ASGIApp:
        from rsm_graph.web.routing import pages_app  # see there why not at the top

        return pages_app(self._site, self.endpoint, self._observer)
