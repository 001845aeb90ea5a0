"""HTTP/1.1 with bounds: uvicorn's fast parser, which by itself takes any head and waits for ever.

Refused: a head of more than :data:`HEAD_BYTES` or :data:`HEAD_LINES` (431), none or several ``Host`` fields (400,
RFC 9112, 3.2), a request that has not arrived within the deadline (408). A client that stops reading its answer is
cut off after the same time.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from rsm_graph.settings import Settings

HEAD_BYTES = 64 * 1024
"""Bytes of request line and header fields together; a query in an address has to fit in."""
HEAD_LINES = 100
"""Header fields of one request."""


def bounded(settings: Settings) -> type[asyncio.Protocol]:
    """Return the protocol class with the bounds of ``settings``, for ``uvicorn.Config(http=…)``."""
    return type("BoundedHttp", (_BoundedHttp,), {"seconds": settings.request_timeout})


class _BoundedHttp(HttpToolsProtocol):
    seconds: float

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._began: float | None = self.loop.time()  # until a request is whole, its beginning
        self._in_head = True
        self._head_bytes = 0
        self._refusal = HTTPStatus.BAD_REQUEST
        self._unsent = 0
        self._check = self.loop.call_later(self.seconds, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        self._check.cancel()
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

    def on_headers_complete(self) -> None:
        self._in_head = False
        size, hosts = len(self.url), 0
        for name, value in self.headers:
            size += len(name) + len(value) + 4
            hosts += name == b"host"
        if size > HEAD_BYTES or len(self.headers) > HEAD_LINES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        if hosts != 1 and (hosts or self.parser.get_http_version() != "1.0"):
            self._refuse(HTTPStatus.BAD_REQUEST)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._began = None
        super().on_message_complete()

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
