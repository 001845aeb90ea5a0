"""Lets SERVICE reach the addresses that the operator allows, and nothing else.

The engine has an HTTP client of its own, without a switch: it follows redirects anywhere. So a query that names an
allowed address is rewritten to ask this forwarder on the loopback interface, which asks that address, follows no
redirect, and bounds time and size. The evaluator of such a query is the only kind that may open a connection.
"""

from __future__ import annotations

import asyncio
import http.client
import re
import secrets
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from rsm_graph.engine.screen import doubt, tokens
from rsm_graph.errors import InputError, QueryRefused

_HEAD_BYTES = 65536
_THREADS = 4
_PASSED_ON = ("content-type", "accept")


class Forwarder:
    """An HTTP server on the loopback interface that passes SPARQL requests on to allowed addresses."""

    def __init__(self, allowed: tuple[str, ...], seconds: float, answer_bytes: int) -> None:
        """Raises :class:`InputError` for an address that is no http or https URL."""
        for address in allowed:
            parts = urlsplit(address)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise InputError(f"{address!r} is no http or https address, so SERVICE cannot be allowed to reach it.")
        self._allowed = allowed
        # A moment more than the query has, so that the query's own end comes first and is told as such.
        self._seconds = seconds + 1.0
        self._bytes = answer_bytes
        # Only evaluators are told it, so no other program on this machine can use the forwarder.
        self._secret = secrets.token_urlsafe(16)
        self._server: asyncio.Server | None = None
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="service")

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_HEAD_BYTES)

    async def close(self) -> None:
        """Stop listening; what is under way ends with its query."""
        if self._server is not None:
            self._server.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def route(self, text: str) -> tuple[str, tuple[str, ...]]:
        """Return the query with its SERVICE addresses replaced by the forwarder's, and the addresses it now names.

        A SERVICE inside another one is for that address to call, so it stays as it is; it too must be allowed.
        Raises :class:`QueryRefused` for an address that is not allowed, or not written out, and
        :class:`~rsm_graph.errors.QuerySyntaxError` for a doubtful token.
        """
        parts: list[str] = []
        used: list[str] = []
        copied = 0
        before = two_before = ""
        opened = 0
        outer = -1  # how many braces were open before the group of the SERVICE that the place is in
        for token in tokens(text):
            if token.kind == "doubtful":
                raise doubt(text, token.start)
            word = token.text.upper() if token.kind == "word" else ""
            called = before == "SERVICE" or (before == "SILENT" and two_before == "SERVICE")
            if called and word != "SILENT":
                address = token.text[1:-1]
                if token.kind != "iri" or address not in self._allowed:
                    raise QueryRefused(
                        f"SERVICE may not reach {token.text} from here.",
                        "Allowed, written out in angle brackets: " + ", ".join(self._allowed),
                    )
                if outer < 0:
                    outer = opened
                    address = self._address(address)
                    parts += [text[copied : token.start], f"<{address}>"]
                    copied = token.start + len(token.text)
                used.append(address)
            elif token.text == "{":
                opened += 1
            elif token.text == "}":
                opened -= 1
                if opened == outer:
                    outer = -1
            two_before, before = before, word
        return "".join([*parts, text[copied:]]), tuple(used)

    def _address(self, allowed: str) -> str:
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}/{self._secret}/{self._allowed.index(allowed)}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                status, media_type, body = await self._forward(reader)
            head = f"HTTP/1.1 {status} -\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n"
            writer.write(f"{head}Connection: close\r\n\r\n".encode() + body)
            await writer.drain()
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    async def _forward(self, reader: asyncio.StreamReader) -> tuple[int, str, bytes]:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        request, _, rest = head.partition("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (h.partition(":") for h in rest.split("\r\n"))}
        match = re.fullmatch(r"POST /([^/ ]+)/(\d+) HTTP/1\.1", request)
        if match is None or not secrets.compare_digest(match[1], self._secret) or int(match[2]) >= len(self._allowed):
            return 403, "text/plain", b""
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        passed = {name: headers[name] for name in _PASSED_ON if name in headers}
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._ask, self._allowed[int(match[2])], passed, body)

    def _ask(self, address: str, headers: dict[str, str], body: bytes) -> tuple[int, str, bytes]:
        """Return status, media type and body of the address's answer; 502 for a redirect, a failure, or too much."""
        parts = urlsplit(address)
        connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = connect(parts.hostname or "", parts.port, timeout=self._seconds)
        try:
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            if response.status != 200:
                return 502, "text/plain", b""
            answer = response.read(self._bytes + 1)
            if len(answer) > self._bytes:
                return 502, "text/plain", b""
            return 200, response.getheader("Content-Type", "application/sparql-results+json"), answer
        except (OSError, http.client.HTTPException):
            return 502, "text/plain", b""
        finally:
            connection.close()
