"""HTTP/1.1 with bounds, and kept answers sent at once.

uvicorn's fast parser by itself takes any head and waits for ever.

Refused: a head of more than :data:`HEAD_BYTES` or :data:`HEAD_LINES` (431), none or several ``Host`` fields (400,
RFC 9112, 3.2), a request that has not arrived within the deadline (408). A client that stops reading its answer is
cut off after the same time.

An application with the methods of :class:`Quick` (see :class:`~rsm_graph.web.app.App`) is asked for the bytes of an
answer before ASGI begins: what is kept in memory goes out several times as quickly, and queries by a third.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from typing import Protocol

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from rsm_graph.settings import Settings

HEAD_BYTES = 64 * 1024
"""Bytes of request line and header fields together; a query in an address has to fit in."""
HEAD_LINES = 100
"""Header fields of one request."""

BODY_BYTES = 64 * 1024
"""Bytes up to which the body of a request is gathered here; longer ones are read by the application."""

Fields = dict[bytes, bytes]
Client = tuple[str, int] | None
Work = Callable[[], Awaitable[tuple[bytes, Iterable[bytes]]]]


class Quick(Protocol):
    """An application that answers plain requests beside ASGI: a GET, or a POST with its whole ``body``.

    ``target`` and ``fields`` are those of the request; it came over a connection that stays open.
    """

    def takes(self, target: bytes) -> bool:
        """Return whether a POST to ``target`` is for :meth:`at_once` and :meth:`soon`."""

    def at_once(self, target: bytes, fields: Fields, client: Client, body: bytes | None) -> tuple[bytes, bytes] | None:
        """Return head and body."""

    def soon(self, target: bytes, fields: Fields, client: Client, body: bytes | None) -> Work | None:
        """Return what finds head and parts of the body; never nothing for a POST that it takes."""


_NOT_PLAIN = frozenset(
    (b"transfer-encoding", b"expect", b"range", b"if-none-match", b"if-modified-since", b"if-match",
     b"if-unmodified-since", b"if-range", b"upgrade")
)  # fmt: skip
"""Fields of requests that need more than the kept bytes."""


class _Cycle:
    """What uvicorn asks of a request under way, for one that is answered here."""

    def __init__(self) -> None:
        self.response_started = False
        self.response_complete = False
        self.disconnected = False
        self.keep_alive = True
        self.message_event = asyncio.Event()


def bounded(settings: Settings) -> type[asyncio.Protocol]:
    """Return the protocol class with the bounds of ``settings``, for ``uvicorn.Config(http=…)``."""
    given = {"seconds": settings.request_timeout, "proxies": frozenset(settings.proxy)}
    return type("BoundedHttp", (_BoundedHttp,), given)


def _client(forwarded: bytes) -> str:
    """Return the address that a proxy has put at the end of ``X-Forwarded-For``; empty when it is none."""
    address = forwarded.rpartition(b",")[2].strip().decode("latin-1")
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return ""


class _BoundedHttp(HttpToolsProtocol):
    seconds: float
    proxies: frozenset[str]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._peer = self.client
        self._began: float | None = self.loop.time()  # until a request is whole, its beginning
        self._in_head = True
        self._head_bytes = 0
        self._refusal = HTTPStatus.BAD_REQUEST
        self._unsent = 0
        self._own = False
        """Whether the request under way is answered here, not by uvicorn."""
        self._body: list[bytes] | None = None
        """What has come of the body of such a request."""
        self._pending: asyncio.Task[None] | None = None
        self._quick: Quick | None = self.app if hasattr(self.app, "at_once") else None
        self._check = self.loop.call_later(self.seconds, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        self._check.cancel()
        if self._pending is not None:
            self._pending.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # A field is reported when it is whole, so one that never ends is counted here.
        if self._in_head and self.parser is not None:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
                self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
                self.send_400_response("")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._began = self.loop.time()
        self._in_head = True
        self._head_bytes = 0
        self._body = None

    def on_headers_complete(self) -> None:
        self._in_head = False
        fields = dict(self.headers)
        size, hosts = len(self.url), 0
        for name, value in self.headers:
            size += len(name) + len(value) + 4
            hosts += name == b"host"
        if size > HEAD_BYTES or len(self.headers) > HEAD_LINES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        if hosts != 1 and (hosts or self.parser.get_http_version() != "1.0"):
            self._refuse(HTTPStatus.BAD_REQUEST)
        if self.proxies and self._peer and self._peer[0] in self.proxies:
            # The proxy's own field is the last one; everything before it the client may have made up.
            address = _client(fields.get(b"x-forwarded-for", b""))
            self.client = (address, 0) if address else self._peer
            self.scope["client"] = self.client
        self._own = len(fields) == len(self.headers) and self._is_plain(fields)
        if not self._own:
            super().on_headers_complete()
        elif self._body is None and not self._answer(fields, None):
            self._own = False
            super().on_headers_complete()

    def _is_plain(self, fields: dict[bytes, bytes]) -> bool:
        """Return whether this may be a request for the application's quick way, with no answer before it under way."""
        parser, cycle = self.parser, self.cycle
        if (
            self._quick is None
            or not fields.keys().isdisjoint(_NOT_PLAIN)
            or parser.get_http_version() != "1.1"
            or not parser.should_keep_alive()
            or parser.should_upgrade()
            or (cycle is not None and not cycle.response_complete)
            or self.flow.write_paused
        ):
            return False
        method, length = parser.get_method(), fields.get(b"content-length")
        if method == b"POST" and length is not None and int(length) <= BODY_BYTES and self._quick.takes(self.url):
            self._body = []
            self._fields = fields
            return True
        return method == b"GET" and length is None

    def _answer(self, fields: Fields, body: bytes | None) -> bool:
        """Answer the request here if the application can; return whether it does."""
        assert self._quick is not None
        answer = self._quick.at_once(self.url, fields, self.client, body)
        if answer is not None:
            self.transport.write(b"%s%s\r\n%s" % (answer[0], self._date(), answer[1]))
            return True
        work = self._quick.soon(self.url, fields, self.client, body)
        if work is None:
            return False
        own = _Cycle()
        self.cycle = own  # type: ignore[assignment]
        self._pending = self.loop.create_task(self._send(work, own))
        self.tasks.add(self._pending)
        self._pending.add_done_callback(self._ended)
        return True

    async def _send(self, work: Work, cycle: _Cycle) -> None:
        """Send what ``work`` finds; :meth:`connection_lost` cancels it."""
        write = self.transport.write
        try:
            head, parts = await work()
            cycle.response_started = True
            close = b"" if cycle.keep_alive else b"connection: close\r\n"
            unsent = b"%s%s%s\r\n" % (head, close, self._date())
            for part in parts:
                if self.flow.write_paused:
                    await self.flow.drain()
                write(unsent + part)
                unsent = b""
            cycle.response_complete = True
        finally:
            self._pending = None
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Say that something went wrong, where the application itself has nothing to say."""
        self.tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.logger.error("Exception while a query was answered", exc_info=error)
            self._refusal = HTTPStatus.INTERNAL_SERVER_ERROR
            self.send_400_response("")

    def _date(self) -> bytes:
        return b"".join([b"%s: %s\r\n" % line for line in self.server_state.default_headers])

    def on_body(self, body: bytes) -> None:
        if not self._own:
            super().on_body(body)
        elif self._body is not None:
            self._body.append(body)

    def on_message_complete(self) -> None:
        self._began = None
        if not self._own:
            super().on_message_complete()
            return
        if self._body is not None:
            answered = self._answer(self._fields, b"".join(self._body))
            assert answered
        if self._pending is None:
            self.on_response_complete()

    def _refuse(self, status: HTTPStatus) -> None:
        self._refusal = status
        raise httptools.HttpParserError(status.phrase)  # out of the parser's callback, into data_received

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 (uvicorn's signature)
        """Refuse the request; uvicorn calls this for whatever the parser does not take."""
        status = self._refusal
        body = b"%s.\n" % status.phrase.encode()
        self.transport.write(
            b"HTTP/1.1 %d %s\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close"
            b"\r\n\r\n%s" % (status, status.phrase.encode(), len(body), body)
        )
        self.transport.close()

    def _look(self) -> None:
        """Every few seconds: end a connection whose request does not arrive, or whose answer is not taken."""
        if self.transport.is_closing():
            return
        unsent = self.transport.get_write_buffer_size()
        if self._began is not None and self.loop.time() - self._began >= self.seconds:
            if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
                self._refusal = HTTPStatus.REQUEST_TIMEOUT
                self.send_400_response("")
            else:
                self.transport.abort()
        elif unsent and unsent == self._unsent:
            self.transport.abort()
        self._unsent = unsent
        self._check = self.loop.call_later(self.seconds / 2, self._look)
